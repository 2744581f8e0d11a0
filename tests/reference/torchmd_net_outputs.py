"""Run torchmd-net's networks on given weights and edges: `python torchmd_net_outputs.py JOBS RESULTS`.

It is its own process, so that torchmd-net and what stands in for its extensions stay out of the tests' process.
`JOBS` is a list of dicts written by torch.save, `RESULTS` gets the scalars, vectors and displacements of each.
"""

import sys
import types
from collections.abc import Callable

import torch
from torch import nn


def without_extensions() -> None:
    """Let torchmd-net be imported without warp, whose kernels only serve neighbor searches and speed.

    TensorNet then takes the operations in plain PyTorch; those in warp sum at the other end of each edge, which is
    another network on neighbor lists that are not symmetric.
    """
    operations = types.ModuleType("torchmdnet.extensions.ops")
    operations.get_neighbor_pairs_kernel = None
    extensions = types.ModuleType("torchmdnet.extensions")
    extensions.ops = operations
    sys.modules |= {"torchmdnet.extensions": extensions, "torchmdnet.extensions.ops": operations}


without_extensions()

from torchmdnet.models.output_modules import EquivariantVectorOutput  # noqa: E402 (after the stand-ins)
from torchmdnet.models.tensornet import TensorNet  # noqa: E402 (after the stand-ins)
from torchmdnet.models.torchmd_et import TorchMD_ET  # noqa: E402 (after the stand-ins)


class FixedEdges(nn.Module):
    """Stands in for torchmd-net's neighbor search."""

    def __init__(self, edge_index: torch.Tensor) -> None:
        super().__init__()
        self.edge_index = edge_index

    def forward(self, positions, batch, box):
        """Edges, lengths and displacements, as its `OptimizedDistance` gives them."""
        displacement = positions[self.edge_index[0]] - positions[self.edge_index[1]]
        return self.edge_index, displacement.norm(dim=-1), displacement


def torchmd_et(job: dict) -> Callable[[], tuple[torch.Tensor, torch.Tensor]]:
    """Call for scalars and vectors of TorchMD_ET with the options of geom2vec's checkpoints."""
    network = TorchMD_ET(
        **job["options"], rbf_type="expnorm", trainable_rbf=False, neighbor_embedding=False,
        distance_influence="both", vector_cutoff=False, dtype=job["dtype"],
    )  # fmt: skip
    fill(network, job)
    return lambda: network(job["atomic_numbers"], job["positions_angstrom"], None)[:2]


def tensornet(job: dict) -> Callable[[], tuple[torch.Tensor, torch.Tensor]]:
    """Call for scalars of TensorNet, and as vectors the antisymmetric part of its last tensors as (A12, A20, A01)."""
    network = TensorNet(**job["options"], static_shapes=False, dtype=job["dtype"])
    fill(network, job)
    tensors = []
    network.layers[-1].register_forward_hook(lambda module, inputs, output: tensors.append(output))

    def call() -> tuple[torch.Tensor, torch.Tensor]:
        scalars, *_ = network(job["atomic_numbers"], job["positions_angstrom"], None)
        last = tensors.pop()
        skew = 0.5 * (last - last.transpose(1, 2))
        return scalars, torch.stack([skew[:, 1, 2], skew[:, 2, 0], skew[:, 0, 1]], dim=1)

    return call


def fill(network: nn.Module, job: dict) -> None:
    """Load weights, strictly, and take the given edges."""
    network.distance = nn.Identity()
    network.load_state_dict(job["weights"])
    network.distance = FixedEdges(job["edge_index"])


@torch.no_grad()
def outputs(job: dict) -> list[torch.Tensor]:
    """Scalars, vectors and predicted displacements."""
    torch.set_default_dtype(job["dtype"])
    scalars, vectors = {"torchmd_et": torchmd_et, "tensornet": tensornet}[job["kind"]](job)()
    head = EquivariantVectorOutput(job["options"]["hidden_channels"], dtype=job["dtype"])
    renamed = {name.replace("update_net.", "update_net.layers."): tensor for name, tensor in job["head"].items()}
    head.output_network.load_state_dict(renamed)
    return [scalars, vectors, head.pre_reduce(scalars, vectors, None, None, None)]


if __name__ == "__main__":
    jobs, results = sys.argv[1:]
    torch.save([outputs(job) for job in torch.load(jobs, weights_only=True)], results)
