"""TorchMD-ET, frozen and on a processor: its filters read from tables, its edge arithmetic compiled.

Everything that a layer makes of an edge alone, SiLU(W φ(r)), depends on the distance only: one table per layer,
interpolated in t = exp(-5 r / cutoff), in which the radial functions are Gaussians of equal width. Edges are worked
off in rows of 16 neighbors, a fixed number of rows at a time, so that what is compiled fits every frame.
"""

import math
from dataclasses import dataclass
from typing import no_type_check

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from geom2msm.encoder.c_library import require_cpp_compiler
from geom2msm.encoder.neighbors import NeighborTable
from geom2msm.encoder.torchmd_et import EquivariantAttention, TorchMDET
from geom2msm.units import ANGSTROM_PER_NM

TABLE_NODES = 1024
ROW_NEIGHBORS = 16
# Rows per block times channels: what a block sends stays in the processor's cache.
BLOCK_VALUES = 192 * 64
VECTOR_LANES = 16


@dataclass(frozen=True)
class Layer:
    """Weights of one layer, those that act on the same input side by side, and its table of filters.

    Channels are reordered from (head, position in head) to (position, head): heads are then summed up by adding
    whole vectors. `filters` has the columns D^K, s, g1, g2.
    """

    norm: tuple[Tensor, Tensor]
    project: tuple[Float[Tensor, "five_channel channel"], Float[Tensor, " five_channel"]]
    out: tuple[Float[Tensor, "three_channel channel"], Float[Tensor, " three_channel"]]
    vectors: Float[Tensor, "three_channel channel"]
    filters: Float[Tensor, "node four_channel"]


@dataclass(frozen=True)
class Rows:
    """Edges in rows of up to 16 with one center each; empty slots have mask 0, and empty rows the center 0."""

    center: Int[Tensor, " row"]
    neighbors: Int[Tensor, "row neighbor"]
    mask: Float[Tensor, "row neighbor"]
    envelope: Float[Tensor, "row neighbor"]
    direction: Float[Tensor, "row neighbor 3"]
    node: Int[Tensor, "row neighbor"]
    stencil: Float[Tensor, "row neighbor 4"]


class TabulatedTorchMDET:
    """The same scalars and vectors as the encoder that it is made from, without gradients."""

    path = "TorchMD-ET with tabulated filters, torch.compile"

    def __init__(self, encoder: nn.Module) -> None:
        if not isinstance(encoder, TorchMDET):
            raise ValueError(f"tabulated filters are for TorchMD-ET, not for {type(encoder).__name__}")
        if next(encoder.parameters()).dtype != torch.float32:
            raise ValueError("tabulated filters are for single precision; use the encoder itself for double precision")
        require_cpp_compiler()
        self.config = encoder.config
        self._encoder = encoder
        with torch.no_grad():
            order = channel_order(encoder.config.hidden_channels, encoder.config.n_heads)
            self._embedding = encoder.embedding.weight[:, order].contiguous()
            self._layers = [frozen_layer(encoder, layer, order) for layer in encoder.attention_layers]
            self._back = order.argsort()
        self._block_rows = max(1, BLOCK_VALUES // encoder.config.hidden_channels)
        # These functions are marked no_type_check because checks at run time, made in tests, cannot be compiled.
        compiled = [torch.compile(step, dynamic=False, fullgraph=True) for step in (gates, first_messages, messages)]
        self._gates, self._first_messages, self._messages = compiled

    def displacement(
        self, scalars: Float[Tensor, "atom channel"], vectors: Float[Tensor, "atom 3 channel"]
    ) -> Float[Tensor, "atom 3"]:
        """The denoising head of the encoder."""
        return self._encoder.displacement(scalars, vectors)

    @torch.inference_mode()
    def __call__(
        self, atomic_numbers: Int[Tensor, " atom"], positions_nm: Float[Tensor, "atom 3"], neighbors: NeighborTable
    ) -> tuple[Float[Tensor, "atom channel"], Float[Tensor, "atom 3 channel"]]:
        """Scalars, invariant under O(3), and vectors, which turn with the molecule."""
        positions = positions_nm * ANGSTROM_PER_NM
        rows = edge_rows(positions, neighbors, cutoff=self._encoder.cutoff, block_rows=self._block_rows)
        scalars, vectors = self._embedding[atomic_numbers], None
        for layer in self._layers:
            scalars, vectors = self._update(layer, scalars, vectors, rows)
        scalars, vectors = scalars[:, self._back], vectors[:, :, self._back]
        return self._encoder.out_norm(scalars), vectors

    def _update(self, layer: Layer, scalars: Tensor, vectors: Tensor | None, rows: Rows) -> tuple[Tensor, Tensor]:
        """Equation by equation the forward pass of `EquivariantAttention`."""
        width = scalars.shape[1]
        normed = functional.layer_norm(scalars, (width,), *layer.norm)
        projected = functional.linear(normed, *layer.project).split([width, width, 3 * width], dim=1)
        query, key, value = (part.contiguous() for part in projected)
        scalar_sum, vector_sum = self._received(layer, query, key, value, vectors, rows)
        o1, o2, o3 = functional.linear(scalar_sum, *layer.out).chunk(3, dim=1)
        if vectors is None:
            return scalars + o3, vector_sum
        first, second, third = functional.linear(vectors, layer.vectors).chunk(3, dim=2)
        return scalars + (first * second).sum(1) * o2 + o3, vectors + third * o1[:, None] + vector_sum

    def _received(
        self, layer: Layer, query: Tensor, key: Tensor, value: Tensor, vectors: Tensor | None, rows: Rows
    ) -> tuple[Tensor, Tensor]:
        """Sums over the neighbors of every atom, in blocks of rows."""
        width, n_heads = query.shape[1], self.config.n_heads
        sums = query.new_zeros(len(query), width), query.new_zeros(len(query), 3, width)
        for array in (key, value, vectors):
            if array is not None:
                # The number of atoms may change from call to call without compiling anew.
                torch._dynamo.mark_dynamic(array, 0)
        for start in range(0, len(rows.center), self._block_rows):
            part = slice(start, start + self._block_rows)
            center, edges = rows.center[part], (rows.neighbors[part], rows.node[part], rows.stencil[part])
            gate = self._gates(query[center], key, layer.filters, *edges, rows.envelope[part], n_heads)
            geometry = (rows.mask[part], rows.direction[part])
            if vectors is None:
                summed = self._first_messages(gate, value, layer.filters, *edges, *geometry)
            else:
                summed = self._messages(gate, value, vectors, layer.filters, *edges, *geometry)
            for total, addend in zip(sums, summed, strict=True):
                total.index_add_(0, center, addend)
        return sums


def channel_order(width: int, n_heads: int) -> Int[Tensor, " channel"]:
    """Channels in the order (position in head, head), in terms of the order (head, position)."""
    return torch.arange(width).unflatten(0, (n_heads, -1)).T.flatten()


def frozen_layer(encoder: TorchMDET, layer: EquivariantAttention, order: Int[Tensor, " channel"]) -> Layer:
    """Reorder and join the weights of a layer and tabulate its filters."""
    width, n_heads = len(order), layer.n_heads
    in_order = torch.arange(3 * width).unflatten(0, (n_heads, 3, -1)).permute(1, 2, 0).flatten()
    thirds = torch.cat([order + third * width for third in range(3)])
    project = [(layer.q_proj, order), (layer.k_proj, order), (layer.v_proj, in_order)]
    return Layer(
        norm=(layer.layernorm.weight[order], layer.layernorm.bias[order]),
        project=(
            torch.cat([linear.weight[rows][:, order] for linear, rows in project]),
            torch.cat([linear.bias[rows] for linear, rows in project]),
        ),
        out=(layer.o_proj.weight[thirds][:, order].contiguous(), layer.o_proj.bias[thirds]),
        vectors=layer.vec_proj.weight[thirds][:, order].contiguous(),
        filters=tabulated_filters(encoder, layer, order, in_order),
    )


def tabulated_filters(
    encoder: TorchMDET, layer: EquivariantAttention, key_rows: Tensor, value_rows: Tensor
) -> Float[Tensor, "node four_channel"]:
    """SiLU(W φ + b) at evenly spaced t, one node beyond each end; there φ continues analytically."""
    basis = encoder.distance_expansion
    first, step = table_range()
    t = first + step * torch.arange(TABLE_NODES, dtype=torch.float64)
    distance = -torch.log(t.clamp(min=1e-12)) / basis.alpha
    envelope = 0.5 * (torch.cos(distance * (math.pi / encoder.cutoff)) + 1)
    radial = envelope[:, None] * torch.exp(-basis.betas.double() * (t[:, None] - basis.means.double()).square())
    weight = torch.cat([layer.dk_proj.weight[key_rows], layer.dv_proj.weight[value_rows]]).double()
    bias = torch.cat([layer.dk_proj.bias[key_rows], layer.dv_proj.bias[value_rows]]).double()
    return functional.silu(functional.linear(radial, weight, bias)).float().contiguous()


def table_range() -> tuple[float, float]:
    """t of the first node and the distance of nodes: from t(cutoff) = exp(-5) to t(0) = 1, and one beyond each."""
    step = (1 - math.exp(-5)) / (TABLE_NODES - 3)
    return math.exp(-5) - step, step


def edge_rows(positions: Float[Tensor, "atom 3"], table: NeighborTable, *, cutoff: float, block_rows: int) -> Rows:
    """Rows of a neighbor table, empty ones left out, padded to whole blocks (positions in angstrom)."""
    width = -(-table.mask.shape[1] // ROW_NEIGHBORS) * ROW_NEIGHBORS
    padding = (0, width - table.mask.shape[1])
    mask = functional.pad(table.mask, padding).view(-1, ROW_NEIGHBORS)
    neighbors = functional.pad(table.indices, padding).view(-1, ROW_NEIGHBORS)
    kept = mask.any(1).nonzero().squeeze(1)
    kept = functional.pad(kept, (0, -len(kept) % block_rows), value=-1)
    center = (kept // (width // ROW_NEIGHBORS)).clamp(min=0)
    mask = mask[kept] & (kept >= 0)[:, None]
    neighbors = torch.where(mask, neighbors[kept], center[:, None])
    displacement = positions[neighbors] - positions[center][:, None]
    if table.shift is not None:
        shift = functional.pad(table.shift, (0, 0, *padding)).view(-1, ROW_NEIGHBORS, 3)[kept]
        displacement += (shift * mask[..., None]).to(positions.dtype) * ANGSTROM_PER_NM
    distance = displacement.square().sum(-1).sqrt()
    unit = displacement / torch.where(distance > 0, distance, 1.0)[..., None]
    envelope = 0.5 * (torch.cos(distance * (math.pi / cutoff)) + 1) * (distance < cutoff) * mask
    first, step = table_range()
    place = (torch.exp(distance.double() * (-5 / cutoff)) - first) / step
    node = (place.floor().long() - 1).clamp(0, TABLE_NODES - 4)
    stencil = cubic_stencil((place - node - 1).float())
    return Rows(center, neighbors, mask.to(positions.dtype), envelope, unit, node, stencil)


def cubic_stencil(s: Float[Tensor, "row neighbor"]) -> Float[Tensor, "row neighbor 4"]:
    """Lagrange weights of the nodes at -1, 0, 1, 2 for a place s between 0 and 1."""
    return torch.stack(
        [
            -s * (s - 1) * (s - 2) / 6,
            (s + 1) * (s - 1) * (s - 2) / 2,
            -(s + 1) * s * (s - 2) / 2,
            (s + 1) * s * (s - 1) / 6,
        ],
        dim=-1,
    )


@no_type_check
def interpolated(filters: Tensor, node: Tensor, stencil: Tensor, first: int, last: int) -> Tensor:
    """Some columns of a table at every edge."""
    return sum(filters[node + i, first:last] * stencil[..., i : i + 1] for i in range(4))


@no_type_check
def lane_groups(width: int, n_heads: int) -> int:
    """Heads, repeated until a processor's vector register is full; every repetition holds other positions."""
    return n_heads * math.gcd(width // n_heads, max(1, VECTOR_LANES // n_heads))


@no_type_check
def gates(
    query: Tensor, key: Tensor, filters: Tensor, neighbors: Tensor, node: Tensor, stencil: Tensor, envelope: Tensor,
    n_heads: int,
) -> Float[Tensor, "row neighbor lane"]:  # fmt: skip
    """a_ij of every head, SiLU(Σ q_i k_j D^K_ij) C(r_ij), repeated as `lane_groups` says."""
    width = query.shape[1]
    lanes = lane_groups(width, n_heads)
    filtered = query[:, None] * key[neighbors] * interpolated(filters, node, stencil, 0, width)
    summed = filtered.unflatten(-1, (-1, lanes)).sum(-2).unflatten(-1, (-1, n_heads)).sum(-2)
    weight = functional.silu(summed) * envelope[..., None]
    return weight.repeat(1, 1, lanes // n_heads)


@no_type_check
def messages(
    gate: Tensor, value: Tensor, vectors: Tensor, filters: Tensor, neighbors: Tensor, node: Tensor, stencil: Tensor,
    mask: Tensor, direction: Tensor,
) -> tuple[Float[Tensor, "row channel"], Float[Tensor, "row 3 channel"]]:  # fmt: skip
    """Σ_j a_ij s and Σ_j g1 v_j + g2 d_ij over the edges of each row."""
    width = vectors.shape[2]
    sent = interpolated(filters, node, stencil, width, 4 * width) * value[neighbors] * mask[..., None]
    scalar_sum = gated_sum(sent[..., :width], gate)
    along = sent[..., None, 2 * width :] * direction[..., None]
    return scalar_sum, (vectors[neighbors] * sent[..., None, width : 2 * width] + along).sum(1)


@no_type_check
def first_messages(
    gate: Tensor, value: Tensor, filters: Tensor, neighbors: Tensor, node: Tensor, stencil: Tensor, mask: Tensor,
    direction: Tensor,
) -> tuple[Float[Tensor, "row channel"], Float[Tensor, "row 3 channel"]]:  # fmt: skip
    """The same in the first layer, where all vectors are zero."""
    width = value.shape[1] // 3
    sent = interpolated(filters, node, stencil, width, 4 * width) * value[neighbors] * mask[..., None]
    return gated_sum(sent[..., :width], gate), (sent[..., None, 2 * width :] * direction[..., None]).sum(1)


@no_type_check
def gated_sum(scalar: Tensor, gate: Tensor) -> Tensor:
    """Σ_j a_ij s over the edges of each row."""
    return (scalar.unflatten(-1, (-1, gate.shape[-1])) * gate[:, :, None]).sum(1).flatten(1)
