"""The reactive flux from the source to the target of the transition paths, and the pathways that carry it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.judgement import read_json
from geom2msm.log import log_to
from geom2msm.network import draw_arrow, draw_node, place_nodes
from geom2msm.style import save_figure, save_reasons, short_number, start_figure

WIDEST, LABELLED_SHARE, LISTED_PATHWAYS, HEIGHT = 5.0, 0.05, 8, 1.0


def plot_flux_network(ax: Axes, states: pd.DataFrame, fluxes: pd.DataFrame) -> None:
    """Macrostates from left to right in the order of their committor q, net flux between them the wider the more.

    `states` has the columns state, probability, committor; `fluxes` from_state, to_state, fraction.
    """
    ordered = states.sort_values(["committor", "state"]).reset_index(drop=True)
    between = ordered.committor.between(0, 1, inclusive="neither")
    side = np.where(between, np.where(between.cumsum() % 2 == 1, HEIGHT, -HEIGHT), 0.0)
    nodes = place_nodes(ordered, np.column_stack([np.linspace(0, 4, len(ordered)), side]))
    for flux in fluxes.itertuples():
        label = f"{100 * flux.fraction:.0f} %" if flux.fraction >= LABELLED_SHARE else ""
        look = {"width": max(0.3, WIDEST * flux.fraction), "color": "0.5", "label": label, "bend": 0.0}
        draw_arrow(ax, nodes[flux.from_state], nodes[flux.to_state], **look)
    for node, committor in zip(nodes.values(), ordered.committor, strict=True):
        draw_node(ax, node, toward=(0.0, -1.0) if node.place[1] <= 0 else (0.0, 1.0), remark=f"\nq = {committor:.2g}")
    ax.set(xlim=(-0.7, 4.7), ylim=(-2 * HEIGHT, 2 * HEIGHT), xticks=[], yticks=[], frame_on=False)


def plot_pathways(ax: Axes, pathways: pd.DataFrame) -> None:
    """Share of the flux that the strongest pathways carry, with 95 % intervals."""
    shown = pathways.head(LISTED_PATHWAYS)
    errors = np.clip([shown.fraction - shown.fraction_lower, shown.fraction_upper - shown.fraction], 0, None)
    ax.barh(shown.index, 100 * shown.fraction, xerr=100 * errors, color="0.7", height=0.6, error_kw={"linewidth": 0.8})
    ax.set_yticks(shown.index, shown.pathway.str.replace(" > ", " → "))
    ax.set(xlabel="share of the flux (%)", xlim=(0, 105), ylim=(max(4, len(shown)) - 0.5, -0.5))


def main(fluxes: str, pathways: str, committors: str, verdict: str, style: str, pdf: str, png: str, table: str) -> None:
    """Average committors over macrostates, draw network and pathways."""
    found, flux = read_json(verdict), pd.read_csv(fluxes)
    states = pd.read_csv(committors).eval("committor = committor * probability").groupby("state", as_index=False).sum()
    states["committor"] /= states.probability
    if not found["source_states"]:
        return save_reasons(style, flux, found["reasons"], pdf=pdf, png=png, csv=table)
    figure, axes = start_figure(style, columns=2, panels=(1, 2))
    plot_flux_network(axes[0, 0], states, flux)
    plot_pathways(axes[0, 1], pd.read_csv(pathways))
    rate, *bounds = (found[f"total_flux_per_ns{end}"] for end in ("", "_lower", "_upper"))
    interval = "no interval" if None in bounds else f"95 % interval {' to '.join(map(short_number, bounds))}"
    figure.suptitle(f"{short_number(rate)} transitions per ns in equilibrium ({interval})")
    return save_figure(figure, flux, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
