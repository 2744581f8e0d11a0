"""The Markov state model as a network: how probable each state is and how long it takes to get from one to another."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import save_figure, start_figure, state_color, time_unit

LARGEST_NODE = 2000
WIDTHS = (0.5, 4.0)
HALF_WIDTH, HALF_HEIGHT = 2.0, 1.55


def plot_rates_network(ax: Axes, states: pd.DataFrame, rates: pd.DataFrame) -> None:
    """Nodes on a circle, their area the probability; arrows where transitions were seen, the wider the faster.

    `states` has the columns state, probability; `rates` from_state, to_state, mfpt_ps, n_transitions.
    The width grows with the logarithm of the rate 1/MFPT.
    """
    angles = np.pi / 2 + np.pi / len(states) + 2 * np.pi * np.arange(len(states)) / len(states)
    places = dict(zip(states.state, np.column_stack([np.cos(angles), np.sin(angles)]), strict=True))
    radii = dict(zip(states.state, np.sqrt(LARGEST_NODE * states.probability / np.pi), strict=True))
    seen = rates[(rates.n_transitions > 0) & np.isfinite(rates.mfpt_ps)].sort_values("mfpt_ps")
    speeds = -np.log(seen.mfpt_ps)
    for arrow, width in zip(seen.itertuples(), np.interp(speeds, [speeds.min(), speeds.max()], WIDTHS), strict=True):
        gaps = {"shrinkA": radii[arrow.from_state] + 3, "shrinkB": radii[arrow.to_state] + 3}
        look = {"arrowstyle": "-|>", "connectionstyle": "arc3,rad=0.14", "mutation_scale": 6 + 1.5 * width}
        look |= {"linewidth": width, "color": state_color(arrow.from_state)}
        ax.annotate("", places[arrow.to_state], places[arrow.from_state], arrowprops=look | gaps)
    points_per_unit = 36 * ax.figure.get_size_inches()[0] / (2 * HALF_WIDTH)
    for state in states.itertuples():
        radius = radii[state.state]
        ax.scatter(*places[state.state], s=np.pi * radius**2, color=state_color(state.state), zorder=3)
        outside = places[state.state] * (1 + (radius + 5) / points_per_unit)
        side = {-1: "right", 0: "center", 1: "left"}[round(outside[0] / 1.4)]
        height = {-1: "top", 0: "center", 1: "bottom"}[round(outside[1] / 1.4)]
        ax.text(*outside, f"state {state.state}\n{100 * state.probability:.2g} %", ha=side, va=height)
    ax.set(xlim=(-HALF_WIDTH, HALF_WIDTH), ylim=(-HALF_HEIGHT, HALF_HEIGHT), aspect="equal")
    ax.set_title("area: probability, arrow: the wider the faster")
    ax.set_axis_off()


def in_words(time: float) -> str:
    """Three digits of a time, without an exponent."""
    return f"{float(f'{time:.3g}'):,g}" if np.isfinite(time) else "∞"


def plot_passage_times(ax: Axes, rates: pd.DataFrame, *, unit: str) -> None:
    """Mean first passage times with 95 % intervals, one row per starting state.

    `rates` has the columns from_state, to_state, mfpt, mfpt_lower, mfpt_upper (in `unit`).
    """
    ticks = np.arange(1, rates[["from_state", "to_state"]].to_numpy().max() + 1)
    for rate in rates.itertuples():
        interval = f"{in_words(rate.mfpt_lower)}–{in_words(rate.mfpt_upper)}"
        look = {"xy": (rate.to_state, rate.from_state), "textcoords": "offset points", "ha": "center", "va": "center"}
        ax.annotate(in_words(rate.mfpt), xytext=(0, 4), **look)
        ax.annotate(interval, xytext=(0, -5), fontsize="small", color="0.4", **look)
    for state in ticks:
        ax.fill_between([state - 0.5, state + 0.5], state - 0.5, state + 0.5, color="0.93", linewidth=0)
    ax.set(xlim=(0.5, len(ticks) + 0.5), ylim=(len(ticks) + 0.5, 0.5), xticks=ticks, yticks=ticks)
    ax.set(xlabel="to state", ylabel="from state", title=f"mean first passage time and its 95 % interval ({unit})")
    for state, *labels in zip(ticks, ax.get_xticklabels(), ax.get_yticklabels(), strict=True):
        for label in labels:
            label.set(color=state_color(state), fontweight="bold")
    ax.tick_params(length=0)


def main(states: str, rates: str, style: str, pdf: str, png: str, table: str) -> None:
    """Read states and passage times and draw the network beside the times."""
    known, times = pd.read_csv(states), pd.read_csv(rates)
    times = times[times.from_state != times.to_state]
    unit, unit_ps = time_unit(times.mfpt_ps)
    in_unit = {name.removesuffix("_ps"): times[name] / unit_ps for name in times if name.endswith("_ps")}
    figure, axes = start_figure(style, columns=2, height=1.1, panels=(1, 2))
    plot_rates_network(axes[0, 0], known, times)
    plot_passage_times(axes[0, 1], times.assign(**in_unit), unit=unit)
    drawn = times.assign(from_probability=times.from_state.map(known.set_index("state").probability))
    save_figure(figure, drawn, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
