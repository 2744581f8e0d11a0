"""Macrostates drawn as a network: nodes whose area is a probability, arrows whose width is a flux."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes

from geom2msm.style import state_color
from geom2msm.units import PS_PER_NS

LARGEST_NODE, SMALLEST_RADIUS = 1600, 3.0
LABEL_GAP = 5


@dataclass(frozen=True)
class Node:
    """A macrostate, counted from 1, its probability, and where in the drawing it is."""

    state: int
    probability: float
    place: Float[np.ndarray, "2"]

    @property
    def radius(self) -> float:
        """In points; the area is proportional to the probability, but the rarest states can still be seen."""
        return max(SMALLEST_RADIUS, float(np.sqrt(LARGEST_NODE * self.probability / np.pi)))


def equilibrium_flux(path: str) -> pd.DataFrame:
    """Transitions per ns between the macrostates of a stored model in equilibrium, as often one way as the other."""
    with np.load(path) as model:
        owner = model["macrostate_of_microstate"][model["active_microstates"]]
        indicator = np.eye(owner.max() + 1)[owner]
        flow = model["stationary_distribution"][:, None] * model["transition_matrix"]
        flux = indicator.T @ flow @ indicator * PS_PER_NS / model["lag_ps"]
    origin, target = np.nonzero(~np.eye(len(flux), dtype=bool))
    return pd.DataFrame({"from_state": origin + 1, "to_state": target + 1, "flux_per_ns": flux[origin, target]})


def place_nodes(states: pd.DataFrame, places: Float[np.ndarray, "state 2"]) -> dict[int, Node]:
    """A node for each row of a table with the columns state and probability, by the number of its state."""
    rows = zip(states.itertuples(), places, strict=True)
    return {row.state: Node(row.state, row.probability, place) for row, place in rows}


def on_circle(n_states: int) -> Float[np.ndarray, "state 2"]:
    """Places around a circle of radius 1, the first ones at the upper left."""
    angles = np.pi / 2 + np.pi / n_states + 2 * np.pi * np.arange(n_states) / n_states
    return np.column_stack([np.cos(angles), np.sin(angles)])


def draw_node(ax: Axes, node: Node, *, toward: tuple[float, float], remark: str = "") -> None:
    """The node with its name, its probability and perhaps a remark beside it, in the given direction."""
    ax.scatter(*node.place, s=np.pi * node.radius**2, color=state_color(node.state), zorder=3)
    beside = np.array(toward) * (node.radius + LABEL_GAP)
    side = "center" if abs(toward[0]) < 0.7 else "left" if toward[0] > 0 else "right"
    level = "center" if abs(toward[1]) < 0.7 else "bottom" if toward[1] > 0 else "top"
    name = f"state {node.state}\n{100 * node.probability:.2g} %{remark}"
    ax.annotate(name, node.place, xytext=tuple(beside), textcoords="offset points", ha=side, va=level, zorder=5)


def draw_arrow(ax: Axes, start: Node, end: Node, *, width: float, color: str, label: str, bend: float) -> None:
    """An arrow that is bent to the right-hand side, if at all, with a label on it, nearer to where it starts."""
    gaps = {"shrinkA": start.radius + 3, "shrinkB": end.radius + 3}
    look = {"arrowstyle": "-|>", "connectionstyle": f"arc3,rad={bend}", "mutation_scale": 6 + 1.5 * width} | gaps
    ax.annotate("", end.place, start.place, arrowprops=look | {"linewidth": width, "color": color})
    if label:
        bulge = bend / 2 * np.array([1, -1]) * (end.place - start.place)[::-1]
        middle = 0.55 * start.place + 0.45 * end.place + bulge
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        ax.text(*middle, label, ha="center", va="center", bbox=box, fontsize="small", zorder=4)
