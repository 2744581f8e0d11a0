"""Maps of tokens by the pretrained encoder and by the same one with random weights: residue types and states."""

import json
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import save_figure, start_figure, state_color, state_legend


def plot_residues(ax: Axes, points: pd.DataFrame) -> None:
    """Tokens by type of residue, which is named where most of its tokens are. `points`: residue_name, x, y."""
    kinds = sorted(points.residue_name.unique())
    colors = matplotlib.colormaps[matplotlib.rcParams["image.cmap"]](np.linspace(0, 0.9, len(kinds)))
    for kind, color in zip(kinds, colors, strict=True):
        own = points[points.residue_name == kind]
        ax.scatter(own.x, own.y, s=2, color=color, linewidth=0)
        # A token in the middle of its like: the middle of several groups may be empty.
        middle = ((own[["x", "y"]] - own[["x", "y"]].median()) ** 2).sum(axis=1).idxmin()
        ax.annotate(kind, own.loc[middle, ["x", "y"]], ha="center", bbox={"fc": "1", "ec": "0.8", "pad": 1})


def plot_states(ax: Axes, points: pd.DataFrame) -> None:
    """The same tokens by the macrostate of their frame, the rarer ones on top."""
    for state in points.state.value_counts().index:
        own = points[points.state == state]
        ax.scatter(own.x, own.y, s=2, color=state_color(state), linewidth=0)


def percent_alike(separation: dict, kind: str) -> str:
    """How many neighbors are alike, in words."""
    alike, chance = separation[f"{kind}_alike"], separation[f"{kind}_by_chance"]
    return "nothing to compare" if alike is None else f"{alike:.0%} of neighbors alike (chance {chance:.0%})"


def main(points: str, scores: str, style: str, pdf: str, png: str, table: str) -> None:
    """Encoders from left to right, residue types above and states below."""
    tokens, found = pd.read_csv(points, keep_default_na=False), json.loads(Path(scores).read_text())["separation"]
    figure, axes = start_figure(style, columns=2, height=2.0, panels=(2, len(found)))
    for column, (encoder, separation) in enumerate(found.items()):
        own = tokens[tokens.encoder == encoder]
        plot_residues(axes[0, column], own)
        plot_states(axes[1, column], own)
        axes[0, column].set_title(f"{encoder}\nresidue type: {percent_alike(separation, 'residue')}")
        axes[1, column].set_title(f"state: {percent_alike(separation, 'state')}")
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(True)
    figure.supxlabel("t-SNE coordinates without scale", fontsize="medium")
    state_legend(figure, tokens.state.unique())
    save_figure(figure, tokens, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
