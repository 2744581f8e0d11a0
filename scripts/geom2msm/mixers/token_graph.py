"""Which tokens see each other: all within a radius, or the next ones along a chain.

The graph is a function of its arguments alone: positions are always handed in, so that training, validation and
projection see the same one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

CHUNK_PAIRS = 2**20
SMALLEST_BLOCK_SLOTS, MOST_BLOCKS = 2**11, 64


@dataclass(frozen=True)
class TokenNeighbors:
    """Neighbors of every token of every frame, without the token itself, as rows of one width, at least 1.

    Where `mask[f, i, k]` is False the slot is empty and points at token i itself, so that every index can be gathered.
    """

    indices: Int[Tensor, "frame token neighbor"]
    mask: Bool[Tensor, "frame token neighbor"]

    def gather(self, values: Float[Tensor, "frame token *rest"]) -> Float[Tensor, "frame token neighbor *rest"]:
        """Values of the neighbors of each token; empty slots hold the token's own values."""
        return _taken(values.flatten(0, 1), self._rows(values.shape[1]))

    def receive(
        self,
        messages: Callable[..., tuple[Tensor, ...]],
        *,
        own: Sequence[Tensor],
        sent: Sequence[Tensor],
        of_edge: Sequence[Tensor] = (),
    ) -> tuple[Tensor, ...]:
        """For each array [row neighbor ...] that `messages` returns, its sum over neighbors as [frame token ...].

        `messages` is called with blocks of rows: `own` [frame token ...] as [row 1 ...], `sent` [frame token ...],
        taken from the neighbors, and `of_edge` [frame token neighbor ...] as [row neighbor ...]. With several blocks,
        backward computes each anew: the arrays of all edges, a dozen for each token, are never in memory together.
        """
        n_frames, n_tokens, width = self.indices.shape
        least = SMALLEST_BLOCK_SLOTS // width
        size = max(1, least, -(-n_frames * n_tokens // MOST_BLOCKS))
        split = [values.flatten(0, 1).split(size) for values in (self._rows(n_tokens), self.mask, *own, *of_edge)]
        run = partial(_received, messages, len(own), [values.flatten(0, 1) for values in sent])
        if len(split[0]) > 1 and torch.is_grad_enabled():
            run = partial(checkpoint, run, use_reentrant=False)
        blocks = [run(*block) for block in zip(*split, strict=True)]
        return tuple(torch.cat(sums).unflatten(0, (n_frames, n_tokens)) for sums in zip(*blocks, strict=True))

    def total(self, values: Float[Tensor, "frame token *rest"]) -> Float[Tensor, "frame token *rest"]:
        """Sum over the neighbors of each token, without an array of all edges."""
        n_frames, n_tokens = values.shape[:2]
        flat = values.flatten(0, 1).flatten(1)
        bags = functional.embedding_bag(
            self._rows(n_tokens).flatten(0, 1),
            flat,
            mode="sum",
            per_sample_weights=self.mask.flatten(0, 1).to(flat.dtype),
        )
        return bags.view(n_frames, n_tokens, *values.shape[2:])

    def _rows(self, n_tokens: int) -> Int[Tensor, "frame token neighbor"]:
        """The neighbors, numbered through all frames."""
        first = torch.arange(len(self.indices), device=self.indices.device) * n_tokens
        return self.indices + first[:, None, None]


def _taken(values: Float[Tensor, "all *rest"], rows: Int[Tensor, "*batch neighbor"]) -> Tensor:
    """Values [*batch neighbor *rest] of some rows; faster backward than indexing."""
    return values.index_select(0, rows.flatten()).view(*rows.shape, *values.shape[1:])


def _received(
    messages: Callable[..., tuple[Tensor, ...]],
    n_own: int,
    sent: list[Tensor],
    rows: Int[Tensor, "row neighbor"],
    mask: Bool[Tensor, "row neighbor"],
    *of_block: Tensor,
) -> tuple[Tensor, ...]:
    """Sums over neighbors for one block of rows; `of_block` holds what rows own, then what is of edges."""
    own, of_edge = of_block[:n_own], of_block[n_own:]
    found = messages(*(values[:, None] for values in own), *(_taken(values, rows) for values in sent), *of_edge)
    return tuple((array * mask.view(*mask.shape, *[1] * (array.ndim - 2))).sum(dim=1) for array in found)


@torch.no_grad()
def neighbors_within(positions_nm: Float[Tensor, "frame token 3"], *, radius_nm: float) -> TokenNeighbors:
    """All tokens closer than `radius_nm`, however many they are."""
    n_frames, n_tokens = positions_nm.shape[:2]
    frames = max(1, CHUNK_PAIRS // max(1, n_tokens**2))
    tokens = max(1, CHUNK_PAIRS // n_tokens)
    # Rows are tokens of all frames, numbered through; only a frame that is a chunk by itself is split further.
    starts = [(frame, token) for frame in range(0, n_frames, frames) for token in range(0, n_tokens, tokens)]
    pairs = [
        _near_pairs(positions_nm[frame : frame + frames].float(), slice(token, token + tokens), radius_nm)
        for frame, token in starts
    ]
    row = torch.cat([found[0] + frame * n_tokens for found, (frame, _) in zip(pairs, starts, strict=True)])
    sender = torch.cat([found[1] for found in pairs])
    count = torch.bincount(row, minlength=n_frames * n_tokens)
    slot = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
    width = max(1, int(count.max()))
    own = torch.arange(n_tokens, device=row.device).repeat(n_frames)
    indices = own[:, None].repeat(1, width)
    indices[row, slot] = sender
    mask = torch.arange(width, device=row.device) < count[:, None]
    shape = (n_frames, n_tokens, width)
    return TokenNeighbors(indices.view(shape), mask.view(shape))


def _near_pairs(
    positions_nm: Float[Tensor, "frame token 3"], tokens: slice, radius_nm: float
) -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]]:
    """Row (frame times tokens plus token) and neighbor of every pair of a range of tokens, sorted by row."""
    n_tokens = positions_nm.shape[1]
    square = sum((axis[:, tokens, None] - axis[:, None]).square() for axis in positions_nm.unbind(-1))
    square.diagonal(tokens.start, dim1=1, dim2=2).fill_(torch.inf)
    frame, token, sender = (square < radius_nm**2).nonzero(as_tuple=True)
    return frame * n_tokens + token + tokens.start, sender


def chain_neighbors(chain: Sequence[int], *, half_window: int) -> TokenNeighbors:
    """For one frame: up to `half_window` tokens before and after each token, of its own chain only."""
    of_token = torch.tensor(chain)
    own = torch.arange(len(of_token))[:, None]
    offset = torch.arange(-half_window, half_window + 1)
    indices = own + offset[offset != 0]
    inside = (indices >= 0) & (indices < len(of_token))
    indices = torch.where(inside, indices, own)
    mask = inside & (of_token[indices] == of_token[:, None])
    return TokenNeighbors(torch.where(mask, indices, own)[None], mask[None])
