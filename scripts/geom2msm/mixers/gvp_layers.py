"""Layers of geometric vector perceptrons on a graph of tokens.

Jing, Eismann, Suriana, Townshend & Dror, Learning from Protein Structure with Geometric Vector Perceptrons,
ICLR 2021, arXiv 2009.01411; vectors are gated by scalars as in the same authors' arXiv 2106.03843, because with gates
by their own lengths alone no scalar, such as a distance, could ever reach a vector.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from geom2msm.mixers.token_graph import TokenNeighbors
from geom2msm.mixers.vector_layers import VectorDropout, lengths

SMALLEST_MEAN_SQUARE = 1e-4
Channels = tuple[int, int]


class GeometricVectorPerceptron(nn.Module):
    """Scalars and vectors to scalars and vectors (algorithm 1 of arXiv 2009.01411).

    V_h = W_h V, V_μ = W_μ V_h, s_m = W_m [‖V_h‖, s] + b; s' = σ(s_m), V' = sigmoid(W_g σ(s_m) + b_g) V_μ, where σ is
    SiLU, or nothing for the last perceptron of a stack. Channels are counted as (of scalars, of vectors).
    """

    def __init__(self, inputs: Channels, outputs: Channels, *, activated: bool = True) -> None:
        super().__init__()
        hidden = max(inputs[1], outputs[1])
        self.activated = activated
        self.hidden_vectors = nn.Linear(inputs[1], hidden, bias=False)
        self.output_vectors = nn.Linear(hidden, outputs[1], bias=False)
        self.output_scalars = nn.Linear(inputs[0] + hidden, outputs[0])
        self.gate = nn.Linear(outputs[0], outputs[1])

    def forward(
        self, scalars: Float[Tensor, "*batch scalar_in"], vectors: Float[Tensor, "*batch 3 vector_in"]
    ) -> tuple[Float[Tensor, "*batch scalar_out"], Float[Tensor, "*batch 3 vector_out"]]:
        """Scalars stay invariant and vectors equivariant under O(3)."""
        hidden = self.hidden_vectors(vectors)
        mixed = self.output_scalars(torch.cat([lengths(hidden), scalars], dim=-1))
        active = functional.silu(mixed) if self.activated else mixed
        gate = torch.sigmoid(self.gate(active)).unsqueeze(-2)
        return active, gate * self.output_vectors(hidden)


class GvpNorm(nn.Module):
    """Layer norm of scalars; vectors of a token are divided by the root of their mean squared length (section 3.2)."""

    def __init__(self, n_scalars: int) -> None:
        super().__init__()
        self.scalar_norm = nn.LayerNorm(n_scalars)

    def forward(
        self, scalars: Float[Tensor, "*batch scalar_channel"], vectors: Float[Tensor, "*batch 3 vector_channel"]
    ) -> tuple[Float[Tensor, "*batch scalar_channel"], Float[Tensor, "*batch 3 vector_channel"]]:
        """Both, each token by itself: no statistics over tokens, frames or batches."""
        # In at least single precision: squares of small numbers vanish in half.
        wide = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
        mean_square = wide.square().sum(dim=-2, keepdim=True).mean(dim=-1, keepdim=True)
        return self.scalar_norm(scalars), vectors / (mean_square + SMALLEST_MEAN_SQUARE).sqrt()


class GvpStack(nn.Module):
    """Perceptrons one after another; the last one is linear in its scalars."""

    def __init__(self, *channels: Channels) -> None:
        super().__init__()
        last = len(channels) - 2
        self.perceptrons = nn.ModuleList(
            GeometricVectorPerceptron(inputs, outputs, activated=i < last)
            for i, (inputs, outputs) in enumerate(pairwise(channels))
        )

    def forward(
        self, scalars: Float[Tensor, "*batch scalar_in"], vectors: Float[Tensor, "*batch 3 vector_in"]
    ) -> tuple[Float[Tensor, "*batch scalar_out"], Float[Tensor, "*batch 3 vector_out"]]:
        """Scalars and vectors after all of them."""
        for perceptron in self.perceptrons:
            scalars, vectors = perceptron(scalars, vectors)
        return scalars, vectors


class GvpConvolution(nn.Module):
    """One step of message passing and one of update (eqs. 3 and 4 of arXiv 2009.01411).

    m_ij = g(h_i, h_j, e_ij), h_i <- Norm(h_i + Dropout(mean over j of m_ij)), h_i <- Norm(h_i + Dropout(g'(h_i))),
    with three perceptrons in g and two, wider between them, in g'. A token without neighbors receives zero.
    """

    def __init__(self, channels: Channels, edge_channels: Channels, *, dropout: float) -> None:
        super().__init__()
        n_scalars, n_vectors = channels
        pair = (2 * n_scalars + edge_channels[0], 2 * n_vectors + edge_channels[1])
        self.message = GvpStack(pair, channels, channels, channels)
        self.update = GvpStack(channels, (4 * n_scalars, 2 * n_vectors), channels)
        self.norms = nn.ModuleList([GvpNorm(n_scalars), GvpNorm(n_scalars)])
        self.dropout = VectorDropout(dropout)

    def forward(
        self,
        scalars: Float[Tensor, "frame token scalar"],
        vectors: Float[Tensor, "frame token 3 vector"],
        neighbors: TokenNeighbors,
        edge_scalars: Float[Tensor, "frame token neighbor edge_scalar"],
        edge_vectors: Float[Tensor, "frame token neighbor 3 edge_vector"],
    ) -> tuple[Float[Tensor, "frame token scalar"], Float[Tensor, "frame token 3 vector"]]:
        """Scalars and vectors of the tokens after this layer."""
        state = scalars, vectors
        total = neighbors.receive(self._messages, own=state, sent=state, of_edge=[edge_scalars, edge_vectors])
        count = neighbors.mask.sum(dim=-1).clamp(min=1)
        mean = total[0] / count[..., None], total[1] / count[..., None, None]
        scalars, vectors = self._added(0, scalars, vectors, mean)
        return self._added(1, scalars, vectors, self.update(scalars, vectors))

    def _messages(
        self,
        scalars: Tensor, vectors: Tensor,
        sent_scalars: Tensor, sent_vectors: Tensor,
        edge_scalars: Tensor, edge_vectors: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """What edges carry."""
        return self.message(
            torch.cat([scalars.expand_as(sent_scalars), sent_scalars, edge_scalars.to(scalars.dtype)], dim=-1),
            torch.cat([vectors.expand_as(sent_vectors), sent_vectors, edge_vectors.to(vectors.dtype)], dim=-1),
        )

    def _added(
        self, step: int, scalars: Tensor, vectors: Tensor, change: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Norm of the sum with the thinned-out change."""
        change = self.dropout(*change)
        return self.norms[step](scalars + change[0], vectors + change[1])
