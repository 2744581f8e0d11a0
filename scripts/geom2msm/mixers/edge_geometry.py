"""Angles and dihedrals between the vectors that neighboring tokens carry, and gates made of them.

The geometry is that of latent vectors, not of coordinates: it says how two residues are turned against each other.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from geom2msm.mixers.token_graph import TokenNeighbors
from geom2msm.mixers.vector_layers import lengths, units

COMPRESSED_CHANNELS = 16
GATE_CHANNELS = 16


class EdgeGeometry(nn.Module):
    """Invariants of the edge from sender j to receiver i, in a few compressed vector channels.

    With w = C v, e_ji the unit vector along w_i - w_j and u_j = Σ_m e_jm over the neighbors m of j:
    α = <u_j, e_ji> / ‖u_j‖ and cos φ, φ being the dihedral angle between u_j and u_i about e_ji; if `chiral`, also
    sin φ, a triple product, which changes its sign in a mirror: then only rotations leave the result unchanged.
    """

    def __init__(self, channels: int, *, chiral: bool) -> None:
        super().__init__()
        self.chiral = chiral
        self.compress = nn.Linear(channels, COMPRESSED_CHANNELS, bias=False)

    @property
    def n_features(self) -> int:
        """Two numbers, or three with the sine."""
        return 3 if self.chiral else 2

    def of_tokens(
        self, vectors: Float[Tensor, "frame token 3 channel"], neighbors: TokenNeighbors
    ) -> tuple[Float[Tensor, "frame token 3 compressed"], Float[Tensor, "frame token 3 compressed"]]:
        """w and u of every token."""
        compressed = self.compress(vectors)
        return compressed, *neighbors.receive(_toward_neighbor, own=[compressed], sent=[compressed])

    def forward(
        self,
        receiver: Float[Tensor, "row 1 3 compressed"],
        receiver_total: Float[Tensor, "row 1 3 compressed"],
        sender: Float[Tensor, "row neighbor 3 compressed"],
        sender_total: Float[Tensor, "row neighbor 3 compressed"],
    ) -> Float[Tensor, "row neighbor compressed feature"]:
        """Features of edges, from w and u of both ends; those of empty slots mean nothing."""
        edge = units(receiver - sender)
        along = (sender_total * edge).sum(dim=-2) / lengths(sender_total)
        at_sender = units(_perpendicular(sender_total, edge))
        at_receiver = units(_perpendicular(receiver_total, edge))
        features = [along, (at_sender * at_receiver).sum(dim=-2)]
        if self.chiral:
            features.append((torch.linalg.cross(at_sender, at_receiver, dim=-2) * edge).sum(dim=-2))
        return torch.stack(features, dim=-1)


class EdgeGate(nn.Module):
    """A gate between 0 and 1 per channel of an edge: sigmoid(W [MLP(features of compressed channel g)]_g + b)."""

    def __init__(self, n_features: int, channels: int) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(n_features, GATE_CHANNELS), nn.SiLU(), nn.Linear(GATE_CHANNELS, 1))
        self.expand = nn.Linear(COMPRESSED_CHANNELS, channels)

    def forward(
        self, features: Float[Tensor, "row neighbor compressed feature"]
    ) -> Float[Tensor, "row neighbor channel"]:
        """Gates of all edges."""
        return torch.sigmoid(self.expand(self.network(features).squeeze(-1)))


def _toward_neighbor(own: Tensor, sent: Tensor) -> tuple[Tensor]:
    """Unit vectors from each token to its neighbors."""
    return (units(sent - own),)


def _perpendicular(vectors: Tensor, unit: Tensor) -> Tensor:
    """The part of vectors [... 3 channel] across unit vectors."""
    return vectors - (vectors * unit).sum(dim=-2, keepdim=True) * unit
