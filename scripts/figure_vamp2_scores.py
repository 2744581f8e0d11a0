"""VAMP-2 scores of the model and of the baseline, on training and validation data."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import save_figure, start_figure, time_unit

SHIFTS = {"training": -0.22, "validation": 0.15}


def plot_vamp2_scores(ax: Axes, scores: pd.DataFrame, *, names: list[str]) -> None:
    """Every member's score as a point, beside them mean and standard deviation; short lines are the upper bounds d + 1.

    `scores` has the columns model, data (training or validation), score, dimensions.
    """
    for (place, name), (data, shift) in product(enumerate(names), SHIFTS.items()):
        members = scores[(scores.model == name) & (scores.data == data)]
        x = place + np.linspace(shift - 0.09, shift + 0.09, len(members))
        fill = "1" if data == "training" else "0"
        ax.plot(x, members.score, "o", color="0.3", markerfacecolor=fill, label=data if place == 0 else None)
        deviation = members.score.std(ddof=1) if len(members) > 1 else 0.0
        ax.errorbar(x.max() + 0.07, members.score.mean(), deviation, color="0", marker="_", markersize=6)
    for place, bound in enumerate(scores.dimensions[scores.model == name].max() + 1 for name in names):
        label = None if place else "upper bound d + 1"
        ax.plot([place - 0.4, place + 0.4], [bound, bound], "--", color="0.5", label=label)
    ax.set(ylabel="VAMP-2 score", xticks=range(len(names)), xlim=(-0.5, len(names) - 0.5))
    ax.set_xticklabels([name.replace("_", " ") for name in names])
    ax.figure.legend(loc="outside lower center", ncols=3)


def read_scores(paths: list[str], name: str) -> pd.DataFrame:
    """One row per member and kind of data."""
    members = pd.DataFrame([json.loads(Path(path).read_text()) for path in paths])
    kept = members[["fold", "seed", "dimensions", "lag_ps"]]
    kinds = [kept.assign(data=data, score=members[f"score_{data}"]) for data in SHIFTS]
    return pd.concat(kinds).assign(model=name)


def main(
    model: list[str], baseline: list[str], style: str, pdf: str, png: str, table: str, *, names: list[str]
) -> None:
    """Draw the scores of all folds and seeds of both models."""
    scores = pd.concat([read_scores(paths, name) for paths, name in zip((model, baseline), names, strict=True)])
    figure, axes = start_figure(style, columns=1)
    plot_vamp2_scores(axes[0, 0], scores, names=names)
    unit, unit_ps = time_unit(scores.lag_ps)
    lags = sorted(scores.lag_ps.unique() / unit_ps)
    axes[0, 0].set_title(f"lag time τ = {' and '.join(f'{lag:g}' for lag in lags)} {unit}")
    save_figure(figure, scores, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, names=snakemake.params.names)
