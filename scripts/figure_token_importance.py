"""Which tokens the network reads in each state, by every way of measuring, beside untrained networks."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import save_figure, start_figure, state_color, state_legend

FEW_TOKENS = 12
MANY_TOKENS = 60


def plot_importance(ax: Axes, rows: pd.DataFrame) -> None:
    """Shares of the tokens in each state as points with errors, the mean of untrained networks as bars.

    `rows` has the columns state, token, share, share_error, untrained_share, of one method.
    """
    controls = rows.groupby("token").untrained_share.mean()
    ax.bar(controls.index, controls, width=0.9, color="0.88")
    states = sorted(rows.state.unique())
    offsets = np.linspace(-0.25, 0.25, len(states)) if len(states) > 1 else [0.0]
    size = 3.5 if len(controls) <= FEW_TOKENS else 1.5
    for state, offset in zip(states, offsets, strict=True):
        points = rows[rows.state == state]
        look = {"color": state_color(state), "fmt": "o", "markersize": size, "elinewidth": 0.7, "clip_on": False}
        ax.errorbar(points.token + offset, points.share, points.share_error, **look)
    ax.set(title=rows.method.iloc[0], xlim=(-0.6, len(controls) - 0.4), ylim=(0, None))


def main(importance: str, verdict: str, style: str, pdf: str, png: str, table: str) -> None:
    """One panel for each way of measuring, tokens along the sequence."""
    rows, judged = pd.read_csv(importance), json.loads(Path(verdict).read_text())
    methods, names = rows.method.unique(), rows.drop_duplicates("token").residue.tolist()
    columns, height = (1 if len(names) <= FEW_TOKENS else 2), 0.45 + 0.45 * len(methods)
    figure, axes = start_figure(style, columns=columns, height=height, panels=(len(methods), 1), share="xy")
    for ax, method in zip(axes[:, 0], methods, strict=True):
        plot_importance(ax, rows[rows.method == method])
    step = -(-len(names) // MANY_TOKENS)
    axes[-1, 0].set_xticks(range(0, len(names), step), names[::step], rotation=90 if len(names) > FEW_TOKENS / 2 else 0)
    gray = f"gray: mean of {judged['n_untrained']} untrained networks"
    axes[0, 0].set_title(f"{judged['verdict']}; {gray}\n\n{methods[0]}")
    figure.supylabel("share of the importance in a state", fontsize="medium")
    state_legend(figure, rows.state.unique())
    save_figure(figure, rows, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
