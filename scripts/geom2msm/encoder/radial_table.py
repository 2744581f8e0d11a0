"""Linear maps of the radial functions as a table over exp(-α r), read by cubic interpolation.

Whatever a network computes from the length of an edge alone can be computed beforehand. In t = exp(-α r) the radial
functions are Gaussians of one width, so that evenly spread nodes serve all of them.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

# Intervals per radial function, and for the envelope, which is steep in t next to the cutoff: errors stay below 1e-5.
NODES_PER_FUNCTION, FEWEST_NODES = 32, 2048


def node_count(block: nn.Module) -> int:
    """Number of intervals of the table."""
    return max(FEWEST_NODES, NODES_PER_FUNCTION * len(block.distance_expansion.means))


def radial_table(block: nn.Module, linear: nn.Linear) -> Float[Tensor, "node channel"]:
    """`linear` of envelope times radial functions, from one node before exp(-α cutoff) to one behind exp(0)."""
    basis, count = block.distance_expansion, node_count(block)
    lowest = math.exp(-basis.alpha * block.cutoff)
    t = lowest + (1 - lowest) / count * torch.arange(-1, count + 2, dtype=torch.float64, device=linear.weight.device)
    distance = -t.log() / basis.alpha
    # The cosine goes on beyond the cutoff, where no edge is: cut off there, the interpolated curve would have a kink.
    envelope = 0.5 * (torch.cos(distance * (math.pi / block.cutoff)) + 1)
    functions = torch.exp(-basis.betas.double() * (t[:, None] - basis.means.double()).square())
    mapped = (envelope[:, None] * functions) @ linear.weight.double().T + linear.bias.double()
    return mapped.float()


def radial_position(
    distance: Float[Tensor, "*edge"], *, alpha: float, cutoff: float, count: int
) -> tuple[Int[Tensor, "*edge"], Float[Tensor, "*edge 4"]]:
    """First of the four nodes around each distance, and their weights (Lagrange's cubic polynomials)."""
    lowest = math.exp(-alpha * cutoff)
    position = ((torch.exp(-alpha * distance) - lowest) * (count / (1 - lowest))).clamp(0, count)
    node = position.long().clamp(max=count - 1)
    u = position - node
    weights = (
        -u * (u - 1) * (u - 2) / 6,
        (u + 1) * (u - 1) * (u - 2) / 2,
        -(u + 1) * u * (u - 2) / 2,
        (u + 1) * u * (u - 1) / 6,
    )
    return node, torch.stack(weights, dim=-1)
