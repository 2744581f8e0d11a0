"""What MDTraj drops or bends when it reads a topology file: origin of elements, insertion codes, AMBER's numbers."""

import re
from dataclasses import dataclass
from pathlib import Path

import mdtraj
from mdtraj.core import element as periodic_table
from mdtraj.formats.pdb.pdbstructure import PdbStructure
from mdtraj.utils import open_maybe_zipped

from geom2msm.elements import GUESSED, MASS, READ
from geom2msm.residues import chain_letter

PDB = (".pdb", ".pdb.gz", ".ent", ".ent.gz")
MMCIF = (".cif", ".cif.gz", ".mmcif", ".mmcif.gz", ".pdbx", ".pdbx.gz")
PRMTOP = (".prmtop", ".parm7", ".prm7")
# From the first letter of the atom's name, or from its type.
WITHOUT_ELEMENTS = (".gro", ".arc", ".hoomdxml", ".gsd")


@dataclass(frozen=True)
class ResidueLabel:
    """What identifies a residue: chain, segment, number and insertion code, as far as the file tells."""

    chain: str
    segment: str
    number: int
    insertion_code: str


def residue_labels(path: str, topology: mdtraj.Topology) -> list[ResidueLabel]:
    """Labels of all residues; a nameless chain goes by its place in the file."""
    codes = insertion_codes(path, topology)
    labels = []
    for residue, code in zip(topology.residues, codes, strict=True):
        chain = chain_letter(residue.chain)
        # MDTraj hands the insertion code of an mmCIF file on as segment; the format has no segments.
        segment = "" if path.lower().endswith(MMCIF) else (residue.segment_id or "").strip()
        labels.append(ResidueLabel(chain, segment, residue.resSeq, code))
    return labels


def insertion_codes(path: str, topology: mdtraj.Topology) -> list[str]:
    """Insertion code of each residue of a PDB, mmCIF or PRMTOP file; empty for formats that have none."""
    name = path.lower()
    if name.endswith(PDB) and any(line[26:27].strip() for line in _atom_lines(path)):
        codes = [residue.insertion_code.strip() for residue in _pdb_structure(path).iter_residues()]
    elif name.endswith(MMCIF):
        codes = [(residue.segment_id or "").strip() for residue in topology.residues]
    elif name.endswith(PRMTOP):
        codes = prmtop_flag(path, "RESIDUE_ICODE", topology.n_residues)
    else:
        codes = []
    assert not codes or len(codes) == topology.n_residues
    return codes or [""] * topology.n_residues


def element_origins(path: str, topology: mdtraj.Topology) -> list[str]:
    """For each atom whether its element was read from the file, told by its mass, or guessed from its name."""
    name = path.lower()
    if name.endswith(PDB):
        if all(_has_element(line[76:78]) for line in _atom_lines(path)):
            return [READ] * topology.n_atoms
        atoms = (atom for residue in _pdb_structure(path).iter_residues() for atom in residue.atoms)
        origins = [READ if _has_element(atom.element_symbol) else GUESSED for atom in atoms]
        assert len(origins) == topology.n_atoms
        return origins
    if name.endswith(PRMTOP):
        return [READ if prmtop_flag(path, "ATOMIC_NUMBER", topology.n_atoms) else GUESSED] * topology.n_atoms
    if name.endswith(".psf"):
        return [MASS] * topology.n_atoms
    return [GUESSED if name.endswith(WITHOUT_ELEMENTS) else READ] * topology.n_atoms


def number_as_amber(path: str, topology: mdtraj.Topology) -> None:
    """Number the residues of a PRMTOP topology, in place, as AMBER does: from 1, or by their PDB numbers if kept."""
    numbers = prmtop_flag(path, "RESIDUE_NUMBER", topology.n_residues)
    for place, residue in enumerate(topology.residues):
        residue.resSeq = int(numbers[place]) if numbers else place + 1


def prmtop_flag(path: str, flag: str, n_items: int) -> list[str]:
    """The items of a section of a PRMTOP file, blanks included; an empty list where there is no such section."""
    text = Path(path).read_text(encoding="latin-1")
    section = re.search(rf"^%FLAG {flag} *\n(?:%COMMENT.*\n)*%FORMAT\((\d+)[aI](\d+)\) *\n([^%]*)", text, re.MULTILINE)
    if section is None:
        return []
    per_line, width = int(section[1]), int(section[2])
    starts = range(0, per_line * width, width)
    items = [line[start : start + width].strip() for line in section[3].splitlines() for start in starts]
    return [*items, *[""] * n_items][:n_items]


def _atom_lines(path: str) -> list[str]:
    """Atom records of the first model of a PDB file."""
    lines = []
    with open_maybe_zipped(path, "r") as file:
        for line in file:
            if line.startswith(("ATOM  ", "HETATM")):
                lines.append(line)
            elif line.startswith("END") and lines:
                break
    return lines


def _pdb_structure(path: str) -> PdbStructure:
    with open_maybe_zipped(path, "r") as file:
        return PdbStructure(file, load_all_models=False)


def _has_element(column: str) -> bool:
    try:
        return bool(column.strip()) and periodic_table.get_by_symbol(column) is not None
    except KeyError:
        return False
