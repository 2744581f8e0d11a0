"""The Chapman-Kolmogorov test: does the model, propagated k lags, agree with a model estimated at k lags?"""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from geom2msm.judgement import Objections
from geom2msm.markov import MarkovModel, Posterior, count_transitions, estimate_model, sample_posterior
from geom2msm.states import Macrostates

# Half the width of a normal distribution's 95 % interval, in standard deviations.
INTERVAL_IN_ERRORS = 1.96

# Errors are combined as if prediction and estimate were independent; they share their data, so the
# deviation of a Markov chain stays below 2 such errors (tests/properties/test_markov.py).
PASS_ERRORS = 3.0
FAIL_ERRORS = 4.0
# An error counts as at least this much, so that differences below 0.02 pass, however many the data.
SMALLEST_ERROR = 0.02 / PASS_ERRORS
# Larger errors hide what the test looks for.
BLIND_ERROR = 0.1

THRESHOLDS = {
    "pass_errors": PASS_ERRORS,
    "fail_errors": FAIL_ERRORS,
    "smallest_error": SMALLEST_ERROR,
    "blind_error": BLIND_ERROR,
}


def ck_table(
    dtrajs: Sequence[Int[np.ndarray, " _"]],
    model: MarkovModel,
    posterior: Posterior,
    macrostates: Macrostates,
    *,
    lag_ps: float,
    n_multiples: int,
    seed: int,
) -> pd.DataFrame:
    """Probability to be in state B (column) k lags after starting in A's stationary distribution, twice.

    Predicted: the model's transition matrix to the power k. Estimated: the matrix counted at k lags.
    """
    start = macrostates.indicator.T * model.stationary_distribution
    start /= start.sum(axis=1, keepdims=True)
    most_likely = propagated(model.transition_matrix, start, macrostates.indicator, n_multiples=n_multiples)
    samples = np.array([
        propagated(matrix, start, macrostates.indicator, n_multiples=n_multiples) for matrix, _ in posterior
    ])  # fmt: skip
    tables = []
    for multiple in range(1, n_multiples + 1):
        predicted = _with_interval(most_likely[multiple - 1], samples[:, multiple - 1], posterior)
        if multiple == 1:
            estimated = predicted
        else:
            estimated = estimate_at_multiple(
                dtrajs, model, start, macrostates.indicator, multiple=multiple, n_samples=len(samples), seed=seed
            )
        tables.append(_table(predicted, estimated, lag_ps=multiple * lag_ps, multiple=multiple))
    return pd.concat(tables, ignore_index=True)


def propagated(
    transition_matrix: Float[np.ndarray, "active active"],
    start: Float[np.ndarray, "macrostate active"],
    indicator: Float[np.ndarray, "active macrostate"],
    *,
    n_multiples: int,
) -> Float[np.ndarray, "multiple macrostate macrostate"]:
    """Probability to be in each macrostate after one lag, two lags, … from every start."""
    found = []
    for _ in range(n_multiples):
        start = start @ transition_matrix
        found.append(start @ indicator)
    return np.array(found)


def estimate_at_multiple(
    dtrajs: Sequence[Int[np.ndarray, " _"]],
    model: MarkovModel,
    start: Float[np.ndarray, "macrostate active"],
    indicator: Float[np.ndarray, "active macrostate"],
    *,
    multiple: int,
    n_samples: int,
    seed: int,
) -> Float[np.ndarray, "3 macrostate macrostate"]:
    """Estimate, lower and upper bound at a multiple of the lag; NaN from states that cannot be followed that far."""
    try:
        counts = count_transitions(
            dtrajs, lag_frames=multiple * model.counts.lag_frames, n_microstates=len(model.counts.matrix)
        )
        longer = estimate_model(counts)
    except ValueError as error:
        logging.warning("%d lags: not estimable: %s", multiple, error)
        return np.full((3, len(start), len(start)), np.nan)
    posterior = sample_posterior(longer, n_samples=n_samples, seed=seed)
    # The active sets of the two lags differ at their poorly sampled rims.
    _, here, there = np.intersect1d(model.counts.active, longer.counts.active, return_indices=True)
    shared = np.zeros((len(start), len(longer.counts.active)))
    shared[:, there] = start[:, here]
    weight = shared.sum(axis=1, keepdims=True)
    shared = np.divide(shared, weight, out=np.full_like(shared, np.nan), where=weight > 0.5)
    target = np.zeros((len(longer.counts.active), len(start)))
    target[there] = indicator[here]
    samples = np.array([shared @ matrix @ target for matrix, _ in posterior])
    return _with_interval(shared @ longer.transition_matrix @ target, samples, posterior)


def _with_interval(
    estimate: Float[np.ndarray, "macrostate macrostate"],
    samples: Float[np.ndarray, "sample macrostate macrostate"],
    posterior: Posterior,
) -> Float[np.ndarray, "3 macrostate macrostate"]:
    return np.concatenate([estimate[None], posterior.shifted_interval(samples, around=estimate)])


def _table(
    predicted: Float[np.ndarray, "3 macrostate macrostate"],
    estimated: Float[np.ndarray, "3 macrostate macrostate"],
    *,
    lag_ps: float,
    multiple: int,
) -> pd.DataFrame:
    n_macrostates = predicted.shape[-1]
    origin, target = (index.ravel() + 1 for index in np.indices((n_macrostates, n_macrostates)))
    table = pd.DataFrame({"lag_ps": lag_ps, "multiple": multiple, "from_state": origin, "to_state": target})
    for name, values in {"predicted": predicted, "estimated": estimated}.items():
        table[name], table[f"{name}_lower"], table[f"{name}_upper"] = values.reshape(3, -1)
    return table


def ck_verdict(table: pd.DataFrame) -> dict[str, object]:
    """The largest deviation, in probability and in combined standard errors, and what it means.

    Prediction and estimate are the same thing at one lag: only longer ones are compared.
    """
    asked = table[table.multiple > 1]
    error = np.hypot(_standard_error(asked, "predicted"), _standard_error(asked, "estimated")).dropna()
    compared = asked.loc[error.index]
    deviation = (compared.predicted - compared.estimated).abs()
    in_errors = deviation / error.clip(lower=SMALLEST_ERROR)
    objections = Objections()
    if compared.empty:
        objections.not_estimable.append(
            "nothing is estimable with an error at two lags or more: shorten the lag, lower msm.n_microstates or give "
            "more data"
        )
    elif len(compared) < len(asked):
        missing = len(asked) - len(compared)
        objections.warnings.append(f"{missing} of {len(asked)} comparisons are not estimable at so long a lag")
    if (in_errors > PASS_ERRORS).any():
        kind = objections.failures if (in_errors > FAIL_ERRORS).any() else objections.warnings
        kind.append(f"{(in_errors > PASS_ERRORS).sum()} predictions are off by more than {PASS_ERRORS:g} errors")
    if (error > BLIND_ERROR).any():
        states = ", ".join(map(str, sorted(compared.from_state[error > BLIND_ERROR].unique())))
        objections.warnings.append(
            f"errors of up to {error.max():.2g} hide deviations from state {states}: more data are needed"
        )
    return objections.verdict_and_reasons() | {
        "largest_deviation": float(deviation.max()),
        "largest_deviation_in_errors": float(in_errors.max()),
        "largest_error": float(error.max()),
        "n_compared": len(compared),
        "n_not_estimable": len(asked) - len(compared),
        "thresholds": THRESHOLDS,
    }


def _standard_error(table: pd.DataFrame, name: str) -> pd.Series:
    return (table[f"{name}_upper"] - table[f"{name}_lower"]) / (2 * INTERVAL_IN_ERRORS)
