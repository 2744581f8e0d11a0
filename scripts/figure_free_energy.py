"""Free energy on the Ramachandran map, reweighted with the Markov state model, and its error."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.ramachandran import grid
from geom2msm.style import label_torsion_axes, save_figure, save_reasons, start_figure


def plot_map(ax: Axes, bins: pd.DataFrame, column: str, *, highest: float, colors: str | None = None) -> None:
    """A quantity in kT on the bins of one residue's map, on a color scale from 0 to `highest`.

    `bins` has the columns residue, phi_deg, psi_deg and the quantity; bins without a value stay white.
    """
    look = {"extent": (-180, 180, -180, 180), "origin": "lower", "interpolation": "nearest", "cmap": colors}
    ax.imshow(grid(bins, column), vmin=0, vmax=highest, **look)
    ax.set_title(bins.residue.iloc[0])
    label_torsion_axes(ax)


def main(free_energy: str, style: str, pdf: str, png: str, table: str) -> None:
    """Draw free energies and errors of the residues side by side, all residues on the same two color scales."""
    bins = pd.read_csv(free_energy)
    if bins.empty:
        reason = "there is no residue with both phi and psi"
        save_reasons(style, bins, [reason], pdf=pdf, png=png, csv=table)
        return
    residues = [each for _, each in bins.groupby("residue", sort=False)]
    highest = [bins.free_energy_kT.max(), bins.error_kT.max()]
    figure, axes = start_figure(style, columns=2, height=1.1 * len(residues), panels=(len(residues), 2), share="xy")
    for (left, right), residue in zip(axes, residues, strict=True):
        plot_map(left, residue, "free_energy_kT", highest=highest[0])
        plot_map(right, residue, "error_kT", highest=np.nanmax([highest[1], 1e-3]), colors="magma_r")
        if residue.error_kT.isna().all():
            right.text(0, 0, "not estimable:\ntoo few independent blocks", ha="center", va="center", color="0.4")
    figure.colorbar(axes[0, 0].images[0], ax=axes[:, 0], label="free energy (kT)", shrink=0.8)
    figure.colorbar(axes[0, 1].images[0], ax=axes[:, 1], label="standard error (kT)", shrink=0.8)
    save_figure(figure, bins, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
