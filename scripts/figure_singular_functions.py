"""The slow variables of the token model on the Ramachandran map."""

import pandas as pd
from matplotlib.axes import Axes

from geom2msm.annotation import axis_label
from geom2msm.judgement import NotEstimable
from geom2msm.log import log_to
from geom2msm.ramachandran import grid, mean_map, read_torsions
from geom2msm.store import read_array, read_attributes
from geom2msm.style import label_torsion_axes, save_figure, save_reasons, start_figure

MAX_FUNCTIONS = 3


def plot_singular_functions(ax: Axes, bins: pd.DataFrame, *, highest: float) -> None:
    """Mean of one variable in the bins of one residue's map; colors run from minus to plus `highest`.

    `bins` has the columns residue, phi_deg, psi_deg, variable (its name), mean.
    """
    image, limits = grid(bins, "mean"), {"vmin": -highest, "vmax": highest}
    ax.imshow(image, extent=(-180, 180, -180, 180), origin="lower", interpolation="nearest", cmap="PuOr_r", **limits)
    ax.set_facecolor("0.78")
    ax.set_title(f"{bins.variable.iloc[0]}, {bins.residue.iloc[0]}")
    label_torsion_axes(ax)


def main(features: list[str], variables: str, style: str, pdf: str, png: str, table: str) -> None:
    """Average the slowest variables over the bins of the maps of the residues that vary most and draw them."""
    try:
        torsions, known = read_torsions(features, like=variables), read_attributes(variables)
    except NotEstimable as error:
        save_reasons(style, pd.DataFrame(columns=["residue"]), [str(error)], pdf=pdf, png=png, csv=table)
        return
    values = read_array(variables, "variables")[:, :MAX_FUNCTIONS].astype(float)
    panels = (len(torsions), values.shape[1])
    figure, axes = start_figure(style, columns=2, height=0.35 + 0.72 * len(torsions), panels=panels, share="xy")
    tables = []
    # There are no more columns of axes than are drawn.
    for column, name, unit, value in zip(axes.T, known["names"], known["units"], values.T, strict=False):
        maps = [mean_map(residue, value).assign(variable=name) for residue in torsions]
        # Rare states have large values: the scale ends where 99 % of the bins do.
        highest = float(pd.concat(maps)["mean"].abs().quantile(0.99))
        for ax, bins in zip(column, maps, strict=True):
            plot_singular_functions(ax, bins, highest=highest)
        look = {"label": axis_label(name, unit), "location": "bottom", "extend": "both", "aspect": 30}
        figure.colorbar(column[0].images[0], ax=list(column), **look)
        tables += maps
    save_figure(figure, pd.concat(tables), pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
