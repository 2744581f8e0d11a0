"""Decay of correlations and relaxation of states: predicted by the Markov model, and measured."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import log_axis, looks, save_figure, start_figure, state_color, time_unit, timescale_name


def plot_curve(ax: Axes, curve: pd.DataFrame, *, color: str, marker: str, label: str) -> None:
    """Line and band predicted, points with bars measured; the start at time zero is not drawn.

    `curve` has the columns time, predicted, measured and both with _lower and _upper.
    """
    later = curve[curve.time > 0]
    ax.fill_between(later.time, later.predicted_lower, later.predicted_upper, color=color, alpha=0.3, linewidth=0)
    ax.plot(later.time, later.predicted, color=color)
    errors = np.clip([later.measured - later.measured_lower, later.measured_upper - later.measured], 0, None)
    look = {"linestyle": "none", "marker": marker, "markersize": 2.5, "elinewidth": 0.6, "capsize": 1}
    ax.errorbar(later.time, later.measured, errors, color=color, label=label, **look)


def main(relaxation: str, verdict: str, style: str, pdf: str, png: str, table: str) -> None:
    """Draw the autocorrelation of the slow processes beside the relaxation of every state."""
    curves, found = pd.read_csv(relaxation), json.loads(Path(verdict).read_text())
    unit, unit_ps = time_unit(curves.time_ps)
    in_unit = curves.assign(time=curves.time_ps / unit_ps)
    figure, axes = start_figure(style, columns=2, panels=(1, 2))
    correlation, relaxing = axes.flat
    processes = in_unit[in_unit.kind == "autocorrelation"].groupby("index")
    for (process, curve), (color, marker) in zip(processes, looks(), strict=False):
        plot_curve(correlation, curve, color=color, marker=marker, label=timescale_name(process))
    for state, curve in in_unit[in_unit.kind == "relaxation"].groupby("index"):
        plot_curve(relaxing, curve, color=state_color(state), marker="o", label=f"state {state}")
    correlation.set(ylabel="autocorrelation of eigenfunctions")
    relaxing.set(ylabel="probability to be where it started", ylim=(0, 1.03))
    for ax in axes.flat:
        ax.set_xlabel(f"time ({unit})")
        log_axis(ax, "x")
        if ax.has_data():
            ax.legend(handletextpad=0.3)
    worst = found["largest_deviation_in_errors"]
    figure.suptitle(found["verdict"] + ("" if worst is None else f": the largest deviation is {worst:.1f} errors"))
    save_figure(figure, curves, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
