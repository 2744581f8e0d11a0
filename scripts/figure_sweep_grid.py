"""Table of the VAMP-2 scores of a sweep over two settings, such as mixers and widths."""

import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import save_figure, start_figure
from geom2msm.sweep_summary import SweepPoints, read_points


def plot_sweep_grid(ax: Axes, sweep: SweepPoints) -> None:
    """Validation score of every point, the best of a lag in bold; below it the mean of batches and the training score.

    Baselines have rows of their own below the line.
    """
    columns = sweep.values(sweep.x)
    names = []
    for row, (_, points) in enumerate(sweep.curves()):
        names.append(sweep.value_label(sweep.series, points[sweep.series].iloc[0]) if sweep.series else "")
        for _, point in points.iterrows():
            write_cell(ax, point, place=(columns.index(point[sweep.x]), row))
    middle, n_rows = (len(columns) - 1) / 2, len(names)
    for name, point in sweep.baselines():
        write_cell(ax, point, place=(middle, len(names)))
        names.append(name)
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(names) - 0.5, -0.5), xlabel=sweep.axis_label(sweep.x))
    ax.set_xticks(range(len(columns)), [sweep.value_label(sweep.x, value) for value in columns])
    ax.set_yticks(range(len(names)), names)
    ax.set_ylabel(sweep.axis_label(sweep.series) if sweep.series else "")
    for edge in range(1, len(names)):
        ax.axhline(edge - 0.5, color="0" if edge == n_rows else "0.85", linewidth=0.6)
    ax.tick_params(length=0)


def write_cell(ax: Axes, point: pd.Series, *, place: tuple[float, float]) -> None:
    """The scores of one point in two lines."""
    spread = f" ± {point.score_validation_sd:.2f}" if point.n_members > 1 else ""
    look = {"xy": place, "textcoords": "offset points", "ha": "center", "va": "center"}
    weight = "bold" if point.best else "normal"
    ax.annotate(f"{point.score_validation_mean:.2f}{spread}", xytext=(0, 5), fontweight=weight, **look)
    others = f"{point.score_validation_batch_mean_mean:.2f} | {point.score_training_mean:.2f}"
    ax.annotate(others, xytext=(0, -5), fontsize="small", color="0.4", **look)


def main(members: str, style: str, pdf: str, png: str, table: str, *, axes: list[str]) -> None:
    """Read the members of a sweep and write their mean scores into a table."""
    sweep = read_points(members, axes)
    n_rows = len([*sweep.curves(), *sweep.baselines()])
    figure, panels = start_figure(style, columns=1, height=0.4 + 0.16 * n_rows)
    plot_sweep_grid(panels[0, 0], sweep)
    figure.suptitle(f"{sweep.title}\nvalidation; below it: mean of batches | training", fontsize="medium")
    save_figure(figure, sweep.points, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, axes=snakemake.params.axes)
