"""Mean first passage times against the lag: of Markov models, and counted directly in the trajectories.

A model sees the trajectory only at multiples of its lag, so it misses short visits and its times grow with the lag
(Suárez et al., J. Chem. Theory Comput. 17 (2021) 3119). Direct counting here looks at the same times, so that the
two may be compared lag by lag; it needs no Markov assumption, but passages that really happened.
"""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import gamma

from geom2msm.kinetics import mean_first_passage_times, sampled_passage_times
from geom2msm.markov import (
    MarkovModel,
    MsmSettings,
    count_transitions,
    estimate_model,
    sample_posterior,
)
from geom2msm.resampling import INTERVAL
from geom2msm.states import Macrostates, macrostate_of_microstate
from geom2msm.units import frames

# A trajectory seen every lag can begin at any of its first frames; of long lags so many beginnings are looked at.
MAX_OFFSETS = 10


def passages(
    macrostate: Int[np.ndarray, " frame"], *, n_macrostates: int
) -> Int[np.ndarray, "3 macrostate macrostate"]:
    """Steps spent on the way from A (row) to B (column), passages completed, and the sum of squares of their steps.

    A walk is on the way from A to B from when it is in A until it next is in B. States of -1 belong to none.
    """
    steps, completed, squares = found = np.zeros((3, n_macrostates, n_macrostates), dtype=np.int64)
    starts = np.flatnonzero(np.diff(macrostate, prepend=macrostate[0] - 1))
    states = macrostate[starts]
    for target in range(n_macrostates):
        at_target = np.flatnonzero(states == target)
        # The visit to the target that ends each way; the last ways are cut off by the end of the trajectory.
        ending = np.searchsorted(at_target, np.arange(len(states)))
        ends = np.append(starts[at_target], len(macrostate) - 1)[ending]
        _, first = np.unique(ending * (n_macrostates + 1) + states, return_index=True)
        first = first[(states[first] >= 0) & (states[first] != target)]
        done, length = ending[first] < len(at_target), ends[first] - starts[first]
        np.add.at(steps[:, target], states[first], length)
        np.add.at(completed[:, target], states[first], done)
        np.add.at(squares[:, target], states[first], done * length**2)
    return found


def count_passages(
    macrostates: Sequence[Int[np.ndarray, " _"]], *, n_macrostates: int, lag_frames: int
) -> Float[np.ndarray, "3 macrostate macrostate"]:
    """The same in lags, in trajectories seen once per lag; averaged over where that begins."""
    offsets = np.unique(np.linspace(0, lag_frames - 1, min(MAX_OFFSETS, lag_frames)).astype(int))
    total = np.zeros((3, n_macrostates, n_macrostates))
    for macrostate in macrostates:
        for offset in offsets[offsets < len(macrostate)]:
            total += passages(macrostate[offset::lag_frames], n_macrostates=n_macrostates)
    return total / len(offsets)


def counted_times(
    macrostates: Sequence[Int[np.ndarray, " _"]], *, n_macrostates: int, lag_frames: int
) -> tuple[Float[np.ndarray, "3 macrostate macrostate"], Float[np.ndarray, "macrostate macrostate"]]:
    """Mean first passage time in lags, with its interval, and the passages it rests on; NaN without any.

    Time on the way per passage: what a trajectory's end cuts off still counts as time. The interval is that of a
    Poisson process, for states that lose their memory before they are left. Where many passages are short, because
    walks that have just entered A turn back, the times scatter more than that, by the square of their coefficient of
    variation: so many fewer passages are independent.
    """
    lags, completed, squares = count_passages(macrostates, n_macrostates=n_macrostates, lag_frames=lag_frames)
    seen = completed > 0
    times = np.full((3, n_macrostates, n_macrostates), np.nan)
    mean = lags[seen] / completed[seen]
    scatter = squares[seen] / completed[seen] / mean**2 - 1
    independent = completed[seen] / np.maximum(1, scatter)
    times[0, seen] = mean
    times[1, seen] = mean * independent / gamma.ppf(INTERVAL[1], independent + 1)
    times[2, seen] = mean * independent / gamma.ppf(INTERVAL[0], independent)
    return times, completed


def modelled_times(
    dtrajs: Sequence[Int[np.ndarray, " _"]], model: MarkovModel, macrostates: Macrostates, settings: MsmSettings,
    *, lag_frames: int,
) -> Float[np.ndarray, "3 macrostate macrostate"]:  # fmt: skip
    """Mean first passage time in lags, with its interval, of a model at another lag; NaN where it lacks a state."""
    n_macrostates = macrostates.n_found
    times = np.full((3, n_macrostates, n_macrostates), np.nan)
    try:
        other = estimate_model(count_transitions(dtrajs, lag_frames=lag_frames, n_microstates=len(model.counts.matrix)))
    except ValueError as error:
        logging.warning("lag of %d frames: passage times are not estimable: %s", lag_frames, error)
        return times
    posterior = sample_posterior(other, n_samples=settings.n_posterior_samples, seed=settings.seed)
    assignment = macrostate_of_microstate(model, macrostates)[other.counts.active]
    present = np.unique(assignment[assignment >= 0])
    indicator = (assignment[:, None] == present).astype(float)
    pairs = np.ix_(present, present)
    found = mean_first_passage_times(other.transition_matrix, other.stationary_distribution, indicator)
    times[0][pairs] = found
    sampled = sampled_passage_times(posterior, indicator)
    for bound, values in zip(times[1:], posterior.centered_interval(sampled, around=found), strict=True):
        bound[pairs] = values
    return times


def passage_table(
    dtrajs: Sequence[Int[np.ndarray, " _"]], model: MarkovModel, macrostates: Macrostates, settings: MsmSettings,
    *, frame_interval_ps: float,
) -> pd.DataFrame:  # fmt: skip
    """One row per method, lag and ordered pair of macrostates; what cannot be estimated is NaN."""
    assigned = macrostate_of_microstate(model, macrostates)
    macrostate = [assigned[dtraj] for dtraj in dtrajs]
    n_macrostates = macrostates.n_found

    def rows() -> Iterator[pd.DataFrame]:
        for lag_ps in sorted(settings.scan_lags_ps):
            lag_frames = frames(lag_ps=lag_ps, frame_interval_ps=frame_interval_ps)
            of_model = modelled_times(dtrajs, model, macrostates, settings, lag_frames=lag_frames)
            counted, completed = counted_times(macrostate, n_macrostates=n_macrostates, lag_frames=lag_frames)
            yield _rows("model", of_model, completed, lag_ps=lag_ps)
            yield _rows("counted", counted, completed, lag_ps=lag_ps)

    return pd.concat(rows(), ignore_index=True)


def _rows(
    method: str,
    times: Float[np.ndarray, "3 macrostate macrostate"],
    completed: Float[np.ndarray, "macrostate macrostate"],
    *,
    lag_ps: float,
) -> pd.DataFrame:
    origin, target = np.nonzero(~np.eye(len(completed), dtype=bool))
    mfpt_ps, lower_ps, upper_ps = lag_ps * times[:, origin, target]
    return pd.DataFrame({
        "method": method, "lag_ps": lag_ps, "from_state": origin + 1, "to_state": target + 1,
        "mfpt_ps": mfpt_ps, "mfpt_lower_ps": lower_ps, "mfpt_upper_ps": upper_ps,
        "n_passages": completed[origin, target],
    })  # fmt: skip
