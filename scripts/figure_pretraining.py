"""How the encoder learned to find the noise that was added to molecular geometries."""

import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import MARKERS, save_figure, start_figure

CURVES = {"r2_all_atom": "all atoms", "r2_heavy": "without hydrogens"}


def plot_pretraining(ax: Axes, history: pd.DataFrame) -> None:
    """R² of the predicted noise on held-out molecules against epoch, whole and without hydrogens.

    `history` has the columns epoch, r2_all_atom, r2_heavy.
    """
    for (column, label), marker in zip(CURVES.items(), MARKERS, strict=False):
        color = "0" if column == "r2_all_atom" else "0.55"
        ax.plot(history.epoch, history[column], color=color, marker=marker, label=label)
    ax.set(xlabel="epoch", ylabel="R² of the denoising head (validation)", xlim=(0, None), ylim=(None, 1))
    ax.legend(loc="lower right", title="held-out molecules")


def main(history: str, style: str, pdf: str, png: str, table: str) -> None:
    """Read the learning curve of the encoder and draw it."""
    curve = pd.read_csv(history)
    figure, axes = start_figure(style, columns=1)
    plot_pretraining(axes[0, 0], curve)
    save_figure(figure, curve, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
