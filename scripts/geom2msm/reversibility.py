"""Reversible against non-reversible estimate: does the data obey detailed balance, and does it matter?

In equilibrium molecular dynamics as many trajectories pass from A to B as from B to A. The reversible estimate
assumes it, which halves the parameters and narrows the intervals. Net currents around a cycle of states, or
populations that move when the assumption is dropped, say that it does not hold: driven dynamics, trajectories that
have not forgotten where they began, or variables in which the process is not Markovian.
"""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from deeptime.markov.msm import MaximumLikelihoodMSM
from deeptime.markov.tools.analysis import stationary_distribution
from jaxtyping import Float
from scipy.sparse.linalg import eigs

from geom2msm.markov import MarkovModel, Posterior, interval, leading_eigenvalues, sampled_eigenvalues
from geom2msm.markov_validation import FAIL_ERRORS, PASS_ERRORS
from geom2msm.states import Macrostates

SMALLEST_DRAW = 1e-12
# Above this size only the slowest eigenvalues are computed, by iteration.
DENSE_SIZE = 200


@dataclass(frozen=True)
class NonReversible:
    """The most likely matrix without detailed balance, and its posterior: independent Dirichlet rows."""

    transition_matrix: Float[np.ndarray, "active active"]
    stationary_distribution: Float[np.ndarray, " active"]
    posterior: Posterior


def estimate_nonreversible(model: MarkovModel, *, n_samples: int, seed: int) -> NonReversible:
    """Rows of counts over their sums, on the active set of the reversible model; samples need not be reversible.

    deeptime's sampler of non-reversible matrices ignores its seed, so the rows are drawn here, from the same
    distribution: Dirichlet, with the counts divided by the lag.
    """
    found = MaximumLikelihoodMSM(reversible=False).fit_fetch(model.counts.active_matrix)
    effective = model.counts.active_matrix / model.counts.lag_frames
    rng, seen = np.random.default_rng(seed), np.nonzero(effective)
    elements, distributions = np.empty((n_samples, len(seen[0]))), np.empty((n_samples, len(effective)))
    for element, distribution in zip(elements, distributions, strict=True):
        matrix = np.zeros_like(effective)
        # Gamma variates over their sum are Dirichlet; a count near zero may be drawn as zero, a connection may not.
        matrix[seen] = np.maximum(rng.standard_gamma(effective[seen]), SMALLEST_DRAW)
        matrix /= matrix.sum(axis=1, keepdims=True)
        element[:], distribution[:] = matrix[seen], stationary_distribution(matrix, check_inputs=False)
    return NonReversible(
        np.asarray(found.transition_matrix), np.asarray(found.stationary_distribution),
        Posterior(*seen, elements, distributions),
    )  # fmt: skip


def currents(
    transition_matrix: Float[np.ndarray, "active active"],
    stationary_distribution: Float[np.ndarray, " active"],
    macrostates: Macrostates,
) -> Float[np.ndarray, "macrostate macrostate"]:
    """Net stationary current from state to state over the sum of both directions: -1 to 1, antisymmetric."""
    flow = macrostates.indicator.T @ (stationary_distribution[:, None] * transition_matrix) @ macrostates.indicator
    both, net = flow + flow.T, flow - flow.T
    return np.divide(net, both, out=np.zeros_like(net), where=both > 0)


def compare_models(
    model: MarkovModel, posterior: Posterior, nonreversible: NonReversible, macrostates: Macrostates,
    *, lag_ps: float, n_processes: int,
) -> pd.DataFrame:  # fmt: skip
    """One row per population, timescale and current: estimate and interval of both models.

    Non-reversible timescales are those of the moduli of the eigenvalues; a current is zero in a reversible model.
    """
    indicator = macrostates.indicator
    n_processes = min(n_processes, len(model.transition_matrix) - 1)
    n_values = n_processes + 1
    spectrum = leading_eigenvalues(
        model.transition_matrix, model.stationary_distribution, n_values=n_values, which="LM"
    )
    sampled = sampled_eigenvalues(posterior, n_values=n_values, which="LM")
    free = nonreversible.posterior
    tables = [
        _rows(
            "population", [str(state + 1) for state in range(indicator.shape[1])],
            model.stationary_distribution @ indicator, posterior.stationary_distributions @ indicator,
            nonreversible.stationary_distribution @ indicator, free.stationary_distributions @ indicator,
        ),
        _rows(
            "timescale_ps", [str(process + 1) for process in range(n_processes)],
            _timescales(np.abs(spectrum), lag_ps, n_processes), _timescales(np.abs(sampled), lag_ps, n_processes),
            _timescales(_moduli(nonreversible.transition_matrix, n_processes), lag_ps, n_processes),
            np.array([_timescales(_moduli(matrix, n_processes), lag_ps, n_processes) for matrix, _ in free]),
        ),
    ]  # fmt: skip
    origin, target = np.triu_indices(indicator.shape[1], 1)
    estimate = currents(nonreversible.transition_matrix, nonreversible.stationary_distribution, macrostates)
    samples = np.array([currents(*each, macrostates)[origin, target] for each in free])
    # Transitions seen one way only make the largest current in every sample, which says nothing about its error.
    samples[:, (np.abs(samples) == 1).all(axis=0)] = np.nan
    names = [f"{i + 1}-{j + 1}" for i, j in zip(origin, target, strict=True)]
    zero = np.zeros(len(names))
    tables.append(_rows("current", names, zero, np.zeros_like(samples), estimate[origin, target], samples))
    return pd.concat(tables, ignore_index=True)


def _moduli(matrix: Float[np.ndarray, "active active"], n_processes: int) -> Float[np.ndarray, " value"]:
    if len(matrix) <= max(DENSE_SIZE, n_processes + 2):
        return np.abs(np.linalg.eigvals(matrix))
    # A start that is always the same makes the iteration reproducible.
    return np.abs(eigs(matrix, k=n_processes + 1, v0=np.ones(len(matrix)), return_eigenvectors=False))


def _timescales(
    moduli: Float[np.ndarray, "*sample active"], lag_ps: float, n_processes: int
) -> Float[np.ndarray, "*sample process"]:
    slow = np.clip(-np.sort(-moduli, axis=-1)[..., 1 : n_processes + 1], 1e-300, 1 - 1e-15)
    return -lag_ps / np.log(slow)


def _rows(
    quantity: str,
    names: list[str],
    estimate: Float[np.ndarray, " row"],
    samples: Float[np.ndarray, "sample row"],
    free: Float[np.ndarray, " row"],
    free_samples: Float[np.ndarray, "sample row"],
) -> pd.DataFrame:
    lower, upper = interval(samples)
    free_lower, free_upper = interval(free_samples)
    error = np.hypot(samples.std(axis=0), free_samples.std(axis=0))
    difference = np.abs(free - estimate)
    # Two numbers without any spread, such as the one current of two states, agree.
    in_errors = np.divide(difference, error, out=np.zeros_like(difference), where=error > 1e-12)
    return pd.DataFrame({
        "quantity": quantity, "name": names,
        "reversible": estimate, "reversible_lower": lower, "reversible_upper": upper,
        "nonreversible": free, "nonreversible_lower": free_lower, "nonreversible_upper": free_upper,
        "difference_in_errors": in_errors,
    })  # fmt: skip


def reversibility_verdict(table: pd.DataFrame) -> dict[str, object]:
    """Which estimate is justified: the reversible one unless currents or populations contradict it."""
    tested = table[table.quantity.isin(["current", "population"])]
    worst = tested.loc[tested.difference_in_errors.idxmax()]
    in_errors = float(worst.difference_in_errors)
    reasons = []
    if in_errors > PASS_ERRORS:
        what = (
            f"the net current {worst['name'].replace('-', ' to ')} is not zero"
            if worst.quantity == "current"
            else f"the population of state {worst['name']} changes without detailed balance"
        )
        reasons.append(
            f"{what} ({in_errors:.1f} errors): the data are not those of a process in equilibrium; look at the "
            "non-reversible estimate too"
        )
    if (table.quantity == "current").sum() < 2:
        logging.info("two states have no cycle: only their populations can tell the two estimates apart")
    return {
        "largest_difference_in_errors": in_errors,
        "justified": "non-reversible" if in_errors > FAIL_ERRORS else "reversible",
        "comparison": table.to_dict("records"),
        "verdict": "fail" if in_errors > FAIL_ERRORS else "warn" if reasons else "pass",
        "reasons": reasons,
        "thresholds": {"pass_errors": PASS_ERRORS, "fail_errors": FAIL_ERRORS},
    }
