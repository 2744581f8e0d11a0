"""Timescales and populations from parts of the data: do they settle, and do two halves agree?

Nested parts share their data, so their agreement shows little; the first and the second half of every trajectory are
nearly independent, and their difference is judged in units of its error. A drift, because trajectories start far from
equilibrium, shows there too.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from geom2msm.judgement import Objections
from geom2msm.markov import (
    MarkovModel,
    MsmSettings,
    count_transitions,
    estimate_model,
    sample_posterior,
    timescale_table,
)
from geom2msm.markov_validation import FAIL_ERRORS, INTERVAL_IN_ERRORS, PASS_ERRORS
from geom2msm.states import NOT_ACTIVE, Macrostates, macrostate_of_microstate

# A timescale that may as well be half or twice as long says little.
WIDE_INTERVAL = 4.0
# Differences between the halves that may at most pass: the factor of a time, and of a population.
HIDDEN_FACTOR = 10.0
HIDDEN_DIFFERENCE = 2 / 3
THRESHOLDS = {
    "pass_errors": PASS_ERRORS,
    "fail_errors": FAIL_ERRORS,
    "wide_interval": WIDE_INTERVAL,
    "hidden_factor": HIDDEN_FACTOR,
    "hidden_difference": HIDDEN_DIFFERENCE,
}


@dataclass(frozen=True)
class Part:
    """The first or the last share of every trajectory."""

    end: str
    fraction: float

    def of(self, dtraj: Int[np.ndarray, " frame"]) -> Int[np.ndarray, " part"]:
        """These frames of a trajectory."""
        n_frames = int(self.fraction * len(dtraj))
        return dtraj[:n_frames] if self.end == "first" else dtraj[len(dtraj) - n_frames :]


PARTS = [Part("first", fraction) for fraction in (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)] + [Part("last", 0.5)]


def convergence_table(
    dtrajs: Sequence[Int[np.ndarray, " _"]], model: MarkovModel, macrostates: Macrostates, settings: MsmSettings
) -> pd.DataFrame:
    """Estimates with 95 % intervals from parts of the data at the lag of the model; NaN where not estimable.

    `quantity` is t2, t3, … (in ps) or "population" followed by the number of a macrostate of the whole model.
    """
    macrostate, n_states = macrostate_of_microstate(model, macrostates), macrostates.n_found
    tables = []
    for part in PARTS:
        try:
            table = _estimates([part.of(dtraj) for dtraj in dtrajs], model, macrostate, settings, n_states)
        except ValueError as error:
            logging.warning("%s %g %% of the data: not estimable: %s", part.end, 100 * part.fraction, error)
            table = pd.DataFrame({"quantity": _quantities(settings, n_states)})
        tables.append(table.assign(end=part.end, fraction=part.fraction))
    columns = ["end", "fraction", "quantity", "estimate", "lower", "upper"]
    return pd.concat(tables, ignore_index=True).reindex(columns=columns)


def _quantities(settings: MsmSettings, n_states: int) -> list[str]:
    timescales = [f"t{process + 2}" for process in range(settings.n_processes)]
    return timescales + [f"population {state + 1}" for state in range(n_states)]


def _estimates(
    dtrajs: list[Int[np.ndarray, " _"]],
    whole: MarkovModel,
    macrostate: Int[np.ndarray, " microstate"],
    settings: MsmSettings,
    n_states: int,
) -> pd.DataFrame:
    counts = count_transitions(dtrajs, lag_frames=whole.counts.lag_frames, n_microstates=len(macrostate))
    model = estimate_model(counts)
    posterior = sample_posterior(model, n_samples=settings.n_posterior_samples, seed=settings.seed)
    times = timescale_table(model, posterior, lag_ps=settings.lag_ps, n_processes=settings.n_processes)
    owner = macrostate[counts.active]
    most_likely, samples = (
        _populations(each, owner, n_macrostates=n_states)
        for each in (model.stationary_distribution, posterior.stationary_distributions)
    )
    lower, upper = posterior.interval(samples)
    return pd.DataFrame({
        "quantity": _quantities(settings, n_states),
        "estimate": np.concatenate([times.estimate_ps, most_likely]),
        "lower": np.concatenate([times.lower_ps, lower]),
        "upper": np.concatenate([times.upper_ps, upper]),
    })  # fmt: skip


def _populations(
    distribution: Float[np.ndarray, "*sample active"], owner: Int[np.ndarray, " active"], *, n_macrostates: int
) -> Float[np.ndarray, "*sample macrostate"]:
    """Probability of each macrostate; NaN, not 0, for one outside the active set: nothing is known of it."""
    indicator = (owner[:, None] == np.arange(n_macrostates)).astype(float)
    indicator[:, ~indicator.any(axis=0)] = np.nan
    known = distribution[..., owner != NOT_ACTIVE].sum(axis=-1, keepdims=True)
    return distribution @ indicator / known


def halves(table: pd.DataFrame) -> pd.DataFrame:
    """Both halves of every quantity side by side, with their difference in combined standard errors, and these.

    Times are compared by their logarithms, for their errors are relative.
    """
    first, second = (
        table[(table.end == end) & (table.fraction == 0.5)].set_index("quantity") for end in ("first", "last")
    )
    whole = table[(table.end == "first") & (table.fraction == 1.0)].set_index("quantity")
    is_time = first.index.str.startswith("t")
    scaled = [
        half[["estimate", "lower", "upper"]].apply(lambda values: np.log(values).where(is_time, values))
        for half in (first, second)
    ]
    errors = [(half.upper - half.lower) / (2 * INTERVAL_IN_ERRORS) for half in scaled]
    error = np.hypot(*errors)
    difference = (scaled[0].estimate - scaled[1].estimate).abs() / error
    return pd.DataFrame({
        "first": first.estimate, "second": second.estimate, "difference_in_errors": difference, "error": error,
        "whole": whole.estimate, "lower": whole.lower, "upper": whole.upper,
    }).reset_index()  # fmt: skip


def _objections(compared: pd.DataFrame, *, times: Sequence[str]) -> Objections:
    """What speaks against the rows of `halves`; without an error from half of the data a number is not converged."""
    objections = Objections()
    known = compared.difference_in_errors.notna()
    missing = compared[["whole", "lower", "upper"]].isna().any(axis=1)
    objections.add_missing(
        [f"{name} cannot be estimated with an error from all data" for name in compared.quantity[missing]],
        anything_compared=bool(known.any()),
    )
    for name in compared.quantity[~known & ~missing]:
        objections.warnings.append(f"{name} cannot be estimated with an error from half of the data")
    for row in compared[known].itertuples():
        if row.difference_in_errors > PASS_ERRORS:
            kind = objections.failures if row.difference_in_errors > FAIL_ERRORS else objections.warnings
            kind.append(
                f"the halves differ in {row.quantity}, {row.first:.3g} and {row.second:.3g}, "
                f"by {row.difference_in_errors:.1f} errors"
            )
        objections.warnings.extend(_hidden(row.quantity, row.error, is_time=row.quantity in times))
    for row in compared[compared.quantity.isin(times)].itertuples():
        if row.upper > WIDE_INTERVAL * row.lower:
            objections.warnings.append(
                f"{row.quantity} may lie anywhere from {row.lower:.3g} to {row.upper:.3g} ps: more data are needed"
            )
    return objections


def _hidden(quantity: str, error: float, *, is_time: bool) -> list[str]:
    """That halves with such errors agree says little; empty if it says something."""
    unnoticed = np.exp(PASS_ERRORS * error) if is_time else PASS_ERRORS * error
    if unnoticed <= (HIDDEN_FACTOR if is_time else HIDDEN_DIFFERENCE):
        return []
    by = f"{'a factor' if is_time else 'a difference'} of {unnoticed:.2g}"
    return [f"{quantity} of the halves is so uncertain that {by} would pass: more data are needed"]


def convergence_verdict(table: pd.DataFrame, *, n_processes: int) -> dict[str, object]:
    """Whether the halves agree on the populations and on the processes that separate the macrostates."""
    compared = halves(table).set_index("quantity")
    times = [f"t{process + 2}" for process in range(n_processes)]
    populations = [name for name in compared.index if name.startswith("population")]
    compared = compared.reindex(times + populations).rename_axis("quantity").reset_index()
    return _objections(compared, times=times).verdict_and_reasons() | {
        "largest_difference_in_errors": float(compared.difference_in_errors.max()),
        "halves": compared.to_dict("records"),
        "thresholds": THRESHOLDS,
    }
