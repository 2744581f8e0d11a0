"""Mean first passage times against the lag time: of the Markov model, and counted directly."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from geom2msm.log import log_to
from geom2msm.style import ONE_STATE, log_axis, save_figure, save_reasons, start_figure, state_color, time_unit


def plot_passage_times_lags(ax: Axes, pair: pd.DataFrame) -> None:
    """Line and band the model, points with bars direct counting, of one ordered pair of states.

    `pair` has the columns method (model, counted), lag, to_state, mfpt, mfpt_lower, mfpt_upper.
    """
    model, counted = (pair[pair.method == method] for method in ("model", "counted"))
    color = state_color(pair.to_state.iloc[0])
    ax.fill_between(model.lag, model.mfpt_lower, model.mfpt_upper, color=color, alpha=0.3, linewidth=0)
    ax.plot(model.lag, model.mfpt, color=color, label="Markov model")
    errors = np.clip([counted.mfpt - counted.mfpt_lower, counted.mfpt_upper - counted.mfpt], 0, None)
    look = {"color": "0", "fmt": "o", "markersize": 2, "elinewidth": 0.7}
    ax.errorbar(counted.lag, counted.mfpt, errors, label="counted directly", **look)
    log_axis(ax, "x")
    log_axis(ax, "y")
    ax.yaxis.set_major_locator(LogLocator(numticks=4))
    ax.set_title(f"{pair.from_state.iloc[0]} → {pair.to_state.iloc[0]}", pad=2)
    if pair.mfpt.isna().all():
        ax.text(0.5, 0.5, "not estimable", transform=ax.transAxes, ha="center", va="center", color="0.4")


def main(passage_times: str, style: str, pdf: str, png: str, table: str) -> None:
    """Draw every ordered pair of states on common axes, from-states downwards and to-states to the right."""
    times = pd.read_csv(passage_times)
    if times.empty:
        save_reasons(style, times, ONE_STATE, pdf=pdf, png=png, csv=table)
        return
    lag_unit, lag_unit_ps = time_unit(times.lag_ps)
    unit, unit_ps = time_unit(times.mfpt_ps)
    in_unit = {name.removesuffix("_ps"): times[name] / unit_ps for name in times if name.startswith("mfpt")}
    n_states = int(times.from_state.max())
    height = 0.3 + 0.5 * n_states
    figure, axes = start_figure(style, columns=2, height=height, panels=(n_states, n_states), share="xy")
    for state in range(n_states):
        axes[state, state].set_axis_off()
    drawn = times.assign(lag=times.lag_ps / lag_unit_ps, **in_unit)
    for (from_state, to_state), pair in drawn.groupby(["from_state", "to_state"]):
        plot_passage_times_lags(axes[from_state - 1, to_state - 1], pair)
    figure.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    figure.supxlabel(f"lag time τ ({lag_unit})", fontsize="medium")
    figure.supylabel(f"mean first passage time ({unit})", fontsize="medium")
    save_figure(figure, times, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
