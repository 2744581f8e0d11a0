"""Score or loss against epoch, of every fold and seed."""

import json
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import looks, save_figure, start_figure

# What the columns of a history end with, and its name on the axis.
QUANTITIES = {"score": "VAMP-2 score", "loss": "information bottleneck loss"}


def plot_learning_curves(ax: Axes, curves: pd.DataFrame, *, role: str, quantity: str) -> None:
    """Training (dashed) and held-out data (solid) of one fold, by seed; a marker where the kept weights are from.

    `curves` has the columns fold, seed, epoch, training_<quantity>, <role>_<quantity>, kept.
    """
    for (seed, curve), (color, marker) in zip(curves.groupby("seed"), looks(), strict=False):
        training, held_out = (curve[f"{data}_{quantity}"] for data in ("training", role))
        ax.plot(curve.epoch, training, color=color, linestyle="--", label=f"seed {seed}, training")
        kept = list(curve.kept)
        label = f"seed {seed}, {role}"
        ax.plot(curve.epoch, held_out, color=color, marker=marker, markevery=kept, label=label)
    ax.set(xlabel="epoch", ylabel=QUANTITIES[quantity], title=f"fold {curves.fold.iloc[0]}")
    ax.xaxis.get_major_locator().set_params(integer=True)


def read_member(history: str, scores: str) -> pd.DataFrame:
    """The learning curve of one fold and seed, with the epoch whose weights were kept."""
    member = json.loads(Path(scores).read_text())
    curve = pd.read_csv(history)
    return curve.assign(fold=member["fold"], seed=member["seed"], kept=curve.epoch == member["best_epoch"])


def main(histories: list[str], scores: list[str], style: str, pdf: str, png: str, table: str) -> None:
    """Draw one panel per fold, all on common axes."""
    curves = pd.concat([read_member(*member) for member in zip(histories, scores, strict=True)])
    # The set that chooses the epoch or, where none does, the validation set.
    role, quantity = next(name for name in curves if name.startswith(("selection_", "validation_"))).split("_", 1)
    folds = curves.fold.unique()
    columns = min(len(folds), 4)
    rows = -(-len(folds) // columns)
    figure, axes = start_figure(style, columns=2, height=0.2 + 0.7 * rows, panels=(rows, columns), share="xy")
    for ax in axes.flat[len(folds) :]:
        ax.remove()
    for ax, (_, curve) in zip(axes.flat, curves.groupby("fold"), strict=False):
        plot_learning_curves(ax, curve, role=role, quantity=quantity)
        ax.label_outer()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    save_figure(figure, curves, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
