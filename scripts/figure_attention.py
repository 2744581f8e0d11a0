"""Attention weights of the network, averaged over the frames of each state, and of untrained networks."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from geom2msm.log import log_to
from geom2msm.style import save_figure, start_figure, state_color

PANELS_IN_A_ROW = 4
MANY_PLACES = 25


def plot_attention(ax: Axes, weights: np.ndarray, names: list[str], *, highest: float) -> AxesImage:
    """How much each place (row) attends to each (column)."""
    step = math.ceil(len(names) / MANY_PLACES)
    ticks = {"ticks": range(0, len(names), step), "labels": names[::step]}
    ax.set_xticks(**ticks, rotation=90)
    ax.set_yticks(**ticks)
    ax.tick_params(length=0)
    return ax.imshow(weights, vmin=0, vmax=highest, interpolation="nearest")


def main(attention: str, style: str, pdf: str, png: str, table: str) -> None:
    """One panel per state and one for the mean of untrained networks, in one scale of colors."""
    rows = pd.read_csv(attention)
    n_places = round(math.sqrt((rows.state == rows.state.iloc[0]).sum()))
    names = rows.to_place[:n_places].tolist()
    maps = {state: part.attention.to_numpy().reshape(n_places, -1) for state, part in rows.groupby("state")}
    control = rows.untrained.to_numpy().reshape(len(maps), n_places, n_places).mean(axis=0)
    highest = max(control.max(), *(weights.max() for weights in maps.values()))
    n_columns = min(PANELS_IN_A_ROW, len(maps) + 1)
    n_rows = math.ceil((len(maps) + 1) / n_columns)
    figure, axes = start_figure(style, columns=2, height=0.2 + 0.8 * n_rows, panels=(n_rows, n_columns))
    for ax, (state, weights) in zip(axes.flat, maps.items(), strict=False):
        image = plot_attention(ax, weights, names, highest=highest)
        ax.set_title(f"state {state}", color=state_color(state), fontweight="bold")
    plot_attention(axes.flat[len(maps)], control, names, highest=highest)
    axes.flat[len(maps)].set_title("untrained, all states")
    for ax in axes.flat[len(maps) + 1 :]:
        ax.set_visible(False)
    for ax in axes.flat:
        ax.label_outer()
    figure.supxlabel("to", fontsize="medium")
    figure.supylabel("from", fontsize="medium")
    figure.colorbar(image, ax=axes, label="attention weight", shrink=0.8)
    save_figure(figure, rows, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
