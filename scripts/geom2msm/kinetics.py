"""Populations, free energies and passage times of the macrostates, with 95 % intervals from the posterior."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from geom2msm.judgement import without_nan
from geom2msm.markov import MarkovModel, MsmSettings, Posterior, timescale_table
from geom2msm.states import Macrostates, Visits, representative_microstates
from geom2msm.units import KB_KJ_PER_MOL_K

CONVENTIONS = {
    "states": "from 1 in tables, from 0 in arrays, by decreasing stationary probability",
    "estimator": "reversible; sliding counts, divided by the lag for the posterior; intervals are 95 %",
    "active_set": "of the strongly connected sets of several microstates, the one with the most counts",
    "macrostates": "PCCA+; a microstate belongs to the macrostate of its highest membership",
    "visits": "counted directly; stays shorter than the lag are recrossings and not counted",
}


def mean_first_passage_times(
    transition_matrix: Float[np.ndarray, "active active"],
    stationary_distribution: Float[np.ndarray, " active"],
    indicator: Float[np.ndarray, "active macrostate"],
) -> Float[np.ndarray, "macrostate macrostate"]:
    """Mean time, in lags, from macrostate A (row) to first reach B (column), started in A's stationary distribution.

    m_i = 1 + sum_j T_ij m_j outside B, 0 inside; averaged over i in A with weight pi_i.
    """
    n_macrostates = indicator.shape[1]
    weight = indicator.T * stationary_distribution
    weight /= weight.sum(axis=1, keepdims=True)
    times = np.zeros((n_macrostates, n_macrostates))
    for target in range(n_macrostates):
        outside = np.flatnonzero(indicator[:, target] == 0)
        equations = np.eye(len(outside)) - transition_matrix[np.ix_(outside, outside)]
        try:
            times[:, target] = weight[:, outside] @ np.linalg.solve(equations, np.ones(len(outside)))
        except np.linalg.LinAlgError:
            # A sampled matrix may hold microstates that are never left, as far as numbers can say.
            times[np.arange(n_macrostates) != target, target] = np.inf
    return times


def sampled_passage_times(
    posterior: Posterior, indicator: Float[np.ndarray, "active macrostate"]
) -> Float[np.ndarray, "sample macrostate macrostate"]:
    """The same of every sample."""
    return np.array([mean_first_passage_times(*each, indicator) for each in posterior])


def state_table(model: MarkovModel, posterior: Posterior, macrostates: Macrostates, visits: Visits) -> pd.DataFrame:
    """One row per macrostate: stationary probability, free energy relative to state 1 in kT, and its sampling.

    A model of one microstate has no probabilities: nothing is known of the others.
    """
    indicator = macrostates.indicator
    probability = model.stationary_distribution @ indicator * (1.0 if len(model.transition_matrix) > 1 else np.nan)
    samples = posterior.stationary_distributions @ indicator
    lower, upper = posterior.interval(samples, around=probability)
    free_energy_kT = np.log(probability[0] / probability)
    lower_kT, upper_kT = posterior.interval(np.log(samples[:, :1] / samples), around=free_energy_kT)
    frames = model.counts.frames[model.counts.active] @ indicator
    return pd.DataFrame({
        "state": np.arange(1, len(probability) + 1),
        "probability": probability, "probability_lower": lower, "probability_upper": upper,
        "free_energy_kT": free_energy_kT, "free_energy_kT_lower": lower_kT, "free_energy_kT_upper": upper_kT,
        "fraction_of_frames": frames / frames.sum(),
        "n_microstates": indicator.sum(axis=0).astype(int),
        "visits": visits.visits, "entries": visits.entries, "exits": visits.exits,
        "n_trajectories": visits.n_trajectories,
        "representative_microstate": representative_microstates(model, macrostates),
    })  # fmt: skip


def rate_table(
    model: MarkovModel, posterior: Posterior, macrostates: Macrostates, visits: Visits, *, lag_ps: float
) -> pd.DataFrame:
    """One row per ordered pair of macrostates: mean first passage time and transitions observed."""
    indicator = macrostates.indicator
    mfpt_ps = lag_ps * mean_first_passage_times(model.transition_matrix, model.stationary_distribution, indicator)
    samples_ps = lag_ps * sampled_passage_times(posterior, indicator)
    lower_ps, upper_ps = posterior.centered_interval(samples_ps, around=mfpt_ps)
    origin, target = np.nonzero(~np.eye(len(mfpt_ps), dtype=bool))
    return pd.DataFrame({
        "from_state": origin + 1, "to_state": target + 1, "mfpt_ps": mfpt_ps[origin, target],
        "mfpt_lower_ps": lower_ps[origin, target], "mfpt_upper_ps": upper_ps[origin, target],
        "n_transitions": visits.transitions[origin, target],
    })  # fmt: skip


def model_summary(
    model: MarkovModel, posterior: Posterior, macrostates: Macrostates, settings: MsmSettings,
    *, temperature_K: float, n_trajectories: int,
) -> dict[str, object]:  # fmt: skip
    """Lag, active set, what was dropped, timescales, spectral gaps t_i / t_(i+1); not estimable is None."""
    counts = model.counts
    # One more than macrostates need, to see whether a gap follows the last of them.
    n_macrostates = macrostates.n_found
    n_processes = max(settings.n_timescales, n_macrostates)
    timescales = timescale_table(model, posterior, lag_ps=settings.lag_ps, n_processes=n_processes)
    timescales = timescales[["process", "estimate_ps", "lower_ps", "upper_ps"]]
    estimates = timescales.estimate_ps.to_numpy()
    return {
        "temperature_K": temperature_K,
        "kT_kJ_per_mol": KB_KJ_PER_MOL_K * temperature_K,
        "lag_ps": settings.lag_ps,
        "lag_frames": counts.lag_frames,
        "n_trajectories": n_trajectories,
        "n_frames": int(counts.frames.sum()),
        "n_microstates": len(counts.matrix),
        "n_active_microstates": len(counts.active),
        "fraction_of_frames_active": counts.fraction_of_frames,
        "fraction_of_counts_active": counts.fraction_of_counts,
        "independent_counts": float(counts.active_matrix.sum() / counts.lag_frames),
        "n_macrostates": n_macrostates,
        "n_macrostates_asked": macrostates.n_asked,
        "conventions": CONVENTIONS,
        "dropped": [
            {"microstates": states.tolist(), "n_frames": int(counts.frames[states].sum())}
            for states in counts.connected_sets[1:]
        ],
        "timescales": without_nan(timescales.to_dict("records")),
        "spectral_gaps": without_nan((estimates[:-1] / estimates[1:]).tolist()),
    }
