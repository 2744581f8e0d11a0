"""Elements of atoms whose topology file says nothing, or something wrong.

MDTraj guesses where a file has no elements: a blank PDB column makes calcium of C-alpha and mercury of HG1, a
GRO file carbon of chlorine, a repartitioned hydrogen of a PSF file is taken for helium. Here an element follows
from the names of residue and atom where only one is possible; where several are, the atom becomes a virtual
site, which every selection that needs it then refuses by name.
"""

import logging
from collections.abc import Sequence
from functools import cache

import mdtraj
from mdtraj.core import element as periodic_table
from mdtraj.core.element import Element
from mdtraj.core.topology import Atom

from geom2msm.residues import POLYMERS, ion_element, residue_kind

# Where an atom's element comes from.
READ, MASS, GUESSED = "read", "mass", "guessed"

# Residues all of whose atoms are named after their element's letter, AMBER's, CHARMM's and GROMACS' variants
# included; NALA, CALA, DA5 and the like are reduced to these.
STANDARD = {
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE", "LEU", "LYS", "MET", "PHE", "PRO", "SER",
    "THR", "TRP", "TYR", "VAL", "HID", "HIE", "HIP", "HSD", "HSE", "HSP", "HISD", "HISE", "HISH", "CYX", "CYM",
    "CYS2", "CYSH", "ASH", "ASPP", "ASPH", "GLH", "GLUP", "GLUH", "LYN", "LSN", "LYSH", "ARN", "TYM", "SEP", "TPO",
    "PTR", "HYP", "NLE", "MSE", "ACE", "NME", "NMA", "NH2", "NHE", "A", "C", "G", "T", "U", "I", "DA", "DC", "DG", "DT",
    "DU", "DI", "RA", "RC", "RG", "RU", "ADE", "CYT", "GUA", "THY", "URA",
}  # fmt: skip
STANDARD_ELEMENTS = ("C", "H", "N", "O", "S", "P", "Se")
LETTERS = "CHNOSPFIB"
# Second letters of C-alpha to C-eta, of the terminal OXT and of hydrogens numbered by letters: no symbols here.
POSITIONS = "ABGDEZHXT"
# Elements of two letters that share a residue with carbon; sodium and calcium do not, hydrogen is never mercury.
PAIRS = {
    "CL": "Cl", "BR": "Br", "SE": "Se", "SI": "Si", "FE": "Fe", "CU": "Cu", "CO": "Co", "CR": "Cr", "NI": "Ni",
    "PT": "Pt", "PD": "Pd", "RU": "Ru", "RH": "Rh", "ZN": "Zn", "MG": "Mg", "MN": "Mn", "MO": "Mo", "AL": "Al",
    "AS": "As",
}  # fmt: skip
SELENIUM = {"MSE", "CSE", "SEC"}
# A hydrogen takes up to 3.02 dalton from its heavy atom; CH3 with four-dalton hydrogens loses 9.1.
LARGEST_MASS_LOSS = 9.2
LARGEST_HYDROGEN_MASS = 4.5
MASS_TOLERANCE = 1.5

logger = logging.getLogger(__name__)


def atomic_number(atom: Atom) -> int:
    """Atomic number, 0 for a virtual site."""
    return 0 if atom.element is None else atom.element.atomic_number


def repair_elements(topology: mdtraj.Topology, origins: Sequence[str]) -> None:
    """Set, in place, the element of every atom; a virtual site where it cannot be told.

    `origins` says for each atom where MDTraj has its element from: READ, MASS or GUESSED.
    """
    changed = []
    for residue in topology.residues:
        kind = residue_kind(residue)
        for atom in residue.atoms:
            before = atom.element or periodic_table.virtual
            after = resolved_element(atom, kind, origins[atom.index])
            if after.atomic_number != before.atomic_number:
                changed.append(f"{atom} {before.symbol} → {after.symbol}")
            if atom.element is None or after.atomic_number != before.atomic_number:
                atom.element = after
    if changed:
        logger.info("elements of %d atoms follow from their names (%s, …)", len(changed), ", ".join(changed[:5]))


def resolved_element(atom: Atom, kind: str, origin: str) -> Element:
    """The element of an atom of a residue of that kind: the file's where it can be right, else the name's."""
    given = atom.element or periodic_table.virtual
    if origin != GUESSED and atom.element is not None and not given.atomic_number:
        return given
    if kind == "ion":
        return periodic_table.get_by_symbol(ion_element(atom.residue))
    lone = atom.residue.n_atoms == 1 and kind not in POLYMERS | {"water"}
    symbols = () if lone else possible_symbols(atom.name, atom.residue.name, kind)
    standard = is_standard(atom.residue.name, kind)
    possible = [
        periodic_table.get_by_symbol(symbol) for symbol in symbols if not standard or symbol in STANDARD_ELEMENTS
    ]
    if len(possible) == 1 and standard:
        return possible[0]
    if origin == READ:
        return given
    if origin == MASS:
        return _by_mass(atom.name, possible, given)
    return possible[0] if len(possible) == 1 else periodic_table.virtual


def _by_mass(name: str, possible: list[Element], given: Element) -> Element:
    """The given element, which is nearest in mass, or that one that hydrogens took mass from or gave it to."""
    if not possible:
        # Drude particles and lone pairs with a small mass; other names without an element in them say nothing.
        return periodic_table.virtual if name.upper().startswith(("D", "LP")) else given
    if any(element.atomic_number == given.atomic_number for element in possible):
        return given
    if possible == [periodic_table.hydrogen]:
        return periodic_table.hydrogen if given.mass < LARGEST_HYDROGEN_MASS else periodic_table.virtual
    lowest, highest = given.mass - MASS_TOLERANCE, given.mass + LARGEST_MASS_LOSS
    found = [element for element in possible if lowest <= element.mass <= highest]
    return found[0] if len(found) == 1 else periodic_table.virtual


def is_standard(residue_name: str, kind: str) -> bool:
    """Whether the names of a residue's atoms begin with their elements, as in all common force fields."""
    name = residue_name.upper()
    if kind == "water" or name in STANDARD:
        return True
    if kind == "protein":
        return len(name) == 4 and name[0] in "NC" and name[1:] in STANDARD
    return kind == "nucleic" and name.rstrip("35N") in STANDARD


@cache
def possible_symbols(atom_name: str, residue_name: str, kind: str) -> tuple[str, ...]:
    """Symbols of the elements that an atom of a molecule can have by its name; none for a virtual site."""
    name = atom_name.upper().lstrip("0123456789")
    first, second = name[:1], name[1:2]
    if first == "H":
        return ("H",)
    if kind == "water":
        return (first,) if first == "O" else ()
    single = (first.title(),) if first and first in LETTERS else ()
    if name[:2] == "SE" and residue_name.upper() in SELENIUM:
        return ("Se",)
    if name[:2] not in PAIRS or (kind in POLYMERS and second in POSITIONS):
        return single
    return (*single, PAIRS[name[:2]])
