"""The OpenFF peptide backbone grids: from their published SDF files to one `.npz`.

The files hold one molecule each, all its conformers one after the other. Positions are centered and rounded
to 0.001 angstrom. Rounding may differ in the last digit between machines, so the result is checked by a table
of atoms, conformers, elements and the sum of squared coordinates of each molecule, not by a checksum.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from geom2msm.encoder.geometries import ATOMIC_NUMBERS

DECIMALS = 3
TOLERANCE = 1e-5


def read_sdf(text: str) -> tuple[Int[np.ndarray, " atom"], Float[np.ndarray, "conformer atom 3"]]:
    """Atomic numbers and positions in angstrom of all conformers in the text of an SDF file (V2000)."""
    conformers, elements = [], []
    for record in text.split("$$$$\n"):
        if not record.strip():
            continue
        lines = record.splitlines()
        atoms = [line.split() for line in lines[4 : 4 + int(lines[3][:3])]]
        conformers.append([[float(value) for value in atom[:3]] for atom in atoms])
        elements.append([atom[3] for atom in atoms])
    if not elements or any(each != elements[0] for each in elements):
        raise ValueError("the SDF text holds no molecule, or different ones")
    return np.array([ATOMIC_NUMBERS[symbol] for symbol in elements[0]]), np.array(conformers)


def centered(positions: Float[np.ndarray, "conformer atom 3"]) -> Float[np.ndarray, "conformer atom 3"]:
    """Each conformer around its mean, rounded."""
    return (positions - positions.mean(axis=1, keepdims=True)).round(DECIMALS)


def fingerprint(
    numbers: Int[np.ndarray, " atom"], positions: Float[np.ndarray, "conformer atom 3"]
) -> dict[str, object]:
    """What the table says about a molecule."""
    elements = hashlib.sha256(numbers.astype(np.uint8).tobytes()).hexdigest()[:12]
    square = float(np.square(positions, dtype=np.float64).sum())
    return {
        "n_atoms": len(numbers),
        "n_conformers": len(positions),
        "elements": elements,
        "sum_square": round(square, 3),
    }


def check_molecule(row: pd.Series, found: dict[str, int | str | float], *, origin: str) -> None:
    """Refuse a molecule that is not the one of the table."""
    for name, value in found.items():
        same = np.isclose(value, row[name], rtol=TOLERANCE, atol=0) if name == "sum_square" else value == row[name]
        if not same:
            raise ValueError(
                f"{origin}: {name} is {value}, but {row[name]} is expected; the file is damaged or another one"
            )


def convert_grid(table: str, output: Path, *, fetch: Callable[[str], str]) -> None:
    """Fetch every file of the table, check and convert it, and write all molecules into one `.npz`."""
    rows = pd.read_csv(table)
    numbers, positions = [], []
    for _, row in rows.iterrows():
        z, angstrom = read_sdf(fetch(row.file))
        numbers.append(z.astype(np.uint8))
        positions.append(centered(angstrom).astype(np.float32))
        check_molecule(row, fingerprint(z, positions[-1]), origin=row.file)
    with output.open("wb") as file:
        np.savez_compressed(
            file,
            names=rows["name"].to_numpy(dtype=str),
            n_atoms=rows.n_atoms.to_numpy(),
            n_confs=rows.n_conformers.to_numpy(),
            z=np.concatenate(numbers),
            pos=np.concatenate([each.reshape(-1, 3) for each in positions]),
        )
