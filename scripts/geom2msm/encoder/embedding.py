"""Frames of atoms to tokens: the frozen encoder, then a sum over the atoms of each token."""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int
from torch import Tensor

from geom2msm.encoder.architectures import Encoder
from geom2msm.encoder.frozen import FrozenEncoder, check_kernel
from geom2msm.encoder.neighbors import MAX_NEIGHBORS, neighbor_table
from geom2msm.encoder.windows import Windows, embed_windows
from geom2msm.store import ArrayLayout

# Edges that go through the network at once: some megabytes on a processor, and enough to fill a GPU.
BATCH_EDGES = {"cpu": 1 << 15, "cuda": 1 << 20}
CHUNK_BYTES = 1 << 20
LARGEST_FLOAT16 = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class TokenMap:
    """The atoms that are embedded: their elements, token (-1: none), and which gives a token's position (-1: centroid).

    With `windows`, each token is embedded in a graph of its own.
    """

    atomic_numbers: Int[np.ndarray, " atom"]
    token_of_atom: Int[np.ndarray, " atom"]
    position_atom: Int[np.ndarray, " token"]
    windows: Windows | None = None

    @property
    def n_tokens(self) -> int:
        """Number of tokens."""
        return len(self.position_atom)


@dataclass(frozen=True)
class EmbeddedTokens:
    """Tokens of consecutive frames, as they are stored."""

    scalars: np.ndarray
    vectors: np.ndarray
    positions_nm: np.ndarray


def token_layout(n_tokens: int, n_channels: int, *, dtype: str) -> dict[str, ArrayLayout]:
    """The arrays of a token store."""
    return {
        "scalars": ArrayLayout(("frame", "token", "channel"), (n_tokens, n_channels), dtype),
        "vectors": ArrayLayout(("frame", "token", "3", "channel"), (n_tokens, 3, n_channels), dtype),
        "positions_nm": ArrayLayout(("frame", "token", "3"), (n_tokens, 3), "float32"),
        "time_ps": ArrayLayout(("frame",), (), "float64"),
    }


def frames_per_batch(n_atoms: int, *, device: str = "cpu") -> int:
    """Frames that go through the network at once."""
    return max(1, BATCH_EDGES[device] // (n_atoms * min(n_atoms, MAX_NEIGHBORS)))


def frames_per_chunk(layout: dict[str, ArrayLayout], n_atoms: int, *, device: str = "cpu") -> int:
    """Frames per chunk of the store: about 1 MiB of all its arrays, in whole batches.

    Whole batches make every frame be computed in the same company, whether or not a killed run was continued.
    """
    batch = frames_per_batch(n_atoms, device=device)
    return max(1, CHUNK_BYTES // sum(array.frame_bytes for array in layout.values()) // batch) * batch


@dataclass(frozen=True)
class Embedder:
    """Everything that turns coordinates into tokens."""

    encoder: FrozenEncoder
    token_map: TokenMap
    neighbor_rule: str
    dtype: str = "float16"

    @torch.inference_mode()
    def __call__(
        self,
        positions_nm: Float32[np.ndarray, "frame atom 3"],
        cell_nm: Float32[np.ndarray, "frame 3 3"] | None = None,
    ) -> EmbeddedTokens:
        """Tokens of some frames: per token the sum of its atoms' scalars and vectors, and its position.

        With `cell_nm`, atoms see each other across the periodic box.
        """
        device = self.encoder.device
        batch = frames_per_batch(positions_nm.shape[1], device=device.type)
        arrays = [positions_nm] if cell_nm is None else [positions_nm, cell_nm]
        parts = [
            self._summed(*(torch.from_numpy(array[start : start + batch]).to(device) for array in arrays))
            for start in range(0, len(positions_nm), batch)
        ]
        scalars, vectors = (as_stored(torch.cat(sums), self.dtype) for sums in zip(*parts, strict=True))
        return EmbeddedTokens(scalars, vectors, token_positions(positions_nm, self.token_map))

    def _summed(self, positions: Tensor, cell: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Scalars and vectors of the tokens of one batch of frames."""
        numbers = torch.from_numpy(self.token_map.atomic_numbers).to(positions.device)
        if self.token_map.windows is not None:
            windows = self.token_map.windows
            return embed_windows(
                self.encoder, positions, numbers, windows, neighbor_rule=self.neighbor_rule, cell_nm=cell
            )
        n_frames, n_atoms = positions.shape[:2]
        table = neighbor_table(positions, cutoff=self.encoder.config.cutoff_nm, rule=self.neighbor_rule, cell_nm=cell)
        scalars, vectors = self.encoder(numbers.repeat(n_frames), positions.reshape(-1, 3), table)
        token = torch.from_numpy(self.token_map.token_of_atom).to(positions.device)
        # Context atoms have no token: they are summed into one more, which is dropped.
        token = torch.where(token < 0, self.token_map.n_tokens, token)
        return tuple(
            values.new_zeros(n_frames, self.token_map.n_tokens + 1, *values.shape[1:]).index_add_(
                1, token, values.unflatten(0, (n_frames, n_atoms))
            )[:, :-1]
            for values in (scalars, vectors)
        )

    def compare(
        self,
        encoder: Encoder,
        positions_nm: Float32[np.ndarray, "atom 3"],
        cell_nm: Float32[np.ndarray, "3 3"] | None = None,
    ) -> None:
        """Embed one frame both ways; the log says how far the fast one is from the readable one."""
        positions = torch.from_numpy(positions_nm).to(self.encoder.device)
        cell = None if cell_nm is None else torch.from_numpy(cell_nm)[None].to(positions.device)
        cutoff = self.encoder.config.cutoff_nm
        table = neighbor_table(positions[None], cutoff=cutoff, rule=self.neighbor_rule, cell_nm=cell)
        numbers = torch.from_numpy(self.token_map.atomic_numbers).to(positions.device)
        difference = check_kernel(self.encoder, encoder, numbers, positions, table)
        logging.info(
            "forward pass: %s, %s; first frame differs from the plain one in float32 by %.1e",
            self.encoder.path, self.encoder.precision, difference,
        )  # fmt: skip


def as_stored(values: Tensor, dtype: str) -> np.ndarray:
    """Values in the precision of the store; one that it cannot hold is an error."""
    largest = float(values.abs().max())
    if not largest < (LARGEST_FLOAT16 if dtype == "float16" else float("inf")):
        raise ValueError(
            f"a token has the value {largest:g}, which {dtype} cannot hold; check the coordinates' unit, or set "
            "tokens.dtype to float32"
        )
    return values.to(getattr(torch, dtype)).cpu().numpy()


def token_positions(
    positions_nm: Float32[np.ndarray, "frame atom 3"], token_map: TokenMap
) -> Float32[np.ndarray, "frame token 3"]:
    """Position of each token: its chosen atom, or the centroid of its atoms."""
    positions = positions_nm[:, np.maximum(token_map.position_atom, 0)]
    for token in np.flatnonzero(token_map.position_atom < 0):
        positions[:, token] = positions_nm[:, token_map.token_of_atom == token].mean(axis=1)
    return positions
