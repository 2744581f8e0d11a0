"""Queries and keys of attention from the next tokens of the chain instead of from the token alone."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from geom2msm.mixers.edge_geometry import EdgeGate, EdgeGeometry
from geom2msm.mixers.token_graph import TokenNeighbors, chain_neighbors


class LocalConvolution(nn.Module):
    """q_i = Σ_{0 < |j-i| <= w} sigmoid(gate_q(geometry of ij)) s_j and the same, with other gates, for k_i.

    j runs over tokens of the same chain. A token that has none there, as a ligand, an ion or the class token, gets
    linear maps of its own scalars: its sum is empty, and it would attend to everything equally.
    """

    def __init__(self, channels: int, chain: Sequence[int], *, half_window: int, chiral: bool) -> None:
        super().__init__()
        neighbors = chain_neighbors(chain, half_window=half_window)
        alone = ~neighbors.mask.any(dim=-1)
        for name, table in (("indices", neighbors.indices), ("mask", neighbors.mask), ("alone", alone)):
            self.register_buffer(name, table, persistent=False)
        self.geometry = EdgeGeometry(channels, chiral=chiral)
        self.gates = nn.ModuleList(EdgeGate(self.geometry.n_features, channels) for _ in ("query", "key"))
        self.of_alone = nn.Linear(channels, 2 * channels) if bool(alone.any()) else None

    def forward(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> tuple[Float[Tensor, "frame token channel"], Float[Tensor, "frame token channel"]]:
        """Queries and keys."""
        shape = (len(scalars), -1, -1)
        neighbors = TokenNeighbors(self.indices.expand(shape), self.mask.expand(shape))
        of_token = self.geometry.of_tokens(vectors, neighbors)
        queries, keys = neighbors.receive(self._messages, own=of_token, sent=[*of_token, scalars])
        if self.of_alone is None:
            return queries, keys
        alone = self.alone[..., None]
        own_queries, own_keys = self.of_alone(scalars).chunk(2, dim=-1)
        return torch.where(alone, own_queries, queries), torch.where(alone, own_keys, keys)

    def _messages(self, *of_edge: Tensor) -> tuple[Tensor, ...]:
        """What edges carry to queries and to keys, from the geometry of both ends and the sender's scalars."""
        *ends, scalars = of_edge
        features = self.geometry(*ends)
        return tuple(gate(features) * scalars for gate in self.gates)
