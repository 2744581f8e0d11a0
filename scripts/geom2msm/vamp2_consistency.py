"""VAMP-2 of the variables against the timescales of the Markov model: two views of the same dynamics.

For a reversible process in equilibrium, the best d functions beside the constant score 1 + sum of exp(-2 tau / t_i)
over the d slowest processes (Wu & Noe, J. Nonlinear Sci. 30 (2020) 23). A score above that is overfitted, or the data
are far from equilibrium, or the microstates are too coarse; one below says that the variables miss what the states
resolve.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from geom2msm.judgement import Objections
from geom2msm.markov import MarkovModel, Posterior, leading_eigenvalues, sampled_eigenvalues
from geom2msm.markov_validation import FAIL_ERRORS, INTERVAL_IN_ERRORS, PASS_ERRORS
from geom2msm.sampled_matrices import interval

# Parts of the data that are drawn with replacement: of this number, or one per trajectory if there are more.
N_BLOCKS = 30
N_RESAMPLES = 200
# Differences below this pass, however many the data: microstates are never perfect.
SMALL_DIFFERENCE = 0.05
MAX_CONDITION = 1e10
THRESHOLDS = {"pass_errors": PASS_ERRORS, "fail_errors": FAIL_ERRORS, "small_difference": SMALL_DIFFERENCE}


@dataclass(frozen=True)
class Moments:
    """Sums over the pairs of each block of products of (1, x_t) and (1, x_lag)."""

    start: Float[np.ndarray, "block function function"]
    across: Float[np.ndarray, "block function function"]
    end: Float[np.ndarray, "block function function"]

    @classmethod
    def of_runs(cls, runs: Sequence[Float[np.ndarray, "_ dimension"]], *, lag_frames: int) -> "Moments":
        """Blocks of about equal numbers of pairs, consecutive in time; no pair crosses from run to run."""
        n_pairs = [max(0, len(run) - lag_frames) for run in runs]
        if not any(n_pairs):
            raise ValueError(f"no run has more than the {lag_frames} frames of the lag; shorten the lag.")
        block_pairs = max(1, sum(n_pairs) / N_BLOCKS)
        found = []
        for run, pairs in zip(runs, n_pairs, strict=True):
            functions = np.concatenate([np.ones((len(run), 1)), run], axis=1, dtype=np.float64)
            for starts in np.array_split(np.arange(pairs), max(1, round(pairs / block_pairs))) if pairs else []:
                x, y = functions[starts], functions[starts + lag_frames]
                found.append((x.T @ x, x.T @ y, y.T @ y))
        return cls(*(np.array(each) for each in zip(*found, strict=True)))

    def check_independent(self) -> None:
        """Refuse constant or linearly dependent variables, whose score would be noise of the arithmetic."""
        for moments in (self.start.sum(axis=0), self.end.sum(axis=0)):
            scale = np.sqrt(moments.diagonal())
            if not scale.all() or np.linalg.cond(moments / np.outer(scale, scale)) > MAX_CONDITION:
                raise ValueError("the variables are constant or linearly dependent; lower the model's dimensions.")

    def vamp2(self, weights: Float[np.ndarray, "sample block"]) -> Float[np.ndarray, " sample"]:
        """VAMP-2 with the constant, tr(C00^-1 C0t Ctt^-1 Ct0), each block counted as often as its weight says."""
        c00, c0t, ctt = (np.tensordot(weights, each, axes=1) for each in (self.start, self.across, self.end))
        half = np.linalg.solve(ctt, np.swapaxes(c0t, -1, -2))
        return np.trace(np.linalg.solve(c00, c0t @ half), axis1=-2, axis2=-1)


def measured_vamp2(
    runs: Sequence[Float[np.ndarray, "_ dimension"]], *, lag_frames: int, seed: int
) -> tuple[float, float, float]:
    """VAMP-2 of the variables on all pairs, and its 95 % interval over resampled blocks."""
    moments = Moments.of_runs(runs, lag_frames=lag_frames)
    moments.check_independent()
    n_blocks = len(moments.start)
    estimate = float(moments.vamp2(np.ones((1, n_blocks)))[0])
    drawn = np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=N_RESAMPLES)
    lower, upper = interval(moments.vamp2(drawn.astype(float)))
    return estimate, float(lower), float(upper)


def predicted_vamp2(
    eigenvalue: Float[np.ndarray, "sample state"], *, lags: float, dimensions: int
) -> Float[np.ndarray, " sample"]:
    """1 + sum over the slowest processes of exp(-2 tau / t_i), tau being so many lags of the model.

    As eigenvalues, |lambda_i|^(2 tau / lag): a negative one has no timescale but counts.
    """
    slow = np.sort(np.abs(eigenvalue[:, 1:]), axis=1)[:, ::-1][:, :dimensions]
    # The first eigenvalue is 1, or unknown as all others.
    return np.where(np.isnan(eigenvalue[:, 0]), np.nan, 1 + (slow ** (2 * lags)).sum(axis=1))


def consistency_table(
    runs: Sequence[Float[np.ndarray, "_ dimension"]],
    model: MarkovModel,
    posterior: Posterior,
    *,
    lag_frames: Mapping[float, int],
    seed: int,
) -> pd.DataFrame:
    """Measured and predicted VAMP-2 at every lag (key of `lag_frames`, in ps); NaN where not estimable."""
    dimensions = runs[0].shape[1]
    n_values = dimensions + 1
    most_likely = leading_eigenvalues(
        model.transition_matrix, model.stationary_distribution, n_values=n_values, which="LM"
    )
    sampled = sampled_eigenvalues(posterior, n_values=n_values, which="LM")
    rows = []
    for lag_ps, n_frames in sorted(lag_frames.items()):
        lags = n_frames / model.counts.lag_frames
        predicted = predicted_vamp2(most_likely[None], lags=lags, dimensions=dimensions)[0]
        samples = predicted_vamp2(sampled, lags=lags, dimensions=dimensions)
        lower, upper = 1 + posterior.centered_interval(samples - 1, around=np.asarray(predicted - 1))
        try:
            measured = measured_vamp2(runs, lag_frames=n_frames, seed=seed)
        except ValueError as error:
            logging.warning("lag %g ps: not estimable: %s", lag_ps, error)
            measured = (np.nan, np.nan, np.nan)
        rows.append((lag_ps, *measured, predicted, lower, upper))
    names = [f"{name}{end}" for name in ("measured", "predicted") for end in ("", "_lower", "_upper")]
    return pd.DataFrame(rows, columns=["lag_ps", *names])


def consistency_verdict(table: pd.DataFrame, *, lag_ps: float) -> dict[str, object]:
    """The largest difference from the lag of the model on; below it the model claims nothing.

    Too low a score only warns: microstates may well resolve more than linear functions of the variables.
    """
    asked = table[table.lag_ps >= lag_ps]
    compared = asked.dropna()
    objections = Objections()
    objections.add_missing(
        [
            f"at {lag:g} ps the two scores cannot both be estimated with an error"
            for lag in asked.lag_ps.drop(compared.index)
        ],
        anything_compared=len(compared) > 0,
    )
    difference = compared.measured - compared.predicted
    above = difference > 0
    # Intervals may be lopsided: what counts are their sides towards each other.
    error = np.hypot(_side(compared, "measured", upper=~above), _side(compared, "predicted", upper=above))
    error /= INTERVAL_IN_ERRORS
    in_errors = difference.abs() / error.clip(lower=SMALL_DIFFERENCE / PASS_ERRORS)
    for lag, by, times in zip(compared.lag_ps, difference, in_errors, strict=True):
        if times > PASS_ERRORS:
            kind = objections.failures if by > 0 and times > FAIL_ERRORS else objections.warnings
            kind.append(
                f"at {lag:g} ps the score is {abs(by):.2g}, {times:.1f} errors, {'above' if by > 0 else 'below'} "
                "what the timescales allow"
            )
    return objections.verdict_and_reasons() | {
        "largest_difference": float(difference.abs().max()),
        "largest_difference_in_errors": float(in_errors.max()),
        "n_compared": len(compared),
        "thresholds": THRESHOLDS,
    }


def _side(table: pd.DataFrame, name: str, *, upper: pd.Series) -> pd.Series:
    """How far an interval reaches from its estimate, up or down."""
    return (table[f"{name}_upper"] - table[name]).where(upper, table[name] - table[f"{name}_lower"])
