"""Committors of the microstates: the probability to reach the target of the transition paths before their source."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import save_figure, save_reasons, start_figure, state_color

LARGEST_AREA, SMALLEST_AREA = 400, 4


def plot_committor_map(ax: Axes, microstates: pd.DataFrame) -> None:
    """Microstates where they lie in the first two variables, their area the probability, their color the committor.

    `microstates` has the columns probability, committor, variable_1 and, unless there is only one, variable_2.
    """
    area = SMALLEST_AREA + LARGEST_AREA * microstates.probability
    second = "variable_2" if "variable_2" in microstates else "committor"
    look = {"c": microstates.committor, "s": area, "cmap": "PuOr", "vmin": 0, "vmax": 1, "edgecolors": "0.3"}
    ax.scatter(microstates.variable_1, microstates[second], linewidths=0.4, **look)
    ax.set(xlabel="first variable of the model", ylabel=f"{second.replace('variable_2', 'second variable')}")


def plot_committors(ax: Axes, microstates: pd.DataFrame) -> None:
    """Committors with 95 % intervals, microstates in their order, colored by macrostate."""
    ordered = microstates.sort_values("committor", kind="stable")
    rank = np.arange(1, len(ordered) + 1)
    below, above = ordered.committor - ordered.committor_lower, ordered.committor_upper - ordered.committor
    ax.errorbar(rank, ordered.committor, np.clip([below, above], 0, None), color="0.5", linestyle="none", zorder=1)
    for state, inside in ordered.assign(rank=rank).groupby("state"):
        ax.scatter(inside["rank"], inside.committor, s=10, color=state_color(state), label=f"state {state}", zorder=2)
    ax.axhline(0.5, color="0.6", linestyle="--", linewidth=0.7, zorder=0)
    ax.set(xlabel="microstates, by committor", ylabel="committor", ylim=(-0.03, 1.03))
    ax.legend(loc="upper left", handletextpad=0.2)


def main(committors: str, memberships: str, verdict: str, style: str, pdf: str, png: str, table: str) -> None:
    """Put committors where the microstates lie and draw both views."""
    found = json.loads(Path(verdict).read_text())
    places = pd.read_csv(memberships).filter(regex="^microstate$|^variable_")
    microstates = pd.read_csv(committors).merge(places, on="microstate")
    if not found["source_states"]:
        save_reasons(style, microstates, found["reasons"], pdf=pdf, png=png, csv=table)
        return
    figure, axes = start_figure(style, columns=2, panels=(1, 2))
    plot_committor_map(axes[0, 0], microstates)
    figure.colorbar(axes[0, 0].collections[0], ax=axes[0, 0], label="committor")
    plot_committors(axes[0, 1], microstates)
    ends = [", ".join(map(str, found[f"{end}_states"])) for end in ("source", "target")]
    figure.suptitle(f"probability to reach state {ends[1]} before state {ends[0]}")
    save_figure(figure, microstates, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
