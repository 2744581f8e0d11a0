"""Graph convolutions on scalars and vectors of tokens.

An operator maps (scalars, vectors, neighbors) to new scalars and vectors and is equivariant under O(3): channels are
mixed by linear maps, and vectors are multiplied by invariant gates. Sums run over all neighbors j of token i.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from geom2msm.mixers.edge_geometry import EdgeGate, EdgeGeometry
from geom2msm.mixers.equivariant_layers import EquivariantNorm
from geom2msm.mixers.library_convolution import LIBRARY_OPERATORS, LibraryConvolution
from geom2msm.mixers.token_graph import TokenNeighbors

Scalars = Float[Tensor, "frame token channel"]
Vectors = Float[Tensor, "frame token 3 channel"]


class SumConvolution(nn.Module):
    """`graphconv`: s_i' = W₀ s_i + b + Σ_j W₁ s_j, v_i' = U₀ v_i + Σ_j U₁ v_j (Morris et al. 2019, eq. 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.own_scalars, self.sent_scalars = nn.Linear(channels, channels), nn.Linear(channels, channels, bias=False)
        self.own_vectors, self.sent_vectors = (nn.Linear(channels, channels, bias=False) for _ in range(2))

    def forward(self, scalars: Scalars, vectors: Vectors, neighbors: TokenNeighbors) -> tuple[Scalars, Vectors]:
        """Scalars and vectors after the convolution."""
        return (
            self.own_scalars(scalars) + neighbors.total(self.sent_scalars(scalars)),
            self.own_vectors(vectors) + neighbors.total(self.sent_vectors(vectors)),
        )


class GatedConvolution(nn.Module):
    """`rggc`: x_i' = A x_i + Σ_j sigmoid(D x_i + E x_j) B x_j (Bresson & Laurent 2017, eq. 11), without its last ReLU.

    Vectors have maps A and B of their own and gates that are made of the scalars, by D and E of their own.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.own_scalars, self.sent_scalars = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.own_vectors, self.sent_vectors = (nn.Linear(channels, channels, bias=False) for _ in range(2))
        self.gate_own, self.gate_sent = nn.Linear(channels, 2 * channels), nn.Linear(channels, 2 * channels, bias=False)

    def forward(self, scalars: Scalars, vectors: Vectors, neighbors: TokenNeighbors) -> tuple[Scalars, Vectors]:
        """Scalars and vectors after the convolution."""
        sent = self.gate_sent(scalars), self.sent_scalars(scalars), self.sent_vectors(vectors)
        received = neighbors.receive(self._messages, own=[self.gate_own(scalars)], sent=sent)
        return self.own_scalars(scalars) + received[0], self.own_vectors(vectors) + received[1]

    def _messages(self, gate_own: Tensor, gate_sent: Tensor, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """What edges carry."""
        gate_scalars, gate_vectors = torch.sigmoid(gate_own + gate_sent).chunk(2, dim=-1)
        return gate_scalars * scalars, gate_vectors[..., None, :] * vectors


class GeometricConvolution(nn.Module):
    """`geometric`: s_i' = W₀ s_i + b + Σ_j g_s W₁ s_j and v likewise, gated by angles between the tokens' vectors."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.own_scalars, self.sent_scalars = nn.Linear(channels, channels), nn.Linear(channels, channels, bias=False)
        self.own_vectors, self.sent_vectors = (nn.Linear(channels, channels, bias=False) for _ in range(2))
        self.geometry = EdgeGeometry(channels, chiral=False)
        self.gate_scalars, self.gate_vectors = (EdgeGate(self.geometry.n_features, channels) for _ in range(2))

    def forward(self, scalars: Scalars, vectors: Vectors, neighbors: TokenNeighbors) -> tuple[Scalars, Vectors]:
        """Scalars and vectors after the convolution."""
        of_token = self.geometry.of_tokens(vectors, neighbors)
        sent = *of_token, self.sent_scalars(scalars), self.sent_vectors(vectors)
        received = neighbors.receive(self._messages, own=of_token, sent=sent)
        return self.own_scalars(scalars) + received[0], self.own_vectors(vectors) + received[1]

    def _messages(self, *of_edge: Tensor) -> tuple[Tensor, Tensor]:
        """What edges carry, from the geometry of both ends and the sender's scalars and vectors."""
        *ends, scalars, vectors = of_edge
        features = self.geometry(*ends)
        return self.gate_scalars(features) * scalars, self.gate_vectors(features)[..., None, :] * vectors


OPERATORS = {"graphconv": SumConvolution, "rggc": GatedConvolution, "geometric": GeometricConvolution} | {
    name: partial(LibraryConvolution, build) for name, build in LIBRARY_OPERATORS.items()
}


class GraphLayer(nn.Module):
    """x + Operator(Norm(x)): sums over a dozen neighbors would otherwise grow from layer to layer."""

    def __init__(self, operator: str, channels: int) -> None:
        super().__init__()
        self.norm = EquivariantNorm(channels)
        self.operator = OPERATORS[operator](channels)

    def forward(self, scalars: Scalars, vectors: Vectors, neighbors: TokenNeighbors) -> tuple[Scalars, Vectors]:
        """Scalars and vectors after this layer."""
        change = self.operator(*self.norm(scalars, vectors), neighbors)
        return scalars + change[0], vectors + change[1]
