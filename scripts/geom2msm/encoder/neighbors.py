"""Who sends messages to whom: neighbor tables under an explicit, recorded rule, in the open or in a periodic box."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.spatial import cKDTree
from torch import Tensor

from geom2msm.periodic import cell_heights, reduced_cells

RULES = ("nearest32", "all", "first32")
MAX_NEIGHBORS = 32
DENSE_ATOMS = 128


@dataclass(frozen=True)
class NeighborTable:
    """Neighbors of every atom, itself included, as rows of fixed width.

    `indices[i, k]` is the atom that sends to atom i; where `mask[i, k]` is False the slot is
    empty and points at atom i itself, so that every index can be gathered. The empty slots are the last of
    their row. In a periodic box the sender is seen at its position plus `shift[i, k]`, a lattice vector in nm.
    """

    indices: Int[Tensor, "atom neighbor"]
    mask: Bool[Tensor, "atom neighbor"]
    shift: Float[Tensor, "atom neighbor 3"] | None = None


def neighbor_table(
    positions: Float[Tensor, "frame atom 3"],
    *,
    cutoff: float,
    rule: str,
    present: Bool[Tensor, "frame atom"] | None = None,
    cell_nm: Float[Tensor, "frame 3 3"] | None = None,
) -> NeighborTable:
    """Neighbors of the atoms of several frames, numbered through the frames' present atoms.

    An atom within `cutoff` (strictly; the unit of `positions`) is a neighbor, and so is the atom
    itself. `nearest32` keeps the 32 closest, `first32` the 32 lowest-numbered (the rule of the CUDA
    kernel behind the published models; it depends on the order of the atoms), `all` keeps all.
    `present` marks the real atoms of frames that were padded to one length. With `cell_nm`, whose rows are the box
    vectors of a frame, an atom is seen at its nearest periodic image; molecules need not be whole.
    """
    if rule not in RULES:
        raise ValueError(f"neighbor rule {rule!r} is unknown; choose one of {', '.join(RULES)}")
    if present is None:
        present = torch.ones(positions.shape[:2], dtype=torch.bool, device=positions.device)
    cell = None if cell_nm is None else _searchable_cell(cell_nm, cutoff)
    search = _dense_search if positions.shape[1] <= DENSE_ATOMS else _tree_search
    indices, mask, images = search(positions, present, cutoff, rule, cell)
    return _numbered(indices, mask, present, _lattice_vectors(images, cell, positions))


def transposed(table: NeighborTable) -> NeighborTable:
    """The same edges seen from their other end: row j lists the atoms that atom j sends to."""
    n_atoms = len(table.indices)
    own = torch.arange(n_atoms, device=table.indices.device)[:, None]
    sender = table.indices[table.mask]
    order = sender.argsort(stable=True)
    count = torch.bincount(sender, minlength=n_atoms)
    mask = torch.arange(int(count.max()), device=count.device) < count[:, None]
    # Sorted by sender, the edges fill the rows one after the other.
    indices = own.repeat(1, mask.shape[1])
    indices[mask] = own.expand_as(table.indices)[table.mask][order]
    if table.shift is None:
        return NeighborTable(indices, mask)
    shift = table.shift.new_zeros(*mask.shape, 3)
    shift[mask] = -table.shift[table.mask][order]
    return NeighborTable(indices, mask, shift)


def _searchable_cell(cell_nm: Tensor, cutoff: float) -> Tensor:
    """The shortest vectors of each lattice; refused where an atom could have two images within reach of another."""
    cell = cell_nm.double().cpu().numpy()
    height = 0.0
    if np.isfinite(cell).all() and np.linalg.det(cell).all():
        cell = reduced_cells(cell)
        height = float(cell_heights(cell).min())
    # Box vectors are often single precision: exactly twice the cutoff must pass.
    if height < 2 * cutoff * (1 - 1e-6):
        raise ValueError(
            f"a periodic box is {height:.4g} nm across at its thinnest, less than twice the cutoff of {cutoff:g} nm, "
            "so an atom could be near two images of another; use a larger box, an encoder with a shorter cutoff, or "
            "whole molecules without a box"
        )
    return torch.from_numpy(cell).to(cell_nm.device)


def _dense_search(
    positions: Tensor, present: Tensor, cutoff: float, rule: str, cell: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Slots [frame atom neighbor] of atom numbers within the frame and their images, from all pair distances."""
    displacement = positions[:, None] - positions[:, :, None]
    images = None
    if cell is not None:
        # With faces at least two cutoffs apart, rounding finds every image within the cutoff.
        box = cell.to(positions.dtype)
        images = -(displacement @ torch.linalg.inv(box)[:, None]).round()
        displacement = displacement + images @ box[:, None]
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
    if images is not None:
        images = images.gather(2, indices[..., None].expand(-1, -1, -1, 3))
    return indices, near.gather(-1, indices), images


def _tree_search(
    positions: Tensor, present: Tensor, cutoff: float, rule: str, cell: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The same slots from a k-d tree per frame, for large molecules."""
    boxes = [None] * len(positions) if cell is None else cell.cpu().numpy()
    slots, images = [], []
    for frame, real, box in zip(positions.double().cpu().numpy(), present.cpu().numpy(), boxes, strict=True):
        points, number, image = _with_images(frame[real], cutoff, box)
        find = _nearest if rule == "nearest32" else _in_reach
        found = find(points, int(real.sum()), number, cutoff, None if rule == "all" else MAX_NEIGHBORS)
        table = np.full((len(real), found.shape[1]), -1)
        table[real] = np.append(np.flatnonzero(real)[number], -1)[found]
        slots.append(table)
        if box is not None:
            moved = np.zeros((len(real), found.shape[1], 3))
            moved[real] = np.append(image, np.zeros((1, 3)), axis=0)[found] - image[: len(found), None]
            images.append(moved * (table >= 0)[..., None])
    indices = _stacked(slots, -1).to(positions.device)
    return indices.clamp(min=0), indices >= 0, _stacked(images, 0).to(positions.device) if images else None


def _with_images(
    positions: np.ndarray, cutoff: float, box: np.ndarray | None
) -> tuple[np.ndarray, Int[np.ndarray, " point"], Int[np.ndarray, "point 3"]]:
    """Atoms brought into the box, followed by those images of them that lie within the cutoff of it.

    Also returned: which atom each point is, and by how many box vectors it was moved.
    """
    number, image = np.arange(len(positions)), np.zeros((len(positions), 3), dtype=int)
    if box is None:
        return positions, number, image
    inverse = np.linalg.inv(box)
    image = -np.floor(positions @ inverse).astype(int)
    inside = positions @ inverse + image
    # Height of the box over a face is 1 / |column of the inverse|.
    reach = cutoff * np.linalg.norm(inverse, axis=0)
    for axis in range(3):
        place = inside[number, axis]
        step = np.eye(3, dtype=int)[axis]
        low, high = np.flatnonzero(place <= reach[axis]), np.flatnonzero(place >= 1 - reach[axis])
        image = np.concatenate([image, image[low] + step, image[high] - step])
        number = np.concatenate([number, number[low], number[high]])
    return positions[number] + image @ box, number, image


def _nearest(points: np.ndarray, n_atoms: int, number: np.ndarray, cutoff: float, most: int | None) -> np.ndarray:
    """Points [atom neighbor] closest to the first `n_atoms` points, nearest first; empty slots are -1."""
    tree = cKDTree(points, balanced_tree=False)
    found = tree.query(points[:n_atoms], k=range(1, most + 1), distance_upper_bound=cutoff)[1]
    width = int((found < len(points)).sum(1).max())
    return np.where(found < len(points), found, -1)[:, :width]


def _in_reach(points: np.ndarray, n_atoms: int, number: np.ndarray, cutoff: float, most: int | None) -> np.ndarray:
    """Points [atom neighbor] within the cutoff of the first `n_atoms`, lowest-numbered atoms first, at most `most`."""
    pairs = cKDTree(points, balanced_tree=False).query_pairs(cutoff, output_type="ndarray")
    displacement = points.take(pairs[:, 0], axis=0) - points.take(pairs[:, 1], axis=0)
    first, second = pairs[np.sqrt(np.einsum("ex,ex->e", displacement, displacement)) < cutoff].T
    atoms = np.arange(n_atoms)
    center, point = np.concatenate([atoms, first, second]), np.concatenate([atoms, second, first])
    if len(points) > n_atoms:
        center, point = center[center < n_atoms], point[center < n_atoms]
    # Sorted by center and number in linear time.
    rows = coo_array((point, (center, number[point])), shape=(n_atoms, n_atoms)).tocsr()
    count = np.diff(rows.indptr)
    occupied = np.arange(count.max()) < count[:, None]
    found = np.full(occupied.shape, -1)
    found[occupied] = rows.data
    return found[:, :most]


def _stacked(rows: list[np.ndarray], empty: int) -> Tensor:
    """Tables of different width as one."""
    width = max(row.shape[1] for row in rows)
    pad = [((0, 0), (0, width - row.shape[1]), (0, 0))[: row.ndim] for row in rows]
    return torch.from_numpy(np.stack([np.pad(row, p, constant_values=empty) for row, p in zip(rows, pad, strict=True)]))


def _lattice_vectors(images: Tensor | None, cell: Tensor | None, positions: Tensor) -> Tensor | None:
    """Numbers of box vectors [frame atom neighbor 3] as displacements."""
    if images is None or cell is None:
        return None
    return (images.double() @ cell[:, None]).to(positions.dtype)


def _numbered(indices: Tensor, mask: Tensor, present: Tensor, shift: Tensor | None) -> NeighborTable:
    """Number the present atoms of all frames in a row and point empty slots at their own atom."""
    number = present.flatten().cumsum(0).reshape(present.shape) - 1
    frame = torch.arange(len(indices), device=indices.device)[:, None, None]
    own = number[:, :, None].expand_as(indices)
    kept = torch.where(mask, number[frame, indices], own)[present]
    return NeighborTable(kept, mask[present], None if shift is None else (shift * mask[..., None])[present])
