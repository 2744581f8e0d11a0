"""Mean and scale of the token channels, fixed from training data and saved with the weights."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

CHUNK_VALUES = 1 << 22


@dataclass(frozen=True)
class TokenStatistics:
    """Moments of the channels over frames and tokens, in float64; those of several blocks can be merged."""

    n_tokens: int
    scalar_mean: Float64[Tensor, " channel"]
    scalar_variance: Float64[Tensor, " channel"]
    vector_square: Float64[Tensor, " vector_channel"]

    @classmethod
    def of(
        cls, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 vector_channel"]
    ) -> "TokenStatistics":
        """Moments of one block, small enough to be copied in float64."""
        flat = scalars.double().flatten(end_dim=1)
        square = vectors.double().square().flatten(end_dim=2).mean(dim=0)
        return cls(len(flat), flat.mean(dim=0), flat.var(dim=0, correction=0), square)

    def merge(self, other: "TokenStatistics") -> "TokenStatistics":
        """Moments of both blocks together (Chan, Golub & LeVeque 1983)."""
        n_tokens = self.n_tokens + other.n_tokens
        share, shift = other.n_tokens / n_tokens, other.scalar_mean - self.scalar_mean
        return TokenStatistics(
            n_tokens,
            self.scalar_mean + share * shift,
            (1 - share) * self.scalar_variance + share * other.scalar_variance + share * (1 - share) * shift.square(),
            (1 - share) * self.vector_square + share * other.vector_square,
        )


class Standardization(nn.Module):
    """Shift and scale scalars, scale vectors; all tokens share the numbers, so their order stays irrelevant.

    Features that pass as one token have no vectors: none of the scales of vectors is used then.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("scalar_mean", torch.zeros(channels))
        self.register_buffer("scalar_scale", torch.ones(channels))
        self.register_buffer("vector_scale", torch.ones(channels))

    def forward(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 vector_channel"]
    ) -> tuple[Float[Tensor, "frame token channel"], Float[Tensor, "frame token 3 vector_channel"]]:
        """Standardized tokens; they may come in half precision, as they are stored."""
        dtype = self.scalar_mean.dtype
        vector_scale = self.vector_scale[: vectors.shape[-1]]
        return (scalars.to(dtype) - self.scalar_mean) / self.scalar_scale, vectors.to(dtype) / vector_scale

    @torch.no_grad()
    def fit(self, blocks: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fix mean and scale from blocks of training frames, (scalars, vectors) each, that are read only once."""
        statistics = reduce(TokenStatistics.merge, (TokenStatistics.of(*part) for part in _parts(blocks)))
        self.scalar_mean.copy_(statistics.scalar_mean)
        self.scalar_scale.copy_(_scale(statistics.scalar_variance))
        self.vector_scale[: len(statistics.vector_square)].copy_(_scale(statistics.vector_square))


def _parts(blocks: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    for scalars, vectors in blocks:
        n_frames = max(1, CHUNK_VALUES // (scalars[0].numel() + vectors[0].numel()))
        yield from zip(scalars.split(n_frames), vectors.split(n_frames), strict=True)


def _scale(variance: Float64[Tensor, " channel"]) -> Float64[Tensor, " channel"]:
    """Root of the variance; 1 for a channel that never changes, which would only have its rounding errors blown up."""
    return torch.where(variance > 1e-12, variance, 1.0).sqrt()
