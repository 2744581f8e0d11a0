"""Which atoms the encoder gets, under which elements, and which token each of them is summed into."""

from collections.abc import Mapping

import mdtraj
import numpy as np
import pandas as pd
from jaxtyping import Int

from geom2msm.encoder.embedding import TokenMap
from geom2msm.encoder.unseen_elements import LEFT_OUT, check_tokens_keep_atoms, encoded_numbers
from geom2msm.encoder.weights import EncoderCard
from geom2msm.encoder.windows import token_windows
from geom2msm.token_table import token_names, token_of_atoms
from geom2msm.topology import atomic_numbers


def map_tokens(
    topology: mdtraj.Topology,
    table: pd.DataFrame,
    atoms: Int[np.ndarray, " selected"],
    *,
    card: EncoderCard,
    unseen_elements: Mapping[str, str],
    window_neighbors: int | None,
) -> tuple[Int[np.ndarray, " atom"], TokenMap]:
    """The selected atoms without those that are skipped, and their elements and tokens."""
    names = [str(topology.atom(atom)) for atom in atoms.tolist()]
    numbers = encoded_numbers(
        atomic_numbers(topology, atoms), names, known=card.elements, overrides=unseen_elements, encoder=card.name
    )
    check_tokens_keep_atoms(numbers, token_of_atoms(table, atoms), token_names(table))
    atoms, numbers = atoms[numbers != LEFT_OUT], numbers[numbers != LEFT_OUT]
    token_of_atom = token_of_atoms(table, atoms)
    windows = None if window_neighbors is None else token_windows(table, token_of_atom, neighbors=window_neighbors)
    position_atom = row_of(atoms, table["position_atom"].to_numpy())
    return atoms, TokenMap(numbers, token_of_atom, position_atom, windows)


def row_of(atoms: Int[np.ndarray, " atom"], wanted: Int[np.ndarray, " wanted"]) -> Int[np.ndarray, " wanted"]:
    """Row of each wanted atom among the ascending `atoms`, -1 where it is not there."""
    row = np.searchsorted(atoms, wanted).clip(max=len(atoms) - 1)
    return np.where(atoms[row] == wanted, row, -1)
