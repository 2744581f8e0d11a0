"""Microstates, macrostates, and what the trajectories do between them."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from deeptime.markov import pcca
from jaxtyping import Float, Int
from sklearn.cluster import KMeans

from geom2msm.markov import Counts, MarkovModel, eigenvalues, right_eigenvectors
from geom2msm.store import read_array, read_attributes

MAX_CLUSTERED_FRAMES = 100_000
CHUNK_FRAMES = 8192
NOT_ACTIVE = -1


@dataclass(frozen=True)
class Macrostates:
    """PCCA+ memberships of the active microstates and, for each, the macrostate of highest membership.

    States are ordered by decreasing stationary probability; in arrays they count from 0.
    """

    memberships: Float[np.ndarray, "active macrostate"]
    assignment: Int[np.ndarray, " active"]

    @property
    def indicator(self) -> Float[np.ndarray, "active macrostate"]:
        """One where a microstate is assigned to a macrostate, else zero."""
        return np.eye(self.memberships.shape[1])[self.assignment]


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


def read_variables(path: str) -> Float[np.ndarray, "frame dimension"]:
    """The variables of one trajectory, all of them finite."""
    variables = read_array(path, "variables")
    finite = np.isfinite(variables).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{path}: the variables of frame {int(np.flatnonzero(~finite)[0])} are not finite; "
            "train the model again, with a lower learning rate."
        )
    return variables


def read_frame_interval_ps(paths: Sequence[str]) -> float:
    """The frame interval that all stores share."""
    intervals_ps = [float(read_attributes(path)["frame_interval_ps"]) for path in paths]
    for path, interval_ps in zip(paths, intervals_ps, strict=True):
        if abs(interval_ps - intervals_ps[0]) > 1e-6 * intervals_ps[0]:
            raise ValueError(
                f"{path}: frame_interval_ps is {interval_ps:g}, but {paths[0]} has {intervals_ps[0]:g}; "
                "one Markov model needs one frame interval."
            )
    return intervals_ps[0]


def read_dtrajs(
    paths: Sequence[str], centers: Float[np.ndarray, "microstate dimension"]
) -> list[Int[np.ndarray, " _"]]:
    """The microstate of every frame: one discrete trajectory per run, whose pieces are joined in their order."""
    return _joined_by_attributes([read_microstates(path, centers)[0] for path in paths], paths)


def read_runs(paths: Sequence[str]) -> list[Float[np.ndarray, "_ dimension"]]:
    """The variables of every frame, one array per run, whose pieces are joined in their order."""
    return _joined_by_attributes([read_variables(path) for path in paths], paths)


def _joined_by_attributes(pieces: Sequence[np.ndarray], paths: Sequence[str]) -> list[np.ndarray]:
    known = [read_attributes(path) for path in paths]
    return join_pieces(pieces, [each["trajectory"] for each in known], [each.get("continues") for each in known])


def join_pieces(
    pieces: Sequence[np.ndarray], names: Sequence[str], continues: Sequence[str | None]
) -> list[np.ndarray]:
    """Frames of runs: a piece is joined to the one before if that is the one it continues."""
    runs: list[list[np.ndarray]] = []
    for piece, before, continued in zip(pieces, [None, *names[:-1]], continues, strict=True):
        if before is not None and continued == before:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return [np.concatenate(run) for run in runs]


def read_microstates(
    path: str, centers: Float[np.ndarray, "microstate dimension"]
) -> tuple[Int[np.ndarray, " frame"], Float[np.ndarray, " frame"]]:
    """The microstate of each frame and the distance to its center: the state that the model gives, or the nearest."""
    variables = read_variables(path)
    if variables.shape[1] != centers.shape[1]:
        raise ValueError(
            f"{path}: {variables.shape[1]} variables per frame, but the microstates have {centers.shape[1]}; "
            "run cluster_microstates again."
        )
    if model_centers([path]) is None:
        return assign_microstates(variables, centers)
    microstate = read_array(path, "state").astype(np.int32)
    return microstate, np.linalg.norm(variables - centers[microstate], axis=1).astype(np.float32)


def model_centers(paths: Sequence[str]) -> Float[np.ndarray, "microstate dimension"] | None:
    """Centers of the model's own states, where it has such (kind: spib) and they are to be the microstates."""
    found = [read_attributes(path).get("state_centers") for path in paths]
    for path, centers in zip(paths, found, strict=True):
        if centers != found[0]:
            raise ValueError(
                f"{path}: the states are not those of {paths[0]}; delete the files of this model, they are made anew."
            )
    return None if found[0] is None else np.array(found[0])


def fit_microstates(
    variables: Sequence[Float[np.ndarray, "_ dimension"]], *, n_microstates: int, seed: int
) -> Float[np.ndarray, "microstate dimension"]:
    """k-means centers of at most 100,000 frames, evenly spaced in time."""
    stride = max(1, math.ceil(sum(map(len, variables)) / MAX_CLUSTERED_FRAMES))
    points = np.concatenate([each[::stride] for each in variables]).astype(np.float64)
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
) -> tuple[Int[np.ndarray, " frame"], Float[np.ndarray, " frame"]]:
    """The nearest center of each frame and the distance to it."""
    centers = centers.astype(np.float64)
    microstate = np.empty(len(variables), dtype=np.int32)
    distance = np.empty(len(variables), dtype=np.float32)
    for first in range(0, len(variables), CHUNK_FRAMES):
        piece = slice(first, first + CHUNK_FRAMES)
        points = variables[piece].astype(np.float64)
        # |x|^2 is the same for all centers.
        microstate[piece] = (np.sum(centers**2, axis=1) - 2 * points @ centers.T).argmin(axis=1)
        distance[piece] = np.linalg.norm(points - centers[microstate[piece]], axis=1)
    return microstate, distance


def find_macrostates(model: MarkovModel, *, n_macrostates: int) -> Macrostates:
    """PCCA+ (Röblitz & Weber, Adv. Data Anal. Classif. 7 (2013) 147), most populated state first."""
    n_active = len(model.transition_matrix)
    key = f"msm.n_macrostates = {n_macrostates}"
    if n_macrostates > n_active:
        raise ValueError(f"{key}, but the active set has {n_active} microstates; lower it or give more data.")
    try:
        division = pcca(model.transition_matrix, n_macrostates, model.stationary_distribution.copy())
    except (AssertionError, np.linalg.LinAlgError, ValueError) as error:
        raise ValueError(f"{key}: PCCA+ finds no such division ({error}); choose another number.") from error
    order = np.argsort(-model.stationary_distribution @ np.eye(n_macrostates)[division.memberships.argmax(axis=1)])
    memberships = division.memberships[:, order]
    assignment = memberships.argmax(axis=1)
    n_owners = len(np.unique(assignment))
    if n_owners < n_macrostates:
        raise ValueError(f"{key}, but only {n_owners} of them would own a microstate; lower it to {n_owners}.")
    return Macrostates(memberships, assignment)


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
    )


def read_model(path: str) -> tuple[MarkovModel, Macrostates]:
    """The model and macrostates that `save_model` wrote; only the active set is known of the connected sets."""
    with np.load(path) as stored:
        counts = Counts(
            int(stored["lag_frames"]), stored["count_matrix"], stored["n_frames"], [stored["active_microstates"]]
        )
        model = MarkovModel(counts, stored["transition_matrix"], stored["stationary_distribution"])
        return model, Macrostates(stored["memberships"], stored["memberships"].argmax(axis=1))
