"""How correlations decay and how states relax: predicted by the Markov model, and measured in the trajectories.

Unlike passage times, correlation functions of a Markov model are right at all times if the model is. What is
measured needs no Markov assumption: only the starting points are weighted as the model says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from geom2msm.judgement import Objections
from geom2msm.markov import MarkovModel, Posterior, right_eigenvectors
from geom2msm.markov_validation import FAIL_ERRORS, INTERVAL_IN_ERRORS, PASS_ERRORS, SMALLEST_ERROR
from geom2msm.resampling import Blocks, cut_blocks, jackknife_interval
from geom2msm.states import NOT_ACTIVE, Macrostates

N_TIMES = 30
# Curves go on for so many times the slowest timescale, if the trajectories are long enough.
DECAY_TIMES = 4.0
# Beyond this share of the longest trajectory few pairs of frames are left.
LONGEST_SHARE = 0.25
# A curve is not measured where the trajectories no longer start in this share of what it should start from.
LEAST_STARTED = 0.9


@dataclass(frozen=True)
class Curves:
    """Averages over starting points: sum_i start_i factor_i E[observable(x_t) | x_0 = i].

    `index` is the process (1 is the slowest) of an autocorrelation or the macrostate, from 1, of a relaxation.
    """

    kind: list[str]
    index: list[int]
    start: Float[np.ndarray, "curve active"]
    factor: Float[np.ndarray, "curve active"]
    observable: Float[np.ndarray, "active curve"]


def choose_curves(model: MarkovModel, macrostates: Macrostates, *, n_processes: int) -> Curves:
    """Autocorrelation of the slow eigenfunctions, and the probability to be in a state after starting in it."""
    n_processes = min(n_processes, len(model.transition_matrix) - 1)
    eigenfunctions = right_eigenvectors(model, n_processes=n_processes + 1)[:, 1:]
    pi, indicator = model.stationary_distribution, macrostates.indicator
    inside = indicator.T * pi
    n_states = indicator.shape[1]
    return Curves(
        ["autocorrelation"] * n_processes + ["relaxation"] * n_states,
        [*range(1, n_processes + 1), *range(1, n_states + 1)],
        np.concatenate([np.tile(pi, (n_processes, 1)), inside / inside.sum(axis=1, keepdims=True)]),
        np.concatenate([eigenfunctions.T, np.ones_like(inside)]),
        np.concatenate([eigenfunctions, indicator], axis=1),
    )


def choose_multiples(*, slowest_lags: float, longest_lags: float) -> Int[np.ndarray, " time"]:
    """Times, in lags, by equal factors up to a few slowest timescales or a quarter of the longest trajectory, and 0."""
    last = min(DECAY_TIMES * slowest_lags if np.isfinite(slowest_lags) else np.inf, LONGEST_SHARE * longest_lags)
    return np.unique(np.append(0, np.geomspace(1, max(1, round(last)), N_TIMES).round().astype(int)))


def predicted(
    model: MarkovModel, posterior: Posterior, curves: Curves, multiples: Int[np.ndarray, " time"]
) -> Float[np.ndarray, "3 time curve"]:
    """The curves as the model has them, with the interval of the posterior; observables are those of the model."""
    state, estimate = curves.observable, []
    for steps in np.diff(multiples, prepend=0):
        for _ in range(steps):
            state = model.transition_matrix @ state
        estimate.append(np.einsum("ci,ci,ic->c", curves.start, curves.factor, state))
    samples = np.array([propagated(*each, curves, multiples) for each in posterior])
    return np.concatenate([[estimate], posterior.shifted_interval(samples, around=np.array(estimate))])


def propagated(
    transition_matrix: Float[np.ndarray, "active active"],
    stationary_distribution: Float[np.ndarray, " active"],
    curves: Curves,
    multiples: Int[np.ndarray, " time"],
) -> Float[np.ndarray, "time curve"]:
    """The curves of one reversible matrix T, by its eigenvectors: sum_i start_i factor_i (T^k observable)_i."""
    root = np.sqrt(stationary_distribution)
    symmetric = root[:, None] * transition_matrix / root
    values, vectors = np.linalg.eigh((symmetric + symmetric.T) / 2)
    left = (curves.start * curves.factor / root) @ vectors
    right = vectors.T @ (root[:, None] * curves.observable)
    return (values[None] ** multiples[:, None]) @ (left.T * right)


def measured(
    dtrajs: Sequence[Int[np.ndarray, " _"]],
    model: MarkovModel,
    curves: Curves,
    multiples: Int[np.ndarray, " time"],
    blocks: Blocks,
) -> Float[np.ndarray, "3 time curve"]:
    """The curves counted in the trajectories, with the interval of blocks left out in turn."""
    active = np.full(len(model.counts.matrix), NOT_ACTIVE)
    active[model.counts.active] = np.arange(len(model.counts.active))
    frame = active[np.concatenate(dtrajs)]
    trajectory = np.repeat(np.arange(len(dtrajs)), list(map(len, dtrajs)))
    values = []
    for multiple in multiples:
        later = multiple * model.counts.lag_frames
        start, end = frame[: len(frame) - later], frame[later:]
        known = (trajectory[: len(start)] == trajectory[later:]) & (start >= 0) & (end >= 0)
        sums = _block_sums(start[known], end[known], blocks.of_frame[: len(start)][known], curves, blocks.n_blocks)
        values.append(_with_interval(*sums, curves, blocks))
    found = np.swapaxes(values, 0, 1)
    # What never varied is known without an error at time 0 only.
    found[1:, (found[1] == found[2]) & (multiples > 0)[:, None]] = np.nan
    return found


def _with_interval(
    counted: Float[np.ndarray, "block active"], sums: Float[np.ndarray, "block active curve"],
    curves: Curves, blocks: Blocks,
) -> Float[np.ndarray, "3 curve"]:  # fmt: skip
    """Curves at one time from what was counted in blocks."""
    total = counted.sum(axis=0), sums.sum(axis=0)
    estimate = _average(*total, curves)
    without = _average(*(whole - part for whole, part in zip(total, (counted, sums), strict=True)), curves)
    n_used = (counted @ (curves.start > 0).T > 0).sum(axis=0)
    return np.array([estimate, *jackknife_interval(estimate, without, blocks, n_used=n_used)])


def _block_sums(
    start: Int[np.ndarray, " pair"], end: Int[np.ndarray, " pair"], block: Int[np.ndarray, " pair"],
    curves: Curves, n_blocks: int,
) -> tuple[Float[np.ndarray, "block active"], Float[np.ndarray, "block active curve"]]:  # fmt: skip
    """Of each block and starting microstate: the number of pairs, and the sum of the observables at their ends."""
    n_active = len(curves.observable)
    key, shape = block * n_active + start, (n_blocks, n_active)
    counted = np.bincount(key, minlength=n_blocks * n_active).reshape(shape).astype(float)
    columns = [np.bincount(key, column[end], minlength=n_blocks * n_active) for column in curves.observable.T]
    # Without any pair, NumPy counts in integers.
    return counted, np.stack(columns, axis=-1, dtype=float).reshape(*shape, -1)


def _average(
    counted: Float[np.ndarray, "*sample active"], sums: Float[np.ndarray, "*sample active curve"], curves: Curves
) -> Float[np.ndarray, "*sample curve"]:
    """The curves from microstate averages; NaN where too little of a curve's starting distribution was seen."""
    seen = counted > 0
    mean = np.divide(sums, counted[..., None], out=np.zeros_like(sums), where=seen[..., None])
    share = np.einsum("ci,...i->...c", curves.start, seen)
    total = np.einsum("ci,...ic->...c", curves.start * curves.factor, mean)
    return np.divide(total, share, out=np.full(share.shape, np.nan), where=share >= LEAST_STARTED)


def relaxation_table(
    dtrajs: Sequence[Int[np.ndarray, " _"]],
    model: MarkovModel,
    posterior: Posterior,
    curves: Curves,
    *,
    lag_ps: float,
    slowest_ps: float,
) -> pd.DataFrame:
    """One row per curve and time: predicted and measured, with 95 % intervals."""
    lengths = list(map(len, dtrajs))
    lag_frames = model.counts.lag_frames
    multiples = choose_multiples(slowest_lags=slowest_ps / lag_ps, longest_lags=max(lengths) / lag_frames)
    correlation_frames = lag_frames * (slowest_ps / lag_ps if np.isfinite(slowest_ps) else 1)
    blocks = cut_blocks(lengths, correlation_frames=correlation_frames)
    found = {
        "predicted": predicted(model, posterior, curves, multiples),
        "measured": measured(dtrajs, model, curves, multiples, blocks),
    }
    curve, time = (index.ravel() for index in np.indices((len(curves.kind), len(multiples))))
    table = pd.DataFrame({
        "kind": np.array(curves.kind)[curve], "index": np.array(curves.index)[curve],
        "time_ps": lag_ps * multiples[time],
    })  # fmt: skip
    for name, values in found.items():
        table[name], table[f"{name}_lower"], table[f"{name}_upper"] = values[:, time, curve]
    return table.assign(n_blocks=blocks.n_blocks)


def relaxation_verdict(table: pd.DataFrame) -> dict[str, object]:
    """The largest difference between prediction and measurement, in combined standard errors.

    Of the processes only those between the states count; the faster ones are for the eye.
    """
    n_states = int(table[table.kind == "relaxation"]["index"].max())
    claimed = table[(table.time_ps > 0) & ((table.kind == "relaxation") | (table["index"] < n_states))]
    compared = claimed[claimed[["measured_lower", "predicted_lower"]].notna().all(axis=1)]
    objections = Objections()
    objections.add_missing(_curves_without(claimed, compared), anything_compared=len(compared) > 0)
    width = [compared[f"{name}_upper"] - compared[f"{name}_lower"] for name in ("predicted", "measured")]
    error = np.hypot(*width) / (2 * INTERVAL_IN_ERRORS)
    in_errors = (compared.predicted - compared.measured).abs() / error.clip(lower=SMALLEST_ERROR)
    largest = float(in_errors.max())
    if largest > PASS_ERRORS:
        worst = compared.loc[in_errors.idxmax()]
        kind = objections.failures if largest > FAIL_ERRORS else objections.warnings
        kind.append(
            f"the {_name(worst['kind'], worst['index'])} is off by {largest:.1f} errors at {worst.time_ps:g} ps"
        )
    return objections.verdict_and_reasons() | {
        "largest_deviation_in_errors": largest,
        "n_compared": len(compared),
        "thresholds": {"pass_errors": PASS_ERRORS, "fail_errors": FAIL_ERRORS, "smallest_error": SMALLEST_ERROR},
    }


def _curves_without(claimed: pd.DataFrame, compared: pd.DataFrame) -> list[str]:
    """Curves that are compared at no time, in one sentence each, or in one for all of them."""
    curves, known = (table[["kind", "index"]].drop_duplicates() for table in (claimed, compared))
    if known.empty:
        return ["too few counts, too few blocks or too short trajectories to say how well the curves are known"]
    missing = set(curves.itertuples(index=False, name=None)) - set(known.itertuples(index=False, name=None))
    return [f"the {_name(*curve)} cannot be compared: one of its errors is not known" for curve in sorted(missing)]


def _name(kind: str, index: int | np.integer) -> str:
    return f"{kind} of {'process' if kind == 'autocorrelation' else 'state'} {index}"
