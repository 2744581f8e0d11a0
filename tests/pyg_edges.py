"""Lets PyG's own ViSNet run on the edges of one of our neighbor tables."""

import torch
from torch import nn

from geom2msm.encoder.neighbors import NeighborTable


class FixedEdges(nn.Module):
    """Stands in for PyG's neighbor search, which needs a compiled extension."""

    def __init__(self, table: NeighborTable) -> None:
        super().__init__()
        target = torch.arange(len(table.indices))[:, None].expand_as(table.indices)
        self.edge_index = torch.stack([table.indices[table.mask], target[table.mask]])

    def forward(self, positions, batch):
        """Edges, lengths and displacements, as PyG's `Distance` gives them."""
        displacement = positions[self.edge_index[0]] - positions[self.edge_index[1]]
        return self.edge_index, displacement.norm(dim=-1), displacement
