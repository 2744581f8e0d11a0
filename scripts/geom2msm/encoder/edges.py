"""What every encoder knows of an edge: its direction, its cutoff envelope and the radial functions of its length.

Exponential-normal radial basis and cosine cutoff of Unke & Meuwly, PhysNet, J. Chem. Theory Comput. 15, 3678
(2019), as ViSNet, TorchMD-ET and TensorNet share them.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from geom2msm.encoder.neighbors import NeighborTable
from geom2msm.units import ANGSTROM_PER_NM

BLOCK_EDGES = 8192


class RadialBasis(nn.Module):
    """Centers and sharpness of the radial functions; they are fixed, but belong to the weights of a checkpoint."""

    def __init__(self, cutoff: float, n_radial: int) -> None:
        super().__init__()
        means, betas = exponential_normal(cutoff, n_radial)
        self.alpha = 5.0 / cutoff
        self.register_buffer("means", means)
        self.register_buffer("betas", betas)


@dataclass(frozen=True)
class Edges:
    """Geometry of the edges into each atom: unit vectors, cutoff envelope, radial functions."""

    neighbors: Int[Tensor, "atom neighbor"]
    mask: Float[Tensor, "atom neighbor"]
    direction: Float[Tensor, "atom neighbor 3"]
    envelope: Float[Tensor, "atom neighbor"]
    radial: Float[Tensor, "atom neighbor radial"]

    def block(self, centers: slice) -> "Edges":
        """The edges into a range of atoms."""
        return Edges(
            *(getattr(self, name)[centers] for name in ("neighbors", "mask", "direction", "envelope", "radial"))
        )


def exponential_normal(cutoff: float, n_radial: int) -> tuple[Float[Tensor, " radial"], Float[Tensor, " radial"]]:
    """Centers μ and sharpness β of exp(-β (exp(-5 r / cutoff) - μ)²) for lengths in angstrom.

    The centers are spread evenly over [exp(-cutoff), 1], not over the [exp(-5), 1] that the exponential takes: so the
    published networks were trained.
    """
    lowest = math.exp(-cutoff)
    means = torch.linspace(lowest, 1, n_radial)
    return means, torch.full((n_radial,), (2 / n_radial * (1 - lowest)) ** -2)


def edge_geometry(block: nn.Module, positions: Float[Tensor, "atom 3"], table: NeighborTable) -> Edges:
    """Directions from each atom to its neighbors and functions of their distance (positions in angstrom).

    `block` has a `cutoff` in angstrom and a `distance_expansion` with centers, sharpness and decay of the basis.
    """
    mask = table.mask.to(positions.dtype)
    displacement = gather(positions, table.indices) - positions[:, None]
    if table.shift is not None:
        displacement = displacement + table.shift.to(positions.dtype) * ANGSTROM_PER_NM
    square = displacement.square().sum(-1)
    distance = torch.where(square > 0, square, torch.ones_like(square)).sqrt() * (square > 0)
    direction = displacement / torch.where(distance > 0, distance, torch.ones_like(distance))[..., None]
    cutoff = block.cutoff
    envelope = 0.5 * (torch.cos(distance * (math.pi / cutoff)) + 1) * (distance < cutoff) * mask
    basis = block.distance_expansion
    means, betas = basis.means.to(positions.dtype), basis.betas.to(positions.dtype)
    radial = torch.exp(-betas * (torch.exp(-basis.alpha * distance[..., None]) - means).square())
    return Edges(table.indices, mask, direction, envelope, envelope[..., None] * radial)


def blocks(edges: Edges) -> list[slice]:
    """Ranges of atoms whose edges fit the processor's cache; one range while gradients are recorded.

    Recording keeps every edge array anyway, and a loop would tie `torch.compile` to one number of atoms.
    """
    if torch.is_grad_enabled():
        return [slice(None)]
    step = max(1, BLOCK_EDGES // edges.mask.shape[1])
    return [slice(start, start + step) for start in range(0, len(edges.mask), step)]


def gather(
    rows: Float[Tensor, "atom channel"], index: Int[Tensor, "center neighbor"]
) -> Float[Tensor, "center neighbor channel"]:
    """Rows of each center's neighbors (an embedding look-up: its backward pass is much faster than indexing's)."""
    return functional.embedding(index, rows)
