"""Graph convolutions of torch-geometric as operators on tokens."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from geom2msm.mixers.token_graph import TokenNeighbors

N_HEADS = 4
Scalars = Float[Tensor, "frame token channel"]
Vectors = Float[Tensor, "frame token 3 channel"]


class LibraryConvolution(nn.Module):
    """The library's convolution of the scalars; it knows no vectors, and v_i' = U₀ v_i + mean_j U₁ v_j."""

    def __init__(self, build: Callable[[int], nn.Module], channels: int) -> None:
        super().__init__()
        self.convolution = build(channels)
        self.own_vectors, self.sent_vectors = (nn.Linear(channels, channels, bias=False) for _ in range(2))

    def forward(self, scalars: Scalars, vectors: Vectors, neighbors: TokenNeighbors) -> tuple[Scalars, Vectors]:
        """Scalars and vectors after the convolution; frames are graphs of their own."""
        found = self.convolution(scalars.flatten(0, 1), edge_index(neighbors))
        n_neighbors = neighbors.mask.sum(dim=2).clamp(min=1)[..., None, None]
        mean = neighbors.total(self.sent_vectors(vectors)) / n_neighbors
        return found.view(scalars.shape), self.own_vectors(vectors) + mean


def edge_index(neighbors: TokenNeighbors) -> Int[Tensor, "2 edge"]:
    """Sender and receiver of every edge, tokens numbered through all frames."""
    n_frames, n_tokens, width = neighbors.indices.shape
    receiver = torch.arange(n_frames * n_tokens, device=neighbors.indices.device)
    first = receiver.view(n_frames, n_tokens)[:, :1, None]
    kept = neighbors.mask.flatten()
    return torch.stack([(neighbors.indices + first).flatten()[kept], receiver.repeat_interleave(width)[kept]])


# The library is imported where it is used: importing it takes longer than many a projection.
def gcn(channels: int) -> nn.Module:
    """Normalized sum over neighbors and the token itself (Kipf & Welling 2017)."""
    from torch_geometric.nn import GCNConv

    return GCNConv(channels, channels)


def sage(channels: int) -> nn.Module:
    """The mean over neighbors beside the token itself (Hamilton, Ying & Leskovec 2017)."""
    from torch_geometric.nn import SAGEConv

    return SAGEConv(channels, channels)


def gin(channels: int) -> nn.Module:
    """A network of the sum over neighbors and the token itself (Xu et al. 2019)."""
    from torch_geometric.nn import GINConv

    network = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, channels))
    return GINConv(network, train_eps=True)


def gat(channels: int) -> nn.Module:
    """Attention to neighbors by both ends, the mean over heads (Brody, Alon & Yahav 2022)."""
    from torch_geometric.nn import GATv2Conv

    return GATv2Conv(channels, channels, heads=N_HEADS, concat=False)


def transformer(channels: int) -> nn.Module:
    """Attention to neighbors by queries and keys, the mean over heads (Shi et al. 2021)."""
    from torch_geometric.nn import TransformerConv

    return TransformerConv(channels, channels, heads=N_HEADS, concat=False)


LIBRARY_OPERATORS = {build.__name__: build for build in (gcn, sage, gin, gat, transformer)}
