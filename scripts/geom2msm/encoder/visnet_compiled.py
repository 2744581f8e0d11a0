"""A frozen ViSNet for speed in plain PyTorch: the same numbers as geom2msm.encoder.visnet, without gradients.

Edges sit in rows of fixed width and are worked off in blocks of fixed shape (geom2msm.encoder.edge_rows), so that few
graphs are compiled, and those for all molecules; matrix products of one argument are merged; radial functions come
from a table; what the first and the last layer do not use is not computed for edges.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from geom2msm.encoder import visnet_pieces as pieces
from geom2msm.encoder.c_library import require_cpp_compiler
from geom2msm.encoder.edge_rows import EdgeRows, edge_rows, row_width
from geom2msm.encoder.neighbors import NeighborTable
from geom2msm.encoder.radial_table import node_count, radial_position, radial_table
from geom2msm.encoder.visnet import ViSNet
from geom2msm.units import ANGSTROM_PER_NM

# Edges and atoms at once: a processor keeps their arrays in its cache, a GPU wants to be filled.
BLOCK_EDGES = {"cpu": 4096, "cuda": 1 << 18}
BLOCK_ATOMS = {"cpu": 1024, "cuda": 1 << 16}
# Lengths that differ from call to call are compiled as variables, which must not be 1: arrays of atoms are padded.
ATOM_MULTIPLE = 16
# Rows of edges that are added to an atom's sums at once.
PARTS = 4
COMPILED = (
    pieces.neighborhood, pieces.first_layer, pieces.middle_layer, pieces.last_layer,
    pieces.collect, pieces.advance, pieces.finish,
)  # fmt: skip
# What the atoms bring into each kind of layer besides query, key and value.
BROUGHT_IN = {
    "first_layer": ("scalars",),
    "middle_layer": ("unit", "target", "source"),
    "last_layer": ("unit",),
}


class Weights(nn.Module):
    """Constant tensors that follow their network from device to device."""

    def __init__(self, **tensors: Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor.detach().clone().contiguous())


@dataclass(frozen=True)
class Arrays:
    """What the pieces work on in place: states of atoms, what they bring into a layer, sums over rows of edges."""

    scalars: Float[Tensor, "atom channel"]
    vectors: Float[Tensor, "atom 3 channel"]
    attention: Float[Tensor, "atom thrice_channel"]
    unit: Float[Tensor, "atom 3 channel"]
    target: Float[Tensor, "atom 3 channel"]
    source: Float[Tensor, "atom 3 channel"]
    product: Float[Tensor, "atom channel"]
    third: Float[Tensor, "atom 3 channel"]
    scalar_sum: Float[Tensor, "atom channel"]
    vector_sum: Float[Tensor, "atom 3 channel"]
    scalar_rows: Float[Tensor, "row_and_one channel"]
    vector_rows: Float[Tensor, "row_and_one 3 channel"]


@dataclass(frozen=True)
class EdgeBlock:
    """A range of rows of edges: sums (parts of the arrays), state, geometry, and the place in the radial tables."""

    scalar_sum: Float[Tensor, "row channel"]
    vector_sum: Float[Tensor, "row 3 channel"]
    state: Float[Tensor, "edge channel"]
    geometry: Float[Tensor, "row slot 5"]
    senders: Int[Tensor, "row slot"]
    centers: Int[Tensor, " row"]
    node: Int[Tensor, "row slot"]
    weights: Float[Tensor, "row slot 4"]


@dataclass(frozen=True)
class AtomBlock:
    """A range of atoms: parts of the arrays, grouped as `pieces` takes them, and the rows of each atom in groups."""

    states: tuple[Tensor, ...]
    sums: tuple[Tensor, ...]
    brought: tuple[Tensor, ...]
    parts: tuple[Int[Tensor, "atom part"], ...]


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
        self.output = Weights(
            norm_weight=block.out_norm.weight, norm_bias=block.out_norm.bias, unit_weight=block.vec_out_norm.weight
        )  # fmt: skip
        # Lets the C++ compiler compute a b + c in one instruction.
        options = {"cpp.enable_floating_point_contract_flag": "fast"}
        self.compiled = {
            piece.__name__: torch.compile(piece, dynamic=False, fullgraph=True, options=options) for piece in COMPILED
        }

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
        arrays = empty_arrays(rows, self.embedding.own.shape[1], positions_nm.device)
        edges = self._edge_blocks(positions_nm.float() * ANGSTROM_PER_NM, rows, arrays, block_rows)
        atoms = atom_blocks(arrays, rows, BLOCK_ATOMS[device])
        self._embed(functional.pad(atomic_numbers, (0, len(arrays.scalars) - n_atoms)), rows, arrays, edges)
        for layer, following in pairwise([*self.layers, self.output]):
            self._send(layer, arrays, edges)
            self._update(layer, following, arrays, atoms)
        return arrays.scalars[:n_atoms], arrays.vectors[:n_atoms]

    @torch.inference_mode()
    def displacement(
        self, scalars: Float[Tensor, "atom channel"], vectors: Float[Tensor, "atom 3 channel"]
    ) -> Float[Tensor, "atom 3"]:
        """What the encoder's denoising head makes of these outputs."""
        return ViSNet.displacement(self, scalars, vectors)

    def _edge_blocks(
        self, positions: Float[Tensor, "atom 3"], rows: EdgeRows, arrays: Arrays, block_rows: int
    ) -> list[EdgeBlock]:
        """All edges (positions in angstrom), cut into blocks."""
        displacement = functional.embedding(rows.senders, positions) - positions[rows.centers][:, None]
        if rows.shift is not None:
            displacement = displacement + rows.shift.to(positions.dtype) * ANGSTROM_PER_NM
        distance = displacement.square().sum(-1).sqrt() * rows.mask
        direction = displacement * (rows.mask / distance.clamp(min=1e-12))[..., None]
        envelope = 0.5 * (torch.cos(distance * (math.pi / self.cutoff)) + 1) * (distance < self.cutoff) * rows.mask
        geometry = torch.cat([direction, envelope[..., None], rows.mask[..., None]], dim=-1)
        node, weights = radial_position(distance, alpha=self.alpha, cutoff=self.cutoff, count=self.n_nodes)
        state = arrays.scalars.new_empty(rows.senders.numel(), arrays.scalars.shape[1])
        width = rows.senders.shape[1]
        return [
            EdgeBlock(arrays.scalar_rows[block], arrays.vector_rows[block],
                      state[block.start * width : block.stop * width], geometry[block],
                      rows.senders[block], rows.centers[block], node[block], weights[block])
            for block in ranges(len(rows.centers), block_rows)
        ]  # fmt: skip

    def _embed(
        self, atomic_numbers: Int[Tensor, " atom"], rows: EdgeRows, arrays: Arrays, edges: list[EdgeBlock]
    ) -> None:
        """First scalars of atoms and what they bring into the first layer; there are no vectors yet."""
        embedding, first = self.embedding, self.layers[0]
        own = functional.embedding(atomic_numbers, embedding.own)
        (sent,) = variable_length(functional.embedding(atomic_numbers, embedding.sent))
        for edge in edges:
            self.compiled["neighborhood"](
                edge.scalar_sum, edge.geometry, edge.node, edge.weights, edge.senders, edge.centers,
                sent, embedding.neighborhood,
            )  # fmt: skip
        around = sum(functional.embedding(part, arrays.scalar_rows) for part in rows.rows_of_atom.unbind(1))
        arrays.scalars.copy_(functional.linear(torch.cat([own, around], dim=1), embedding.weight, embedding.bias))
        normed = functional.layer_norm(arrays.scalars, own.shape[1:], first.norm_weight, first.norm_bias)
        arrays.attention.copy_(functional.linear(normed, first.attention_weight, first.attention_bias))

    def _send(self, layer: Weights, arrays: Arrays, edges: list[EdgeBlock]) -> None:
        """Sums over rows of what neighbors send, and the new state of every edge."""
        piece = self.compiled[layer.piece]
        weights = (layer.filter_weight, layer.filter_bias, layer.gate_weight, layer.gate_bias, layer.heads)
        brought = [getattr(arrays, name) for name in BROUGHT_IN[layer.piece]]
        for edge in edges:
            place = (self.embedding.state, edge.node, edge.weights) if layer.piece == "first_layer" else ()
            piece(
                edge.scalar_sum, edge.vector_sum, edge.state, edge.geometry, edge.senders, edge.centers,
                arrays.attention, *weights, *brought, *place,
            )  # fmt: skip

    def _update(self, layer: Weights, following: Weights, arrays: Arrays, atoms: list[AtomBlock]) -> None:
        """New scalars and vectors of every atom, and what they bring into the layer that follows."""
        weights = (
            layer.out_weight, layer.out_bias, following.norm_weight, following.norm_bias, following.unit_weight
        )  # fmt: skip
        rows = (arrays.scalar_rows, arrays.vector_rows)
        for atom in atoms:
            for tensor in atom.sums:
                tensor.zero_()
            for part in atom.parts[:-1]:
                self.compiled["collect"](*atom.sums, *rows, part)
            received = (*atom.states, *atom.sums, *rows, atom.parts[-1])
            if following is self.output:
                self.compiled["finish"](*received, *weights)
            else:
                self.compiled["advance"](
                    *received, *weights, *atom.brought,
                    following.attention_weight, following.attention_bias, following.turn_weight,
                )  # fmt: skip


def ranges(length: int, step: int) -> list[slice]:
    """Consecutive slices of at most `step`."""
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def variable_length(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors, marked such that compiled code takes any number of rows."""
    for tensor in tensors:
        torch._dynamo.mark_dynamic(tensor, 0)
    return tensors


def empty_arrays(rows: EdgeRows, width: int, device: torch.device) -> Arrays:
    """Zeros: atoms start without vectors, and the row behind the last one stays zero."""
    n_atoms, n_rows = len(rows.rows_of_atom), len(rows.centers) + 1
    scalar, vector = (width,), (3, width)
    of_atom = (scalar, vector, (3 * width,), vector, vector, vector, scalar, vector, scalar, vector)
    shapes = [(n_atoms, *shape) for shape in of_atom] + [(n_rows, *scalar), (n_rows, *vector)]
    return Arrays(*variable_length(*(torch.zeros(shape, device=device) for shape in shapes)))


def atom_blocks(arrays: Arrays, rows: EdgeRows, step: int) -> list[AtomBlock]:
    """All atoms, cut into blocks."""
    blocks = []
    for chunk in ranges(len(arrays.scalars), step):
        states, sums, brought = (
            variable_length(*(array[chunk] for array in group))
            for group in (
                (arrays.scalars, arrays.vectors, arrays.product, arrays.third),
                (arrays.scalar_sum, arrays.vector_sum),
                (arrays.attention, arrays.unit, arrays.target, arrays.source),
            )
        )
        parts = (part.contiguous() for part in rows.rows_of_atom[chunk].split(PARTS, dim=1))
        blocks.append(AtomBlock(states, sums, brought, variable_length(*parts)))
    return blocks


def layer_weights(layer: nn.Module, *, piece: str) -> Weights:
    """The weights of a layer, merged by argument and with renumbered channels, as `pieces` wants them."""
    width, n_heads = layer.hidden_channels, layer.num_heads
    order = torch.arange(width).view(n_heads, -1).T.flatten()
    filters = [(layer.dk_proj, order), (layer.dv_proj, order)]
    if piece == "middle_layer":
        filters.append((layer.f_proj, torch.arange(width)))
    attention = [(layer.q_proj, order), (layer.k_proj, order), (layer.v_proj, order)]
    turned = [layer.vec_proj]
    if piece == "middle_layer":
        turned += [layer.w_trg_proj, layer.w_src_proj]
    gates = slice(width, None) if piece == "first_layer" else slice(None)
    weights = Weights(
        norm_weight=layer.layernorm.weight, norm_bias=layer.layernorm.bias, unit_weight=layer.vec_layernorm.weight,
        attention_weight=torch.cat([linear.weight[rows] for linear, rows in attention]),
        attention_bias=torch.cat([linear.bias[rows] for linear, rows in attention]),
        turn_weight=torch.cat([linear.weight for linear in turned]),
        filter_weight=torch.cat([linear.weight[rows] for linear, rows in filters]),
        filter_bias=torch.cat([linear.bias[rows] for linear, rows in filters]),
        gate_weight=layer.s_proj.weight[gates][:, order], gate_bias=layer.s_proj.bias[gates],
        out_weight=layer.o_proj.weight[:, order], out_bias=layer.o_proj.bias,
        heads=head_sums(n_heads, width // n_heads),
    )  # fmt: skip
    weights.piece = piece
    return weights


def head_sums(n_heads: int, head_channels: int) -> Float[Tensor, "group group"]:
    """Adds the channels of a head within a group of whole head sets, of 16 channels (a register) if possible."""
    sets = next((m for m in range(1, head_channels) if head_channels % m == 0 and m * n_heads >= 16), head_channels)
    head = torch.arange(sets * n_heads) % n_heads
    return (head[:, None] == head).float()
