"""Implied timescales against lag time, of the model and of the baseline."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from matplotlib.ticker import LogFormatter, NullFormatter

from geom2msm.log import log_to
from geom2msm.style import GRAYS, MARKERS, save_figure, start_figure, time_unit

NEVER, EVER = 1e-9, 1e9


def plot_implied_timescales(ax: Axes, timescales: pd.DataFrame, *, lag: float, unit: str) -> None:
    """Implied timescales t2, t3 … against lag time, logarithmic; a vertical line marks the lag of the model.

    `timescales` has the columns lag, process (1 is t2), estimate, mean, lower, upper, times in `unit`.
    Grey: timescales shorter than the lag, which a model cannot resolve.
    """
    for (process, curve), color, marker in zip(timescales.groupby("process"), GRAYS, MARKERS, strict=False):
        ax.plot(curve.lag, curve.estimate, color=color, marker=marker, label=f"$t_{{{process + 1}}}$")
        ax.plot(curve.lag, curve["mean"], color=color, linestyle=":")
        ax.fill_between(curve.lag, curve.lower, curve.upper, color=color, alpha=0.25, linewidth=0)
    ax.set(xscale="log", yscale="log", xlabel=f"lag time τ ({unit})", ylabel=f"implied timescale ({unit})")
    ax.set_xticks(timescales.lag.unique(), [f"{each:g}" for each in timescales.lag.unique()], minor=False)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(LogFormatter())
    ax.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.4)))
    # A posterior without upper bound would squeeze everything else flat.
    ax.set_ylim(0.5 * timescales.estimate.min(), min(20 * timescales.estimate.max(), 1.5 * timescales.upper.max()))
    # An artist added like this does not move the limits, so it can fill the region to every edge.
    corners = [(NEVER, NEVER), (EVER, EVER), (EVER, NEVER)]
    ax.add_artist(Polygon(corners, color="0.92", zorder=0, linewidth=0))
    ax.axvline(lag, color="0.3", linestyle="--", linewidth=0.7, zorder=0.5, label="lag time of the model")


def main(
    model: str, baseline: str, style: str, pdf: str, png: str, table: str, *, names: list[str], lag_ps: float
) -> None:
    """Read both lag scans and draw them side by side on common axes, in the unit that reads best."""
    scans = pd.concat(pd.read_csv(path).assign(model=name) for path, name in zip((model, baseline), names, strict=True))
    unit, unit_ps = time_unit(scans.estimate_ps)
    figure, axes = start_figure(style, columns=2, panels=(1, 2), share=True)
    columns = [name for name in scans if name.endswith("_ps")]
    in_unit = scans.assign(**{name.removesuffix("_ps"): scans[name] / unit_ps for name in columns})
    for ax, name in zip(axes.flat, names, strict=True):
        plot_implied_timescales(ax, in_unit[in_unit.model == name], lag=lag_ps / unit_ps, unit=unit)
        ax.set_title(name.replace("_", " "))
        ax.label_outer()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    save_figure(figure, scans, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, names=snakemake.params.names, lag_ps=snakemake.params.lag_ps)
