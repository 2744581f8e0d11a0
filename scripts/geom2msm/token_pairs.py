"""Tokens of time-lagged pairs for training: in memory if they fit, else through a buffer of shuffled blocks.

A buffer holds many short blocks of consecutive frames from all over the set, with their lag partners. Pairs are
shuffled within the buffer, and which blocks meet in a buffer is drawn anew in every epoch: reading runs along the
files, memory does not grow with the set, and every pair is seen exactly once per epoch.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from geom2msm.mixers.layout import TokenLayout
from geom2msm.pairs import FrameSet
from geom2msm.stored_tokens import StoredTokens, Tokens

CHUNK_BYTES = 1 << 23
# So many blocks share a buffer: enough that a batch is a sample of the whole set.
BLOCKS_PER_BUFFER = 64
MEGABYTE = 1 << 20
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairBatch:
    """Some pairs: the frames of the set at which they start, and where both frames are among `tokens`."""

    starts: Int64[Tensor, " pair"]
    tokens: Tokens
    place: Int64[Tensor, " pair"]
    place_lag: Int64[Tensor, " pair"]

    def take(self, chosen: Int64[Tensor, " chosen"]) -> "PairBatch":
        """Some of these pairs."""
        return replace(self, starts=self.starts[chosen], place=self.place[chosen], place_lag=self.place_lag[chosen])

    def at_start(self) -> Tokens:
        """Tokens at t."""
        return self.tokens.take(self.place)

    def at_lag(self) -> Tokens:
        """Tokens at t + lag."""
        return self.tokens.take(self.place_lag)

    def both(self) -> Tokens:
        """Tokens at t and, after them, those at t + lag."""
        return self.tokens.take(torch.cat([self.place, self.place_lag]))


@dataclass(frozen=True)
class TokenPairs:
    """The pairs of one set of frames: which they are, and where their tokens come from.

    `tokens` are those of all frames; without them, `room` frames at a time are read from `stored`.
    """

    starts: Int64[Tensor, " pair"]
    lag_frames: int
    layout: TokenLayout
    tokens: Tokens | None = None
    stored: StoredTokens | None = None
    room: int = 0
    log_weights: Float64[Tensor, " frame"] | None = None

    @classmethod
    def open(
        cls,
        frames: FrameSet,
        *,
        memory_mb: int,
        control: str = "none",
        seed: int = 0,
        log_weights: Float64[np.ndarray, " frame"] | None = None,
    ) -> "TokenPairs":
        """Pairs of stored tokens, which are read at once if they fit into so much memory."""
        stored = StoredTokens(frames, control=control, seed=seed)
        pairs = cls(torch.from_numpy(frames.starts), frames.lag_frames, stored.layout(), stored=stored)
        if log_weights is not None:
            pairs = replace(pairs, log_weights=torch.from_numpy(log_weights))
        frame_bytes = stored.empty(1).frame_bytes
        room, needed_mb = int(memory_mb * MEGABYTE) // frame_bytes, len(frames) * frame_bytes / MEGABYTE
        if room < len(frames):
            how = f"pass through a buffer of {memory_mb:.0f} MB" if room else "are read as they are needed"
            logger.info("%d frames, %.0f MB, %s", len(frames), needed_mb, how)
            return replace(pairs, room=room)
        logger.info("%d frames are held in %.0f MB of memory", len(frames), needed_mb)
        tokens = stored.empty(len(frames))
        stored.read_into(tokens, 0, len(frames))
        return replace(pairs, tokens=tokens)

    @property
    def n_frames(self) -> int:
        """Number of frames; the last pair ends with the last of them."""
        return int(self.starts[-1]) + self.lag_frames + 1

    def chunks(self) -> Iterator[Tokens]:
        """All frames in order, as many at a time as are cheap to hold."""
        example = self.tokens or self.stored.empty(1)
        size = max(1, CHUNK_BYTES // example.frame_bytes)
        for start in range(0, self.n_frames, size):
            stop = min(start + size, self.n_frames)
            if self.tokens:
                yield self.tokens.take(slice(start, stop))
            else:
                chunk = self.stored.empty(stop - start)
                self.stored.read_into(chunk, start, stop)
                yield chunk

    def batches(self, batch_pairs: int, generator: torch.Generator) -> Iterator[PairBatch]:
        """All pairs, each in exactly one batch, in random order.

        No batch is smaller than `batch_pairs`, for a small batch scores too high: what would be left over is spread
        over the others.
        """
        for filled in self._buffers(batch_pairs, generator):
            order = torch.randperm(len(filled.starts), generator=generator)
            for chosen in order.tensor_split(max(1, len(order) // batch_pairs)):
                yield filled.take(chosen)

    def _buffers(self, batch_pairs: int, generator: torch.Generator) -> Iterator[PairBatch]:
        """Everything at once or as many blocks as the buffer holds; the next ones overwrite them."""
        if self.tokens:
            yield PairBatch(self.starts, self.tokens, self.starts, self.starts + self.lag_frames)
            return
        plan = BlockPlan.of(self.room, lag_frames=self.lag_frames)
        blocks = plan.blocks(self.starts)
        least = plan.least_pairs(blocks)
        if least < min(batch_pairs, len(self.starts)):
            raise ValueError(
                f"memory_mb holds {self.room} frames and with them as few as {least} pairs at a time, fewer than "
                f"batch_pairs = {batch_pairs}; raise memory_mb or lower batch_pairs."
            )
        buffer = self.stored.empty(self.room)
        for dealt in plan.deal(blocks, generator):
            yield self._filled(buffer, dealt, plan)

    def _filled(self, buffer: Tokens, blocks: list[range], plan: "BlockPlan") -> PairBatch:
        """Blocks one after another in the buffer."""
        starts, places, first = [], [], 0
        for block in blocks:
            for span in plan.spans(block):
                self.stored.read_into(buffer.take(slice(first, first + len(span))), span.start, span.stop)
                first += len(span)
            shift = plan.shift(block)
            place = first - shift - len(block)
            starts.append(torch.arange(block.start, block.stop))
            places.append(torch.stack([torch.arange(place, place + len(block)) + by for by in (0, shift)]))
        place, place_lag = torch.cat(places, dim=1)
        return PairBatch(torch.cat(starts), buffer, place, place_lag)


@dataclass(frozen=True)
class BlockPlan:
    """How pairs are cut into blocks, ranges of their start frames: at most `block_pairs` each.

    Blocks longer than the lag are read with their lag partners in one piece, shorter ones in two.
    """

    block_pairs: int
    blocks_per_buffer: int
    lag_frames: int

    @classmethod
    def of(cls, room: int, *, lag_frames: int) -> "BlockPlan":
        """The plan for a buffer of so many frames."""
        if room < 2:
            raise ValueError(f"memory_mb holds {room} frames, but a pair has 2; raise memory_mb.")
        frames = max(2, room // BLOCKS_PER_BUFFER)
        block_pairs = frames - lag_frames if frames > 2 * lag_frames else frames // 2
        return cls(block_pairs, room // frames, lag_frames)

    def blocks(self, starts: Int64[Tensor, " pair"]) -> list[range]:
        """All pairs in blocks of consecutive start frames, those of one segment about equally long."""
        values = starts.numpy()
        cuts = [0, *(np.flatnonzero(np.diff(values) != 1) + 1).tolist(), len(values)]
        found = []
        for first, last in pairwise(cuts):
            edges = np.linspace(first, last, -(-(last - first) // self.block_pairs) + 1).astype(int).tolist()
            begin = int(values[first]) - first
            found += [range(begin + one, begin + other) for one, other in pairwise(edges)]
        return found

    def deal(self, blocks: list[range], generator: torch.Generator) -> list[list[range]]:
        """Blocks by the buffer that they share, drawn at random, with about as many pairs in every buffer.

        Of the largest blocks, one for each buffer, every buffer gets one, then of the next largest, and so on: however
        different they are, buffers differ by no more than the largest block. Which of them a buffer gets is drawn.
        """
        n_buffers = self._n_buffers(blocks)
        order = torch.randperm(len(blocks), generator=generator).tolist()
        shuffled = sorted((blocks[number] for number in order), key=len, reverse=True)
        dealt: list[list[range]] = [[] for _ in range(n_buffers)]
        for first in range(0, len(shuffled), n_buffers):
            receivers = torch.randperm(n_buffers, generator=generator).tolist()
            for receiver, block in zip(receivers, shuffled[first : first + n_buffers], strict=False):
                dealt[receiver].append(block)
        return dealt

    def least_pairs(self, blocks: list[range]) -> int:
        """The fewest pairs that a buffer can be dealt: of each round the smallest block, of an incomplete one none."""
        n_buffers = self._n_buffers(blocks)
        return sum(sorted(map(len, blocks), reverse=True)[n_buffers - 1 :: n_buffers])

    def _n_buffers(self, blocks: list[range]) -> int:
        return -(-len(blocks) // self.blocks_per_buffer)

    def shift(self, block: range) -> int:
        """How far the lag partner of a frame of the block is behind it in the buffer."""
        return min(self.lag_frames, len(block))

    def spans(self, block: range) -> list[range]:
        """The frames to read for a block."""
        if self.lag_frames < len(block):
            return [range(block.start, block.stop + self.lag_frames)]
        return [block, range(block.start + self.lag_frames, block.stop + self.lag_frames)]
