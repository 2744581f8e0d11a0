"""A few frames of a trajectory for trying an encoder on, with all atoms of the residues that are modeled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mdtraj
import numpy as np
from jaxtyping import Bool, Float32, Int

from geom2msm.encoder.unseen_elements import LEFT_OUT, encoded_numbers
from geom2msm.encoder.weights import EncoderCard
from geom2msm.topology import atomic_numbers, select_atoms
from geom2msm.trajectory import Frames, iterate_frames

HYDROGEN = 1
MAX_FRAMES = 20


@dataclass(frozen=True)
class Sample:
    """Frames to try an encoder on; `chosen` are the atoms that are modeled, the rest the others of their residues.

    With `cell_nm`, atoms see each other across the periodic box.
    """

    atomic_numbers: Int[np.ndarray, " atom"]
    positions_nm: Float32[np.ndarray, "frame atom 3"]
    chosen: Bool[np.ndarray, " atom"]
    cell_nm: Float32[np.ndarray, "frame 3 3"] | None = None

    def of_atoms(self, atoms: Bool[np.ndarray, " atom"]) -> "Sample":
        """The same frames of some atoms, all of them chosen."""
        chosen = np.ones(int(atoms.sum()), dtype=bool)
        return Sample(self.atomic_numbers[atoms], self.positions_nm[:, atoms], chosen, self.cell_nm)


@dataclass(frozen=True)
class TrialAtoms:
    """Atoms of the modeled residues, ascending, under which element the encoder gets them, and which are modeled."""

    atoms: Int[np.ndarray, " atom"]
    numbers: Int[np.ndarray, " atom"]
    chosen: Bool[np.ndarray, " atom"]


def trial_atoms(
    topology: mdtraj.Topology,
    modeled: Int[np.ndarray, " modeled"],
    *,
    known: Sequence[int],
    overrides: Mapping[str, str],
    encoder: str,
) -> TrialAtoms:
    """The modeled atoms, unknown elements refused or overridden as for tokens, and what else their residues have."""
    names = [str(topology.atom(atom)) for atom in modeled.tolist()]
    numbers = encoded_numbers(
        atomic_numbers(topology, modeled), names, known=known, overrides=overrides, encoder=encoder
    )
    found = dict(zip(modeled.tolist(), numbers.tolist(), strict=True))
    for residue in {topology.atom(atom).residue for atom in modeled.tolist()}:
        for atom in residue.atoms:
            number = atom.element.atomic_number if atom.element is not None else LEFT_OUT
            found.setdefault(atom.index, number if number in known else LEFT_OUT)
    atoms = np.array(sorted(atom for atom, number in found.items() if number != LEFT_OUT), dtype=np.int64)
    return TrialAtoms(
        atoms, np.array([found[atom] for atom in atoms.tolist()], dtype=np.int64), np.isin(atoms, modeled)
    )


def read_spread_frames(
    path: str, topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"], *, inventory: Mapping
) -> tuple[Float32[np.ndarray, "frame atom 3"], Float32[np.ndarray, "frame 3 3"] | None]:
    """Positions, and cells if there are any, in frames evenly spread over a trajectory, each read from the file."""
    step = max(1, inventory["n_frames"] // MAX_FRAMES)
    pieces = iterate_frames(
        path, topology, atoms, stride=step * inventory["stride"], make_whole=inventory["make_whole"]
    )
    found: list[Frames] = []
    while sum(len(piece.positions_nm) for piece in found) < MAX_FRAMES and (piece := next(pieces, None)) is not None:
        found.append(piece)
    cells = None if found[0].cell_nm is None else np.concatenate([piece.cell_nm for piece in found])[:MAX_FRAMES]
    return np.concatenate([piece.positions_nm for piece in found])[:MAX_FRAMES], cells


def read_sample(
    path: str, topology: mdtraj.Topology, inventory: Mapping,
    *, card: EncoderCard, unseen_elements: Mapping[str, str], periodic: bool,
) -> tuple[list[str], Sample]:  # fmt: skip
    """Names of the atoms, and the frames, of the trajectory that an inventory describes."""
    modeled = select_atoms(topology, inventory["selection"], file=inventory["topology"])
    trial = trial_atoms(topology, modeled, known=card.elements, overrides=unseen_elements, encoder=card.name)
    positions, cells = read_spread_frames(path, topology, trial.atoms, inventory=inventory)
    if periodic and cells is None:
        raise ValueError(f"{path}: tokens.periodic is true, but the trajectory has no periodic box")
    names = [str(topology.atom(atom)) for atom in trial.atoms.tolist()]
    return names, Sample(trial.numbers, positions, trial.chosen, cells if periodic else None)


def structure_sample(path: str) -> Sample:
    """A single structure file with all its atoms, all of them chosen."""
    structure = mdtraj.load(path)[0]
    numbers = atomic_numbers(structure.topology, np.arange(structure.n_atoms))
    return Sample(numbers, structure.xyz.astype(np.float32), np.ones(len(numbers), dtype=bool))
