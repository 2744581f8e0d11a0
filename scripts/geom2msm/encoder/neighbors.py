"""Who sends messages to whom: neighbor tables under an explicit, recorded rule."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

RULES = ("nearest32", "all", "first32")
MAX_NEIGHBORS = 32
DENSE_ATOMS = 200


@dataclass(frozen=True)
class NeighborTable:
    """Neighbors of every atom, itself included, as rows of fixed width.

    `indices[i, k]` is the atom that sends to atom i; where `mask[i, k]` is False the slot is
    empty and points at atom i itself, so that every index can be gathered.
    """

    indices: Int[Tensor, "atom neighbor"]
    mask: Bool[Tensor, "atom neighbor"]


def neighbor_table(
    positions: Float[Tensor, "frame atom 3"],
    *,
    cutoff: float,
    rule: str,
    present: Bool[Tensor, "frame atom"] | None = None,
) -> NeighborTable:
    """Neighbors of the atoms of several frames, numbered through the frames' present atoms.

    An atom within `cutoff` (strictly; the unit of `positions`) is a neighbor, and so is the atom
    itself. `nearest32` keeps the 32 closest, `first32` the 32 lowest-numbered (the rule of the CUDA
    kernel behind the published models; it depends on the order of the atoms), `all` keeps all.
    `present` marks the real atoms of frames that were padded to one length.
    """
    if rule not in RULES:
        raise ValueError(f"neighbor rule {rule!r} is unknown; choose one of {', '.join(RULES)}")
    if present is None:
        present = torch.ones(positions.shape[:2], dtype=torch.bool, device=positions.device)
    search = _dense_search if positions.shape[1] <= DENSE_ATOMS or rule == "first32" else _tree_search
    indices, mask = search(positions, present, cutoff, rule)
    return _numbered(indices, mask, present)


def _dense_search(positions: Tensor, present: Tensor, cutoff: float, rule: str) -> tuple[Tensor, Tensor]:
    """Slots [frame atom neighbor] of atom numbers within the frame, from all pair distances."""
    displacement = positions[:, :, None] - positions[:, None]
    distance = displacement.square().sum(-1).sqrt()
    distance.diagonal(dim1=1, dim2=2).zero_()
    near = (distance < cutoff) & present[:, None, :] & present[:, :, None]
    number = torch.arange(near.shape[1], device=near.device, dtype=distance.dtype).expand_as(distance)
    order = number if rule == "first32" else distance
    width = int(near.sum(-1).max())
    if rule != "all":
        width = min(width, MAX_NEIGHBORS)
    key = torch.where(near, order, torch.full_like(order, torch.inf))
    indices = key.topk(width, dim=-1, largest=False, sorted=True).indices
    return indices, near.gather(-1, indices)


def _tree_search(positions: Tensor, present: Tensor, cutoff: float, rule: str) -> tuple[Tensor, Tensor]:
    """The same slots from a k-d tree per frame, for large molecules."""
    rows = []
    for frame, real in zip(positions.double().cpu().numpy(), present.cpu().numpy(), strict=True):
        tree = cKDTree(frame[real])
        width = (
            MAX_NEIGHBORS
            if rule != "all"
            else int(tree.query_ball_point(frame[real], cutoff, return_length=True).max())
        )
        # query() takes distances up to, not below, its bound.
        _, found = tree.query(frame[real], k=range(1, width + 1), distance_upper_bound=np.nextafter(cutoff, 0.0))
        numbers = np.append(np.flatnonzero(real), -1)
        table = np.full((len(real), width), -1)
        table[real] = numbers[found]
        rows.append(table)
    width = max(row.shape[1] for row in rows)
    padded = np.stack([np.pad(row, ((0, 0), (0, width - row.shape[1])), constant_values=-1) for row in rows])
    indices = torch.from_numpy(padded).to(positions.device)
    return indices.clamp(min=0), indices >= 0


def _numbered(indices: Tensor, mask: Tensor, present: Tensor) -> NeighborTable:
    """Number the present atoms of all frames in a row and point empty slots at their own atom."""
    number = present.flatten().cumsum(0).reshape(present.shape) - 1
    frame = torch.arange(len(indices), device=indices.device)[:, None, None]
    own = number[:, :, None].expand_as(indices)
    return NeighborTable(torch.where(mask, number[frame, indices], own)[present], mask[present])
