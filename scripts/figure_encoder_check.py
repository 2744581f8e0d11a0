"""How well the encoder knows the system: R² of its denoising head on the system's own frames."""

import json
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import save_figure, start_figure


def plot_encoder_check(ax: Axes, scores: pd.DataFrame, *, threshold: float | None) -> None:
    """R² for all atoms and for each element as bars with standard errors, and the least that is accepted.

    `scores` has the columns atoms, n_atoms, r2, standard_error; the first row is about all atoms.
    """
    colors = ["0"] + ["0.65"] * (len(scores) - 1)
    labels = [f"{row.atoms}\n{row.n_atoms}" for row in scores.itertuples()]
    ax.bar(labels, scores.r2, yerr=scores.standard_error, color=colors, ecolor="0.4")
    ax.axhline(0, color="0", linewidth=0.5)
    if threshold is not None:
        ax.axhline(threshold, color="0.4", linestyle="--", label=f"accepted from {threshold:g}")
        ax.legend(loc="upper right")
    ax.set(xlabel="element and number of atoms", ylabel="R² of the denoising head", ylim=(None, 1))


def score_table(check: dict) -> pd.DataFrame:
    """What is drawn: all atoms first, then the elements."""
    everything = {"atoms": "all"} | {key: check[key] for key in ("n_atoms", "r2", "standard_error")}
    elements = [{"atoms": score["element"]} | score for score in check["elements"]]
    return pd.DataFrame([everything, *elements])[["atoms", "n_atoms", "r2", "standard_error"]]


def main(check: str, style: str, pdf: str, png: str, table: str) -> None:
    """Read the check of the encoder and draw it."""
    found = json.loads(Path(check).read_text())
    scores = score_table(found)
    figure, axes = start_figure(style, columns=1)
    plot_encoder_check(axes[0, 0], scores, threshold=found["threshold"])
    save_figure(figure, scores, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
