"""A frozen ViSNet as one compiled C function: float32, one thread, no gradients.

visnet_fused.c fuses all that happens on edges; this module packs the weights the way the C code reads
them and makes the call. visnet.py is the readable reference.
"""

import ctypes
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch_geometric.nn.models.visnet import ViSNetBlock

from geom2msm.encoder.c_library import load_c_library
from geom2msm.encoder.neighbors import NeighborTable
from geom2msm.encoder.radial_table import node_count, radial_table
from geom2msm.encoder.visnet import ViSNet
from geom2msm.units import ANGSTROM_PER_NM

SOURCE = Path(__file__).with_suffix(".c")
# The widest vector register, and the rows behind the last one that the C code may touch.
WIDEST, SPARE_ATOMS, SPARE_EDGES = 16, 24, 48


class _Layer(ctypes.Structure):
    """Weights of one layer, as in the C source."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in (
            "norm_weight", "norm_bias", "unit_weight", "attend", "attend_bias", "turn", "filter", "filter_bias",
            "gate", "gate_bias", "mix", "out", "out_bias",
        )
    ]  # fmt: skip


class _Network(ctypes.Structure):
    """Weights and sizes of the network, as in the C source."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n_layers", "n_nodes")),
        *((name, ctypes.c_float) for name in ("cutoff", "alpha", "first_node", "node_step", "epsilon")),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "radial", "sent_element", "own_element", "combine", "zeros", "out_weight", "out_bias", "out_unit",
                "layers",
            )
        ),
    ]  # fmt: skip


class _Molecules(ctypes.Structure):
    """Input, working memory and output of one call, as in the C source."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n_atoms", "n_edges")),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "elements", "target", "source", "direction", "envelope", "state", "scalars", "vectors", "unit",
                "attended", "turned", "scalar_sum", "vector_sum",
            )
        ),
    ]  # fmt: skip


class FusedViSNet:
    """A ViSNet's forward pass with the weights that it has now; called like the network itself."""

    def __init__(self, encoder: ViSNet, *, machine_flags: Sequence[str] | None = None) -> None:
        check_shape(encoder)
        self.config = encoder.config
        self.displacement = encoder.displacement
        sizes = {"WIDTH": encoder.config.hidden_channels, "HEADS": encoder.config.n_heads}
        self._library = load_c_library(SOURCE, definitions=sizes, machine_flags=machine_flags)
        self._library.build.restype = ctypes.c_char_p
        self._library.visnet.restype = None
        self.path = f"fused ({self._library.build().decode()})"
        self._padding = 2 * self._library.lanes_per_register()
        self._kept: list[object] = []
        with torch.no_grad():
            self._network = self._pack_network(encoder.block)

    @torch.no_grad()
    def __call__(
        self, atomic_numbers: Int[Tensor, " atom"], positions_nm: Float[Tensor, "atom 3"], neighbors: NeighborTable
    ) -> tuple[Float[Tensor, "atom channel"], Float[Tensor, "atom 3 channel"]]:
        """Scalars and vectors of every atom, as `ViSNet` gives them."""
        check_input(atomic_numbers, positions_nm, neighbors, self.config.max_atomic_number)
        n_atoms, width = len(atomic_numbers), self.config.hidden_channels
        target = torch.arange(n_atoms)[:, None].expand_as(neighbors.mask)[neighbors.mask]
        source = neighbors.indices[neighbors.mask]
        positions = positions_nm * ANGSTROM_PER_NM
        displacement = positions[source] - positions[target]
        if neighbors.shift is not None:
            displacement += neighbors.shift[neighbors.mask].float() * ANGSTROM_PER_NM
        rows, edge_rows = n_atoms + SPARE_ATOMS, len(target) + SPARE_EDGES
        arrays = {
            "elements": atomic_numbers.long().contiguous(),
            "target": target.int(),
            "source": source.int(),
            "direction": displacement,
            "envelope": torch.empty(edge_rows),
            "state": torch.empty(edge_rows, width),
            "scalars": torch.empty(n_atoms, width),
            "vectors": torch.empty(n_atoms, 3, width),
            "unit": torch.empty(rows, 3, width),
            "attended": torch.empty(rows, self._padded(3 * width)),
            "turned": torch.empty(rows, 3, self._padded(2 * width)),
            "scalar_sum": torch.empty(rows, width),
            "vector_sum": torch.empty(rows, 3, width),
        }
        pointers = {name: array.data_ptr() for name, array in arrays.items()}
        molecules = _Molecules(n_atoms=n_atoms, n_edges=len(target), **pointers)
        self._library.visnet(ctypes.byref(self._network), ctypes.byref(molecules))
        return arrays["scalars"], arrays["vectors"]

    def _padded(self, columns: int) -> int:
        """Columns of a weight matrix with those that fill the last pair of registers."""
        return -(-columns // self._padding) * self._padding

    def _keep(self, tensor: Tensor) -> int:
        """Address of a float32 copy that lives as long as this object."""
        self._kept.append(tensor.detach().float().contiguous().clone())
        return self._kept[-1].data_ptr()

    def _matrix(self, *weights: Tensor) -> int:
        """Address of weights [out in], one below the other, as [panel][in][out of the panel]."""
        weight = torch.cat(weights)
        rows = torch.zeros(self._padded(len(weight)), weight.shape[1])
        rows[: len(weight)] = weight
        return self._keep(rows.unflatten(0, (-1, self._padding)).transpose(1, 2))

    def _bias(self, *biases: Tensor) -> int:
        """Address of biases, one behind the other."""
        bias = torch.cat(biases)
        return self._keep(torch.nn.functional.pad(bias, (0, self._padded(len(bias)) - len(bias))))

    def _pack_network(self, block: ViSNetBlock) -> _Network:
        """Addresses of all packed weights and of the radial table."""
        around, width = block.neighbor_embedding, self.config.hidden_channels
        own, sent = around.combine.weight.split(width, dim=1)
        filters = [radial_table(block, part) for part in (around.distance_proj, block.edge_embedding.edge_proj)]
        lowest = math.exp(-block.distance_expansion.alpha * block.cutoff)
        node_step = (1 - lowest) / node_count(block)
        layers = (_Layer * len(block.vis_mp_layers))(
            *(self._pack_layer(layer, first=number == 0) for number, layer in enumerate(block.vis_mp_layers))
        )
        self._kept.append(layers)
        return _Network(
            n_layers=len(layers), n_nodes=len(filters[0]), cutoff=block.cutoff, alpha=block.distance_expansion.alpha,
            first_node=lowest - node_step, node_step=node_step, epsilon=block.out_norm.eps,
            radial=self._keep(torch.cat(filters, dim=1)), sent_element=self._keep(around.embedding.weight),
            own_element=self._keep(block.embedding.weight @ own.T + around.combine.bias), combine=self._matrix(sent),
            zeros=self._bias(torch.zeros(3 * width)), out_weight=self._keep(block.out_norm.weight),
            out_bias=self._keep(block.out_norm.bias), out_unit=self._keep(block.vec_out_norm.weight),
            layers=ctypes.addressof(layers),
        )  # fmt: skip

    def _pack_layer(self, layer: torch.nn.Module, *, first: bool) -> _Layer:
        """Addresses of one layer's packed weights; the first has no vectors, the last updates no edges."""
        width, heads = self.config.hidden_channels, self.config.n_heads
        # Channels of messages go by place in the head, then by head; visnet_fused.c says why.
        order = torch.arange(width).reshape(heads, -1).T.flatten()
        attend = [layer.q_proj, layer.k_proj, layer.v_proj]
        filters = [(layer.dk_proj, order), (layer.dv_proj, order)]
        if not first and not layer.last_layer:
            filters.append((layer.f_proj, torch.arange(width)))
        turn = [] if layer.last_layer else [layer.w_trg_proj.weight, layer.w_src_proj.weight]
        # Gates of directions stand in front of those of vectors, which the first layer does not need.
        gates = torch.arange(2 * width).roll(width)[: width if first else None]
        outs = torch.arange(2 * width if first else 0, 3 * width)
        return _Layer(
            norm_weight=self._keep(layer.layernorm.weight), norm_bias=self._keep(layer.layernorm.bias),
            unit_weight=self._keep(layer.vec_layernorm.weight),
            attend=self._matrix(*(part.weight[order] for part in attend)),
            attend_bias=self._bias(*(part.bias[order] for part in attend)),
            turn=self._matrix(*turn) if turn else None,
            filter=self._matrix(*(part.weight[rows] for part, rows in filters)),
            filter_bias=self._bias(*(part.bias[rows] for part, rows in filters)),
            gate=self._matrix(layer.s_proj.weight[gates][:, order]), gate_bias=self._bias(layer.s_proj.bias[gates]),
            mix=self._matrix(layer.vec_proj.weight),
            out=self._matrix(layer.o_proj.weight[outs][:, order]), out_bias=self._bias(layer.o_proj.bias[outs]),
        )  # fmt: skip


def check_shape(encoder: ViSNet) -> None:
    """Refuse networks that the C code cannot hold."""
    width, heads = encoder.config.hidden_channels, encoder.config.n_heads
    if width % WIDEST:
        raise ValueError(f"the fused ViSNet needs a multiple of {WIDEST} channels, not {width}; use the reference")
    if WIDEST % heads and heads % WIDEST:
        raise ValueError(f"the fused ViSNet takes 1, 2, 4, 8 or a multiple of 16 heads, not {heads}; use the reference")
    if any(parameter.device.type != "cpu" or parameter.dtype != torch.float32 for parameter in encoder.parameters()):
        raise ValueError(
            "the fused ViSNet needs float32 weights on the CPU; move the encoder there or use the reference"
        )


def check_input(atomic_numbers: Tensor, positions_nm: Tensor, neighbors: NeighborTable, max_atomic_number: int) -> None:
    """Refuse what the C code would read as something else, or beyond the end of."""
    if positions_nm.dtype != torch.float32 or positions_nm.device.type != "cpu":
        raise ValueError(
            f"the fused ViSNet takes float32 positions on the CPU, not {positions_nm.dtype} on {positions_nm.device}"
        )
    n_atoms = len(atomic_numbers)
    if positions_nm.shape != (n_atoms, 3) or len(neighbors.indices) != n_atoms:
        raise ValueError(
            f"{n_atoms} elements, positions of shape {tuple(positions_nm.shape)} and neighbors of "
            f"{len(neighbors.indices)} atoms do not belong together"
        )
    for name, values, end in (
        ("an atomic number", atomic_numbers, max_atomic_number),
        ("a neighbor", neighbors.indices, n_atoms),
    ):
        if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < end:
            raise ValueError(f"{name} is {int(values.min())} or {int(values.max())}, which is not in 0 … {end - 1}")
