"""Mixers: from the tokens of one frame to the d outputs that VAMP-2 scores.

Every output is invariant under rotations and reflections of the frame, and depends on nothing but this frame: there
are no statistics over a batch, and the standardization is fixed from training data and saved with the weights.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn


@dataclass(frozen=True)
class SumMixerConfig:
    """Sizes of a `SumMixer`: channels of the tokens, width of its layers, number of outputs."""

    channels: int
    hidden_channels: int
    dimensions: int


class SumMixer(nn.Module):
    """Mix scalars and vectors within each token, sum over tokens, then a small network.

    n = ||U v|| per channel, h = MLP([s, n]) per token, output = MLP(sum over tokens of h): invariant under O(3)
    acting on the vectors and under any order of the tokens. Lengths of mixed vectors beside scalars are the invariant
    half of PaiNN's gated equivariant block (Schütt, Unke & Gastegger 2021).
    """

    def __init__(self, config: SumMixerConfig) -> None:
        super().__init__()
        hidden = config.hidden_channels
        self.config = config
        self.register_buffer("scalar_mean", torch.zeros(config.channels))
        self.register_buffer("scalar_scale", torch.ones(config.channels))
        self.register_buffer("vector_scale", torch.ones(config.channels))
        self.vector_mixing = nn.Linear(config.channels, hidden, bias=False)
        self.token_network = nn.Sequential(
            nn.Linear(config.channels + hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.output_network = nn.Sequential(
            nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, config.dimensions)
        )

    def forward(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> Float[Tensor, "frame dimension"]:
        """The outputs of each frame; tokens may come in half precision, as they are stored."""
        dtype = self.vector_mixing.weight.dtype
        standardized = (scalars.to(dtype) - self.scalar_mean) / self.scalar_scale
        mixed = self.vector_mixing(vectors.to(dtype) / self.vector_scale)
        # The small constant keeps the gradient finite where a vector is exactly zero.
        lengths = (mixed.square().sum(dim=2) + 1e-8).sqrt()
        tokens = self.token_network(torch.cat([standardized, lengths], dim=-1))
        return self.output_network(tokens.sum(dim=1))

    @torch.no_grad()
    def standardize(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> None:
        """Fix mean and scale per channel from training data; all tokens share them, so their order stays irrelevant."""
        mean = _mean(scalars, lambda chunk: chunk)
        self.scalar_mean.copy_(mean)
        self.scalar_scale.copy_(_scale(_mean(scalars, lambda chunk: (chunk - mean).square())))
        self.vector_scale.copy_(_scale(_mean(vectors, lambda chunk: chunk.square())))


def _mean(values: Tensor, function: Callable[[Tensor], Tensor]) -> Float64[Tensor, " channel"]:
    """Mean over all axes but the last, in float64 and in chunks of frames."""
    total = sum(function(chunk.double()).flatten(end_dim=-2).sum(dim=0) for chunk in values.split(10_000))
    return total / (values.numel() // values.shape[-1])


def _scale(variance: Float64[Tensor, " channel"]) -> Float64[Tensor, " channel"]:
    """Root of the variance; 1 for a channel that never changes, which would only have its rounding errors blown up."""
    return torch.where(variance > 1e-12, variance, 1.0).sqrt()
