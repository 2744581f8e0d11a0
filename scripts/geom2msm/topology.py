"""Which atoms form which token, and which elements they are."""

from collections.abc import Iterable
from pathlib import Path

import mdtraj
import numpy as np
import pandas as pd
from jaxtyping import Int
from mdtraj.formats.pdb.pdbstructure import PdbStructure
from mdtraj.utils import open_maybe_zipped

BACKBONE = {"N", "CA", "C"}
SUGAR = {"C1'", "C3'", "C4'", "C5'", "O4'"}
PHOSPHATE_CHAIN = {"PA", "PB", "PG"}
NO_POSITION_ATOM = -1

# MDTraj knows proteins, nucleic acids and water, but no lipids: CHARMM36 and Lipid21 names.
LIPIDS = {
    "POPC", "POPE", "POPS", "POPG", "POPA", "DPPC", "DPPE", "DPPS", "DOPC", "DOPE", "DOPS", "DOPG", "DMPC",
    "DMPE", "DLPC", "DLPE", "DSPC", "PSM", "SSM", "CHL1", "CHOL", "CHL", "PA", "PC", "PE", "PS", "OL", "ST",
    "MY", "LAL", "PGR", "SAPI", "POPI", "PIP2", "CDL", "TOCL",
}  # fmt: skip
IONS = {
    "NA", "SOD", "NA+", "K", "POT", "K+", "CL", "CLA", "CL-", "MG", "MG2", "CA", "CAL", "ZN", "ZN2", "MN", "FE",
    "FE2", "CU", "CO", "NI", "CD", "LIT", "LI", "RB", "CES", "CS", "BR", "IOD", "I", "F",
}  # fmt: skip


def load_topology(path: str) -> mdtraj.Topology:
    """The topology stored in a file of any format from which MDTraj reads one."""
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such file; trajectories.topology names the topology file.")
    try:
        return mdtraj.load_topology(path)
    # MDTraj's parsers raise whatever they stumble over, bare Exception included.
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path}: MDTraj cannot read a topology from this file ({reason}); "
            "trajectories.topology must be a PDB, mmCIF, PRMTOP, PSF, GRO or HDF5 file."
        ) from error


def select_atoms(topology: mdtraj.Topology, selection: str, *, file: str) -> Int[np.ndarray, " atom"]:
    """Indices of the selected atoms in the topology, in file order, at least one."""
    try:
        atoms = np.sort(topology.select(selection)).astype(np.int64)
    except Exception as error:  # a pyparsing, Syntax, Name or ValueError, depending on the mistake
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{file}: trajectories.selection = '{selection}' is not an MDTraj selection ({reason}); "
            "'protein and not element H' is one."
        ) from error
    if not len(atoms):
        raise ValueError(
            f"{file}: trajectories.selection = '{selection}' selects none of its {topology.n_atoms} atoms; "
            "'not element H' selects all heavy atoms."
        )
    return atoms


def atomic_numbers(topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"]) -> Int[np.ndarray, " atom"]:
    """Atomic number of each of the atoms; virtual sites and unknown elements are refused by name."""
    elements = [topology.atom(int(atom)).element for atom in atoms]
    numbers = np.array([0 if element is None else element.atomic_number for element in elements], dtype=np.int64)
    unknown = [str(topology.atom(int(atom))) for atom in atoms[numbers == 0]]
    if unknown:
        raise ValueError(
            f"trajectories.selection contains {len(unknown)} atom(s) without an element "
            f"({', '.join(unknown[:5])}{', …' if len(unknown) > 5 else ''}); virtual sites and coarse-grained "
            "beads cannot be encoded: exclude them from the selection, or give a topology file with elements."
        )
    return numbers


def insertion_codes(path: str, topology: mdtraj.Topology) -> list[str]:
    """Insertion code of each residue: read from a PDB file's own records, since MDTraj drops it."""
    if not path.lower().endswith((".pdb", ".pdb.gz", ".ent")):
        return [""] * topology.n_residues
    with open_maybe_zipped(path, "r") as file:
        structure = PdbStructure(file, load_all_models=False)
    codes = [residue.insertion_code.strip() for residue in structure.iter_residues()]
    assert len(codes) == topology.n_residues
    return codes


def residue_kind(residue: mdtraj.core.topology.Residue) -> str:
    """One of protein, nucleic, water, ion, lipid, ligand, other.

    By backbone and sugar atoms too, not by name alone: MDTraj does not count HID, CYX or ASH as
    protein, nor DNA residues named T as nucleic. Free ADP, ATP or NAD is a ligand.
    """
    names = {atom.name.replace("*", "'") for atom in residue.atoms}
    symbols = {atom.element.symbol for atom in residue.atoms if atom.element is not None}
    if residue.is_water:
        return "water"
    if residue.n_atoms == 1 and residue.name.upper() in IONS:
        return "ion"
    if residue.name in LIPIDS:
        return "lipid"
    if residue.is_protein or names >= BACKBONE:
        return "protein"
    if residue.is_nucleic or (names >= SUGAR and not names & PHOSPHATE_CHAIN):
        return "nucleic"
    return "ligand" if "C" in symbols else "other"


def position_atom(residue: mdtraj.core.topology.Residue, kind: str, selected: set[int]) -> int:
    """C-alpha of an amino acid, C1' or else P of a nucleotide; -1, the centroid, of all others."""
    wanted = {"protein": ["CA"], "nucleic": ["C1'", "C1*", "P"]}.get(kind, [])
    found = {atom.name: atom.index for atom in residue.atoms if atom.index in selected}
    return next((found[name] for name in wanted if name in found), NO_POSITION_ATOM)


def token_table(
    topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"], *, insertion_codes: Iterable[str]
) -> pd.DataFrame:
    """One row per residue with selected atoms, in file order.

    A residue is the topology's own object, not its number: numbers repeat between chains,
    and from water 10,000 on within one.
    """
    selected = set(atoms.tolist())
    codes = list(insertion_codes)
    rows = []
    for residue in topology.residues:
        members = [atom.index for atom in residue.atoms if atom.index in selected]
        if not members:
            continue
        kind = residue_kind(residue)
        rows.append(
            {
                "token": len(rows),
                "chain": (residue.chain.chain_id or "").strip() or str(residue.chain.index),
                "segment": residue.segment_id.strip(),
                "residue_number": residue.resSeq,
                "insertion_code": codes[residue.index],
                "residue_name": residue.name,
                "kind": kind,
                "n_atoms": len(members),
                "position_atom": position_atom(residue, kind, selected),
                "atoms": " ".join(map(str, members)),
            }
        )
    return pd.DataFrame(rows)


def read_token_table(path: str) -> pd.DataFrame:
    """A token table as written by build_token_table; chain 'NA' stays a name."""
    text = {"chain": str, "segment": str, "insertion_code": str, "residue_name": str, "kind": str, "atoms": str}
    return pd.read_csv(path, dtype=text, keep_default_na=False)


def token_atoms(table: pd.DataFrame) -> list[Int[np.ndarray, " atom"]]:
    """Atom indices of each token in the topology file."""
    return [np.array(atoms.split(), dtype=np.int64) for atoms in table["atoms"]]
