"""How well each macrostate is sampled, counted directly: visits, entries, exits, effective counts and frames."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from geom2msm.markov import MarkovModel
from geom2msm.states import Macrostates, Visits, count_visits, macrostate_of_microstate


def autocovariance(values: Float[np.ndarray, " frame"]) -> Float[np.ndarray, " frame"]:
    """Sum over s of x_s x_(s + t), for every t, by Fourier transform; the mean is not subtracted."""
    padded = 2 ** int(np.ceil(np.log2(2 * len(values))))
    power = np.abs(np.fft.rfft(values, padded)) ** 2
    return np.fft.irfft(power, padded)[: len(values)]


def statistical_inefficiency(series: Sequence[Float[np.ndarray, " _"]]) -> float:
    """Frames per independent frame, g = 1 + 2 sum over t of (1 - t/N) rho(t), over all trajectories together.

    Chodera et al., J. Chem. Theory Comput. 3 (2007) 26: the sum ends where the autocorrelation first reaches zero. With
    several independent trajectories, 1 - t/N becomes the share of frames that have a partner t later, which makes the
    summand the plain sum of products over that of squares. NaN of a constant.
    """
    lengths = np.array([len(values) for values in series])
    mean = np.concatenate(series).mean()
    covariance = np.zeros(lengths.max())
    for values in series:
        covariance[: len(values)] += autocovariance(values - mean)
    if covariance[0] <= 1e-12 * lengths.sum():
        return np.nan
    ends = np.flatnonzero(covariance <= 0)
    last = ends[0] if len(ends) else len(covariance)
    return float(1 + 2 * covariance[1:last].sum() / covariance[0])


def sampling_table(
    dtrajs: Sequence[Int[np.ndarray, " _"]], model: MarkovModel, macrostates: Macrostates, *, frame_interval_ps: float
) -> pd.DataFrame:
    """One row per macrostate; a stay shorter than the lag is a recrossing and no visit.

    `effective_counts` are the transitions out of its microstates that the posterior takes as independent, one per lag;
    `effective_frames` the frames that are independent as to being in the state or not.
    """
    n_macrostates = macrostates.n_found
    visited = [macrostate_of_microstate(model, macrostates)[dtraj] for dtraj in dtrajs]
    visits = count_visits(visited, n_macrostates=n_macrostates, coring_frames=model.counts.lag_frames)
    inefficiency = np.array([
        statistical_inefficiency([(each == state).astype(float) for each in visited]) for state in range(n_macrostates)
    ])  # fmt: skip
    return pd.DataFrame({
        "state": np.arange(1, n_macrostates + 1),
        **_of_visits(visits),
        "n_frames": model.counts.frames[model.counts.active] @ macrostates.indicator,
        "effective_counts": model.counts.active_matrix.sum(axis=1) @ macrostates.indicator / model.counts.lag_frames,
        "statistical_inefficiency_ps": inefficiency * frame_interval_ps,
        "effective_frames": sum(map(len, visited)) / inefficiency,
    })  # fmt: skip


def _of_visits(visits: Visits) -> dict[str, Int[np.ndarray, " macrostate"]]:
    return {name: getattr(visits, name) for name in ("visits", "entries", "exits", "n_trajectories")}
