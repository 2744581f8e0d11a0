"""Timescales and populations from growing parts of the data, and from the second half alone."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.judgement import read_json
from geom2msm.log import log_to
from geom2msm.style import looks, save_figure, start_figure, state_color, time_unit, timescale_axis

SECOND_HALF = 0.515  # just beside the first half


def plot_quantity(ax: Axes, parts: pd.DataFrame, *, color: str, marker: str, label: str) -> None:
    """One quantity against the share of the data, with intervals; open symbol: the second half alone.

    `parts` has the columns end (first or last), fraction, estimate, lower, upper.
    """
    first, last = parts[parts.end == "first"], parts[parts.end == "last"]
    for some, x, face in ((first, first.fraction, color), (last, [SECOND_HALF] * len(last), "1")):
        errors = np.clip([some.estimate - some.lower, some.upper - some.estimate], 0, None)
        ax.errorbar(
            x, some.estimate, errors, color=color, fmt=marker, markerfacecolor=face, elinewidth=0.7,
            label=label if some is first else None,
        )  # fmt: skip
    ax.plot(first.fraction, first.estimate, color=color, linewidth=0.7)


def main(convergence: str, verdict: str, style: str, pdf: str, png: str, table: str) -> None:
    """Draw timescales on the left, logarithmic, and populations on the right, in the colors of their states."""
    parts, found = pd.read_csv(convergence), read_json(verdict)
    is_time = parts.quantity.str.startswith("t")
    unit, unit_ps = time_unit(parts.estimate[is_time])
    figure, axes = start_figure(style, columns=2, panels=(1, 2))
    times, populations = axes[0]
    for (name, rows), (color, marker) in zip(parts[is_time].groupby("quantity"), looks(), strict=False):
        numbers = ["estimate", "lower", "upper"]
        in_unit = rows.assign(**rows[numbers] / unit_ps)
        plot_quantity(times, in_unit, color=color, marker=marker, label=f"$t_{{{name[1:]}}}$")
    for name, rows in parts[~is_time].groupby("quantity"):
        state = int(name.split()[1])
        plot_quantity(populations, rows, color=state_color(state), marker="o", label=f"state {state}")
    shown = parts.loc[is_time, ["estimate", "lower", "upper"]] / unit_ps
    timescale_axis(times, estimates=shown.estimate, ends=shown[["lower", "upper"]].stack(), unit=unit)
    populations.set(ylim=(0, 1), ylabel="stationary probability")
    for ax in axes.flat:
        ax.set(xlim=(0, 1.05), xlabel="share of every trajectory")
    largest = found["largest_difference_in_errors"]
    told = "the halves cannot be compared" if largest is None else f"halves differ by up to {largest:.1f} errors"
    figure.suptitle(f"{found['verdict']}: {told}")
    figure.legend(loc="outside lower center", ncols=8)
    save_figure(figure, parts, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
