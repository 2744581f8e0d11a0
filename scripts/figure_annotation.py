"""What every state looks like: its observables, with the error of their means and the spread of the frames."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.annotation import axis_label, largest_differences
from geom2msm.log import log_to
from geom2msm.style import save_figure, start_figure, state_color

COLUMNS, MAX_PANELS = 4, 16


def most_telling(annotation: pd.DataFrame) -> list[str]:
    """At most 16 observables, in their order: those whose means differ most between states, in spreads of frames."""
    difference = largest_differences(annotation)
    chosen = set(difference.dropna().sort_values(ascending=False, kind="stable").index[:MAX_PANELS])
    return [name for name in difference.index if name in chosen]


def plot_observable(ax: Axes, rows: pd.DataFrame) -> None:
    """One observable in all states: thin line 90 % and thick line 50 % of the frames, point the mean with its interval.

    `rows` has the columns state, observable, unit, mean with _lower and _upper, and quantile_0.05 to quantile_0.95.
    """
    for row in rows.to_dict("records"):
        line = {"color": state_color(row["state"]), "alpha": 0.45, "solid_capstyle": "butt"}
        for lowest, highest, width in ((0.05, 0.95, 1.5), (0.25, 0.75, 5.0)):
            ends = [row[f"quantile_{lowest:g}"], row[f"quantile_{highest:g}"]]
            ax.plot([row["state"]] * 2, ends, linewidth=width, **line)
    errors = np.clip([rows["mean"] - rows.mean_lower, rows.mean_upper - rows["mean"]], 0, None)
    ax.errorbar(rows.state, rows["mean"], errors, color="0", fmt="o", markersize=2, elinewidth=0.8)
    ax.set(
        xlim=(0.4, rows.state.max() + 0.6), xticks=rows.state, ylabel=axis_label(*rows[["observable", "unit"]].iloc[0])
    )


def main(annotation: str, style: str, pdf: str, png: str, table: str) -> None:
    """Draw one panel per observable."""
    known = pd.read_csv(annotation).fillna({"unit": ""})
    observables = most_telling(known)
    panels = (-(-len(observables) // COLUMNS), min(COLUMNS, len(observables)))
    figure, axes = start_figure(style, columns=2, height=0.8 * panels[0], panels=panels)
    for ax in axes.flat[len(observables) :]:
        ax.remove()
    for ax, observable in zip(axes.flat, observables, strict=False):
        plot_observable(ax, known[known.observable == observable])
    figure.supxlabel("state", fontsize="medium")
    save_figure(figure, known, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
