"""The topology of a system: its file, the selected atoms, their elements."""

import re
from pathlib import Path

import mdtraj
import numpy as np
from jaxtyping import Int

from geom2msm.elements import atomic_number, repair_elements
from geom2msm.topology_files import PRMTOP, element_origins, number_as_amber

# Characters of MDTraj's own messages that are passed on.
LONGEST_REASON = 100


def load_topology(path: str) -> mdtraj.Topology:
    """The topology stored in a file of any format from which MDTraj reads one.

    Elements that MDTraj guessed are put right or made virtual sites (`geom2msm.elements`); residues of PRMTOP
    files are numbered as in AMBER. Formal charges are left out.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such file; trajectories.topology names the topology file.")
    try:
        topology = mdtraj.load_topology(path)
        if path.lower().endswith(PRMTOP):
            number_as_amber(path, topology)
    # MDTraj's parsers raise whatever they stumble over, bare Exception included.
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path}: MDTraj cannot read a topology from this file ({reason}); "
            "trajectories.topology must be a PDB, mmCIF, PRMTOP, PSF or GRO file."
        ) from error
    repair_elements(topology, element_origins(path, topology))
    for atom in topology.atoms:
        # Old PDB files number their lines where later ones have charges.
        atom.formal_charge = None
    return topology


def select_atoms(
    topology: mdtraj.Topology, selection: str, *, file: str, key: str = "trajectories.selection"
) -> Int[np.ndarray, " atom"]:
    """Indices of the selected atoms in the topology, in file order, at least one."""
    try:
        atoms = np.sort(topology.select(selection)).astype(np.int64)
    except Exception as error:  # a pyparsing, Syntax, Name or ValueError, depending on the mistake
        reason = selection_mistake(selection, str(error)) or type(error).__name__
        raise ValueError(
            f"{file}: {key} = '{selection}' is not an MDTraj selection ({reason}); 'protein and not element H' is one."
        ) from error
    if not len(atoms):
        raise ValueError(
            f"{file}: {key} = '{selection}' selects none of its {topology.n_atoms} atoms; "
            "'not element H' selects all heavy atoms."
        )
    return atoms


def selection_mistake(selection: str, message: str) -> str:
    """Where a selection cannot be read, instead of the whole grammar; other messages in their first line."""
    place = re.search(r"\(at char (\d+)\)", message)
    if place is None:
        return (message.strip().splitlines() or [""])[0][:LONGEST_REASON]
    rest = selection[int(place[1]) :].strip()
    return (
        f"cannot be read from '{rest}' on, character {int(place[1]) + 1}" if rest else "something is missing at the end"
    )


def atomic_numbers(topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"]) -> Int[np.ndarray, " atom"]:
    """Atomic number of each of the atoms; virtual sites and unknown elements are refused by name."""
    numbers = np.array([atomic_number(topology.atom(int(atom))) for atom in atoms], dtype=np.int64)
    unknown = [str(topology.atom(int(atom))) for atom in atoms[numbers == 0]]
    if unknown:
        raise ValueError(
            f"trajectories.selection contains {len(unknown)} atom(s) without an element "
            f"({', '.join(unknown[:5])}{', …' if len(unknown) > 5 else ''}); virtual sites and coarse-grained "
            "beads cannot be encoded: exclude them from the selection, or give a topology file with elements."
        )
    return numbers
