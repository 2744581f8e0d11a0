"""The token table: which atoms form which token, of which residue, and where the token sits."""

from collections.abc import Sequence

import mdtraj
import numpy as np
import pandas as pd
from jaxtyping import Int

from geom2msm.residues import ENDING_CAPS, POLYMERS, STARTING_CAPS, distinct, residue_kind
from geom2msm.token_rules import (
    CHAIN_PARTS,
    ONE_PER_RESIDUE,
    Token,
    TokenRule,
    check_no_repeats,
    divide_into_tokens,
)
from geom2msm.topology_files import ResidueLabel

CENTROID = -1
NO_STRETCH = -1
POSITION_ATOMS = {"protein": ("CA",), "nucleic": ("C1'", "C1*", "P")}
CHAIN_ENDS = {"OXT", "OT2", "OC2"}


def token_table(
    topology: mdtraj.Topology,
    atoms: Int[np.ndarray, " atom"],
    *,
    labels: Sequence[ResidueLabel],
    rules: Sequence[TokenRule] = ONE_PER_RESIDUE,
    file: str,
) -> pd.DataFrame:
    """One row per token, in the order of their first atoms.

    A residue is the topology's own object, not its number: numbers repeat between chains, and from water
    10,000 on within one. A fragment is described by the residue of its first atom. `position_atom` is -1 where
    the centroid is the position; `stretch` numbers the unbroken pieces of chain, -1 outside of chains.
    """
    rows = []
    for token in divide_into_tokens(topology, atoms, rules, file=file):
        check_no_repeats(topology, token, file=file)
        label = labels[token.residue.index]
        position = position_atom(topology, token)
        rows.append(
            {
                "token": len(rows),
                "chain": label.chain,
                "segment": label.segment,
                "residue_number": label.number,
                "insertion_code": label.insertion_code,
                "residue_name": token.residue.name,
                "kind": residue_kind(token.residue),
                "part": token.part,
                "n_atoms": len(token.atoms),
                "position": "centroid" if position == CENTROID else topology.atom(position).name,
                "position_atom": position,
                "residue_index": token.residue.index,
                "atoms": " ".join(map(str, token.atoms)),
            }
        )
    table = pd.DataFrame(rows)
    table.insert(len(table.columns) - 1, "stretch", stretches(topology, table))
    return table


def position_atom(topology: mdtraj.Topology, token: Token) -> int:
    """C-alpha of an amino acid, C1' or else P of a nucleotide; -1, the centroid, of all others."""
    if token.part not in ("residue", "backbone"):
        return CENTROID
    found = {topology.atom(atom).name: atom for atom in token.atoms}
    wanted = POSITION_ATOMS.get(residue_kind(token.residue), ())
    return next((found[name] for name in wanted if name in found), CENTROID)


def stretches(topology: mdtraj.Topology, table: pd.DataFrame) -> list[int]:
    """Number of the unbroken piece of chain that each token belongs to; -1 for ligands, ions, fragments, …

    A piece ends with its chain or segment, at a gap in the numbering, and where an end shows: OXT or an end cap
    before, a start cap or a nucleotide without phosphate after.
    """
    found, pieces, before = [], -1, None
    for row in table.itertuples():
        if row.kind not in POLYMERS or row.part not in CHAIN_PARTS:
            found.append(NO_STRETCH)
            continue
        if before is None or (row.residue_index != before.residue_index and not _continues(topology, before, row)):
            pieces += 1
        found.append(pieces)
        before = row
    return found


def _continues(topology: mdtraj.Topology, before: tuple, row: tuple) -> bool:
    residue, last = topology.residue(row.residue_index), topology.residue(before.residue_index)
    if residue.chain.index != last.chain.index or row.segment != before.segment:
        return False
    step = row.residue_number - before.residue_number
    # A cap may have the number of the residue that it closes.
    inserted = row.insertion_code != before.insertion_code or "cap" in (row.kind, before.kind)
    if step != 1 and not (step == 0 and inserted):
        return False
    if row.kind != before.kind and "cap" not in (row.kind, before.kind):
        return False
    if before.residue_name in ENDING_CAPS or row.residue_name in STARTING_CAPS:
        return False
    starts = row.kind == "nucleic" and all(atom.name != "P" for atom in residue.atoms)
    return not starts and not any(atom.name in CHAIN_ENDS for atom in last.atoms)


def read_token_table(path: str) -> pd.DataFrame:
    """A token table as written by build_token_table; chain 'NA' stays a name."""
    columns = ("chain", "segment", "insertion_code", "residue_name", "kind", "part", "position", "atoms")
    return pd.read_csv(path, dtype=dict.fromkeys(columns, str), keep_default_na=False)


def token_atoms(table: pd.DataFrame) -> list[Int[np.ndarray, " atom"]]:
    """Atom indices of each token in the topology file."""
    return [np.array(atoms.split(), dtype=np.int64) for atoms in table["atoms"]]


def token_of_atoms(table: pd.DataFrame, atoms: Int[np.ndarray, " atom"]) -> Int[np.ndarray, " atom"]:
    """Token of each of the atoms, by their indices in the topology file; -1 for context atoms, which have none."""
    token_of = {atom: token for token, members in enumerate(token_atoms(table)) for atom in members.tolist()}
    return np.array([token_of.get(atom, -1) for atom in atoms.tolist()], dtype=np.int64)


def token_names(table: pd.DataFrame) -> list[str]:
    """Names such as `A:GLY12` or `A:GLY12A backbone`, by which a token is found in the topology file; no two alike."""
    return distinct(
        f"{row.chain}:{row.residue_name}{row.residue_number}{row.insertion_code}"
        + ("" if row.part == "residue" else f" {row.part}")
        for row in table.itertuples()
    )
