"""Tokens as plain features: the half of a mixer that turns vectors into invariants."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


class TokenEmbedding(nn.Module):
    """n = ||U v|| per channel, h = MLP([s, n]) per token: invariant under O(3) acting on the vectors.

    Lengths of mixed vectors beside scalars are the invariant half of PaiNN's gated equivariant block (Schütt, Unke &
    Gastegger 2021); scalar products of the channels within a token are in them, for U mixes the channels.
    """

    def __init__(self, channels: int, hidden_channels: int, *, n_layers: int = 2) -> None:
        super().__init__()
        self.vector_mixing = nn.Linear(channels, hidden_channels, bias=False)
        widths = [channels + hidden_channels, *[hidden_channels] * n_layers]
        self.network = nn.Sequential(*(part for layer in pairwise(widths) for part in (nn.Linear(*layer), nn.SiLU())))

    def forward(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> Float[Tensor, "frame token hidden"]:
        """One row of features per token."""
        # Autocast mixes in half precision; squares of small vectors would vanish in it.
        mixed = self.vector_mixing(vectors).to(vectors.dtype)
        # The small constant keeps the gradient finite where a vector is exactly zero.
        lengths = (mixed.square().sum(dim=2) + 1e-8).sqrt()
        return self.network(torch.cat([scalars, lengths], dim=-1))
