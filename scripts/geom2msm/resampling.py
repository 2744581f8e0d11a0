"""Blocks of trajectories drawn with replacement: intervals for what is measured on the frames themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

# A block must outlast the correlations within it, or the intervals are too narrow.
CORRELATION_TIMES_PER_BLOCK = 10
MAX_BLOCKS = 100
# With fewer blocks their spread says little about the error.
MIN_BLOCKS = 8


@dataclass(frozen=True)
class Blocks:
    """The block of every frame of the trajectories, one after the other; no block crosses two trajectories."""

    of_frame: Int[np.ndarray, " frame"]
    n_blocks: int

    @property
    def are_enough(self) -> bool:
        """Whether there are enough of them for an interval."""
        return self.n_blocks >= MIN_BLOCKS


def cut_blocks(n_frames: Sequence[int], *, correlation_frames: float | int) -> Blocks:
    """Trajectories in pieces of about equal length, each at least ten correlation times or a whole trajectory."""
    shortest = max(CORRELATION_TIMES_PER_BLOCK * correlation_frames, sum(n_frames) / MAX_BLOCKS, 1)
    pieces, n_blocks = [], 0
    for length in n_frames:
        n_pieces = max(1, int(length / shortest))
        pieces.append(n_blocks + np.arange(length) * n_pieces // max(length, 1))
        n_blocks += n_pieces
    return Blocks(np.concatenate(pieces), n_blocks)


def draw_blocks(blocks: Blocks, *, n_samples: int, seed: int) -> Int[np.ndarray, "sample block"]:
    """How often each block is in each sample.

    One block fewer is drawn than there are: that makes the variance of a mean unbiased (Rao & Wu, J. Am. Stat.
    Assoc. 83 (1988) 231), which matters where the blocks are few.
    """
    n_drawn = max(1, blocks.n_blocks - 1)
    return np.random.default_rng(seed).multinomial(n_drawn, np.full(blocks.n_blocks, 1 / blocks.n_blocks), n_samples)
