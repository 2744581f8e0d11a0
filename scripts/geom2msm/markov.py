"""Markov state models on deeptime: counts, estimates, their posterior, implied timescales.

Counts are sliding-window counts; the posterior sees them divided by the lag ('sliding-effective',
Trendelkamp-Schroer et al., J. Chem. Phys. 143 (2015) 174101), which leaves the most likely matrix as it
is. deeptime's other choice, 'effective', gave intervals that held the true timescale of simulated chains
in 20-80 % of the cases instead of 95 % (tests/reference/test_markov.py states the coverage of ours).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from deeptime.markov import TransitionCountEstimator, TransitionCountModel
from deeptime.markov.msm import MaximumLikelihoodMSM
from jaxtyping import Float, Int
from scipy.sparse.linalg import eigsh

from geom2msm.posterior import draw_reversible
from geom2msm.sampled_matrices import FEW_COUNTS_PER_STATE, Posterior
from geom2msm.units import frames

# Above this size the leading eigenvalues are found by iteration.
DENSE_SIZE = 200
REMEDY = "use fewer microstates, a shorter lag or more data"


@dataclass(frozen=True)
class MsmSettings:
    """The `msm` section of a system's config."""

    model: str
    baseline: str
    lag_ps: float
    scan_lags_ps: Sequence[float]
    n_microstates: int
    n_macrostates: int
    n_timescales: int
    n_posterior_samples: int
    ck_multiples: int
    seed: int
    transition_paths: Mapping[str, str | Sequence[int]] = field(
        default_factory=lambda: {"source": "most_probable", "target": "slowest_process"}
    )

    @property
    def n_processes(self) -> int:
        """Slow processes to follow: as many as asked for, and never fewer than separate the macrostates."""
        return max(self.n_timescales, self.n_macrostates - 1)


@dataclass(frozen=True)
class Counts:
    """Sliding-window transition counts at one lag.

    `connected_sets` are strongly connected. The first is the active set: of those of several microstates, the one with
    the most counts.
    """

    lag_frames: int
    matrix: Float[np.ndarray, "microstate microstate"]
    frames: Int[np.ndarray, " microstate"]
    connected_sets: list[np.ndarray]

    @property
    def active(self) -> Int[np.ndarray, " active"]:
        """Microstates of the active set, ascending."""
        return self.connected_sets[0]

    @property
    def active_matrix(self) -> Float[np.ndarray, "active active"]:
        """Counts within the active set."""
        return self.matrix[np.ix_(self.active, self.active)]

    @property
    def fraction_of_frames(self) -> float:
        """Share of all frames that lie in the active set."""
        return float(self.frames[self.active].sum() / self.frames.sum())

    @property
    def fraction_of_counts(self) -> float:
        """Share of all counts that lie within the active set."""
        return float(self.active_matrix.sum() / self.matrix.sum())


@dataclass(frozen=True)
class MarkovModel:
    """The most likely reversible transition matrix on the active set."""

    counts: Counts
    transition_matrix: Float[np.ndarray, "active active"]
    stationary_distribution: Float[np.ndarray, " active"]


def count_transitions(dtrajs: Sequence[Int[np.ndarray, " _"]], *, lag_frames: int, n_microstates: int) -> Counts:
    """Transitions over the lag within each trajectory, none across trajectories."""
    longest = max(map(len, dtrajs))
    if longest <= lag_frames:
        raise ValueError(
            f"no transition can be counted: the lag is {lag_frames} frames, the longest trajectory has {longest}; "
            "shorten the lag."
        )
    counted = TransitionCountEstimator(lag_frames, "sliding", n_states=n_microstates).fit_fetch(list(dtrajs))
    matrix, histogram = np.asarray(counted.count_matrix, dtype=float), counted.state_histogram.astype(np.int64)
    return Counts(lag_frames, matrix, histogram, connected_sets(matrix, histogram))


def connected_sets(
    matrix: Float[np.ndarray, "microstate microstate"], frames: Int[np.ndarray, " microstate"]
) -> list[np.ndarray]:
    """Strongly connected microstates that have frames: sets of several first, those with the most counts within.

    A microstate that is never left may have the most, but there is nothing to model in it.
    """
    sets = TransitionCountModel(matrix).connected_sets(sort_by_population=True)
    visited = [np.sort(each) for each in sets if frames[each].any()]
    return sorted(visited, key=lambda each: len(each) < 2)


def estimate_model(counts: Counts) -> MarkovModel:
    """Reversible maximum-likelihood model; the counts must connect at least two microstates."""
    n_visited = int(np.count_nonzero(counts.frames))
    if n_visited < 2:
        raise ValueError("all frames lie in one microstate: there are no dynamics to model; train another model.")
    if len(counts.active) < 2:
        raise ValueError(
            f"no two of the {n_visited} microstates are connected in both directions at a lag of {counts.lag_frames} "
            "frames; shorten msm.lag_ps, lower msm.n_microstates or give longer trajectories."
        )
    model = MaximumLikelihoodMSM(reversible=True).fit_fetch(counts.active_matrix)
    return MarkovModel(counts, np.asarray(model.transition_matrix), np.asarray(model.stationary_distribution))


def model_of_one(counts: Counts) -> MarkovModel:
    """What is left where no two microstates are connected: the one with the most counts, of which nothing is predicted.

    Its frames can be looked at, so it has a weight; what becomes of them is not known, so its transitions are NaN.
    """
    return MarkovModel(counts, np.full((1, 1), np.nan), np.ones(1))


def why_no_intervals(counts: Counts) -> str | None:
    """Why no interval is given, and how many microstates the counts would be enough for; None where they are enough."""
    n_counts, n_active = counts.active_matrix.sum() / counts.lag_frames, len(counts.active)
    if n_active < 2:
        return (
            f"no two microstates are connected in both directions at a lag of {counts.lag_frames} frames; shorten "
            "msm.lag_ps, lower msm.n_microstates, or bring longer trajectories"
        )
    if n_counts >= FEW_COUNTS_PER_STATE * n_active:
        return None
    enough_for = int(n_counts / FEW_COUNTS_PER_STATE)
    remedy = f"set msm.n_microstates to {enough_for} or fewer, or bring" if enough_for >= 2 else "bring"
    return (
        f"there are only {n_counts / n_active:.1f} independent transitions per microstate, and an interval needs "
        f"{FEW_COUNTS_PER_STATE}; {remedy} more data"
    )


def explained(found: Mapping, model: MarkovModel) -> dict[str, object]:
    """A verdict that is not estimable, with too few counts, if so, as its first reason; any other one as it is."""
    why = why_no_intervals(model.counts)
    if why is None or found["verdict"] != "not estimable":
        return dict(found)
    return {**found, "reasons": [why, *found["reasons"]]}


def sample_posterior(model: MarkovModel, *, n_samples: int, seed: int) -> Posterior:
    """Transition matrices from the reversible posterior; with too few counts they give no intervals."""
    effective = model.counts.active_matrix / model.counts.lag_frames
    if reason := why_no_intervals(model.counts):
        logging.warning("lag of %d frames: %s", model.counts.lag_frames, reason)
    if len(effective) < 2:
        only, unknown = np.zeros(1, dtype=int), np.full((n_samples, 1), np.nan)
        return Posterior(only, only, unknown, np.ones((n_samples, 1)), counts_per_state=0.0)
    return draw_reversible(effective, model.stationary_distribution, n_samples=n_samples, seed=seed)


def eigenvalues(
    transition_matrix: Float[np.ndarray, "*sample state state"],
    stationary_distribution: Float[np.ndarray, "*sample state"],
) -> Float[np.ndarray, "*sample state"]:
    """Eigenvalues of reversible matrices, descending, through the similar symmetric matrix."""
    return np.linalg.eigvalsh(_symmetric(transition_matrix, stationary_distribution))[..., ::-1]


def _symmetric(
    transition_matrix: Float[np.ndarray, "*sample state state"],
    stationary_distribution: Float[np.ndarray, "*sample state"],
) -> Float[np.ndarray, "*sample state state"]:
    root = np.sqrt(stationary_distribution)
    symmetric = root[..., :, None] * transition_matrix / root[..., None, :]
    return (symmetric + np.swapaxes(symmetric, -1, -2)) / 2


def leading_eigenvalues(
    transition_matrix: Float[np.ndarray, "state state"],
    stationary_distribution: Float[np.ndarray, " state"],
    *,
    n_values: int,
    which: str = "LA",
) -> Float[np.ndarray, " value"]:
    """The first of `eigenvalues`: the largest (`which` = "LA") or those of largest modulus ("LM"), as ARPACK says."""
    n_states = len(transition_matrix)
    symmetric = _symmetric(transition_matrix, stationary_distribution)
    if n_states <= max(DENSE_SIZE, 10 * n_values):
        found = np.linalg.eigvalsh(symmetric)
    else:
        # A start that is always the same makes the iteration reproducible.
        start = np.random.default_rng(0).standard_normal(n_states)
        found = eigsh(symmetric, k=n_values, which=which, v0=start, return_eigenvectors=False)
    size = np.abs(found) if which == "LM" else found
    return found[np.argsort(-size, kind="stable")][:n_values]


def sampled_eigenvalues(posterior: Posterior, *, n_values: int, which: str = "LA") -> Float[np.ndarray, "sample value"]:
    """The leading eigenvalues of every sample."""
    return np.array([leading_eigenvalues(*each, n_values=n_values, which=which) for each in posterior])


def right_eigenvectors(model: MarkovModel, *, n_processes: int) -> Float[np.ndarray, "active process"]:
    """The leading right eigenvectors, norm 1 under the stationary distribution, largest entry positive."""
    root = np.sqrt(model.stationary_distribution)
    symmetric = _symmetric(model.transition_matrix, model.stationary_distribution)
    vectors = np.linalg.eigh(symmetric)[1][:, ::-1][:, :n_processes] / root[:, None]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    return vectors * np.sign(largest)


def implied_timescales(
    eigenvalue: Float[np.ndarray, "*sample state"], *, lag_ps: float, n_processes: int
) -> Float[np.ndarray, "*sample process"]:
    """t_i = -lag / ln(eigenvalue_i), i = 2, 3, …; NaN where there is no such eigenvalue or it is not positive."""
    timescales = np.full((*eigenvalue.shape[:-1], n_processes), np.nan)
    slow = eigenvalue[..., 1 : n_processes + 1]
    positive = (slow > 0) & (slow < 1)
    timescales[..., : slow.shape[-1]][positive] = -lag_ps / np.log(slow[positive])
    return timescales


def timescale_table(model: MarkovModel, posterior: Posterior, *, lag_ps: float, n_processes: int) -> pd.DataFrame:
    """Most likely timescales with the 95 % interval of the posterior, centered on them; process 1 is t2.

    With few counts per microstate, or a lag beyond the timescale, the posterior drifts away from the most likely
    model. An interval that excludes the estimate even before says nothing about its error, and is given as NaN.
    """
    n_values = n_processes + 1
    most_likely = leading_eigenvalues(model.transition_matrix, model.stationary_distribution, n_values=n_values)
    sampled = sampled_eigenvalues(posterior, n_values=n_values)
    estimate = implied_timescales(most_likely, lag_ps=lag_ps, n_processes=n_processes)
    samples = implied_timescales(sampled, lag_ps=lag_ps, n_processes=n_processes)
    lower, upper = posterior.centered_interval(samples, around=estimate)
    for process in np.flatnonzero(np.isnan(lower) & np.isfinite(estimate) & (not posterior.is_sparse)):
        logging.warning(
            "lag %g ps: no interval for t%d, the posterior misses the estimate; %s", lag_ps, process + 2, REMEDY
        )
    return pd.DataFrame({
        "lag_ps": lag_ps, "process": np.arange(1, n_processes + 1),
        "estimate_ps": estimate, "lower_ps": lower, "upper_ps": upper,
        "active_fraction": model.counts.fraction_of_frames,
    })  # fmt: skip


def scan_lags(
    dtrajs: Sequence[Int[np.ndarray, " _"]], settings: MsmSettings, *, n_microstates: int, frame_interval_ps: float
) -> pd.DataFrame:
    """Implied timescales at every lag of the scan; what cannot be estimated at a lag is NaN there."""
    tables = [
        _at_lag(dtrajs, settings, lag_ps, n_microstates=n_microstates, frame_interval_ps=frame_interval_ps)
        for lag_ps in sorted(settings.scan_lags_ps)
    ]
    return pd.concat(tables, ignore_index=True)


def _at_lag(
    dtrajs: Sequence[Int[np.ndarray, " _"]], settings: MsmSettings, lag_ps: float,
    *, n_microstates: int, frame_interval_ps: float,
) -> pd.DataFrame:  # fmt: skip
    lag_frames = frames(lag_ps=lag_ps, frame_interval_ps=frame_interval_ps)
    try:
        model = estimate_model(count_transitions(dtrajs, lag_frames=lag_frames, n_microstates=n_microstates))
    except ValueError as error:
        logging.warning("lag %g ps: not estimable: %s", lag_ps, error)
        return _not_estimable(lag_ps, n_processes=settings.n_processes)
    posterior = sample_posterior(model, n_samples=settings.n_posterior_samples, seed=settings.seed)
    table = timescale_table(model, posterior, lag_ps=lag_ps, n_processes=settings.n_processes)
    logging.info(
        "lag %g ps: %d active microstates, t2 = %.4g ps", lag_ps, len(model.counts.active), table.estimate_ps.iloc[0]
    )
    return table


def _not_estimable(lag_ps: float, *, n_processes: int) -> pd.DataFrame:
    missing = dict.fromkeys(["estimate_ps", "lower_ps", "upper_ps", "active_fraction"], np.nan)
    return pd.DataFrame({"lag_ps": lag_ps, "process": np.arange(1, n_processes + 1), **missing})
