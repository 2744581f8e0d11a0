"""TorchMD-ET, the equivariant transformer, as a featurizer.

Thölke & De Fabritiis, TorchMD-NET: Equivariant Transformers for Neural Network based Molecular Potentials,
ICLR 2022, arXiv 2202.02541, section 3, without its neighbor embedding, as geom2vec pretrained it. Parameters bear
the names of the published checkpoints.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn.models.visnet import GatedEquivariantBlock

from geom2msm.encoder.edges import Edges, RadialBasis, blocks, edge_geometry, gather
from geom2msm.encoder.neighbors import NeighborTable
from geom2msm.units import ANGSTROM_PER_NM


@dataclass(frozen=True)
class TorchMDETConfig:
    """Architecture of a TorchMD-ET; everything that fixes the shapes of its weights and its graph."""

    n_layers: int
    hidden_channels: int
    n_heads: int
    n_radial: int
    cutoff_nm: float
    max_atomic_number: int = 100

    def __post_init__(self) -> None:
        if self.hidden_channels % self.n_heads:
            raise ValueError(f"hidden_channels {self.hidden_channels} is not a multiple of n_heads {self.n_heads}")


class TorchMDET(nn.Module):
    """Atoms in, per-atom scalars and vectors out; with the head that predicts displacements."""

    def __init__(self, config: TorchMDETConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_channels
        self.cutoff = config.cutoff_nm * ANGSTROM_PER_NM
        self.distance_expansion = RadialBasis(self.cutoff, config.n_radial)
        self.embedding = nn.Embedding(config.max_atomic_number, width)
        self.attention_layers = nn.ModuleList(EquivariantAttention(config) for _ in range(config.n_layers))
        self.out_norm = nn.LayerNorm(width)
        self.denoiser = nn.ModuleList(
            [GatedEquivariantBlock(width, width // 2, scalar_activation=True), GatedEquivariantBlock(width // 2, 1)]
        )

    def forward(
        self, atomic_numbers: Int[Tensor, " atom"], positions_nm: Float[Tensor, "atom 3"], neighbors: NeighborTable
    ) -> tuple[Float[Tensor, "atom channel"], Float[Tensor, "atom 3 channel"]]:
        """Scalars, invariant under O(3), and vectors, which turn with the molecule."""
        edges = edge_geometry(self, positions_nm * ANGSTROM_PER_NM, neighbors)
        scalars, vectors = self.embedding(atomic_numbers), None
        for layer in self.attention_layers:
            scalars, vectors = layer(scalars, vectors, edges)
        return self.out_norm(scalars), vectors

    def displacement(
        self, scalars: Float[Tensor, "atom channel"], vectors: Float[Tensor, "atom 3 channel"]
    ) -> Float[Tensor, "atom 3"]:
        """The displacement that was added to each atom, in units of the noise level (denoising head)."""
        for gated in self.denoiser:
            scalars, vectors = gated(scalars, vectors)
        return vectors.squeeze(-1)


class EquivariantAttention(nn.Module):
    """One update layer (section 3.3): attention over the neighbors, filtered by distance, moves scalars and vectors.

    q, k, v are projections of the normed scalars, D^K and D^V of the radial functions φ(r_ij); per head
    a_ij = SiLU(Σ q_i k_j D^K_ij) C(r_ij) and (s, g1, g2) = v_j D^V_ij. Then y_i = Σ_j a_ij s,
    w_i = Σ_j g1 v⃗_j + g2 d_ij, (o1, o2, o3) = W_o y, Δx = o2 ⟨U1 v⃗, U2 v⃗⟩ + o3, Δv⃗ = o1 U3 v⃗ + w.
    The sum w carries no C: vectors jump when a neighbor comes into reach, and so the networks were trained.
    """

    def __init__(self, config: TorchMDETConfig) -> None:
        super().__init__()
        width, n_radial = config.hidden_channels, config.n_radial
        self.n_heads = config.n_heads
        self.layernorm = nn.LayerNorm(width)
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        # Rows of v_proj and dv_proj: head by head, and within a head s, g1, g2.
        self.v_proj = nn.Linear(width, 3 * width)
        self.o_proj = nn.Linear(width, 3 * width)
        self.vec_proj = nn.Linear(width, 3 * width, bias=False)
        self.dk_proj = nn.Linear(n_radial, width)
        self.dv_proj = nn.Linear(n_radial, 3 * width)
        for name, projection in self.named_children():
            if name != "layernorm":
                nn.init.xavier_uniform_(projection.weight)
                if projection.bias is not None:
                    nn.init.zeros_(projection.bias)

    def forward(self, scalars: Tensor, vectors: Tensor | None, edges: Edges) -> tuple[Tensor, Tensor]:
        """New scalars and vectors; `vectors` is None in front of the first layer, where all of them are zero."""
        normed = self.layernorm(scalars)
        query, key, value = self.q_proj(normed), self.k_proj(normed), self.v_proj(normed)
        sums = [self.received(query[centers], key, value, vectors, edges.block(centers)) for centers in blocks(edges)]
        scalar_sum, vector_sum = (torch.cat(parts) for parts in zip(*sums, strict=True))
        o1, o2, o3 = self.o_proj(scalar_sum).chunk(3, dim=-1)
        if vectors is None:
            return scalars + o3, vector_sum
        first, second, third = self.vec_proj(vectors).chunk(3, dim=-1)
        return scalars + (first * second).sum(1) * o2 + o3, vectors + third * o1[:, None] + vector_sum

    def received(
        self, query: Tensor, key: Tensor, value: Tensor, vectors: Tensor | None, edges: Edges
    ) -> tuple[Float[Tensor, "center channel"], Float[Tensor, "center 3 channel"]]:
        """Sums y and w of what the neighbors of some centers send."""
        heads = (self.n_heads, -1)
        filtered = query[:, None] * gather(key, edges.neighbors) * functional.silu(self.dk_proj(edges.radial))
        weight = functional.silu(filtered.unflatten(-1, heads).sum(-1)) * edges.envelope[..., None]
        sent = gather(value, edges.neighbors) * functional.silu(self.dv_proj(edges.radial)) * edges.mask[..., None]
        scalar, from_vectors, from_direction = sent.unflatten(-1, heads).chunk(3, dim=-1)
        scalar_sum = (scalar * weight[..., None]).sum(1).flatten(-2)
        vector_sum = torch.einsum("akc,akx->axc", from_direction.flatten(-2), edges.direction)
        if vectors is not None:
            around = gather(vectors.flatten(1), edges.neighbors).unflatten(-1, (3, -1))
            vector_sum = vector_sum + (around * from_vectors.flatten(-2)[:, :, None]).sum(1)
        return scalar_sum, vector_sum
