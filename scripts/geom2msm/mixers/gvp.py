"""`mixer: gvp`: the SubGVP, geometric vector perceptrons that pass messages on the graph of tokens."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from geom2msm.mixers.global_tokens import append_global, optional_global_tokens
from geom2msm.mixers.gvp_layers import GeometricVectorPerceptron, GvpConvolution, GvpNorm
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.token_graph import TokenNeighbors, neighbors_within
from geom2msm.mixers.vector_layers import lengths

# In nm: the direction to a token much closer than this fades to zero instead of turning wildly.
SMALLEST_DISTANCE_NM = 1e-3


@dataclass(frozen=True)
class GvpSettings:
    """Keys of workflow/schemas/mixer_gvp.schema.yaml."""

    hidden_channels: int = 64
    vector_channels: int = 16
    n_layers: int = 3
    n_radial: int = 16
    radius_nm: float = 0.8
    dropout: float = 0.0
    global_tokens: int = 0


class TokenEdges(nn.Module):
    """Edges of the tokens within a radius: Gaussians of the distance and the unit vector to the neighbor."""

    def __init__(self, *, radius_nm: float, n_radial: int) -> None:
        super().__init__()
        self.radius_nm = radius_nm
        self.register_buffer("centers", torch.linspace(0, radius_nm, n_radial), persistent=False)

    def forward(
        self, positions_nm: Float[Tensor, "frame token 3"]
    ) -> tuple[TokenNeighbors, Float[Tensor, "frame token neighbor radial"], Float[Tensor, "frame token neighbor 3 1"]]:
        """The graph of each frame, and scalars and vectors of its edges."""
        neighbors = neighbors_within(positions_nm, radius_nm=self.radius_nm)
        displacement = neighbors.gather(positions_nm) - positions_nm[:, :, None]
        distance = (displacement.square().sum(dim=-1, keepdim=True) + SMALLEST_DISTANCE_NM**2).sqrt()
        width = self.radius_nm / len(self.centers)
        return neighbors, (-((distance - self.centers) / width).square()).exp(), (displacement / distance)[..., None]


class SubGvp(nn.Module):
    """An embedding perceptron, message passing within `radius_nm`, then the mean over tokens of [s, ‖v‖].

    Without global tokens the order of the tokens does not matter. Invariant under O(3) acting on vectors and positions
    together.
    """

    def __init__(self, settings: GvpSettings, layout: TokenLayout) -> None:
        super().__init__()
        channels = (settings.hidden_channels, settings.vector_channels)
        self.width = sum(channels)
        # Merged tokens are fewer in the same volume: so they have as many neighbors as the tokens before.
        radius_nm = settings.radius_nm * layout.window ** (1 / 3)
        self.edges = TokenEdges(radius_nm=radius_nm, n_radial=settings.n_radial)
        self.embedding = GeometricVectorPerceptron((layout.channels, layout.channels), channels, activated=False)
        self.norm = GvpNorm(settings.hidden_channels)
        self.layers = nn.ModuleList(
            GvpConvolution(channels, (settings.n_radial, 1), dropout=settings.dropout) for _ in range(settings.n_layers)
        )
        self.global_tokens = optional_global_tokens(
            settings.global_tokens, n_tokens=layout.n_tokens, hidden_channels=self.width
        )

    def forward(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> Float[Tensor, "frame hidden"]:
        """One vector per frame."""
        scalars, vectors = self.mixed(scalars, vectors, positions_nm)
        invariants = torch.cat([scalars, lengths(vectors)], dim=-1)
        return append_global(invariants, self.global_tokens, positions_nm).mean(dim=1)

    def mixed(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> tuple[Float[Tensor, "frame token scalar"], Float[Tensor, "frame token 3 vector"]]:
        """Scalars and vectors of the tokens after all layers."""
        edges = self.edges(positions_nm)
        scalars, vectors = self.norm(*self.embedding(scalars, vectors))
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, *edges)
        return scalars, vectors
