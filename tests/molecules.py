"""Small molecules for tests, as topologies and as the files in which they come."""

from pathlib import Path

import mdtraj
import numpy as np
from mdtraj.core import element

STRUCTURES = Path(__file__).resolve().parents[1] / "resources/structures"

AMINO_ACID = ["N", "CA", "C", "O"]
SUGAR = ["C1'", "C3'", "C4'", "C5'", "O4'"]


def molecule(*residues, chain_id="A", segment="", topology=None):
    """A topology with one more chain of residues (name, number, atom names); elements from the first letter."""
    topology = topology or mdtraj.Topology()
    chain = topology.add_chain(chain_id)
    for name, number, atoms in residues:
        residue = topology.add_residue(name, chain, resSeq=number, segment_id=segment)
        for atom in atoms:
            topology.add_atom(atom, element.get_by_symbol(atom[0]), residue)
    return topology


def pdb_line(atom, residue, number, *, chain="A", code=" ", symbol="", segment="", x=0.0):
    """One ATOM record; names of up to three letters begin in column 14, as most MD programs write them."""
    name = atom if len(atom) == 4 else f" {atom:<3}"
    return (
        f"ATOM  {1:5d} {name} {residue:>3} {chain}{number:4d}{code}   {x:8.3f}{0:8.3f}{0:8.3f}{1:6.2f}{0:6.2f}"
        f"      {segment:<4}{symbol:>2}\n"
    )


def gro_file(*atoms):
    """A GRO file of atoms (residue number, residue name, atom name)."""
    lines = [
        f"{number:5d}{residue:<5}{atom:>5}{place:5d}{0.1 * place:8.3f}{0:8.3f}{0:8.3f}"
        for place, (number, residue, atom) in enumerate(atoms, start=1)
    ]
    return "\n".join(["test", str(len(atoms)), *lines, "   9.0   9.0   9.0", ""])


def psf_file(*atoms):
    """A PSF file of atoms (segment, residue number, residue name, atom name, mass) without bonds."""
    lines = [
        f"{place:8d} {segment:<4} {number:<4d} {residue:<4} {atom:<4} X {0.0:10.6f} {mass:13.4f} 0"
        for place, (segment, number, residue, atom, mass) in enumerate(atoms, start=1)
    ]
    return "\n".join(
        [
            "PSF",
            "",
            "       1 !NTITLE",
            " test",
            "",
            f"{len(atoms):8d} !NATOM",
            *lines,
            "",
            "       0 !NBOND: bonds",
            "",
            "",
        ]
    )


def prmtop_file(residues, *, numbers=None, codes=None, atomic_numbers=True):
    """A PRMTOP file of residues (name, [(atom, atomic number), …]) without bonds."""
    atoms = [atom for _, members in residues for atom in members]
    first, starts = 1, []
    for _, members in residues:
        starts.append(first)
        first += len(members)
    pointers = [len(atoms), *[0] * 10, len(residues), *[0] * 19]
    sections = [
        ("POINTERS", "10I8", [f"{value:8d}" for value in pointers]),
        ("ATOM_NAME", "20a4", [f"{name:<4}" for name, _ in atoms]),
        ("RESIDUE_LABEL", "20a4", [f"{name:<4}" for name, _ in residues]),
        ("RESIDUE_POINTER", "10I8", [f"{value:8d}" for value in starts]),
        ("BONDS_INC_HYDROGEN", "10I8", []),
        ("BONDS_WITHOUT_HYDROGEN", "10I8", []),
    ]
    if atomic_numbers:
        sections.append(("ATOMIC_NUMBER", "10I8", [f"{number:8d}" for _, number in atoms]))
    if numbers:
        sections.append(("RESIDUE_NUMBER", "20I4", [f"{number:4d}" for number in numbers]))
    if codes:
        sections.append(("RESIDUE_ICODE", "20a4", [f"{code:<4}" for code in codes]))
    text = ["%VERSION  VERSION_STAMP = V0001.000  DATE = 01/01/01  00:00:00"]
    for flag, form, items in sections:
        per_line = int(form[:2])
        lines = ["".join(items[i : i + per_line]).rstrip() for i in range(0, len(items), per_line)] or [""]
        text += [f"%FLAG {flag}", f"%FORMAT({form})", *lines]
    return "\n".join([*text, ""])


MMCIF_COLUMNS = [
    "group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id", "label_asym_id", "label_seq_id",
    "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y", "Cartn_z", "auth_seq_id", "auth_comp_id", "auth_asym_id", "auth_atom_id",
    "pdbx_PDB_model_num",
]  # fmt: skip


def mmcif_file(*atoms):
    """An mmCIF file of atoms (chain, residue number, insertion code, residue name, atom name, symbol)."""
    lines = [
        f"ATOM {place} {symbol} {atom} . {residue} {chain} {place} {code or '?'} {0.38 * place:.3f} 0 0 "
        f"{number} {residue} {chain} {atom} 1"
        for place, (chain, number, code, residue, atom, symbol) in enumerate(atoms, start=1)
    ]
    return "\n".join(["data_test", "loop_", *[f"_atom_site.{name}" for name in MMCIF_COLUMNS], *lines, "#", ""])


def trembling(*, seed: int, n_frames: int = 2000, n_atoms: int = 22) -> mdtraj.Trajectory:
    """Copies of alanine dipeptide, every atom moved at random, as a quick substitute for dynamics."""
    molecule = mdtraj.load(STRUCTURES / "alanine_dipeptide.pdb").atom_slice(range(n_atoms))
    noise = np.random.default_rng(seed).normal(scale=0.004, size=(n_frames, n_atoms, 3))
    return mdtraj.Trajectory((molecule.xyz + noise).astype(np.float32), molecule.topology)
