"""Chapman-Kolmogorov test: transition probabilities that the model predicts against estimated ones."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.judgement import read_json
from geom2msm.log import log_to
from geom2msm.style import save_figure, start_figure, state_color, time_unit


def plot_ck_test(ax: Axes, pair: pd.DataFrame) -> None:
    """Probability to be in one state some time after another: line and band predicted, points with bars estimated.

    `pair` has the columns lag, from_state, to_state, predicted, estimated and both with _lower and _upper, of one pair.
    """
    color = state_color(pair.to_state.iloc[0])
    ax.fill_between(pair.lag, pair.predicted_lower, pair.predicted_upper, color=color, alpha=0.3, linewidth=0)
    ax.plot(pair.lag, pair.predicted, color=color, label="predicted")
    below, above = pair.estimated - pair.estimated_lower, pair.estimated_upper - pair.estimated
    errors = np.clip([below, above], 0, None)
    ax.errorbar(pair.lag, pair.estimated, errors, color="0", fmt="o", markersize=2, elinewidth=0.7, label="estimated")
    ax.set_title(f"{pair.from_state.iloc[0]} → {pair.to_state.iloc[0]}", pad=2)
    stays = pair.from_state.iloc[0] == pair.to_state.iloc[0]
    top = 1.0 if stays else pair.filter(regex="^predicted|^estimated").fillna(0).max(axis=None) or 1.0
    ax.set(xlim=(0, None), ylim=(-0.05 * top, 1.05 * top))
    ax.locator_params(axis="y", nbins=5, steps=[1, 2, 5, 10])
    ax.yaxis.set_major_formatter("{x:g}")


def largest_deviation(found: dict) -> str:
    """The largest deviation in words."""
    if found["largest_deviation"] is None:
        return "nothing could be compared"
    return (
        f"the largest deviation is {found['largest_deviation']:.3f},"
        f" and {found['largest_deviation_in_errors']:.1f} standard errors"
    )


def main(ck_test: str, verdict: str, style: str, pdf: str, png: str, table: str) -> None:
    """Draw every pair of states, from-states downwards and to-states to the right."""
    pairs = pd.read_csv(ck_test)
    found = read_json(verdict)
    unit, unit_ps = time_unit(pairs.lag_ps)
    n_states = int(pairs.from_state.max())
    height = 0.25 + 0.5 * n_states
    figure, axes = start_figure(style, columns=2, height=height, panels=(n_states, n_states), share="x")
    for (from_state, to_state), pair in pairs.assign(lag=pairs.lag_ps / unit_ps).groupby(["from_state", "to_state"]):
        plot_ck_test(axes[from_state - 1, to_state - 1], pair)
    figure.suptitle(f"{found['verdict']}: {largest_deviation(found)}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    figure.supxlabel(f"time kτ ({unit})", fontsize="medium")
    figure.supylabel("transition probability", fontsize="medium")
    save_figure(figure, pairs, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
