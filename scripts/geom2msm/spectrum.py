"""The spectrum of the Markov model and what it says about the number of macrostates; fuzzy memberships."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from geom2msm.judgement import Objections
from geom2msm.markov import (
    MarkovModel,
    Posterior,
    implied_timescales,
    leading_eigenvalues,
    sampled_eigenvalues,
)
from geom2msm.states import Macrostates

# A gap separates slow from fast processes if the ratio of their timescales is at least this (Wehmeyer et al., 2018).
CLEAR_GAP = 2.0
# The eigenvalue of a process whose timescale is the lag; faster ones are over within one step of the model.
EIGENVALUE_AT_LAG = float(np.exp(-1))
# A microstate belongs to no macrostate in particular if its highest membership is below this.
FUZZY_MEMBERSHIP = 0.6
MAX_PROCESSES = 15


def spectrum_table(model: MarkovModel, posterior: Posterior, *, lag_ps: float) -> pd.DataFrame:
    """One row per process: eigenvalue; timescale and the gap t_i / t_(i+1) to the next, with 95 % intervals.

    What has no timescale (an eigenvalue that is not positive) is NaN, and so is an interval that excludes the estimate.
    """
    n_processes = min(MAX_PROCESSES, len(model.transition_matrix) - 1)
    # One timescale more than there are rows, for the last gap, and the stationary process.
    n_values = n_processes + 2
    most_likely = leading_eigenvalues(model.transition_matrix, model.stationary_distribution, n_values=n_values)
    sampled = sampled_eigenvalues(posterior, n_values=n_values)
    table = pd.DataFrame({"process": np.arange(1, n_processes + 1)})
    times, time_samples = (
        implied_timescales(each, lag_ps=lag_ps, n_processes=n_processes + 1) for each in (most_likely, sampled)
    )
    table["eigenvalue"] = most_likely[1 : n_processes + 1]
    _add(table, posterior, "timescale", "_ps", times[:-1], time_samples[:, :-1])
    _add(table, posterior, "gap", "", times[:-1] / times[1:], time_samples[:, :-1] / time_samples[:, 1:])
    return table


def _add(
    table: pd.DataFrame,
    posterior: Posterior,
    name: str,
    unit: str,
    values: Float[np.ndarray, " process"],
    samples: Float[np.ndarray, "sample process"],
) -> None:
    table[f"{name}{unit}"] = values
    table[f"{name}_lower{unit}"], table[f"{name}_upper{unit}"] = posterior.centered_interval(samples, around=values)


def membership_table(
    model: MarkovModel, macrostates: Macrostates, centers: Float[np.ndarray, "microstate dimension"]
) -> pd.DataFrame:
    """One row per active microstate (counted from 0): its probability, macrostate, memberships, and where it lies."""
    memberships = macrostates.memberships
    table = pd.DataFrame({
        "microstate": model.counts.active, "probability": model.stationary_distribution,
        "state": macrostates.assignment + 1,
    })  # fmt: skip
    for state, column in enumerate(memberships.T, start=1):
        table[f"membership_{state}"] = column
    for dimension, column in enumerate(centers[model.counts.active].T, start=1):
        table[f"variable_{dimension}"] = column
    return table


def crispness(model: MarkovModel, macrostates: Macrostates) -> float:
    """How sharply n states are divided, from 1/n (not at all) to 1: mean over states of <χ, χ>_π / <χ, 1>_π.

    Röblitz & Weber, Adv. Data Anal. Classif. 7 (2013) 147. A single state is not divided from anything: NaN.
    """
    memberships, pi = macrostates.memberships, model.stationary_distribution
    if memberships.shape[1] < 2:
        return np.nan
    overlap = memberships.T @ (pi[:, None] * memberships)
    return float(np.trace(overlap / (pi @ memberships)[:, None]) / memberships.shape[1])


def spectrum_verdict(table: pd.DataFrame, model: MarkovModel, macrostates: Macrostates) -> dict[str, object]:
    """Whether a gap follows the processes between the macrostates, and how many states the widest gap would suggest.

    Fewer states than were asked for are a failure.
    """
    n_macrostates = macrostates.n_found
    fuzzy = macrostates.memberships.max(axis=1) < FUZZY_MEMBERSHIP
    found = {
        "n_macrostates": n_macrostates,
        "n_macrostates_asked": macrostates.n_asked,
        "crispness": crispness(model, macrostates),
        "fuzzy_probability": float(model.stationary_distribution[fuzzy].sum()),
        "thresholds": {"clear_gap": CLEAR_GAP, "fuzzy_membership": FUZZY_MEMBERSHIP},
    }
    objections = Objections(failures=[macrostates.shortfall.reason] if macrostates.shortfall else [])
    gaps = table.set_index("process")
    last = n_macrostates - 1
    if last not in gaps.index or np.isnan(gaps.gap[last]):
        if last > 0:
            objections.not_estimable.append(
                f"the model has no timescale after the {last} between its {n_macrostates} states to compare with"
            )
        return found | {"gap": None} | objections.verdict_and_reasons()
    gap = gaps.loc[last]
    if gap.eigenvalue < EIGENVALUE_AT_LAG:
        objections.warnings.append(
            f"t{last + 1} = {gap.timescale_ps:.3g} ps, one of the processes between {n_macrostates} states, is shorter "
            "than the lag: what it separates is mixed within one step"
        )
    slow = gaps.gap[gaps.eigenvalue >= EIGENVALUE_AT_LAG].dropna()
    widest = int(slow.idxmax()) if len(slow) else last
    if gap.gap < CLEAR_GAP:
        other = f"the widest, {gaps.gap[widest]:.2g}, suggests {widest + 1}"
        objections.warnings.append(
            f"t{last + 1} / t{last + 2} = {gap.gap:.2g}: no clear gap (at least {CLEAR_GAP:g}) follows the processes "
            f"between {n_macrostates} states; {'no other is wider' if widest == last else other}"
        )
    return found | {
        "gap": float(gap.gap),
        "gap_lower": float(gap.gap_lower) if np.isfinite(gap.gap_lower) else None,
        "gap_upper": float(gap.gap_upper) if np.isfinite(gap.gap_upper) else None,
        "n_macrostates_by_widest_gap": widest + 1,
        "widest_gap": float(gaps.gap[widest]),
        **objections.verdict_and_reasons(),
    }
