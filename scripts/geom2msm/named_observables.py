"""Observables that the config names: distances, angles and dihedrals between groups of atoms, RMSDs, tables."""

import csv
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mdtraj
import numpy as np
from jaxtyping import Float, Float32, Int

from geom2msm.observables import Measurement, Molecule, NotApplicable, rmsd
from geom2msm.topology import select_atoms

DEGREES = 180 / math.pi
# Section of the config: unit, factor to that unit, what MDTraj computes between so many points.
SECTIONS: dict[str, tuple[str, float, Callable[..., np.ndarray]]] = {
    "distances": ("nm", 1.0, mdtraj.compute_distances),
    "angles": ("°", DEGREES, mdtraj.compute_angles),
    "dihedrals": ("°", DEGREES, mdtraj.compute_dihedrals),
}
NO_OBSERVABLES = ("frame", "time", "time_ps")


def between_groups(section: str, name: str, groups: Sequence[Int[np.ndarray, " _"]]) -> Measurement:
    """A distance, angle or dihedral between the geometric centers of groups of atoms."""
    unit, factor, compute = SECTIONS[section]
    atoms = np.unique(np.concatenate(groups))
    places = [np.searchsorted(atoms, group) for group in groups]
    points = np.arange(len(groups))[None]

    def measure(positions_nm: Float32[np.ndarray, "frame atom 3"]) -> Float[np.ndarray, "frame quantity"]:
        centers = np.stack([positions_nm[:, group].mean(axis=1) for group in places], axis=1)
        return factor * compute(mdtraj.Trajectory(centers, topology=None), points, periodic=False)

    return Measurement((name,), (unit,), atoms, measure, periodic=section == "dihedrals")


def named_measurements(molecule: Molecule, settings: Mapping, *, file: str) -> list[Measurement]:
    """Everything that the section `observables` names, in its order; what cannot be measured is an error."""
    found = []
    for section in SECTIONS:
        for name, selections in settings[section].items():
            key = f"observables.{section}.{name}"
            groups = [select_atoms(molecule.topology, selection, file=file, key=key) for selection in selections]
            found.append(between_groups(section, name, groups))
    for name, selection in settings["rmsd"].items():
        key = f"observables.rmsd.{name}"
        atoms = select_atoms(molecule.topology, selection, file=file, key=key)
        try:
            found.append(rmsd(name, molecule, atoms))
        except NotApplicable as reason:
            raise ValueError(f"{key}: {reason}.") from reason
    return found


@dataclass(frozen=True)
class Table:
    """Observables that the user brings, of the frames that count."""

    names: list[str]
    values: Float32[np.ndarray, "frame quantity"]


def read_table(path: str, *, n_saved_frames: int, stride: int) -> Table:
    """The columns of a CSV file with one line per saved frame, of which every `stride`-th counts.

    An empty field is no number.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restval="")
            names = [name for name in reader.fieldnames or [] if name not in NO_OBSERVABLES]
            _require_names(path, names)
            values = [_numbers(row, names, where=f"{path}: line {reader.line_num}") for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: no CSV file in UTF-8 ({error}).") from error
    if len(values) != n_saved_frames:
        raise ValueError(
            f"{path}: {len(values)} lines after the first, but observables.table needs one line per saved frame of the "
            f"trajectory, whatever the stride: {n_saved_frames}."
        )
    table = Table(names, np.array(values, dtype=np.float32)[::stride])
    for name, column in zip(names, table.values.T, strict=True):
        if np.isnan(column).all():
            logging.warning(
                "%s: column %s holds no value; if so for all trajectories, the report leaves it out.", path, name
            )
    return table


def _require_names(path: str, names: Sequence[str]) -> None:
    """Refuse a table without observables, or with two of one name."""
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{path}: the first line must name one or more observables, each once; found {names}.")


def _numbers(row: Mapping[str | None, str], names: Sequence[str], *, where: str) -> list[float]:
    """The values of one line of a table, nan for an empty field; one that is no number is named with its column."""
    if None in row:
        raise ValueError(f"{where} has more fields than the first line names.")
    numbers = []
    for name in names:
        try:
            numbers.append(float(row[name] or "nan"))
        except ValueError:
            raise ValueError(
                f"{where}, column {name}: {row[name]!r} is no number; leave the field empty where there is no value."
            ) from None
    return numbers


def described_with(table: Table, known: Mapping[str, list]) -> dict[str, list]:
    """What `described` says, of all observables, those of the table last; two of one name are refused."""
    names, n_columns = [*known["names"], *table.names], len(table.names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"observables: there are two of the name {', '.join(twice)}; give yours another name.")
    added = {"names": table.names, "units": [""] * n_columns, "periodic": [False] * n_columns, "every": [1] * n_columns}
    return {key: [*known[key], *values] for key, values in added.items()}
