"""A frozen ViSNet for speed in plain PyTorch: the same numbers as geom2msm.encoder.visnet, without gradients.

Edges sit in rows of fixed width and are worked off in blocks of fixed shape (geom2msm.encoder.edge_rows), so that few
graphs are compiled, and those for all molecules; matrix products of one argument are merged; radial functions come
from a table; what the first and the last layer do not use is not computed for edges.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from geom2msm.encoder import visnet_pieces as pieces
from geom2msm.encoder.c_library import require_cpp_compiler
from geom2msm.encoder.edge_rows import EdgeRows, edge_rows, row_width
from geom2msm.encoder.edges import ANGSTROM_PER_NM
from geom2msm.encoder.neighbors import NeighborTable
from geom2msm.encoder.radial_table import node_count, radial_position, radial_table
from geom2msm.encoder.visnet import ViSNet

# Edges and atoms at once: a processor keeps their arrays in its cache, a GPU wants to be filled.
BLOCK_EDGES = {"cpu": 2048, "cuda": 1 << 18}
BLOCK_ATOMS = {"cpu": 256, "cuda": 1 << 16}
# Lengths that differ from call to call are compiled as variables, which must not be 1: arrays of atoms are padded.
ATOM_MULTIPLE = 16
# Rows of edges that are added to an atom's sums at once.
PARTS = 4
COMPILED = (
    pieces.neighborhood, pieces.first_state, pieces.first_layer, pieces.middle_layer, pieces.last_layer,
    pieces.collect, pieces.update, pieces.project, pieces.finish,
)  # fmt: skip
# What the atoms bring into each kind of layer.
SENT_IN = {
    "first_layer": ("query", "sent"),
    "middle_layer": ("query", "sent", "unit", "target", "source"),
    "last_layer": ("query", "sent", "unit"),
}


class Weights(nn.Module):
    """Constant tensors that follow their network from device to device."""

    def __init__(self, **tensors: Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor.detach().clone().contiguous())


@dataclass(frozen=True)
class EdgeBlock:
    """Geometry of a range of rows of edges; `node` and `weights` are the places in the radial tables."""

    rows: slice
    senders: Int[Tensor, "row slot"]
    centers: Int[Tensor, " row"]
    mask: Float[Tensor, "row slot"]
    direction: Float[Tensor, "row slot 3"]
    envelope: Float[Tensor, "row slot"]
    node: Int[Tensor, "row slot"]
    weights: Float[Tensor, "row slot 4"]


@dataclass(frozen=True)
class Arrays:
    """What the pieces work on in place: states, what atoms bring into a layer, sums over rows of edges."""

    scalars: Float[Tensor, "atom channel"]
    vectors: Float[Tensor, "atom flat"]
    query: Float[Tensor, "atom channel"]
    sent: Float[Tensor, "atom twice_channel"]
    unit: Float[Tensor, "atom flat"]
    target: Float[Tensor, "atom flat"]
    source: Float[Tensor, "atom flat"]
    state: Float[Tensor, "row slot channel"]
    scalar_sum: Float[Tensor, "atom channel"]
    vector_sum: Float[Tensor, "atom flat"]
    scalar_rows: Float[Tensor, "row_and_one channel"]
    vector_rows: Float[Tensor, "row_and_one flat"]


class CompiledViSNet(nn.Module):
    """Atoms in, per-atom scalars and vectors out, as `encoder` computes them."""

    path = "compiled"

    def __init__(self, encoder: ViSNet) -> None:
        super().__init__()
        require_cpp_compiler()
        if next(encoder.parameters()).dtype != torch.float32:
            raise ValueError("the compiled ViSNet computes in float32; convert the encoder by encoder.float()")
        if encoder.config.n_layers < 2:
            raise ValueError("the compiled ViSNet needs 2 or more layers; choose another path of the encoder")
        self.config = encoder.config
        self.denoiser = encoder.denoiser
        block, around = encoder.block, encoder.block.neighbor_embedding
        self.cutoff, self.alpha, self.n_nodes = block.cutoff, block.distance_expansion.alpha, node_count(block)
        self.embedding = Weights(
            own=block.embedding.weight, sent=around.embedding.weight,
            weight=around.combine.weight, bias=around.combine.bias,
            neighborhood=radial_table(block, around.distance_proj),
            state=radial_table(block, block.edge_embedding.edge_proj),
        )  # fmt: skip
        kinds = ["first_layer", *["middle_layer"] * (len(block.vis_mp_layers) - 2), "last_layer"]
        self.layers = nn.ModuleList(
            layer_weights(layer, piece=piece) for layer, piece in zip(block.vis_mp_layers, kinds, strict=True)
        )
        self.norm = Weights(weight=block.out_norm.weight, bias=block.out_norm.bias, unit=block.vec_out_norm.weight)
        self.compiled = {piece.__name__: torch.compile(piece, dynamic=False, fullgraph=True) for piece in COMPILED}

    @torch.inference_mode()
    def forward(
        self, atomic_numbers: Int[Tensor, " atom"], positions_nm: Float[Tensor, "atom 3"], neighbors: NeighborTable
    ) -> tuple[Float[Tensor, "atom channel"], Float[Tensor, "atom 3 channel"]]:
        """Scalars and vectors of every atom."""
        n_atoms, device = len(atomic_numbers), positions_nm.device.type
        width = row_width(neighbors)
        block_rows = BLOCK_EDGES[device] // width
        rows = edge_rows(
            neighbors, width=width, block_rows=block_rows, atom_multiple=ATOM_MULTIPLE, part_multiple=PARTS
        )
        edges = self._edge_blocks(positions_nm.float() * ANGSTROM_PER_NM, rows, block_rows)
        atoms = ranges(len(rows.rows_of_atom), BLOCK_ATOMS[device])
        arrays = self._embed(functional.pad(atomic_numbers, (0, len(rows.rows_of_atom) - n_atoms)), rows, edges)
        for i, layer in enumerate(self.layers):
            self._project(layer, arrays, atoms, first=i == 0)
            self._send(layer, arrays, edges)
            self._update(layer, arrays, atoms, rows)
        for chunk in atoms:
            states = variable_length(arrays.scalars[chunk], arrays.vectors[chunk])
            self.compiled["finish"](*states, *self.norm.buffers())
        return arrays.scalars[:n_atoms], arrays.vectors[:n_atoms].unflatten(1, (3, -1))

    @torch.inference_mode()
    def displacement(
        self, scalars: Float[Tensor, "atom channel"], vectors: Float[Tensor, "atom 3 channel"]
    ) -> Float[Tensor, "atom 3"]:
        """What the encoder's denoising head makes of these outputs."""
        return ViSNet.displacement(self, scalars, vectors)

    def _edge_blocks(self, positions: Float[Tensor, "atom 3"], rows: EdgeRows, block_rows: int) -> list[EdgeBlock]:
        """Geometry of all edges (positions in angstrom), cut into blocks."""
        displacement = functional.embedding(rows.senders, positions) - positions[rows.centers][:, None]
        if rows.shift is not None:
            displacement = displacement + rows.shift.to(positions.dtype) * ANGSTROM_PER_NM
        distance = displacement.square().sum(-1).sqrt() * rows.mask
        direction = displacement * (rows.mask / distance.clamp(min=1e-12))[..., None]
        envelope = 0.5 * (torch.cos(distance * (math.pi / self.cutoff)) + 1) * (distance < self.cutoff) * rows.mask
        node, weights = radial_position(distance, alpha=self.alpha, cutoff=self.cutoff, count=self.n_nodes)
        return [
            EdgeBlock(block, rows.senders[block], rows.centers[block], rows.mask[block],
                      direction[block], envelope[block], node[block], weights[block])
            for block in ranges(len(rows.centers), block_rows)
        ]  # fmt: skip

    def _embed(self, atomic_numbers: Int[Tensor, " atom"], rows: EdgeRows, edges: list[EdgeBlock]) -> Arrays:
        """All arrays, with the first states of atoms and edges in them."""
        embedding = self.embedding
        own = functional.embedding(atomic_numbers, embedding.own)
        sent = functional.embedding(atomic_numbers, embedding.sent)
        arrays = empty_arrays(own, rows)
        variable_length(sent)
        for edge in edges:
            self.compiled["neighborhood"](
                arrays.scalar_rows[edge.rows], edge.node, edge.weights, edge.envelope, edge.senders, edge.centers,
                sent, embedding.neighborhood,
            )  # fmt: skip
        around = sum(functional.embedding(part, arrays.scalar_rows) for part in rows.rows_of_atom.unbind(1))
        arrays.scalars.copy_(functional.linear(torch.cat([own, around], dim=1), embedding.weight, embedding.bias))
        for edge in edges:
            self.compiled["first_state"](
                arrays.state[edge.rows], edge.node, edge.weights, edge.senders, edge.centers,
                arrays.scalars, embedding.state,
            )  # fmt: skip
        return arrays

    def _project(self, layer: Weights, arrays: Arrays, atoms: list[slice], *, first: bool) -> None:
        """What every atom brings into a layer; before the first there are no vectors to project."""
        if first:
            normed = functional.layer_norm(arrays.scalars, layer.norm_weight.shape, layer.norm_weight, layer.norm_bias)
            attention = functional.linear(normed, layer.attention_weight, layer.attention_bias)
            width = arrays.query.shape[1]
            arrays.query.copy_(attention[:, :width])
            arrays.sent.copy_(attention[:, width:])
            return
        for chunk in atoms:
            brought = (arrays.query, arrays.sent, arrays.unit, arrays.target, arrays.source)
            parts = variable_length(*(array[chunk] for array in (*brought, arrays.scalars, arrays.vectors)))
            self.compiled["project"](
                *parts, layer.norm_weight, layer.norm_bias, layer.unit_weight,
                layer.attention_weight, layer.attention_bias, layer.turn_weight,
            )  # fmt: skip

    def _send(self, layer: Weights, arrays: Arrays, edges: list[EdgeBlock]) -> None:
        """Sums over rows of what neighbors send, and the new state of every edge."""
        piece = self.compiled[layer.piece]
        brought = [getattr(arrays, name) for name in SENT_IN[layer.piece]]
        weights = (layer.filter_weight, layer.filter_bias, layer.gate_weight, layer.gate_bias, layer.heads)
        for edge in edges:
            piece(
                arrays.scalar_rows[edge.rows], arrays.vector_rows[edge.rows], arrays.state[edge.rows].flatten(0, 1),
                edge.direction, edge.envelope, edge.mask, edge.senders, edge.centers, *brought, *weights,
            )  # fmt: skip

    def _update(self, layer: Weights, arrays: Arrays, atoms: list[slice], rows: EdgeRows) -> None:
        """New scalars and vectors of every atom."""
        sums = (arrays.scalar_sum, arrays.vector_sum)
        for chunk in atoms:
            states = variable_length(arrays.scalars[chunk], arrays.vectors[chunk], arrays.unit[chunk])
            summed = variable_length(*(array[chunk].zero_() for array in sums))
            for parts in rows.rows_of_atom[chunk].split(PARTS, dim=1):
                self.compiled["collect"](
                    *summed, arrays.scalar_rows, arrays.vector_rows, *variable_length(parts.contiguous())
                )
            self.compiled["update"](*states, *summed, layer.vector_weight, layer.out_weight, layer.out_bias)


def ranges(length: int, step: int) -> list[slice]:
    """Consecutive slices of at most `step`."""
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def variable_length(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors, marked such that compiled code takes any number of rows."""
    for tensor in tensors:
        torch._dynamo.mark_dynamic(tensor, 0)
    return tensors


def empty_arrays(like: Float[Tensor, "atom channel"], rows: EdgeRows) -> Arrays:
    """Zeros: atoms start without vectors, and the row behind the last one stays zero."""
    n_atoms, width = like.shape
    n_rows, n_slots = rows.senders.shape
    scalars, query, scalar_sum = (torch.zeros_like(like) for _ in range(3))
    sent = like.new_zeros(n_atoms, 2 * width)
    vectors, unit, target, source, vector_sum = (like.new_zeros(n_atoms, 3 * width) for _ in range(5))
    state = like.new_empty(n_rows, n_slots, width)
    sums = like.new_zeros(n_rows + 1, width), like.new_zeros(n_rows + 1, 3 * width)
    variable_length(scalars, query, sent, unit, target, source, *sums)
    return Arrays(scalars, vectors, query, sent, unit, target, source, state, scalar_sum, vector_sum, *sums)


def layer_weights(layer: nn.Module, *, piece: str) -> Weights:
    """The weights of a layer, merged by argument and with renumbered channels, as `pieces` wants them."""
    width, n_heads = layer.hidden_channels, layer.num_heads
    order = torch.arange(width).view(n_heads, -1).T.flatten()
    filters = [(layer.dk_proj, order), (layer.dv_proj, order)]
    if piece == "middle_layer":
        filters.append((layer.f_proj, torch.arange(width)))
    attention = [(layer.q_proj, order), (layer.k_proj, order), (layer.v_proj, order)]
    turned = () if piece != "middle_layer" else (layer.w_trg_proj.weight, layer.w_src_proj.weight)
    gates = slice(width, None) if piece == "first_layer" else slice(None)
    weights = Weights(
        norm_weight=layer.layernorm.weight, norm_bias=layer.layernorm.bias, unit_weight=layer.vec_layernorm.weight,
        attention_weight=torch.cat([linear.weight[rows] for linear, rows in attention]),
        attention_bias=torch.cat([linear.bias[rows] for linear, rows in attention]),
        turn_weight=torch.cat(turned) if turned else layer.q_proj.weight.new_zeros(0, width),
        filter_weight=torch.cat([linear.weight[rows] for linear, rows in filters]),
        filter_bias=torch.cat([linear.bias[rows] for linear, rows in filters]),
        gate_weight=layer.s_proj.weight[gates][:, order], gate_bias=layer.s_proj.bias[gates],
        vector_weight=layer.vec_proj.weight, out_weight=layer.o_proj.weight[:, order], out_bias=layer.o_proj.bias,
        heads=head_sums(n_heads, width // n_heads),
    )  # fmt: skip
    weights.piece = piece
    return weights


def head_sums(n_heads: int, head_channels: int) -> Float[Tensor, "group group"]:
    """Adds the channels of a head within a group of whole head sets, of 16 channels (a register) if possible."""
    sets = next((m for m in range(1, head_channels) if head_channels % m == 0 and m * n_heads >= 16), head_channels)
    head = torch.arange(sets * n_heads) % n_heads
    return (head[:, None] == head).float()
