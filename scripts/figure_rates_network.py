"""The Markov state model as a network: how probable each state is and how long it takes to get from one to another."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import save_figure, short_number, start_figure, state_color, time_unit

LARGEST_NODE, WIDTHS, BEND = 1600, (0.5, 3.5), 0.18
HALF_WIDTH, HALF_HEIGHT = 1.8, 1.4
ALIGNMENTS = {-1: ("right", "top"), 0: ("center", "center"), 1: ("left", "bottom")}


def plot_rates_network(ax: Axes, states: pd.DataFrame, rates: pd.DataFrame) -> None:
    """Nodes on a circle, their area the probability; arrows where transitions were seen, with the MFPT beside them.

    `states` has the columns state, probability; `rates` from_state, to_state, mfpt, n_transitions. An arrow is the
    wider the faster: its width grows with the logarithm of the rate 1/MFPT.
    """
    angles = np.pi / 2 + np.pi / len(states) + 2 * np.pi * np.arange(len(states)) / len(states)
    places = dict(zip(states.state, np.column_stack([np.cos(angles), np.sin(angles)]), strict=True))
    radii = dict(zip(states.state, np.sqrt(LARGEST_NODE * states.probability / np.pi), strict=True))
    seen = rates[(rates.n_transitions > 0) & np.isfinite(rates.mfpt)]
    widths = np.interp(-np.log(seen.mfpt), [-np.log(seen.mfpt.max()), -np.log(seen.mfpt.min())], WIDTHS)
    for arrow, width in zip(seen.itertuples(), widths, strict=True):
        start, end = places[arrow.from_state], places[arrow.to_state]
        gaps = {"shrinkA": radii[arrow.from_state] + 3, "shrinkB": radii[arrow.to_state] + 3}
        look = {"arrowstyle": "-|>", "connectionstyle": f"arc3,rad={BEND}", "mutation_scale": 6 + 1.5 * width} | gaps
        color = state_color(arrow.from_state)
        ax.annotate("", end, start, arrowprops=look | {"linewidth": width, "color": color})
        bulge = BEND / 2 * np.array([1, -1]) * (end - start)[::-1]
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        middle = 0.55 * start + 0.45 * end + bulge
        ax.text(*middle, short_number(arrow.mfpt), ha="center", va="center", bbox=box, fontsize="small", zorder=4)
    for state, p in zip(states.state, states.probability, strict=True):
        ax.scatter(*places[state], s=np.pi * radii[state] ** 2, color=state_color(state), zorder=3)
        beside = places[state] * (radii[state] + 5)
        (side, _), (_, level) = (ALIGNMENTS[round(part / 1.4)] for part in places[state])
        name = f"state {state}\n{100 * p:.2g} %"
        ax.annotate(name, places[state], xytext=beside, textcoords="offset points", ha=side, va=level)
    ax.set(xlim=(-HALF_WIDTH, HALF_WIDTH), ylim=(-HALF_HEIGHT, HALF_HEIGHT), aspect="equal")
    ax.set_axis_off()


def main(states: str, rates: str, style: str, pdf: str, png: str, table: str) -> None:
    """Read states and passage times and draw the network, larger if there are many states."""
    known, times = pd.read_csv(states), pd.read_csv(rates)
    unit, unit_ps = time_unit(times.mfpt_ps)
    large = len(known) > 3
    figure, axes = start_figure(style, columns=2 if large else 1, height=2.0 if large else 1.1)
    plot_rates_network(axes[0, 0], known, times.assign(mfpt=times.mfpt_ps / unit_ps))
    axes[0, 0].set_title(f"mean first passage times ({unit})")
    drawn = times.assign(from_probability=times.from_state.map(known.set_index("state").probability))
    save_figure(figure, drawn, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
