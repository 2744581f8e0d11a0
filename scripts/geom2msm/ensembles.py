"""Frames that stand for a state: one at its densest place, and some drawn by their probability."""

import math
from collections.abc import Mapping

import mdtraj
import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Int

from geom2msm.elements import atomic_number
from geom2msm.ramachandran import frame_weights
from geom2msm.topology import load_topology, select_atoms
from geom2msm.trajectory import iterate_frames, picked

MAX_DENSITY_FRAMES = 4000
# Squared distances held at a time: 64 MB.
CHUNK_DISTANCES = 8_000_000


def state_weights(
    microstates: Int[np.ndarray, " frame"], msm: Mapping[str, np.ndarray], *, state: int
) -> Float[np.ndarray, " frame"]:
    """Probability of each frame to be found in the state (from 0), up to a factor.

    Stationary probability of its microstate, shared by the frames there, times the microstate's membership; zero in
    microstates that belong to another state.
    """
    active, memberships = msm["active_microstates"], msm["memberships"]
    inside = np.where(memberships.argmax(axis=1) == state, memberships[:, state], 0.0)
    return frame_weights(microstates, active, msm["stationary_distribution"] * inside)


def densest_frame(points: Float[np.ndarray, "frame dimension"], weights: Float[np.ndarray, " frame"]) -> int:
    """The frame around which the weighted density of the points is highest.

    Gaussian kernels as wide as Scott's rule says (D. W. Scott, Multivariate Density Estimation, 1992) for the effective
    number of frames, in units of each dimension's standard deviation; of many frames 4,000, evenly spaced, take part.
    """
    known = np.flatnonzero(weights > 0)
    known = known[:: math.ceil(len(known) / MAX_DENSITY_FRAMES)]
    weight = weights[known] / weights[known].sum()
    deviation = points[known] - weight @ points[known]
    spread = np.sqrt(weight @ deviation**2)
    places = deviation[:, spread > 0] / spread[spread > 0]
    n_effective, n_dimensions = 1 / (weight @ weight), max(1, places.shape[1])
    places = places * n_effective ** (1 / (n_dimensions + 4))
    density, step = np.empty(len(known)), max(1, CHUNK_DISTANCES // len(known))
    squares = (places**2).sum(axis=1)
    for start in range(0, len(known), step):
        some = slice(start, start + step)
        distances = squares[some, None] + squares - 2 * places[some] @ places.T
        density[some] = np.exp(-distances.clip(min=0) / 2) @ weight
    return int(known[density.argmax()])


def draw_frames(weights: Float[np.ndarray, " frame"], *, n_frames: int, seed: int) -> Int[np.ndarray, " drawn"]:
    """Different frames, drawn by their weight, in their order; all of them if there are no more."""
    n_drawn = min(n_frames, np.count_nonzero(weights))
    drawn = np.random.default_rng(seed).choice(len(weights), n_drawn, replace=False, p=weights / weights.sum())
    return np.sort(drawn)


def choose_frames(
    points: Float[np.ndarray, "frame dimension"],
    weights: Float[np.ndarray, " frame"],
    *,
    lengths: Mapping[str, int],
    n_frames: int,
    seed: int,
) -> pd.DataFrame:
    """Trajectory and frame of the representative (first) and of the ensemble of a state.

    Frames are those of the trajectories, by name and length, laid end to end.
    """
    chosen = np.array([densest_frame(points, weights), *draw_frames(weights, n_frames=n_frames, seed=seed)])
    starts = np.cumsum([0, *lengths.values()])
    trajectory = np.searchsorted(starts, chosen, side="right") - 1
    return pd.DataFrame({
        "role": ["representative", *["ensemble"] * (len(chosen) - 1)],
        "trajectory": [list(lengths)[place] for place in trajectory],
        "frame": chosen - starts[trajectory],
    })  # fmt: skip


def in_their_files(chosen: pd.DataFrame, inventories: Mapping[str, Mapping]) -> pd.DataFrame:
    """The table of frames with their times, and with the place and the time by which each is found in the raw file.

    `frame` and `time_ps` count from the first frame and by the stride, as stores do; `file_frame` counts all frames of
    the file from 0, and `file_time_ps` is what the file says, NaN where its times say nothing.
    """
    known = [inventories[name] for name in chosen.trajectory]
    time_ps = chosen.frame * [each["frame_interval_ps"] for each in known]
    first_ps = [each["checks"].get("first_time_ps", np.nan) for each in known]
    file_frame = chosen.frame * [each["stride"] for each in known]
    return chosen.assign(time_ps=time_ps, file_frame=file_frame, file_time_ps=time_ps + first_ps)


def whole_residues(topology: mdtraj.Topology, inventory: Mapping) -> Int[np.ndarray, " atom"]:
    """The atoms of all residues that the selection touches, hydrogens included: no solvent."""
    selected = select_atoms(topology, inventory["selection"], file=inventory["topology"])
    residues = {topology.atom(int(atom)).residue.index for atom in selected}
    return np.array([atom.index for atom in topology.atoms if atom.residue.index in residues])


def read_structures(
    chosen: pd.DataFrame, inventories: Mapping[str, Mapping]
) -> tuple[Int[np.ndarray, " atom"], mdtraj.Trajectory]:
    """Atoms of the selected residues, and where they are in the frames of the table, row by row."""
    first = inventories[chosen.trajectory.iloc[0]]
    topology = load_topology(first["topology"])
    atoms = whole_residues(topology, first)
    positions_nm = np.empty((len(chosen), len(atoms), 3), dtype=np.float32)
    for trajectory, rows in chosen.reset_index(drop=True).groupby("trajectory", sort=False):
        frames, place = np.unique(rows.frame.to_numpy(), return_inverse=True)
        positions_nm[rows.index] = read_frames_at(inventories[trajectory], topology, atoms, frames)[place]
    return atoms, mdtraj.Trajectory(positions_nm, topology.subset(atoms))


def read_frames_at(
    inventory: Mapping, topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"], frames: Int[np.ndarray, " drawn"]
) -> Float32[np.ndarray, "drawn atom 3"]:
    """Positions of the atoms in some frames, in ascending order, of a raw trajectory, which is read once."""
    reading = {key: inventory[key] for key in ("stride", "make_whole")}
    pieces = iterate_frames(inventory["file"], topology, atoms, first_frame=int(frames[0]), **reading)
    return np.concatenate([positions_nm for positions_nm, _ in picked(pieces, frames)])


def superposed(structures: mdtraj.Trajectory) -> mdtraj.Trajectory:
    """All structures laid on the first by their heavy atoms, as far as these determine how."""
    numbers = [atomic_number(atom) for atom in structures.topology.atoms]
    heavy = np.flatnonzero(np.array(numbers) > 1)
    if len(heavy) < 3:
        return structures
    return structures[:].superpose(structures, frame=0, atom_indices=heavy)


def importance_of_atoms(
    importance: str, tokens: str, atoms: Int[np.ndarray, " atom"], *, state: int
) -> Float[np.ndarray, " atom"]:
    """Importance of each atom's token by occlusion, from 0 (or no token) to 99, that of the state's most important.

    MDTraj takes no B-factor of 100.
    """
    table = pd.read_csv(importance)
    table = table[(table.state == state) & (table.method == "occlusion")].set_index("token").importance
    scaled = 99 * table.clip(lower=0) / max(table.max(), np.finfo(float).tiny)
    members = pd.read_csv(tokens, usecols=["token", "atoms"]).set_index("token").atoms
    of_atom = {int(atom): scaled.get(token, 0.0) for token, text in members.items() for atom in str(text).split()}
    return np.array([of_atom.get(int(atom), 0.0) for atom in atoms])
