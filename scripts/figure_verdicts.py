"""The verdict table as a figure: checks, each with its verdict and its number."""

import json
import textwrap
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import save_figure, start_figure

# Told apart by symbol, word and lightness too, for colors are not seen by everyone.
LOOKS = {
    "pass": ("o", "0.75"),
    "warn": ("^", "0.4"),
    "fail": ("X", "0"),
    "not estimable": ("_", "0.55"),
}
COLUMNS = (0.0, 0.035, 0.2, 0.315, 0.535)
NUMBER_CHARACTERS, ACTION_CHARACTERS, TITLE_CHARACTERS = 28, 75, 110


def plot_verdicts(ax: Axes, verdicts: pd.DataFrame) -> None:
    """One line per check: a mark, the check, the verdict, the number and what to do.

    `verdicts` has the columns check, verdict, number, action.
    """
    for place, row in enumerate(verdicts.itertuples()):
        marker, color = LOOKS[row.verdict]
        ax.plot(COLUMNS[0] + 0.01, place, marker, color=color, markersize=5, markeredgewidth=1.5, clip_on=False)
        number = textwrap.fill(row.number, NUMBER_CHARACTERS)
        action = textwrap.fill(row.action, ACTION_CHARACTERS)
        ax.text(COLUMNS[1], place, row.check, fontweight="bold", va="center")
        ax.text(COLUMNS[2], place, row.verdict, va="center")
        ax.text(COLUMNS[3], place, number, va="center")
        ax.text(COLUMNS[4], place, action, va="center", fontsize="small", color="0.3")
    ax.hlines([place + 0.5 for place in range(len(verdicts) - 1)], 0, 1, color="0.85", linewidth=0.5)
    ax.set(xlim=(0, 1), ylim=(len(verdicts) - 0.5, -0.5))
    ax.set_axis_off()


def main(verdicts: str, style: str, pdf: str, png: str, table: str) -> None:
    """Draw the verdicts under their summary."""
    judged = json.loads(Path(verdicts).read_text(encoding="utf-8"))
    rows = pd.DataFrame(judged["rows"])[["check", "verdict", "number", "value", "action"]]
    figure, axes = start_figure(style, columns=2, height=0.15 + 0.12 * len(rows))
    plot_verdicts(axes[0, 0], rows)
    figure.suptitle(textwrap.fill(judged["headline"], TITLE_CHARACTERS))
    save_figure(figure, rows, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
