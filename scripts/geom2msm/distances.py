"""Distances within a molecule: the baseline features of VAMPnets, on the same frames as the tokens."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import mdtraj
import numpy as np
from jaxtyping import Float32, Int

from geom2msm.elements import atomic_number
from geom2msm.residues import describe
from geom2msm.trajectory import iterate_frames

# Neighbors in a chain are bound to each other: their distances hardly change.
MIN_SEPARATION = 2
MAX_CHANNELS = 25_000
# Distances held at a time: 80 MB.
CHUNK_DISTANCES = 20_000_000


@dataclass(frozen=True)
class Distances:
    """Which distances are features: each channel is the smallest of a group of consecutive atom pairs, in nm."""

    names: list[str]
    pairs: Int[np.ndarray, "pair 2"]
    first_pair: Int[np.ndarray, " channel"]

    def __call__(self, positions_nm: Float32[np.ndarray, "frame atom 3"]) -> Float32[np.ndarray, "frame channel"]:
        """The features of frames."""
        step = max(1, CHUNK_DISTANCES // len(self.pairs))
        found = np.empty((len(positions_nm), len(self.names)), dtype=np.float32)
        for start in range(0, len(positions_nm), step):
            frames = mdtraj.Trajectory(positions_nm[start : start + step], topology=None)
            distances = mdtraj.compute_distances(frames, self.pairs, periodic=False)
            found[start : start + step] = np.minimum.reduceat(distances, self.first_pair, axis=1)
        return found


def find_distances(
    topology: mdtraj.Topology, selected: Int[np.ndarray, " atom"], *, feature: str, file: str
) -> Distances:
    """The distances of one feature between selected atoms of residues that are no neighbors in a chain.

    `calpha_distances` between C-alpha atoms, `residue_distances` the smallest between heavy atoms of two residues,
    `heavy_atom_distances` all between heavy atoms.
    """
    atoms = _atoms_by_residue(topology, selected, calpha=feature == "calpha_distances")
    groups = [
        (first, second)
        for first, second in combinations(atoms, 2)
        if first.chain.index != second.chain.index or second.index - first.index >= MIN_SEPARATION
    ]
    sizes = [len(atoms[first]) * len(atoms[second]) for first, second in groups]
    _check_number(sum(sizes) if feature == "heavy_atom_distances" else len(groups), feature=feature, file=file)
    pairs = np.concatenate([np.array(list(product(atoms[first], atoms[second]))) for first, second in groups])
    if feature == "heavy_atom_distances":
        names = [f"{_name(topology, a)} {_name(topology, b)}" for a, b in pairs.tolist()]
        return Distances(names, pairs, np.arange(len(pairs)))
    names = [f"{describe(first)} {describe(second)}" for first, second in groups]
    return Distances(names, pairs, np.cumsum([0, *sizes[:-1]]))


def _check_number(n_distances: int, *, feature: str, file: str) -> None:
    """Refuse no distances and too many, before any are listed."""
    if not n_distances:
        raise ValueError(
            f"{file}: no two residues are {MIN_SEPARATION} or more apart in a chain, so that the feature "
            f"'{feature}' is empty; remove the models with feature: {feature} from the config of this system."
        )
    if n_distances > MAX_CHANNELS:
        raise ValueError(
            f"{file}: the feature '{feature}' has {n_distances} distances, more than {MAX_CHANNELS}; choose a smaller "
            "trajectories.selection, or residue_distances or calpha_distances, which are fewer."
        )


def _atoms_by_residue(
    topology: mdtraj.Topology, selected: Int[np.ndarray, " atom"], *, calpha: bool
) -> dict[mdtraj.core.topology.Residue, list[int]]:
    """Heavy atoms of each residue, or its C-alpha alone; a calcium ion has that name, too."""
    found: dict = {}
    for atom in (topology.atom(int(index)) for index in selected):
        number = atomic_number(atom)
        if (atom.name == "CA" and number == 6) if calpha else number > 1:
            found.setdefault(atom.residue, []).append(atom.index)
    return found


def _name(topology: mdtraj.Topology, index: int) -> str:
    atom = topology.atom(index)
    return f"{describe(atom.residue)}-{atom.name}"


def distance_pieces(
    path: str, topology: mdtraj.Topology, distances: Distances, *, first_frame: int, stride: int, make_whole: bool
) -> Iterator[Float32[np.ndarray, "_ channel"]]:
    """Features of every stride-th frame, piece by piece as the trajectory is read, from `first_frame` on."""
    atoms, places = np.unique(distances.pairs, return_inverse=True)
    within = Distances(distances.names, places.reshape(distances.pairs.shape), distances.first_pair)
    frames = iterate_frames(path, topology, atoms, first_frame=first_frame, stride=stride, make_whole=make_whole)
    return (within(piece.positions_nm) for piece in frames)
