"""ViSNet as a featurizer: PyG's block holds the weights, the forward pass here is ours.

Wang et al., Enhancing geometric representations for molecules with equivariant vector-scalar
interactive message passing, Nat. Commun. 15, 313 (2024), arXiv 2210.16518. The algebra is PyG's
`ViSNetBlock` to the last term (tests/reference/test_visnet.py), reordered so that it is fast and
differentiable: neighbors sit in rows of fixed width, the two projections of the vector rejection act on
atoms instead of edges, and centers are worked off in blocks so that no edge array leaves the cache.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn.models.visnet import GatedEquivariantBlock, ViSNetBlock

from geom2msm.encoder.edges import Edges, blocks, edge_geometry, gather
from geom2msm.encoder.neighbors import NeighborTable
from geom2msm.units import ANGSTROM_PER_NM


@dataclass(frozen=True)
class ViSNetConfig:
    """Architecture of a ViSNet; everything that fixes the shapes of its weights and its graph."""

    n_layers: int
    hidden_channels: int
    n_heads: int
    n_radial: int
    cutoff_nm: float
    max_atomic_number: int = 100


class ViSNet(nn.Module):
    """Atoms in, per-atom scalars and vectors out; with the head that predicts displacements."""

    def __init__(self, config: ViSNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_channels
        self.block = ViSNetBlock(
            lmax=1, vecnorm_type="max_min", trainable_vecnorm=True, trainable_rbf=False, vertex=False,
            num_heads=config.n_heads, num_layers=config.n_layers, hidden_channels=width, num_rbf=config.n_radial,
            max_z=config.max_atomic_number, cutoff=config.cutoff_nm * ANGSTROM_PER_NM,
        )  # fmt: skip
        self.denoiser = nn.ModuleList(
            [GatedEquivariantBlock(width, width // 2, scalar_activation=True), GatedEquivariantBlock(width // 2, 1)]
        )

    def forward(
        self, atomic_numbers: Int[Tensor, " atom"], positions_nm: Float[Tensor, "atom 3"], neighbors: NeighborTable
    ) -> tuple[Float[Tensor, "atom channel"], Float[Tensor, "atom 3 channel"]]:
        """Scalars, invariant under O(3), and vectors, which turn with the molecule."""
        block = self.block
        edges = edge_geometry(block, positions_nm * ANGSTROM_PER_NM, neighbors)
        scalars, edge_state = embed(block, atomic_numbers, edges)
        vectors = None
        for layer in block.vis_mp_layers:
            scalars, vectors, edge_state = message_passing(layer, scalars, vectors, edge_state, edges)
        return block.out_norm(scalars), max_min_norm(vectors, block.vec_out_norm.weight)

    def displacement(
        self, scalars: Float[Tensor, "atom channel"], vectors: Float[Tensor, "atom 3 channel"]
    ) -> Float[Tensor, "atom 3"]:
        """The displacement that was added to each atom, in units of the noise level (denoising head)."""
        for gated in self.denoiser:
            scalars, vectors = gated(scalars, vectors)
        return vectors.squeeze(-1)


def embed(block: ViSNetBlock, atomic_numbers: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
    """Scalars of atoms from their elements and neighborhoods, and the first state of every edge."""
    around = block.neighbor_embedding
    own = torch.arange(len(atomic_numbers), device=atomic_numbers.device)[:, None]
    # An atom is no part of its own neighborhood, although it sends to itself later on.
    weight = edges.envelope * (edges.neighbors != own)
    sent = gather(around.embedding(atomic_numbers), edges.neighbors)
    neighborhood = (sent * around.distance_proj(edges.radial) * weight[..., None]).sum(1)
    scalars = around.combine(torch.cat([block.embedding(atomic_numbers), neighborhood], dim=1))
    pair = scalars[:, None] + gather(scalars, edges.neighbors)
    return scalars, pair * block.edge_embedding.edge_proj(edges.radial)


def message_passing(
    layer: nn.Module, scalars: Tensor, vectors: Tensor | None, edge_state: Tensor, edges: Edges
) -> tuple[Tensor, Tensor, Tensor]:
    """One ViS-MP layer; `vectors` is None in front of the first, where all of them are zero."""
    normed = layer.layernorm(scalars)
    query, key, value = layer.q_proj(normed), layer.k_proj(normed), layer.v_proj(normed)
    unit = None if vectors is None else max_min_norm(vectors, layer.vec_layernorm.weight)
    update_edges = vectors is not None and not layer.last_layer
    turned = (layer.w_trg_proj(unit), layer.w_src_proj(unit)) if update_edges else None
    scalar_sums, vector_sums, states = [], [], []
    for centers in blocks(edges):
        local, state = edges.block(centers), edge_state[centers]
        message = attention(layer, query[centers], key, value, state, local)
        scalar_sums.append(message.sum(1))
        vector_sums.append(vector_message(layer, message, unit, local))
        if update_edges:
            states.append(state + edge_update(layer, turned[0][centers], turned[1], state, local))
    new_state = torch.cat(states) if update_edges else edge_state
    return *node_update(layer, scalars, vectors, unit, torch.cat(scalar_sums), torch.cat(vector_sums)), new_state


def attention(layer: nn.Module, query: Tensor, key: Tensor, value: Tensor, edge_state: Tensor, edges: Edges) -> Tensor:
    """Messages [atom neighbor channel]: v_j dv_ij times SiLU(q_i k_j dk_ij) per head."""
    heads = (layer.num_heads, layer.head_dim)
    filtered = query[:, None] * gather(key, edges.neighbors) * functional.silu(layer.dk_proj(edge_state))
    weight = functional.silu(filtered.unflatten(-1, heads).sum(-1)) * edges.envelope[..., None]
    sent = gather(value, edges.neighbors) * functional.silu(layer.dv_proj(edge_state))
    return (sent.unflatten(-1, heads) * weight[..., None]).flatten(-2)


def vector_message(layer: nn.Module, message: Tensor, unit: Tensor | None, edges: Edges) -> Tensor:
    """Sum over neighbors of s1 v_j + s2 d_ij, with (s1, s2) read from the message."""
    gates = functional.silu(layer.s_proj(message)) * edges.mask[..., None]
    from_vectors, from_direction = gates.chunk(2, dim=-1)
    summed = torch.einsum("akc,akx->axc", from_direction, edges.direction)
    if unit is None:
        return summed
    sent = gather(unit.flatten(1), edges.neighbors).unflatten(-1, (3, -1))
    return summed + (sent * from_vectors[:, :, None]).sum(1)


def edge_update(layer: nn.Module, target: Tensor, source: Tensor, edge_state: Tensor, edges: Edges) -> Tensor:
    """SiLU(W_f f_ij) <rej(W_t v_i, d), rej(W_s v_j, -d)>, the rejections multiplied out.

    For unit d, <rej(a, d), rej(b, d)> = <a, b> - <a, d><b, d>; a self edge has d = 0, which keeps <a, b>.
    """
    sent = gather(source.flatten(1), edges.neighbors).unflatten(-1, (3, -1))
    along = (sent * edges.direction[..., None]).sum(2)
    overlap = torch.einsum("axc,akxc->akc", target, sent)
    overlap = overlap - torch.einsum("axc,akx->akc", target, edges.direction) * along
    return functional.silu(layer.f_proj(edge_state)) * overlap


def node_update(
    layer: nn.Module,
    scalars: Tensor,
    vectors: Tensor | None,
    unit: Tensor | None,
    scalar_sum: Tensor,
    vector_sum: Tensor,
) -> tuple[Tensor, Tensor]:
    """Residual update of scalars and vectors of every atom from what its neighbors sent."""
    o1, o2, o3 = layer.o_proj(scalar_sum).chunk(3, dim=-1)
    if vectors is None:
        return scalars + o3, vector_sum
    first, second, third = layer.vec_proj(unit).chunk(3, dim=-1)
    return scalars + (first * second).sum(1) * o2 + o3, vectors + third * o1[:, None] + vector_sum


def max_min_norm(
    vectors: Float[Tensor, "atom 3 channel"], weight: Float[Tensor, " channel"]
) -> Float[Tensor, "atom 3 channel"]:
    """Rescale the lengths of an atom's vectors to 0 (shortest channel) … 1 (longest)."""
    length = vectors.square().sum(1, keepdim=True).clamp(min=1e-24).sqrt()
    longest, shortest = length.amax(-1, keepdim=True), length.amin(-1, keepdim=True)
    spread = longest - shortest
    spread = torch.where(spread == 0, torch.ones_like(spread), spread)
    return vectors * ((length - shortest) / spread / length) * weight
