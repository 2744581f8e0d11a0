"""Free energy on the Ramachandran map, reweighted with the Markov state model."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.ramachandran import frame_weights, free_energy_map, grid, read_frames, read_torsions
from geom2msm.style import label_torsion_axes, save_figure, start_figure


def plot_free_energy(ax: Axes, bins: pd.DataFrame, *, highest_kT: float) -> None:
    """Free energy of the bins of one residue's map, on a color scale from 0 to `highest_kT`.

    `bins` has the columns residue, phi_deg, psi_deg, free_energy_kT; bins that no frame visited stay white.
    """
    image = grid(bins, "free_energy_kT")
    ax.imshow(image, extent=(-180, 180, -180, 180), origin="lower", interpolation="nearest", vmin=0, vmax=highest_kT)
    ax.set_title(bins.residue.iloc[0])
    label_torsion_axes(ax)


def main(features: list[str], states: list[str], msm: str, style: str, pdf: str, png: str, table: str) -> None:
    """Weight frames with their microstates' stationary probability and draw -ln p, residues on one color scale."""
    torsions = read_torsions(features)
    with np.load(msm) as model:
        active, stationary_distribution = model["active_microstates"], model["stationary_distribution"]
    weights = frame_weights(read_frames(states, "microstate", like=features), active, stationary_distribution)
    maps = [free_energy_map(residue, weights) for residue in torsions]
    highest_kT = max(bins.free_energy_kT.max() for bins in maps)
    columns = 1 if len(maps) == 1 else 2
    rows = -(-len(maps) // columns)
    figure, axes = start_figure(style, columns=columns, height=1.1 * rows, panels=(rows, columns), share=True)
    for ax in axes.flat[len(maps) :]:
        ax.remove()
    for ax, bins in zip(axes.flat, maps, strict=False):
        plot_free_energy(ax, bins, highest_kT=highest_kT)
    drawn = [ax for ax in axes.flat if ax.images]
    figure.colorbar(drawn[0].images[0], ax=drawn, label="free energy (kT)", shrink=0.8)
    save_figure(figure, pd.concat(maps), pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
