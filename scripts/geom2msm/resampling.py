"""Blocks of runs left out in turn or drawn with replacement: intervals for what is measured on the frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t as student

# A block must outlast the correlations within it, or the intervals are too narrow.
CORRELATION_TIMES_PER_BLOCK = 10
MAX_BLOCKS = 100
# With fewer blocks their spread says little about the error.
MIN_BLOCKS = 8
INTERVAL = (0.025, 0.975)
# A spread below this share of the value is rounding.
ROUNDING = 1e-12
SMALLEST_SKEWNESS = 1e-6


@dataclass(frozen=True)
class Blocks:
    """The block of every frame of the runs, one after the other, and the one run of every block."""

    of_frame: Int[np.ndarray, " frame"]
    run: Int[np.ndarray, " block"]

    @property
    def n_blocks(self) -> int:
        """How many there are."""
        return len(self.run)

    @property
    def are_enough(self) -> bool:
        """Whether there are enough of them for an interval."""
        return self.n_blocks >= MIN_BLOCKS


def cut_blocks(n_frames: Sequence[int], *, correlation_frames: float | int) -> Blocks:
    """Runs in pieces of about equal length, each at least ten correlation times or a whole run.

    A correlation time of NaN, where no eigenvalue is positive, is shorter than the lag and asks for nothing.
    """
    shortest = float(np.nanmax([CORRELATION_TIMES_PER_BLOCK * correlation_frames, sum(n_frames) / MAX_BLOCKS, 1]))
    n_pieces = [max(1, int(length / shortest)) for length in n_frames]
    first = np.cumsum([0, *n_pieces[:-1]])
    pieces = [
        start + np.arange(length) * pieces // max(length, 1)
        for start, length, pieces in zip(first, n_frames, n_pieces, strict=True)
    ]
    return Blocks(np.concatenate(pieces), np.repeat(np.arange(len(n_frames)), n_pieces))


def draw_blocks(blocks: Blocks, *, n_samples: int, seed: int) -> Int[np.ndarray, "sample block"]:
    """How often each block is in each sample.

    One block fewer is drawn than there are: that makes the variance of a mean unbiased (Rao & Wu, J. Am. Stat.
    Assoc. 83 (1988) 231), which matters where the blocks are few.
    """
    n_drawn = max(1, blocks.n_blocks - 1)
    return np.random.default_rng(seed).multinomial(n_drawn, np.full(blocks.n_blocks, 1 / blocks.n_blocks), n_samples)


def jackknife_interval(
    estimate: Float[np.ndarray, "*each"],
    without: Float[np.ndarray, "block *each"],
    blocks: Blocks,
    *,
    n_used: Int[np.ndarray, "*each"],
) -> tuple[Float[np.ndarray, "*each"], Float[np.ndarray, "*each"]]:
    """95 % interval of a smooth function of sums over blocks, from its values without each of the blocks.

    `n_used` blocks hold a part of it; NaN where these are fewer than MIN_BLOCKS. The variance is the jackknife's with
    covariances of consecutive blocks, which share what goes on across their border. What is measured in a rare state
    is skew, and seems the more certain the smaller it is found: symmetric intervals then lie too low. Hall's
    transformation takes the skewness away (J. R. Stat. Soc. B 54 (1992) 221); the factor is Student's.
    """
    few = (n_used < MIN_BLOCKS) | np.isnan(without).any(axis=0)
    influence = without.mean(axis=0) - without
    squares = (influence**2).sum(axis=0)
    same = blocks.run[1:] == blocks.run[:-1]
    shared = (influence[1:] * influence[:-1])[same].sum(axis=0)
    n = blocks.n_blocks
    error = np.sqrt((n - 1) / n * (squares + 2 * np.maximum(0, shared)))
    known = ~few & (error > ROUNDING * np.abs(estimate))
    skewness = np.divide((influence**3).sum(axis=0), squares**1.5, out=np.zeros_like(error), where=known)
    # Without the bias of the skewness of small samples.
    skewness *= np.sqrt(n * (n - 1)) / max(n - 2, 1)
    factor = student.ppf(INTERVAL[1], np.maximum(n_used, MIN_BLOCKS) - 1)
    lower, upper = (estimate - np.where(known, error, 0) * _unskewed(each, skewness) for each in (factor, -factor))
    return np.where(few, np.nan, lower), np.where(few, np.nan, upper)


def _unskewed(quantile: Float[np.ndarray, "*each"], skewness: Float[np.ndarray, "*each"]) -> Float[np.ndarray, "*each"]:
    """The x at which Hall's cubic x + s x²/3 + s² x³/27 + s/6 is the quantile; the quantile itself without skewness s.

    Multiplied by s and completed, the equation is (1 + s x/3)³ = 1 + s (quantile - s/6).
    """
    flat = np.abs(skewness) < SMALLEST_SKEWNESS
    s = np.where(flat, 1, skewness)
    return np.where(flat, quantile, 3 / s * (np.cbrt(1 + s * (quantile - s / 6)) - 1))
