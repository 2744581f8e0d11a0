"""Ramachandran map colored by macrostate."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.judgement import NotEstimable
from geom2msm.log import log_to
from geom2msm.ramachandran import grid, read_torsions, state_map
from geom2msm.store import read_array
from geom2msm.style import label_torsion_axes, save_figure, save_reasons, start_figure, state_color, state_legend

PALEST = 0.4


def plot_ramachandran(ax: Axes, bins: pd.DataFrame) -> None:
    """Bins of the map in the color of the state that most of their frames are in, stronger where there are more frames.

    `bins` has the columns phi_deg, psi_deg, state, frames, of one residue.
    """
    frames = grid(bins, "frames")
    image = np.zeros((*frames.shape, 4))
    for state in bins.state.unique():
        image[grid(bins, "state") == state] = matplotlib.colors.to_rgba(state_color(state))
    image[..., 3] = np.nan_to_num(PALEST + (1 - PALEST) * np.log(frames) / max(np.log(frames[frames > 0]).max(), 1))
    ax.imshow(image, extent=(-180, 180, -180, 180), origin="lower", interpolation="nearest")
    ax.set_title(bins.residue.iloc[0])
    label_torsion_axes(ax)


def main(features: list[str], states: str, style: str, pdf: str, png: str, table: str) -> None:
    """Count frames on the maps of the residues that vary most and draw the state of each bin."""
    try:
        torsions = read_torsions(features, like=states)
    except NotEstimable as error:
        save_reasons(style, pd.DataFrame(columns=["residue"]), [str(error)], pdf=pdf, png=png, csv=table)
        return
    macrostates = read_array(states, "macrostate")
    maps = [state_map(residue, macrostates) for residue in torsions]
    columns = 1 if len(maps) == 1 else 2
    rows = -(-len(maps) // columns)
    figure, axes = start_figure(style, columns=columns, height=1.2 * rows, panels=(rows, columns), share="xy")
    for ax in axes.flat[len(maps) :]:
        ax.remove()
    for ax, bins in zip(axes.flat, maps, strict=False):
        plot_ramachandran(ax, bins)
    bins = pd.concat(maps)
    state_legend(figure, bins.state.unique())
    save_figure(figure, bins, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
