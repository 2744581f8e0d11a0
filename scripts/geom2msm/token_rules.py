"""Rules that say which atoms form a token: residues, backbones and side chains, named fragments."""

from collections.abc import Sequence
from dataclasses import dataclass

import mdtraj
import numpy as np
from jaxtyping import Int
from mdtraj.core.topology import Atom, Residue

from geom2msm.residues import IONS, POLYMERS, describe, residue_kind
from geom2msm.topology import select_atoms

CHAIN_PARTS = ("residue", "backbone", "sidechain", "base")
RESERVED = ("", "context", *CHAIN_PARTS)
PER = ("residue", "backbone_sidechain", "fragment", "context")
# Heavy atoms of the peptide chain under their PDB, CHARMM and GROMACS names, with CHARMM's terminal patches.
CHAIN_ATOMS = {
    "N", "CA", "C", "O", "OXT", "OT1", "OT2", "O1", "O2", "OC1", "OC2", "CAY", "CY", "OY", "NT", "CAT",
}  # fmt: skip
CHAIN_HYDROGENS = {
    "H", "HN", "H1", "H2", "H3", "HT1", "HT2", "HT3", "HN1", "HN2", "HN3", "HA", "HA1", "HA2", "HA3", "HXT", "HNT",
    "HY1", "HY2", "HY3",
}  # fmt: skip
PHOSPHATE_ATOMS = {"P", "OP1", "OP2", "OP3", "O1P", "O2P", "O3P", "O5T", "O3T", "H5T", "H3T", "HOP2", "HOP3"}


@dataclass(frozen=True)
class TokenRule:
    """Which of the selected atoms form tokens, and how; `context` atoms are embedded but belong to none."""

    selection: str
    per: str
    name: str | None = None

    def __post_init__(self) -> None:
        if self.per not in PER:
            raise ValueError(f"tokens.rules: per = {self.per!r} is not one of {', '.join(PER)}")
        if (self.name is not None) != (self.per == "fragment"):
            raise ValueError(f"tokens.rules: '{self.selection}': a fragment has a name, and nothing else has one")
        if self.name in RESERVED:
            raise ValueError(f"tokens.rules: a fragment cannot be named {self.name}; choose another name")


ONE_PER_RESIDUE = (TokenRule("all", "residue"),)


@dataclass(frozen=True)
class Token:
    """The atoms of one token, ascending, the residue of the first, and which part of the residue they are."""

    atoms: list[int]
    residue: Residue
    part: str


def divide_into_tokens(
    topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"], rules: Sequence[TokenRule], *, file: str
) -> list[Token]:
    """Tokens in the order of their first atoms; every selected atom belongs to exactly one rule."""
    tokens = []
    for rule, members in zip(rules, atoms_of_rules(topology, atoms, rules, file=file), strict=True):
        groups: dict[tuple, list[int]] = {}
        for atom in members:
            groups.setdefault(_group(topology.atom(atom), rule), []).append(atom)
        tokens += [
            Token(group, topology.atom(group[0]).residue, key[-1]) for key, group in groups.items() if key[-1] != ""
        ]
    if not tokens:
        raise ValueError(f"{file}: tokens.rules leave no token; all selected atoms are context")
    return sorted(tokens, key=lambda token: token.atoms[0])


def atoms_of_rules(
    topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"], rules: Sequence[TokenRule], *, file: str
) -> list[list[int]]:
    """The selected atoms of each rule; overlaps, left-over atoms and rules without any are refused."""
    selected = set(atoms.tolist())
    owner: dict[int, TokenRule] = {}
    members = []
    for rule in rules:
        found = [
            atom
            for atom in select_atoms(topology, rule.selection, file=file, key="tokens.rules.selection").tolist()
            if atom in selected
        ]
        if not found:
            raise ValueError(f"{file}: tokens.rules: '{rule.selection}' selects none of trajectories.selection's atoms")
        twice = [atom for atom in found if atom in owner]
        if twice:
            raise ValueError(
                f"{file}: {len(twice)} atom(s) ({_names(topology, twice)}) are in two of tokens.rules, "
                f"'{owner[twice[0]].selection}' and '{rule.selection}'; change one so that they do not overlap"
            )
        owner.update(dict.fromkeys(found, rule))
        members.append(found)
    left = [atom for atom in atoms.tolist() if atom not in owner]
    if left:
        raise ValueError(
            f"{file}: {len(left)} atom(s) of trajectories.selection ({_names(topology, left)}) are in none of "
            "tokens.rules; add a rule for them (per: context embeds them without a token) or exclude them"
        )
    return members


def _names(topology: mdtraj.Topology, atoms: list[int]) -> str:
    names = [f"{describe(topology.atom(atom).residue)}-{topology.atom(atom).name}" for atom in atoms[:5]]
    return ", ".join(names) + (", …" if len(atoms) > 5 else "")


def _group(atom: Atom, rule: TokenRule) -> tuple:
    """What the atoms of one token have in common; the last entry is the part's name, empty for none."""
    if rule.per == "fragment":
        return (rule.name,)
    if rule.per == "context":
        return ("",)
    return atom.residue.index, "residue" if rule.per == "residue" else residue_part(atom)


def residue_part(atom: Atom) -> str:
    """Backbone or side chain of an amino acid, backbone (phosphate and sugar) or base of a nucleotide, else residue."""
    kind = residue_kind(atom.residue)
    name = atom.name.lstrip("123")
    if kind == "protein":
        return "backbone" if name in CHAIN_ATOMS | CHAIN_HYDROGENS else "sidechain"
    if kind == "nucleic":
        return "backbone" if name in PHOSPHATE_ATOMS or "'" in name or "*" in name else "base"
    return "residue"


def check_no_repeats(topology: mdtraj.Topology, token: Token, *, file: str) -> None:
    """Refuse a token that holds an atom twice: MDTraj joins residues with the same number in a row, and keeps both
    conformations where a PDB file has lost their letters."""
    names = [topology.atom(atom).name for atom in token.atoms]
    repeated = sorted({name for name in names if names.count(name) > 1})
    # Ligands may have all their carbons named C.
    joined_ions = len(set(names)) == 1 and names[0].upper() in IONS
    if repeated and token.part in CHAIN_PARTS and (residue_kind(token.residue) in POLYMERS or joined_ions):
        raise ValueError(
            f"{file}: residue {describe(token.residue)} has atom {repeated[0]} twice: it is two residues with the same "
            "number (number them apart, name their chains or put TER between) or two conformations (keep one)"
        )
