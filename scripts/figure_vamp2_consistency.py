"""VAMP-2 of the variables against what the timescales of the Markov model allow."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.judgement import read_json
from geom2msm.log import log_to
from geom2msm.style import lag_axis, save_figure, start_figure, time_unit

FILLS = {"training": "1", "validation": "0.6"}


def plot_vamp2_consistency(ax: Axes, compared: pd.DataFrame, members: pd.DataFrame) -> None:
    """Line and band: 1 + Σ exp(−2τ/tᵢ); points with bars: scores on all frames; small symbols: the members' own.

    `compared` has the columns lag, measured and predicted, both with _lower and _upper; `members` lag, score, data.
    """
    ax.fill_between(compared.lag, compared.predicted_lower, compared.predicted_upper, color="0.8", linewidth=0)
    ax.plot(compared.lag, compared.predicted, color="0.3", label="1 + Σ exp(−2τ/$t_i$)")
    below, above = compared.measured - compared.measured_lower, compared.measured_upper - compared.measured
    errors = np.clip([below, above], 0, None)
    ax.errorbar(compared.lag, compared.measured, errors, color="0", fmt="o", elinewidth=0.7, label="all frames")
    for data, rows in members.groupby("data", sort=False):
        look = {"color": "0.4", "markerfacecolor": FILLS[data], "markersize": 2.5, "zorder": 3}
        ax.plot(rows.lag, rows.score, "D", label=f"members, {data}", **look)
    ax.set_ylabel("VAMP-2 score")


def main(consistency: str, verdict: str, style: str, pdf: str, png: str, table: str, *, lag_ps: float) -> None:
    """Draw both against the lag, in the unit that reads best."""
    compared, found = pd.read_csv(consistency), read_json(verdict)
    unit, unit_ps = time_unit(compared.lag_ps)
    # The states of a SPIB score as many functions as there are states, not as there are variables.
    alike = [member for member in found["members"] if member["dimensions"] == found["dimensions"]]
    rows = [(member["lag_ps"], member[f"score_{data}"], data) for data in FILLS for member in alike]
    members = pd.DataFrame(rows, columns=["lag_ps", "score", "data"])
    figure, axes = start_figure(style, columns=1)
    ax = axes[0, 0]
    plot_vamp2_consistency(
        ax, compared.assign(lag=compared.lag_ps / unit_ps), members.assign(lag=members.lag_ps / unit_ps)
    )
    ax.axvline(lag_ps / unit_ps, color="0.3", linestyle="--", linewidth=0.7, zorder=0.5)
    lag_axis(ax, compared.lag_ps / unit_ps, unit=unit)
    ax.legend(loc="best")
    largest = found["largest_difference_in_errors"]
    told = "no lag could be compared" if largest is None else f"differences up to {largest:.1f} errors"
    ax.set_title(f"{found['verdict']}: {told}")
    save_figure(figure, pd.concat([compared.assign(data="all frames"), members]), pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, lag_ps=snakemake.params.lag_ps)
