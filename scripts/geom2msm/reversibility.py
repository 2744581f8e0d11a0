"""Reversible against non-reversible estimate: does the data obey detailed balance, and does it matter?

In equilibrium molecular dynamics as many trajectories pass from A to B as from B to A. The reversible estimate
assumes it, which halves the parameters and narrows the intervals. Net currents around a cycle of states, or
populations and timescales that move when the assumption is dropped, say that it does not hold: driven dynamics,
trajectories that have not forgotten where they began, or variables in which the process is not Markovian.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from deeptime.markov.msm import MaximumLikelihoodMSM
from deeptime.markov.tools.analysis import stationary_distribution
from jaxtyping import Float
from scipy.sparse.linalg import eigs
from sklearn.cluster import KMeans

from geom2msm.judgement import Objections
from geom2msm.markov import (
    MarkovModel,
    Posterior,
    leading_eigenvalues,
    right_eigenvectors,
    sample_posterior,
    sampled_eigenvalues,
)
from geom2msm.markov_validation import FAIL_ERRORS, PASS_ERRORS
from geom2msm.states import Macrostates

SMALLEST_DRAW = 1e-12
# Above this size only the slowest eigenvalues are computed, by iteration.
DENSE_SIZE = 200
# Two states have no cycle, and the cycles of a few may lie within one of them: currents are also looked for between so
# many sets of microstates, few enough for each to be entered and left often.
N_SETS = 5
# A current that varies less than this is zero because the states have no cycle, not because the data say so.
SMALLEST_SPREAD = 1e-6
# With larger errors, as shares of the largest possible current, only a process that is all driven would be seen.
BLIND_CURRENT = 0.25


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
    if len(model.transition_matrix) < 2:
        unknown = sample_posterior(model, n_samples=n_samples, seed=seed)
        return NonReversible(model.transition_matrix, model.stationary_distribution, unknown)
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
        Posterior(*seen, elements, distributions, float(effective.sum()) / len(effective)),
    )  # fmt: skip


def kinetic_sets(model: MarkovModel) -> Macrostates:
    """Microstates in N_SETS sets, if they are as many: k-means in the slow eigenfunctions times their eigenvalues.

    This is the kinetic map of Noé & Clementi, J. Chem. Theory Comput. 11 (2015) 5002, of the reversible estimate, which
    does not know of currents: sets are not chosen for having some.
    """
    pi = model.stationary_distribution
    n_sets = min(N_SETS, len(pi))
    values = leading_eigenvalues(model.transition_matrix, pi, n_values=n_sets)
    places = (right_eigenvectors(model, n_processes=n_sets) * values)[:, 1:]
    found = KMeans(n_sets, n_init=1, random_state=0).fit_predict(places, sample_weight=pi)
    owner = np.unique(found, return_inverse=True)[1]
    return Macrostates(np.eye(owner.max() + 1)[owner], owner)


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
    Currents are between macrostates and, as "current between sets", between sets of microstates, named by letters.
    Of a model of one microstate nothing is known.
    """
    n_macrostates = macrostates.n_found
    if len(model.transition_matrix) < 2:
        known = _populations(model, posterior, nonreversible, macrostates)
        return known.assign(reversible=np.nan, nonreversible=np.nan, error=np.nan)
    tables = [
        _populations(model, posterior, nonreversible, macrostates),
        _timescale_rows(model, posterior, nonreversible, lag_ps=lag_ps, n_processes=n_processes),
        _current_rows("current", model, nonreversible, macrostates, [str(i + 1) for i in range(n_macrostates)]),
        _current_rows("current between sets", model, nonreversible, kinetic_sets(model), "abcdefgh"),
    ]
    return pd.concat(tables, ignore_index=True)


def _populations(
    model: MarkovModel, posterior: Posterior, nonreversible: NonReversible, macrostates: Macrostates
) -> pd.DataFrame:
    indicator, free = macrostates.indicator, nonreversible.posterior
    both = [
        (known.stationary_distribution @ indicator, sampled.stationary_distributions @ indicator)
        for known, sampled in ((model, posterior), (nonreversible, free))
    ]
    error = np.hypot(*(samples.std(axis=0) for _, samples in both))
    names = [str(state + 1) for state in range(indicator.shape[1])]
    return _rows("population", names, both, free, in_errors=_in_errors(both[1][0] - both[0][0], error))


def _timescale_rows(
    model: MarkovModel, posterior: Posterior, nonreversible: NonReversible, *, lag_ps: float, n_processes: int
) -> pd.DataFrame:
    """Differences are those of the logarithms, for errors of times are relative."""
    n_processes, free = min(n_processes, len(model.transition_matrix) - 1), nonreversible.posterior
    n_values = n_processes + 1
    spectra = (
        leading_eigenvalues(model.transition_matrix, model.stationary_distribution, n_values=n_values, which="LM"),
        sampled_eigenvalues(posterior, n_values=n_values, which="LM"),
        _moduli(nonreversible.transition_matrix, n_processes),
        np.array([_moduli(matrix, n_processes) for matrix, _ in free]),
    )
    times = [_timescales(np.abs(each), lag_ps, n_processes) for each in spectra]
    logarithms = [np.log(each) for each in times]
    error = np.hypot(logarithms[1].std(axis=0), logarithms[3].std(axis=0))
    names = [str(process + 1) for process in range(n_processes)]
    in_errors = _in_errors(logarithms[2] - logarithms[0], error)
    return _rows("timescale_ps", names, [tuple(times[:2]), tuple(times[2:])], free, in_errors=in_errors)


def _current_rows(
    quantity: str, model: MarkovModel, nonreversible: NonReversible, macrostates: Macrostates, names: Sequence[str]
) -> pd.DataFrame:
    origin, target = np.triu_indices(macrostates.n_found, 1)
    free, indicator = nonreversible.posterior, macrostates.indicator
    estimate = currents(nonreversible.transition_matrix, nonreversible.stationary_distribution, macrostates)
    estimate = estimate[origin, target]
    samples = np.array([currents(*each, macrostates)[origin, target] for each in free])
    counts = indicator.T @ model.counts.active_matrix @ indicator / model.counts.lag_frames
    error = error_without_current(estimate, samples.std(axis=0), n_counts=(counts + counts.T)[origin, target])
    # Transitions seen one way only make the largest current in every sample, which says nothing about its error.
    samples[:, (np.abs(samples) == 1).all(axis=0)] = np.nan
    both = [(np.zeros(len(origin)), np.zeros_like(samples)), (estimate, samples)]
    pairs = [f"{names[i]}-{names[j]}" for i, j in zip(origin, target, strict=True)]
    return _rows(quantity, pairs, both, free, in_errors=_in_errors(estimate, error)).assign(error=error)


def error_without_current(
    estimate: Float[np.ndarray, " pair"], error: Float[np.ndarray, " pair"], *, n_counts: Float[np.ndarray, " pair"]
) -> Float[np.ndarray, " pair"]:
    """Error that a current would have if it were zero; NaN where it is zero by construction.

    The error of a share of n transitions shrinks, as (1 - current^2)^(1/2), towards the largest current, and would make
    three transitions the same way look certain; without a current it is (n + 1)^(-1/2).
    """
    shrunk = np.sqrt(np.clip(1 - estimate**2, 0, 1))
    one_way = shrunk < SMALLEST_SPREAD
    known = np.where(one_way, 1 / np.sqrt(n_counts + 1), error / np.where(one_way, 1, shrunk))
    return np.where(known > SMALLEST_SPREAD, known, np.nan)


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


def _in_errors(difference: Float[np.ndarray, " row"], error: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    """Size of the differences in their errors; NaN where nothing varies."""
    return np.divide(np.abs(difference), error, out=np.full_like(difference, np.nan), where=error > 0)


def _rows(
    quantity: str,
    names: list[str],
    both: Sequence[tuple[Float[np.ndarray, " row"], Float[np.ndarray, "sample row"]]],
    posterior: Posterior,
    *,
    in_errors: Float[np.ndarray, " row"],
) -> pd.DataFrame:
    """Estimates and samples of the reversible and of the non-reversible model, with intervals."""
    table = pd.DataFrame({"quantity": quantity, "name": names})
    for model, (estimate, samples) in zip(("reversible", "nonreversible"), both, strict=True):
        table[model] = estimate
        table[f"{model}_lower"], table[f"{model}_upper"] = posterior.interval_of(quantity, samples, around=estimate)
    return table.assign(difference_in_errors=np.where(posterior.is_sparse, np.nan, in_errors))


def as_one_of(in_errors: float, n_compared: int) -> float:
    """Errors by which a single number would have to be off to be as unlikely as the largest of so many.

    The tail of the normal distribution, exp(-x^2 / 2), is that much smaller: x^2 = in_errors^2 - 2 ln n.
    """
    return float(np.sqrt(max(0.0, in_errors**2 - 2 * np.log(n_compared))))


def tested(table: pd.DataFrame) -> pd.DataFrame:
    """Rows that the verdict rests on: populations, timescales between the macrostates, and currents that may differ."""
    between = [str(process) for process in range(1, (table.quantity == "population").sum())]
    fast = (table.quantity == "timescale_ps") & ~table.name.isin(between)
    return table[~fast & table.difference_in_errors.notna()]


def reversibility_verdict(table: pd.DataFrame) -> dict[str, object]:
    """Which estimate is justified: the reversible one unless currents, populations or timescales contradict it."""
    compared, objections = tested(table), Objections()
    has_currents = compared.quantity.str.startswith("current").any()
    in_errors = as_one_of(float(compared.difference_in_errors.max()), len(compared)) if has_currents else None
    if in_errors is None:
        objections.not_estimable.append(
            "no current can be estimated with an error: the microstates have no cycle, or too few counts"
        )
    elif in_errors > PASS_ERRORS:
        worst = compared.loc[compared.difference_in_errors.idxmax()]
        (objections.failures if in_errors > FAIL_ERRORS else objections.warnings).append(
            f"{_contradiction(worst)} ({in_errors:.1f} errors): the data are not those of a process in equilibrium; "
            "look at the non-reversible estimate too"
        )
    errors = compared.error[compared.quantity.str.startswith("current")]
    if in_errors is not None and errors.median() > BLIND_CURRENT:
        objections.warnings.append(
            f"half of the currents have errors above {errors.median():.2g} of the largest possible ones: too few "
            "transitions to tell a driven process from one in equilibrium"
        )
    justified = "non-reversible" if objections.failures else "reversible"
    return objections.verdict_and_reasons() | {
        "largest_difference_in_errors": in_errors,
        "largest_of_all_in_errors": None if in_errors is None else float(compared.difference_in_errors.max()),
        "justified": None if in_errors is None else justified,
        "n_compared": len(compared),
        "comparison": table.to_dict("records"),
        "thresholds": {"pass_errors": PASS_ERRORS, "fail_errors": FAIL_ERRORS, "blind_current": BLIND_CURRENT},
    }


def _contradiction(row: pd.Series) -> str:
    """What a row contradicts, in words."""
    if row.quantity == "population":
        return f"the population of state {row['name']} changes without detailed balance"
    if row.quantity == "timescale_ps":
        return f"t{int(row['name']) + 1} changes without detailed balance"
    where = "" if row.quantity == "current" else " between sets of microstates"
    return f"the net current {row['name'].replace('-', ' to ')}{where} is not zero"
