"""Molecular geometries for pretraining: public collections read into one plain form."""

import re
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float, Int

from geom2msm.units import NM_PER_ANGSTROM

MAPPED_ATOM = re.compile(r"\[\d*([A-Z][a-z]?|[a-z][a-z]?)[^\]:]*:(\d+)\]")
# The elements of the collections that are read here.
ATOMIC_NUMBERS = {
    "H": 1, "Li": 3, "B": 5, "C": 6, "N": 7, "O": 8, "F": 9, "Na": 11, "Mg": 12, "Si": 14, "P": 15, "S": 16, "Cl": 17,
    "K": 19, "Ca": 20, "Br": 35, "I": 53,
}  # fmt: skip


@dataclass(frozen=True)
class Molecule:
    """All geometries of one molecule; `group` keeps relatives on one side of the train/validation split."""

    name: str
    group: str
    atomic_numbers: Int[np.ndarray, " atom"]
    positions_nm: Float[np.ndarray, "conformer atom 3"]

    def without_hydrogens(self) -> "Molecule":
        """The same geometries, heavy atoms only."""
        heavy = self.atomic_numbers > 1
        return Molecule(self.name, self.group, self.atomic_numbers[heavy], self.positions_nm[:, heavy])


def read_molecules(path: str) -> list[Molecule]:
    """Read a collection: SPICE HDF5 or a peptide grid `.npz` (names, n_atoms, n_confs, z, pos in angstrom)."""
    reader = {".hdf5": _read_spice, ".npz": _read_peptide_grid}.get(Path(path).suffix)
    if reader is None:
        raise ValueError(
            f"{path}: geometries are read from .hdf5 (SPICE layout) or .npz (peptide grid), not {Path(path).suffix!r}"
        )
    try:
        return reader(path)
    # h5py and zipfile raise whatever they stumble over.
    except Exception as error:
        reason = " ".join(str(error).removeprefix(f"{path}: ").split()) or type(error).__name__
        raise ValueError(f"{path}: cannot read geometries from this file ({reason}); get it again") from error


def elements_of_mapped_smiles(smiles: str) -> Int[np.ndarray, " atom"]:
    """Atomic numbers in the order of the SMILES' atom map, whose number k is row k - 1."""
    atoms = MAPPED_ATOM.findall(smiles)
    unknown = {symbol.capitalize() for symbol, _ in atoms} - ATOMIC_NUMBERS.keys()
    if unknown:
        raise ValueError(f"SMILES {smiles[:60]!r} has elements that are not known here: {', '.join(sorted(unknown))}")
    numbers = {int(index): ATOMIC_NUMBERS[symbol.capitalize()] for symbol, index in atoms}
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        raise ValueError(f"SMILES {smiles[:60]!r} does not map every atom exactly once")
    return np.array([numbers[index] for index in sorted(numbers)])


def _read_spice(path: str) -> list[Molecule]:
    molecules = []
    with h5py.File(path) as file:
        for name, entry in file.items():
            atomic_numbers = elements_of_mapped_smiles(entry["smiles"][0].decode())
            positions = entry["conformations"][:]
            if positions.shape[1] != len(atomic_numbers):
                raise ValueError(
                    f"{path}: {name} has {positions.shape[1]} atoms, but its SMILES names {len(atomic_numbers)}"
                )
            molecules.append(Molecule(name, name.split()[0], atomic_numbers, positions))
    return molecules


def _read_peptide_grid(path: str) -> list[Molecule]:
    with np.load(path) as file:
        names, n_atoms, n_conformers = file["names"], file["n_atoms"], file["n_confs"]
        numbers = np.split(file["z"], np.cumsum(n_atoms)[:-1])
        rows = np.split(file["pos"], np.cumsum(n_atoms * n_conformers)[:-1])
    return [
        Molecule(name, name.split("_")[0], z.astype(np.int64), p.reshape(-1, len(z), 3) * np.float32(NM_PER_ANGSTROM))
        for name, z, p in zip(names.tolist(), numbers, rows, strict=True)
    ]


def hold_out(
    molecules: list[Molecule], *, fraction: float, rng: np.random.Generator
) -> tuple[list[Molecule], list[Molecule]]:
    """Training and validation molecules: whole groups are held out, so no validation molecule is trained on."""
    groups = sorted({molecule.group for molecule in molecules})
    held_out = set(rng.permutation(groups)[: max(1, round(fraction * len(groups)))].tolist())
    training = [molecule for molecule in molecules if molecule.group not in held_out]
    return training, [molecule for molecule in molecules if molecule.group in held_out]
