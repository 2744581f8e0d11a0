"""Mean first passage times between the macrostates, as a table with intervals."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import ONE_STATE, save_figure, save_reasons, short_number, start_figure, state_color, time_unit


def plot_passage_times(ax: Axes, rates: pd.DataFrame) -> None:
    """Mean first passage times with 95 % intervals, one row per starting state.

    `rates` has the columns from_state, to_state, mfpt, mfpt_lower, mfpt_upper.
    """
    ticks = np.arange(1, rates[["from_state", "to_state"]].to_numpy().max() + 1)
    for rate in rates.itertuples():
        bounds = rate.mfpt_lower, rate.mfpt_upper
        interval = "no interval" if np.isnan(bounds).any() else "–".join(map(short_number, bounds))
        look = {"xy": (rate.to_state, rate.from_state), "textcoords": "offset points", "ha": "center", "va": "center"}
        ax.annotate(short_number(rate.mfpt), xytext=(0, 4), **look)
        ax.annotate(interval, xytext=(0, -5), fontsize="small", color="0.4", **look)
    for state in ticks:
        ax.fill_between([state - 0.5, state + 0.5], state - 0.5, state + 0.5, color="0.93", linewidth=0)
    ax.set(xlim=(0.5, len(ticks) + 0.5), ylim=(len(ticks) + 0.5, 0.5), xticks=ticks, yticks=ticks)
    ax.set(xlabel="to state", ylabel="from state")
    for state, *labels in zip(ticks, ax.get_xticklabels(), ax.get_yticklabels(), strict=True):
        for label in labels:
            label.set(color=state_color(state), fontweight="bold")
    ax.tick_params(length=0)


def main(rates: str, style: str, pdf: str, png: str, table: str) -> None:
    """Read passage times and write them out, in the unit that reads best."""
    times = pd.read_csv(rates)
    if times.empty:
        save_reasons(style, times, ONE_STATE, pdf=pdf, png=png, csv=table)
        return
    unit, unit_ps = time_unit(times.mfpt_ps)
    in_unit = {name.removesuffix("_ps"): times[name] / unit_ps for name in times if name.endswith("_ps")}
    figure, axes = start_figure(style, columns=1, height=0.3 + 0.16 * float(times.from_state.max()))
    plot_passage_times(axes[0, 0], times.assign(**in_unit))
    axes[0, 0].set_title(f"mean first passage time and its 95 % interval ({unit})")
    save_figure(figure, times, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
