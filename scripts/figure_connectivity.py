"""What the Markov model keeps of the data at every lag."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from geom2msm.judgement import read_json
from geom2msm.log import log_to
from geom2msm.style import lag_axis, save_figure, start_figure, time_unit


def kept_by_lag(sets: pd.DataFrame) -> pd.DataFrame:
    """One row per lag: what the active set (set 1) holds, and how many microstates and sets there are."""
    active = sets[sets.set <= 1].set_index("lag_ps")[["fraction_of_frames", "fraction_of_counts", "n_microstates"]]
    by_lag = sets.groupby("lag_ps")
    n_sets = by_lag.set.max().where(active.n_microstates > 0)
    return active.assign(n_visited=by_lag.n_microstates.sum(), n_sets=n_sets).reset_index()


def plot_fractions(ax: Axes, kept: pd.DataFrame) -> None:
    """Share of frames and of counts in the active set; `kept` has the columns of `kept_by_lag` and lag."""
    ax.plot(kept.lag, kept.fraction_of_frames, "o-", color="0", label="frames")
    ax.plot(kept.lag, kept.fraction_of_counts, "s--", color="0.5", label="transitions")
    lowest = kept[["fraction_of_frames", "fraction_of_counts"]].min(axis=None)
    ax.set(ylim=(min(0.9, lowest - 0.05) if lowest == lowest else 0, 1.01), ylabel="share of the data in the model")
    ax.legend(loc="lower left")


def plot_microstates(ax: Axes, kept: pd.DataFrame) -> None:
    """Numbers of microstates visited and kept, and of the connected sets they fall into."""
    ax.plot(kept.lag, kept.n_visited, "o-", color="0.6", label="microstates visited")
    ax.plot(kept.lag, kept.n_microstates, "s--", color="0", label="microstates in the model")
    ax.plot(kept.lag, kept.n_sets, "^:", color="0.4", label="connected sets")
    ax.set(ylim=(0, 1.05 * kept.n_visited.max() + 1), ylabel="number of microstates or sets")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="center left")


def main(connectivity: str, verdict: str, style: str, pdf: str, png: str, table: str) -> None:
    """Draw shares and numbers against the lag, in the unit that reads best."""
    sets, found = pd.read_csv(connectivity), read_json(verdict)
    unit, unit_ps = time_unit(sets.lag_ps)
    kept = kept_by_lag(sets).assign(lag=lambda rows: rows.lag_ps / unit_ps)
    figure, axes = start_figure(style, columns=2, panels=(1, 2))
    for ax, plot in zip(axes.flat, (plot_fractions, plot_microstates), strict=True):
        plot(ax, kept)
        lag_axis(ax, kept.lag, unit=unit)
    figure.suptitle(f"{found['verdict']}: {'; '.join(found['reasons']) or 'one connected set holds nearly all frames'}")
    save_figure(figure, sets, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
