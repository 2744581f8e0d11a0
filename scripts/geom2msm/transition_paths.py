"""Transition path theory: committors, reactive flux and pathways from one set of macrostates to another.

E & Vanden-Eijnden, J. Stat. Phys. 123 (2006) 503; Noé et al., PNAS 106 (2009) 19011. Estimates are deeptime's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from deeptime.markov import reactive_flux
from deeptime.markov.tools.flux import pathways
from jaxtyping import Float

from geom2msm.judgement import NotEstimable, Objections
from geom2msm.markov import MarkovModel, Posterior, right_eigenvectors
from geom2msm.sampled_matrices import interval
from geom2msm.states import Macrostates
from geom2msm.units import PS_PER_NS

# Pathways are listed until they carry this share of the flux.
LISTED_SHARE = 0.99
# A rate is known if its interval spans at most this factor.
KNOWN_FACTOR = 3.0


@dataclass(frozen=True)
class PathSettings:
    """Where the transition paths begin and end: a rule, or numbers of macrostates counted from 1."""

    source: str | Sequence[int]
    target: str | Sequence[int]


@dataclass(frozen=True)
class PathSets:
    """Macrostates, counted from 0, in which transition paths begin and end."""

    source: list[int]
    target: list[int]


@dataclass(frozen=True)
class TransitionPaths:
    """Committors of microstates, net flux between macrostates and its sum, per lag, and the rate of transitions."""

    forward_committor: Float[np.ndarray, " active"]
    backward_committor: Float[np.ndarray, " active"]
    net_flux: Float[np.ndarray, "macrostate macrostate"]
    total_flux: float
    rate: float


def choose_sets(model: MarkovModel, macrostates: Macrostates, settings: PathSettings) -> PathSets:
    """The sets that the config names; `slowest_process` is what that process changes most, seen from the other end.

    The config may name states that the model turned out not to have.
    """
    n_macrostates = macrostates.n_found
    fixed = {"most_probable": [0], "least_probable": [n_macrostates - 1]}

    def states(end: str | Sequence[int]) -> list[int] | None:
        return fixed.get(end) if isinstance(end, str) else [state - 1 for state in end]

    source, target = states(settings.source), states(settings.target)
    if source is None and target is None:
        raise ValueError("msm.transition_paths: source and target cannot both be slowest_process; name one of them.")
    named = set(source or []) | set(target or [])
    if missing := sorted(state for state in named if state >= n_macrostates):
        raise NotEstimable(
            f"msm.transition_paths names state {_numbers(missing)}, but the last state of the model is {n_macrostates}"
        )
    if n_macrostates < 2:
        raise NotEstimable("msm.transition_paths: the model has one state, so that nothing begins or ends")
    if source is None:
        source = [_farthest(model, macrostates, other=target)]
    if target is None:
        target = [_farthest(model, macrostates, other=source)]
    if set(source) & set(target):
        raise NotEstimable(
            f"msm.transition_paths: from states {_numbers(source)} to states {_numbers(target)}, but they must differ "
            f"and the last state of the model is {n_macrostates}"
        )
    return PathSets(source, target)


def _farthest(model: MarkovModel, macrostates: Macrostates, *, other: list[int]) -> int:
    """The macrostate whose mean of the slowest process' eigenfunction is farthest from that of the other states."""
    slowest = right_eigenvectors(model, n_processes=2)[:, 1]
    weight = macrostates.indicator * model.stationary_distribution[:, None]
    mean = slowest @ weight / weight.sum(axis=0)
    distance = np.abs(mean - slowest @ weight[:, other].sum(axis=1) / weight[:, other].sum())
    distance[other] = -1
    return int(distance.argmax())


def _numbers(states: Sequence[int]) -> str:
    return ", ".join(str(state + 1) for state in states)


def find_paths(
    transition_matrix: Float[np.ndarray, "active active"],
    stationary_distribution: Float[np.ndarray, " active"],
    macrostates: Macrostates,
    sets: PathSets,
) -> TransitionPaths:
    """Committors and flux between microstates, the flux summed over the microstates of each macrostate.

    Net flux is what remains of the flux one way when the flux back is taken off.
    """
    source, target = (np.flatnonzero(np.isin(macrostates.assignment, end)) for end in (sets.source, sets.target))
    found = reactive_flux(transition_matrix, source, target, stationary_distribution=stationary_distribution)
    gross = macrostates.indicator.T @ found.gross_flux @ macrostates.indicator
    net = np.maximum(gross - gross.T, 0)
    return TransitionPaths(
        found.forward_committor, found.backward_committor, net, float(found.total_flux), float(found.rate)
    )


def unknown_paths(macrostates: Macrostates) -> TransitionPaths:
    """Paths of which no number is known."""
    n_active, n_macrostates = macrostates.memberships.shape
    unknown, flux = np.full(n_active, np.nan), np.full((n_macrostates, n_macrostates), np.nan)
    return TransitionPaths(unknown, unknown, flux, math.nan, math.nan)


def sample_paths(
    posterior: Posterior, macrostates: Macrostates, sets: PathSets, *, around: TransitionPaths
) -> list[TransitionPaths]:
    """The same of every sample of the posterior, fluxes and rates scaled until their medians are the most likely ones.

    Sampled matrices are too slow (`Posterior.centered_interval`). Where their counts are too few, or where they miss
    the most likely rate, there is one sample without numbers.
    """
    if posterior.is_sparse:
        return [unknown_paths(macrostates)]
    found = [find_paths(matrix, distribution, macrostates, sets) for matrix, distribution in posterior]
    rates, fluxes = (np.array([getattr(each, name) for each in found]) for name in ("rate", "total_flux"))
    if np.isnan(posterior.interval(rates, around=np.array(around.rate))).any():
        return [unknown_paths(macrostates)]
    rate, flux = around.rate / np.median(rates), around.total_flux / np.median(fluxes)
    return [
        replace(each, rate=rate * each.rate, total_flux=flux * each.total_flux, net_flux=flux * each.net_flux)
        for each in found
    ]


def committor_table(
    model: MarkovModel, macrostates: Macrostates, paths: TransitionPaths, samples: Sequence[TransitionPaths]
) -> pd.DataFrame:
    """One row per active microstate (counted from 0): the probability to reach the target before the source."""
    lower, upper = interval(np.array([each.forward_committor for each in samples]))
    return pd.DataFrame({
        "microstate": model.counts.active, "state": macrostates.assignment + 1,
        "probability": model.stationary_distribution,
        "committor": paths.forward_committor, "committor_lower": lower, "committor_upper": upper,
        "backward_committor": paths.backward_committor,
    })  # fmt: skip


def flux_table(paths: TransitionPaths, samples: Sequence[TransitionPaths], *, lag_ps: float) -> pd.DataFrame:
    """One row per pair of macrostates with net flux: transition paths per ns, and their share of all of them."""
    per_ns = PS_PER_NS / lag_ps
    origin, target = np.nonzero(paths.net_flux > 0)
    sampled = np.array([each.net_flux[origin, target] for each in samples])
    lower, upper = interval(per_ns * sampled)
    flux = paths.net_flux[origin, target]
    return pd.DataFrame({
        "from_state": origin + 1, "to_state": target + 1,
        "flux_per_ns": per_ns * flux, "flux_lower_per_ns": lower, "flux_upper_per_ns": upper,
        "fraction": flux / paths.total_flux,
    })  # fmt: skip


def decompose(paths: TransitionPaths, sets: PathSets, *, share: float = 1.0) -> dict[tuple[int, ...], float]:
    """Pathways through macrostates (counted from 1) and their shares of the flux, the strongest first.

    There are none where the flux is not known.
    """
    if math.isnan(paths.total_flux):
        return {}
    routes, capacities = pathways(paths.net_flux, sets.source, sets.target, fraction=share)
    found: dict[tuple[int, ...], float] = {}
    for route, capacity in zip(routes, capacities, strict=True):
        key = tuple(int(state) + 1 for state in route)
        found[key] = found.get(key, 0.0) + float(capacity) / paths.total_flux
    return found


def _shares(paths: TransitionPaths, sets: PathSets, routes: Sequence[tuple[int, ...]]) -> Float[np.ndarray, " route"]:
    """Shares of the flux of these pathways; NaN where the flux is not known."""
    if math.isnan(paths.total_flux):
        return np.full(len(routes), np.nan)
    found = decompose(paths, sets)
    return np.array([found.get(route, 0.0) for route in routes])


def pathway_table(
    paths: TransitionPaths, samples: Sequence[TransitionPaths], sets: PathSets, *, lag_ps: float
) -> pd.DataFrame:
    """One row per pathway, strongest first, with its share of the flux; the share is 0 in samples without it."""
    listed = decompose(paths, sets, share=LISTED_SHARE)
    lower, upper = interval(np.array([_shares(each, sets, list(listed)) for each in samples]))
    fraction = np.array(list(listed.values()))
    return pd.DataFrame({
        "pathway": [" > ".join(map(str, route)) for route in listed],
        "flux_per_ns": fraction * paths.total_flux * PS_PER_NS / lag_ps,
        "fraction": fraction, "fraction_lower": lower, "fraction_upper": upper,
    })  # fmt: skip


def paths_verdict(
    paths: TransitionPaths, samples: Sequence[TransitionPaths], sets: PathSets, *, lag_ps: float
) -> dict[str, object]:
    """Total flux, rate and mean first passage time from source to target with intervals: are they known well?"""
    rates = np.array([each.rate for each in samples]) / lag_ps
    fluxes = np.array([each.total_flux for each in samples]) * PS_PER_NS / lag_ps
    rate = paths.rate / lag_ps
    return {
        "source_states": [state + 1 for state in sets.source],
        "target_states": [state + 1 for state in sets.target],
        **_with_interval("total_flux_per_ns", paths.total_flux * PS_PER_NS / lag_ps, fluxes),
        **_with_interval("rate_per_ns", rate * PS_PER_NS, rates * PS_PER_NS),
        **_with_interval("mfpt_ps", 1 / rate, 1 / rates),
        **_objections(*interval(rates)).verdict_and_reasons(),
        "thresholds": {"known_factor": KNOWN_FACTOR},
    }


def _objections(lower: float, upper: float) -> Objections:
    """What speaks against quoting the rate with this interval."""
    objections = Objections()
    if math.isnan(lower):
        objections.not_estimable.append(
            "the rate has no interval, or its posterior misses it: use fewer microstates, a shorter lag or more data"
        )
    if upper > KNOWN_FACTOR * lower:
        objections.warnings.append(
            f"the 95 % interval of the rate spans a factor of {upper / lower:.2g}: more transitions are needed"
        )
    return objections


def _with_interval(name: str, value: float, samples: Float[np.ndarray, " sample"]) -> Mapping[str, float]:
    lower, upper = interval(samples)
    return {name: float(value), f"{name}_lower": float(lower), f"{name}_upper": float(upper)}
