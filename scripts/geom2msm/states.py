"""Microstates, macrostates, and what the trajectories do between them."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from deeptime.markov import pcca
from jaxtyping import Float, Float32, Int
from sklearn.cluster import KMeans

from geom2msm.joined_store import every_frame_of
from geom2msm.markov import Counts, MarkovModel, eigenvalues, right_eigenvectors, why_no_intervals

MAX_CLUSTERED_FRAMES = 100_000
CHUNK_FRAMES = 8192
NOT_ACTIVE = -1


@dataclass(frozen=True)
class Shortfall:
    """That there are fewer macrostates than msm.n_macrostates asks for, and why, in one sentence."""

    n_asked: int
    reason: str


@dataclass(frozen=True)
class Macrostates:
    """PCCA+ memberships of the active microstates and, for each, the macrostate of highest membership.

    States are ordered by decreasing stationary probability; in arrays they count from 0.
    """

    memberships: Float[np.ndarray, "active macrostate"]
    assignment: Int[np.ndarray, " active"]
    shortfall: Shortfall | None = None

    @property
    def n_found(self) -> int:
        """How many macrostates there are."""
        return self.memberships.shape[1]

    @property
    def n_asked(self) -> int:
        """How many macrostates were asked for."""
        return self.shortfall.n_asked if self.shortfall else self.n_found

    @property
    def indicator(self) -> Float[np.ndarray, "active macrostate"]:
        """One where a microstate is assigned to a macrostate, else zero."""
        return np.eye(self.n_found)[self.assignment]


@dataclass(frozen=True)
class Visits:
    """What the trajectories did, counted directly: independent of any Markov model.

    A visit lasts at least the coring time; shorter ones are recrossings and belong to the visit before.
    """

    visits: Int[np.ndarray, " macrostate"]
    transitions: Int[np.ndarray, "macrostate macrostate"]
    n_trajectories: Int[np.ndarray, " macrostate"]

    @property
    def entries(self) -> Int[np.ndarray, " macrostate"]:
        """Observed transitions into each state."""
        return self.transitions.sum(axis=0)

    @property
    def exits(self) -> Int[np.ndarray, " macrostate"]:
        """Observed transitions out of each state."""
        return self.transitions.sum(axis=1)


def fit_microstates(
    variables: Sequence[Float[np.ndarray, "_ dimension"]], *, n_microstates: int, seed: int
) -> Float[np.ndarray, "microstate dimension"]:
    """k-means centers of at most 100,000 frames, evenly spaced over all trajectories laid end to end."""
    lengths = list(map(len, variables))
    chosen = every_frame_of(lengths, step=max(1, math.ceil(sum(lengths) / MAX_CLUSTERED_FRAMES)))
    points = np.concatenate([each[frames] for each, frames in zip(variables, chosen, strict=True)]).astype(np.float64)
    n_distinct = len(np.unique(points, axis=0))
    if n_distinct < 2:
        raise ValueError(
            "all frames have the same variables, so there is nothing to cluster; the model has learned a constant: "
            "train it again or give it more data."
        )
    if n_distinct < n_microstates:
        logging.warning("only %d frames differ: as many microstates, not %d", n_distinct, n_microstates)
    clustering = KMeans(n_clusters=min(n_microstates, n_distinct), n_init=1, random_state=seed).fit(points)
    logging.info("%d centers from %d frames, %d iterations", clustering.n_clusters, len(points), clustering.n_iter_)
    return clustering.cluster_centers_


def assign_microstates(
    variables: Float[np.ndarray, "frame dimension"], centers: Float[np.ndarray, "microstate dimension"]
) -> Int[np.ndarray, " frame"]:
    """The nearest center of each frame."""
    centers = centers.astype(np.float64)
    microstate = np.empty(len(variables), dtype=np.int32)
    for first in range(0, len(variables), CHUNK_FRAMES):
        piece = slice(first, first + CHUNK_FRAMES)
        # |x|^2 is the same for all centers.
        squares = np.sum(centers**2, axis=1) - 2 * variables[piece].astype(np.float64) @ centers.T
        microstate[piece] = squares.argmin(axis=1)
    return microstate


def distance_to_center(
    variables: Float[np.ndarray, "frame dimension"],
    centers: Float[np.ndarray, "microstate dimension"],
    microstate: Int[np.ndarray, " frame"],
) -> Float32[np.ndarray, " frame"]:
    """How far each frame is from the center of its microstate."""
    distance = np.empty(len(variables), dtype=np.float32)
    for first in range(0, len(variables), CHUNK_FRAMES):
        piece = slice(first, first + CHUNK_FRAMES)
        distance[piece] = np.linalg.norm(variables[piece] - centers[microstate[piece]], axis=1)
    return distance


def find_macrostates(model: MarkovModel, *, n_macrostates: int) -> Macrostates:
    """PCCA+ (Röblitz & Weber, Adv. Data Anal. Classif. 7 (2013) 147), most populated state first.

    Where the data do not make so many states, the largest number of which each owns a microstate.
    """
    n_active = len(model.transition_matrix)
    if n_active < 2:
        shortfall = _shortfall(n_macrostates, 1, why_no_intervals(model.counts))
        return Macrostates(np.ones((1, 1)), np.zeros(1, dtype=int), shortfall)
    reasons = [f"only {n_active} microstates are connected in both directions"] if n_active < n_macrostates else []
    for n_states in range(min(n_macrostates, n_active), 1, -1):
        try:
            memberships = _divide(model, n_states)
        except NotDivisible as error:
            reasons.append(str(error))
            continue
        advice = f"set msm.n_macrostates to {n_states}, or bring more data"
        shortfall = _shortfall(n_macrostates, n_states, f"{reasons[0]}; {advice}") if reasons else None
        return Macrostates(memberships, memberships.argmax(axis=1), shortfall)
    raise ValueError(f"msm.n_macrostates = {n_macrostates}: {reasons[-1]}; change msm.n_microstates or msm.lag_ps.")


class NotDivisible(ValueError):
    """A model that PCCA+ does not divide into so many states."""


def _divide(model: MarkovModel, n_states: int) -> Float[np.ndarray, "active macrostate"]:
    """Memberships in so many states, of which each owns a microstate."""
    try:
        found = pcca(model.transition_matrix, n_states, model.stationary_distribution.copy()).memberships
    except (AssertionError, np.linalg.LinAlgError, RuntimeError, ValueError) as error:
        raise NotDivisible(f"PCCA+ finds no division into {n_states} states ({error})") from error
    n_owners = len(np.unique(found.argmax(axis=1)))
    if n_owners < n_states or not np.isfinite(found).all():
        raise NotDivisible(f"of {n_states} states PCCA+ leaves {n_states - n_owners} without a microstate")
    probability = model.stationary_distribution @ np.eye(n_states)[found.argmax(axis=1)]
    return found[:, np.argsort(-probability)]


def _shortfall(n_asked: int, n_found: int, why: str) -> Shortfall:
    reason = f"msm.n_macrostates asks for {n_asked} states, but the model has {n_found}: {why}"
    logging.warning(reason)
    return Shortfall(n_asked, reason)


def representative_microstates(model: MarkovModel, macrostates: Macrostates) -> Int[np.ndarray, " macrostate"]:
    """For each macrostate the microstate that holds most of it: highest stationary probability x membership.

    It lies where the state is most often found, and the membership keeps it off the borders.
    """
    weight = model.stationary_distribution[:, None] * macrostates.memberships * macrostates.indicator
    return model.counts.active[weight.argmax(axis=0)]


def macrostate_of_microstate(model: MarkovModel, macrostates: Macrostates) -> Int[np.ndarray, " microstate"]:
    """The macrostate of every microstate, -1 outside the active set."""
    assignment = np.full(len(model.counts.matrix), NOT_ACTIVE, dtype=np.int32)
    assignment[model.counts.active] = macrostates.assignment
    return assignment


def state_probabilities(
    microstate: Int[np.ndarray, " frame"],
    active_microstates: Int[np.ndarray, " active"],
    memberships: Float[np.ndarray, "active macrostate"],
    *,
    n_microstates: int,
) -> Float[np.ndarray, "frame macrostate"]:
    """PCCA+ memberships of each frame's microstate; zeros outside the active set."""
    table = np.zeros((n_microstates, memberships.shape[1]), dtype=np.float32)
    table[active_microstates] = memberships
    return table[microstate]


def cored_visits(macrostate: Int[np.ndarray, " frame"], *, coring_frames: int) -> Int[np.ndarray, " visit"]:
    """The sequence of states in which the trajectory stays for at least the coring time.

    Dynamical coring, Nagel et al., J. Chem. Phys. 150 (2019) 094111: an excursion that is back before
    the coring time is up is no visit. Frames outside the active set appear as -1.
    """
    starts = np.flatnonzero(np.diff(macrostate, prepend=macrostate[0] - 1))
    lasts = np.diff(starts, append=len(macrostate)) >= coring_frames
    visited = macrostate[starts[lasts]]
    return visited[np.diff(visited, prepend=NOT_ACTIVE - 1) != 0]


def count_visits(macrostates: Sequence[Int[np.ndarray, " _"]], *, n_macrostates: int, coring_frames: int) -> Visits:
    """Visits, transitions and visiting trajectories of each state; a passage through -1 is no transition."""
    visits = np.zeros(n_macrostates, dtype=np.int64)
    transitions = np.zeros((n_macrostates, n_macrostates), dtype=np.int64)
    n_trajectories = np.zeros(n_macrostates, dtype=np.int64)
    for macrostate in macrostates:
        sequence = cored_visits(macrostate, coring_frames=coring_frames)
        known = sequence[sequence != NOT_ACTIVE]
        np.add.at(visits, known, 1)
        n_trajectories[np.unique(known)] += 1
        origin, target = sequence[:-1], sequence[1:]
        both = (origin != NOT_ACTIVE) & (target != NOT_ACTIVE)
        np.add.at(transitions, (origin[both], target[both]), 1)
    return Visits(visits, transitions, n_trajectories)


def save_model(
    file: BinaryIO, model: MarkovModel, macrostates: Macrostates, *, lag_ps: float, n_processes: int
) -> None:
    """Write the model and its macrostates as .npz; states count from 0 there."""
    np.savez(
        file,
        transition_matrix=model.transition_matrix,
        stationary_distribution=model.stationary_distribution,
        memberships=macrostates.memberships,
        macrostate_of_microstate=macrostate_of_microstate(model, macrostates),
        active_microstates=model.counts.active,
        count_matrix=model.counts.matrix,
        n_frames=model.counts.frames,
        eigenvalues=eigenvalues(model.transition_matrix, model.stationary_distribution),
        right_eigenvectors=right_eigenvectors(model, n_processes=n_processes + 1),
        lag_ps=lag_ps,
        lag_frames=model.counts.lag_frames,
        n_macrostates_asked=macrostates.n_asked,
        why_fewer_macrostates=macrostates.shortfall.reason if macrostates.shortfall else "",
    )


def read_model(path: str) -> tuple[MarkovModel, Macrostates]:
    """The model and macrostates that `save_model` wrote; only the active set is known of the connected sets."""
    with np.load(path) as stored:
        counts = Counts(
            int(stored["lag_frames"]), stored["count_matrix"], stored["n_frames"], [stored["active_microstates"]]
        )
        model = MarkovModel(counts, stored["transition_matrix"], stored["stationary_distribution"])
        reason, n_asked = str(stored["why_fewer_macrostates"]), int(stored["n_macrostates_asked"])
        shortfall = Shortfall(n_asked, reason) if reason else None
        return model, Macrostates(stored["memberships"], stored["memberships"].argmax(axis=1), shortfall)
