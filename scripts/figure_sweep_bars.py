"""VAMP-2 scores of a sweep as groups of bars, such as operators for every window of merged tokens."""

import itertools

import numpy as np
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import save_figure, start_figure
from geom2msm.sweep_summary import LINES, SweepPoints, read_points

LOOKS = [(gray, hatch) for hatch in ("", "///", "...", "xxx") for gray in ("0.35", "0.65", "0.9")]
GROUP_WIDTH = 0.8
# The score of a model that found nothing: that of the constant function.
NOTHING = 1.0


def plot_sweep_bars(ax: Axes, sweep: SweepPoints) -> None:
    """Mean and standard deviation of the validation score, its members as points, the training score as an outline."""
    groups, curves = sweep.values(sweep.x), list(sweep.curves())
    width = GROUP_WIDTH / len(curves)
    for number, ((label, points), (color, hatch)) in enumerate(zip(curves, itertools.cycle(LOOKS), strict=False)):
        shift = (number + 0.5) * width - GROUP_WIDTH / 2
        x = np.array([groups.index(value) for value in points[sweep.x]]) + shift
        look = {"width": width, "bottom": NOTHING, "hatch": hatch, "edgecolor": "0"}
        ax.bar(x, points.score_validation_mean - NOTHING, color=color, label=label or "validation", **look)
        ax.bar(x, points.score_training_mean - NOTHING, width, NOTHING, fill=False, edgecolor="0.5", linestyle=":")
        ax.errorbar(x, points.score_validation_mean, points.score_validation_sd.fillna(0), color="0", linestyle="none")
        members = sweep.members_of(points)
        dots = [groups.index(value) + shift for value in members[sweep.x]]
        ax.plot(dots, members.score_validation, "o", color="1", markeredgecolor="0", markersize=2.5)
    for (name, point), line in zip(sweep.baselines(), LINES, strict=False):
        ax.axhline(point.score_validation_mean, color="0", linestyle=line, label=name)
    ax.set_xticks(range(len(groups)), [sweep.value_label(sweep.x, value) for value in groups])
    ax.set(xlabel=sweep.axis_label(sweep.x), ylabel="VAMP-2 score")
    ax.figure.legend(loc="outside lower center", ncols=2)


def main(members: str, style: str, pdf: str, png: str, table: str, *, axes: list[str]) -> None:
    """Read the members of a sweep and draw their scores as bars."""
    sweep = read_points(members, axes)
    figure, panels = start_figure(style, columns=1, height=1.2)
    plot_sweep_bars(panels[0, 0], sweep)
    panels[0, 0].set_title(sweep.title)
    save_figure(figure, sweep.points, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, axes=snakemake.params.axes)
