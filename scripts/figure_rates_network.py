"""The Markov state model as a network: how probable each state is, how often and how fast one turns into another."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from geom2msm.log import log_to
from geom2msm.network import draw_arrow, draw_node, equilibrium_flux, on_circle, place_nodes
from geom2msm.style import ONE_STATE, save_figure, save_reasons, short_number, start_figure, state_color, time_unit

WIDTHS, BEND, HALF_WIDTH, HALF_HEIGHT = (0.5, 4.0), 0.24, 1.8, 1.4


def plot_rates_network(ax: Axes, states: pd.DataFrame, rates: pd.DataFrame) -> list[Line2D]:
    """Nodes on a circle, arrows with MFPTs where transitions were seen; returns what explains the widths.

    `states` has the columns state, probability; `rates` from_state, to_state, mfpt_ps, flux_per_ns, n_transitions. The
    width of an arrow grows with the logarithm of the flux, its color is that of the state that it leaves.
    """
    nodes = place_nodes(states, on_circle(len(states)))
    seen = rates[(rates.n_transitions > 0) & np.isfinite(rates.mfpt_ps) & (rates.flux_per_ns > 0)]
    limits = [seen.flux_per_ns.min(), seen.flux_per_ns.max()]
    for arrow in seen.itertuples():
        width = float(np.interp(np.log(arrow.flux_per_ns), np.log(limits), WIDTHS))
        unit, unit_ps = time_unit([arrow.mfpt_ps])
        look = {"label": f"{short_number(arrow.mfpt_ps / unit_ps)} {unit}", "color": state_color(arrow.from_state)}
        draw_arrow(ax, nodes[arrow.from_state], nodes[arrow.to_state], width=width, bend=BEND, **look)
    for node in nodes.values():
        draw_node(ax, node, toward=tuple(node.place))
    ax.set(xlim=(-HALF_WIDTH, HALF_WIDTH), ylim=(-HALF_HEIGHT, HALF_HEIGHT), aspect="equal")
    ax.set_axis_off()
    widths = dict(zip(limits, WIDTHS, strict=True)) if len(seen) else {}
    label = "{} transitions per ns".format
    return [Line2D([], [], color="0.4", linewidth=widths[flux], label=label(short_number(flux))) for flux in widths]


def main(states: str, rates: str, msm: str, style: str, pdf: str, png: str, table: str) -> None:
    """Read states, passage times and flux and draw the network, larger if there are many states."""
    known = pd.read_csv(states)
    times = pd.read_csv(rates).merge(equilibrium_flux(msm), on=["from_state", "to_state"])
    if times.empty:
        save_reasons(style, times, ONE_STATE, pdf=pdf, png=png, csv=table)
        return
    columns, height = (2, 2.0) if len(known) > 3 else (1, 1.2)
    figure, axes = start_figure(style, columns=columns, height=height)
    handles = plot_rates_network(axes[0, 0], known, times)
    axes[0, 0].set_title("area: probability, arrow: transitions,\nnumber: mean first passage time")
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    probability = known.set_index("state").probability
    save_figure(figure, times.assign(from_probability=times.from_state.map(probability)), pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
