"""Windowed embedding: each token in a graph of its own, with a few sequence neighbors around it.

The alternative to one graph of the whole molecule (arXiv 2512.06520, appendix K, calls it windowed embedding):
what a token says then depends on nothing beyond its window, and the cost grows linearly with the chain.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from geom2msm.encoder.neighbors import MAX_NEIGHBORS, neighbor_table
from geom2msm.token_table import NO_STRETCH

# Edges that go through the network at once; their arrays fit the processor's cache.
BATCH_EDGES = 8192


@dataclass(frozen=True)
class Windows:
    """Atoms around each token, ascending; rows are padded with atom 0, which `present` leaves out.

    `atoms` counts the embedded atoms, not those of the topology file. Only `is_center` atoms are summed.
    """

    atoms: Int[np.ndarray, "token width"]
    present: Bool[np.ndarray, "token width"]
    is_center: Bool[np.ndarray, "token width"]


def token_windows(table: pd.DataFrame, token_of_atom: Int[np.ndarray, " atom"], *, neighbors: int) -> Windows:
    """Windows of `neighbors` residues on each side in the same stretch of chain; fewer at its ends.

    Tokens outside of chains (ligands, ions, named fragments) stand alone; context atoms (token -1) are in no
    window. Where a residue has several tokens (backbone and side chain), all of them are in its window.
    """
    members = [np.flatnonzero(token_of_atom == token) for token in range(len(table))]
    rows = [
        np.sort(np.concatenate([members[token] for token in tokens])) for tokens in tokens_in_windows(table, neighbors)
    ]
    width = max(len(row) for row in rows)
    present = np.arange(width) < np.array([len(row) for row in rows])[:, None]
    atoms = np.zeros((len(rows), width), dtype=np.int64)
    atoms[present] = np.concatenate(rows)
    is_center = present & (token_of_atom[atoms] == np.arange(len(rows))[:, None])
    return Windows(atoms, present, is_center)


def tokens_in_windows(table: pd.DataFrame, neighbors: int) -> list[list[int]]:
    """For each token the tokens of its window, ascending."""
    stretch, residue = table["stretch"].to_numpy(), table["residue_index"].to_numpy()
    windows = [[token] for token in range(len(table))]
    for piece in np.unique(stretch[stretch != NO_STRETCH]):
        tokens = np.flatnonzero(stretch == piece)
        place = np.unique(residue[tokens], return_inverse=True)[1]
        for token, own in zip(tokens, place, strict=True):
            windows[token] = tokens[np.abs(place - own) <= neighbors].tolist()
    return windows


@torch.no_grad()
def embed_windows(
    network: Callable,
    positions_nm: Float[Tensor, "frame atom 3"],
    atomic_numbers: Int[Tensor, " atom"],
    windows: Windows,
    *,
    neighbor_rule: str,
    cell_nm: Float[Tensor, "frame 3 3"] | None = None,
) -> tuple[Float[Tensor, "frame token channel"], Float[Tensor, "frame token 3 channel"]]:
    """Per token the sum of its atoms' scalars and vectors, computed in the graph of its window alone.

    With `cell_nm`, whose rows are box vectors, atoms are seen at their nearest periodic images.
    """
    device, n_frames = positions_nm.device, len(positions_nm)
    # Windows of like size share a batch, so that little of it is padding.
    order = np.argsort(windows.present.sum(1), kind="stable")
    n_graphs, width = n_frames * len(order), windows.atoms.shape[1]
    step = max(1, BATCH_EDGES // (width * (width if neighbor_rule == "all" else min(width, MAX_NEIGHBORS))))
    scalars, vectors = [], []
    for start in range(0, n_graphs, step):
        graphs = np.arange(start, min(start + step, n_graphs))
        token = order[graphs // n_frames]
        frame = torch.from_numpy(graphs % n_frames).to(device)
        columns = slice(int(windows.present[token].sum(1).max()))
        atoms, present, center = (
            torch.from_numpy(array[token, columns]).to(device)
            for array in (windows.atoms, windows.present, windows.is_center)
        )
        positions = positions_nm[frame[:, None], atoms]
        cell = None if cell_nm is None else cell_nm[frame]
        cutoff = network.config.cutoff_nm
        table = neighbor_table(positions, cutoff=cutoff, rule=neighbor_rule, present=present, cell_nm=cell)
        embedded = network(atomic_numbers[atoms][present], positions[present], table)
        owner = torch.nonzero(present)[:, 0][center[present]]
        for sums, values in zip((scalars, vectors), embedded, strict=True):
            values = values[center[present]]
            sums.append(values.new_zeros(len(graphs), *values.shape[1:]).index_add_(0, owner, values))
    place = torch.from_numpy(np.argsort(order)).to(device)
    return tuple(
        torch.cat(sums).unflatten(0, (len(order), n_frames))[place].transpose(0, 1) for sums in (scalars, vectors)
    )
