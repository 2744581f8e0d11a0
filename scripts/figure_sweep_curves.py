"""VAMP-2 scores of a sweep against a number, such as the dimensions, one curve per value of another setting."""

import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import looks, save_figure, start_figure
from geom2msm.sweep_summary import CROSSES, LINES, SweepPoints, read_points


def plot_sweep_curves(ax: Axes, sweep: SweepPoints) -> None:
    """Mean and standard deviation of the validation score (solid) and mean training score (dotted) against x.

    A baseline is a cross where it stands along x, or a line where x is nothing to it.
    """
    for (label, points), (color, marker) in zip(sweep.curves(), looks(), strict=False):
        curve = points.sort_values(sweep.x)
        spread = curve.score_validation_sd.fillna(0)
        ax.errorbar(
            curve[sweep.x], curve.score_validation_mean, spread, color=color, marker=marker, label=label or "validation"
        )
        ax.plot(curve[sweep.x], curve.score_training_mean, ":", color=color)
    ax.plot([], [], ":", color="0", label="training")
    for (name, point), line, cross in zip(sweep.baselines(), LINES, CROSSES, strict=False):
        if pd.isna(point[sweep.x]):
            ax.axhline(point.score_validation_mean, color="0.5", linestyle=line, label=name)
        else:
            ax.plot(point[sweep.x], point.score_validation_mean, cross, color="0", markersize=6, label=name)
    if sweep.x == "dimensions":
        dimensions = sorted(sweep.values(sweep.x))
        ax.plot(dimensions, [d + 1 for d in dimensions], "--", color="0.7", label="upper bound d + 1")
    places = sweep.values(sweep.x)
    ax.set_xticks(places, [sweep.value_label(sweep.x, value) for value in places])
    ax.set(xlabel=sweep.axis_label(sweep.x), ylabel="VAMP-2 score")
    ax.figure.legend(loc="outside lower center", ncols=2)


def main(members: str, style: str, pdf: str, png: str, table: str, *, axes: list[str]) -> None:
    """Read the members of a sweep and draw their mean scores as curves."""
    sweep = read_points(members, axes)
    figure, panels = start_figure(style, columns=1, height=1.3)
    plot_sweep_curves(panels[0, 0], sweep)
    panels[0, 0].set_title(sweep.title)
    save_figure(figure, sweep.points, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, axes=snakemake.params.axes)
