"""Wall time and peak memory of the trainings of a sweep against a number, such as the window of merged tokens."""

from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import looks, save_figure, start_figure
from geom2msm.sweep_summary import LINES, SweepPoints, read_points

LABELS = {
    "wall_s": "wall time of a training (s)",
    "peak_memory_mib": "peak memory of a training (MiB)",
    "peak_gpu_memory_mib": "peak memory on the GPU (MiB)",
}


def plot_sweep_costs(ax: Axes, sweep: SweepPoints, *, cost: str) -> None:
    """Mean and standard deviation of one cost against x, one curve per value of the series; baselines lie across."""
    for (label, points), (color, marker) in zip(sweep.curves(), looks(), strict=False):
        curve = points.sort_values(sweep.x)
        spread = curve[f"{cost}_sd"].fillna(0)
        ax.errorbar(curve[sweep.x], curve[f"{cost}_mean"], spread, color=color, marker=marker, label=label)
    for (name, point), line in zip(sweep.baselines(), LINES, strict=False):
        ax.axhline(point[f"{cost}_mean"], color="0.5", linestyle=line, label=name)
    places = sweep.values(sweep.x)
    ax.set_xticks(places, [sweep.value_label(sweep.x, value) for value in places])
    ax.set(xlabel=sweep.axis_label(sweep.x), ylabel=LABELS[cost])
    ax.margins(y=0.1)
    ax.set_ylim(bottom=0)


def main(members: str, style: str, pdf: str, png: str, table: str, *, axes: list[str]) -> None:
    """Read the members of a sweep and draw what their trainings cost."""
    sweep = read_points(members, axes)
    figure, panels = start_figure(style, columns=2, panels=(1, 2))
    on_gpu = (sweep.members.peak_gpu_memory_mib > 0).any()
    for ax, cost in zip(panels.flat, ("wall_s", "peak_gpu_memory_mib" if on_gpu else "peak_memory_mib"), strict=True):
        plot_sweep_costs(ax, sweep, cost=cost)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    figure.suptitle(sweep.title)
    save_figure(figure, sweep.points, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, axes=snakemake.params.axes)
