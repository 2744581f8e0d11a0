"""Implied timescales against lag time, of the model and of the baseline, with the spread of their members."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from geom2msm.lag_choice import scan_with_members
from geom2msm.log import log_to
from geom2msm.style import lag_axis, looks, save_figure, start_figure, time_unit, timescale_axis, timescale_name

NEVER, EVER = 1e-9, 1e9
MEMBERS = ["members_lowest", "members_highest"]


def plot_implied_timescales(ax: Axes, timescales: pd.DataFrame, *, lag: float, unit: str) -> None:
    """Implied timescales t2, t3 … against lag time, logarithmic; a vertical line marks the lag of the model.

    `timescales` has the columns lag, process (1 is t2), estimate, lower, upper, members_lowest, members_highest.
    Grey: timescales shorter than the lag, which a model cannot resolve.
    """
    for (process, curve), (color, marker) in zip(timescales.groupby("process"), looks(), strict=False):
        ax.plot(curve.lag, curve.estimate, color=color, marker=marker, label=timescale_name(process))
        ax.fill_between(curve.lag, curve.lower, curve.upper, color=color, alpha=0.25, linewidth=0)
        for end in MEMBERS:
            ax.plot(curve.lag, curve[end], "_", color=color, markersize=9)
    lag_axis(ax, timescales.lag.unique(), unit=unit)
    # An artist added like this does not move the limits, so it can fill the region to every edge.
    corners = [(NEVER, NEVER), (EVER, EVER), (EVER, NEVER)]
    ax.add_artist(Polygon(corners, color="0.92", zorder=0, linewidth=0))
    ax.axvline(lag, color="0.3", linestyle="--", linewidth=0.7, zorder=0.5, label="lag of the model")
    ax.plot([], [], "_", color="0", markersize=9, label="lowest and highest of all members")


def main(
    model: str, baseline: str, model_members: str, baseline_members: str, model_lag: str, baseline_lag: str,
    style: str, pdf: str, png: str, table: str, *, names: list[str], lag_ps: float,
) -> None:  # fmt: skip
    """Draw both lag scans side by side on common axes, in the unit that reads best; titles name the proposed lags."""
    files = (model, model_members, model_lag), (baseline, baseline_members, baseline_lag)
    scans = pd.concat(scan_with_members(*each).assign(model=name) for each, name in zip(files, names, strict=True))
    unit, unit_ps = time_unit(scans.estimate_ps)
    figure, axes = start_figure(style, columns=2, panels=(1, 2), share="xy")
    in_unit = scans.assign(**{name[:-3]: scans[name] / unit_ps for name in scans if name.endswith("_ps")})
    # The panels have one axis, so its limits come from both scans.
    estimates, ends = in_unit[["estimate", *MEMBERS]].stack(), in_unit[["lower", "upper"]].stack()
    timescale_axis(axes[0, 0], estimates=estimates, ends=ends, unit=unit)
    for ax, name in zip(axes.flat, names, strict=True):
        drawn = in_unit[in_unit.model == name]
        plot_implied_timescales(ax, drawn, lag=lag_ps / unit_ps, unit=unit)
        flat = drawn.proposed_lag.dropna().map(f"from {{:g}} {unit} on".format)
        ax.set_title(f"{name.replace('_', ' ')}, flat {flat.iloc[0] if len(flat) else 'nowhere'}")
        ax.label_outer()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    save_figure(figure, scans, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, names=snakemake.params.names, lag_ps=snakemake.params.lag_ps)
