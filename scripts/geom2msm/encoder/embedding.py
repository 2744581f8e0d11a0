"""Frames of atoms to tokens: the frozen encoder, then a sum over the atoms of each token."""

from collections.abc import Iterator
from dataclasses import dataclass

import mdtraj
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32, Int

from geom2msm.encoder.neighbors import MAX_NEIGHBORS, neighbor_table
from geom2msm.encoder.visnet import ViSNet
from geom2msm.log import progress
from geom2msm.store import ArrayLayout, PartialStore
from geom2msm.topology import atomic_numbers, token_atoms

BATCH_EDGES = 8192
CHUNK_BYTES = 1 << 20
LARGEST_FLOAT16 = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class TokenMap:
    """The atoms that are embedded: their elements, token, and which of them gives a token's position (-1: centroid)."""

    atomic_numbers: Int[np.ndarray, " atom"]
    token_of_atom: Int[np.ndarray, " atom"]
    position_atom: Int[np.ndarray, " token"]

    @property
    def n_tokens(self) -> int:
        """Number of tokens."""
        return len(self.position_atom)


@dataclass(frozen=True)
class Tokens:
    """Tokens of consecutive frames, as they are stored."""

    scalars: np.ndarray
    vectors: np.ndarray
    positions_nm: np.ndarray


def map_tokens(topology: mdtraj.Topology, table: pd.DataFrame, atoms: Int[np.ndarray, " atom"]) -> TokenMap:
    """Elements and tokens of the embedded atoms, which are all atoms of a token table in ascending order."""
    token_of = {atom: token for token, members in enumerate(token_atoms(table)) for atom in members.tolist()}
    place = {atom: row for row, atom in enumerate(atoms.tolist())}
    position_atom = np.array([place.get(atom, -1) for atom in table["position_atom"]])
    return TokenMap(
        atomic_numbers(topology, atoms), np.array([token_of[atom] for atom in atoms.tolist()]), position_atom
    )


def token_layout(n_tokens: int, n_channels: int) -> dict[str, ArrayLayout]:
    """The arrays of a token store."""
    return {
        "scalars": ArrayLayout(("frame", "token", "channel"), (n_tokens, n_channels), "float16"),
        "vectors": ArrayLayout(("frame", "token", "3", "channel"), (n_tokens, 3, n_channels), "float16"),
        "positions_nm": ArrayLayout(("frame", "token", "3"), (n_tokens, 3), "float32"),
        "time_ps": ArrayLayout(("frame",), (), "float64"),
    }


def frames_per_batch(n_atoms: int) -> int:
    """Frames that go through the network at once: about 8,000 edges, which stay in the cache."""
    return max(1, BATCH_EDGES // (n_atoms * min(n_atoms, MAX_NEIGHBORS)))


def frames_per_chunk(n_tokens: int, n_channels: int, n_atoms: int) -> int:
    """Frames per chunk of the store: about 1 MiB of half-precision tokens, in whole batches.

    Whole batches make every frame be computed in the same company, whether or not a killed run was continued.
    """
    batch = frames_per_batch(n_atoms)
    return max(1, CHUNK_BYTES // (n_tokens * n_channels * 4 * 2) // batch) * batch


def check_elements(
    atomic_numbers: Int[np.ndarray, " atom"], known: tuple[int, ...], names: list[str], *, encoder: str
) -> None:
    """Refuse elements that the encoder never saw: their embedding would be a random vector."""
    unseen = [name for name, number in zip(names, atomic_numbers, strict=True) if number not in known]
    if unseen:
        raise ValueError(
            f"encoder {encoder} was not trained on the elements of {len(unseen)} atoms ({', '.join(unseen[:5])}); "
            "leave them out by trajectories.selection or choose another encoder"
        )


@torch.inference_mode()
def embed(
    encoder: ViSNet, positions_nm: Float32[np.ndarray, "frame atom 3"], token_map: TokenMap, *, neighbor_rule: str
) -> Tokens:
    """Tokens of some frames: per token the sum of its atoms' scalars and vectors, and its position."""
    batch = frames_per_batch(positions_nm.shape[1])
    parts = [
        _embed_batch(encoder, torch.from_numpy(positions_nm[start : start + batch]), token_map, neighbor_rule)
        for start in range(0, len(positions_nm), batch)
    ]
    scalars, vectors = (torch.cat(arrays) for arrays in zip(*parts, strict=True))
    largest = max(float(scalars.abs().max()), float(vectors.abs().max()))
    if not largest < LARGEST_FLOAT16:
        raise ValueError(
            f"a token has the value {largest:g}, which half precision cannot hold; check the coordinates' unit"
        )
    return Tokens(scalars.half().numpy(), vectors.half().numpy(), token_positions(positions_nm, token_map))


def _embed_batch(
    encoder: ViSNet, positions: torch.Tensor, token_map: TokenMap, neighbor_rule: str
) -> tuple[torch.Tensor, torch.Tensor]:
    n_frames, n_atoms = positions.shape[:2]
    table = neighbor_table(positions, cutoff=encoder.config.cutoff_nm, rule=neighbor_rule)
    numbers = torch.from_numpy(token_map.atomic_numbers).repeat(n_frames)
    scalars, vectors = encoder(numbers, positions.reshape(-1, 3), table)
    token = torch.from_numpy(token_map.token_of_atom)
    summed = []
    for atoms in (scalars.unflatten(0, (n_frames, n_atoms)), vectors.unflatten(0, (n_frames, n_atoms))):
        zeros = atoms.new_zeros(n_frames, token_map.n_tokens, *atoms.shape[2:])
        summed.append(zeros.index_add_(1, token, atoms))
    return summed[0], summed[1]


def token_positions(
    positions_nm: Float32[np.ndarray, "frame atom 3"], token_map: TokenMap
) -> Float32[np.ndarray, "frame token 3"]:
    """Position of each token: its chosen atom, or the centroid of its atoms."""
    positions = positions_nm[:, np.maximum(token_map.position_atom, 0)]
    for token in np.flatnonzero(token_map.position_atom < 0):
        positions[:, token] = positions_nm[:, token_map.token_of_atom == token].mean(axis=1)
    return positions


def chunked(pieces: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Cut pieces of any length into pieces of `size` frames; only the last may be shorter."""
    waiting: list[np.ndarray] = []
    n_waiting = 0
    for piece in pieces:
        waiting.append(piece)
        n_waiting += len(piece)
        if n_waiting >= size:
            joined = np.concatenate(waiting)
            whole = n_waiting // size * size
            yield from (joined[start : start + size] for start in range(0, whole, size))
            waiting, n_waiting = [joined[whole:]], n_waiting - whole
    if n_waiting:
        yield np.concatenate(waiting)


def fill_store(
    store: PartialStore,
    pieces: Iterator[Float32[np.ndarray, "_ atom 3"]],
    encoder: ViSNet,
    token_map: TokenMap,
    *,
    neighbor_rule: str,
    frame_interval_ps: float,
) -> None:
    """Embed the frames that a store still lacks, chunk by chunk, and finish it."""
    n_chunks = -(-(store.n_frames - store.frames_done) // store.chunk_frames)
    for chunk in progress(chunked(pieces, store.chunk_frames), total=n_chunks, description="chunks of frames"):
        embedded = embed(encoder, chunk, token_map, neighbor_rule=neighbor_rule)
        time_ps = (store.frames_done + np.arange(len(chunk))) * frame_interval_ps
        store.append(vars(embedded) | {"time_ps": time_ps})
    store.finish()
