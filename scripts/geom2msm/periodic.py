"""Molecules made whole and brought together by nearest images in a periodic box of any shape.

A bond crosses the box where an image of its second atom is nearer to the first than the atom that was
saved. Integers count the cell vectors between them; summed along the bonds they move whole branches.
Atoms that are in place keep their coordinates to the last bit; nothing is rotated or centered.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

# Bonds as short as this are certainly not across a box.
NEAR_NM = 0.3
# Liquid water has 100 atoms per nm3; more than this is a dummy cell, such as the 1 Angstrom cube of PDB files.
DENSEST_PER_NM3 = 1000.0
FLATTEST_CELL_NM = 2 * NEAR_NM


@dataclass(frozen=True)
class Molecules:
    """Tree of bonds over whole molecules; every branch is a range of `order`.

    Moving the atom order[start[k]] across its bond to parent[k] moves order[start[k]:stop[k]].
    Molecule m is order[first[m]:first[m + 1]]; its atom own[m] is to stay near the atom other[m] of the
    molecule anchor[m]; level[m] counts the anchors up to the molecule that has none.
    """

    atoms: Int[np.ndarray, " atom"]
    order: Int[np.ndarray, " atom"]
    parent: Int[np.ndarray, " bond"]
    start: Int[np.ndarray, " bond"]
    stop: Int[np.ndarray, " bond"]
    first: Int[np.ndarray, " molecule_and_end"]
    own: Int[np.ndarray, " molecule"]
    other: Int[np.ndarray, " molecule"]
    anchor: Int[np.ndarray, " molecule"]
    level: Int[np.ndarray, " molecule"]


@dataclass(frozen=True)
class Repaired:
    """Positions with whole molecules side by side, and in which frames something had to be moved."""

    positions_nm: Float32[np.ndarray, "frame atom 3"]
    made_whole: Bool[np.ndarray, " frame"]
    brought_together: Bool[np.ndarray, " frame"]


def is_real_cell(cell_nm: Float[np.ndarray, "frame 3 3"], *, n_atoms: int) -> bool:
    """Whether every frame's cell is large enough to hold the atoms, and not a placeholder."""
    if not np.isfinite(cell_nm).all():
        return False
    volume = np.abs(np.linalg.det(cell_nm.astype(np.float64)))
    if (volume * DENSEST_PER_NM3 <= n_atoms).any() or not volume.all():
        return False
    return bool((cell_heights(reduced_cells(cell_nm)) > FLATTEST_CELL_NM).all())


def cell_heights(cell_nm: Float[np.ndarray, "frame 3 3"]) -> Float[np.ndarray, " frame"]:
    """The smallest distance between opposite faces of each cell."""
    return 1 / np.linalg.norm(np.linalg.inv(cell_nm), axis=1).max(axis=-1)


def reduced_cells(cell_nm: Float[np.ndarray, "frame 3 3"]) -> Float[np.ndarray, "frame 3 3"]:
    """Three shortest vectors that span the same lattice, ascending (Minkowski reduction, Semaev 2001)."""
    cells = cell_nm.astype(np.float64)
    signs = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)], dtype=np.float64)
    for _ in range(100):
        before = cells
        order = np.argsort(np.linalg.norm(cells, axis=-1).round(9), axis=-1, kind="stable")
        a, b, c = np.take_along_axis(cells, order[..., None], axis=1).transpose(1, 0, 2)
        b = b - _turns(b, a) * a
        c = c - _turns(c, a) * a
        c = c - _turns(c, b) * b
        nearby = c[:, None] + np.einsum("si,fix->fsx", signs, np.stack([a, b], axis=1))
        length = np.linalg.norm(nearby, axis=-1).round(9)
        length[:, len(signs) // 2] -= 1e-9  # of equals, c itself
        c = nearby[np.arange(len(c)), length.argmin(axis=1)]
        cells = np.stack([a, b, c], axis=1)
        if np.array_equal(before, cells):
            break
    return cells


def _turns(vector: Float[np.ndarray, "frame 3"], along: Float[np.ndarray, "frame 3"]) -> Float[np.ndarray, "frame 1"]:
    projected = np.einsum("fx,fx->f", vector, along) / np.einsum("fx,fx->f", along, along)
    return np.where(np.abs(projected) > 0.5 + 1e-9, np.round(projected), 0.0)[:, None]


def image_numbers(
    displacement_nm: Float[np.ndarray, "pair 3"], cell_nm: Float[np.ndarray, "pair 3 3"]
) -> Int[np.ndarray, "pair 3"]:
    """How many of each vector of a reduced cell to subtract so that a displacement is shortest."""
    fractional = np.einsum("px,pxi->pi", displacement_nm, np.linalg.inv(cell_nm))
    numbers = np.round(fractional)
    rest = displacement_nm - np.einsum("pi,pix->px", numbers, cell_nm)
    # No image of a vector shorter than half the cell's height is shorter; others may have one next door.
    unsure = np.flatnonzero(np.linalg.norm(rest, axis=-1) > cell_heights(cell_nm) / 2)
    steps = np.stack(np.meshgrid(*[[0, -1, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    for some in np.array_split(unsure, len(unsure) // 100_000 + 1):
        images = rest[some, None] - np.einsum("si,pix->psx", steps, cell_nm[some])
        length = np.linalg.norm(images, axis=-1)
        length[:, 0] -= 1e-6  # of equals, the one that rounding gives
        numbers[some] += steps[length.argmin(axis=1)]
    return numbers.astype(np.int64)


def nearest_lengths(
    displacement_nm: Float[np.ndarray, "pair 3"], cell_nm: Float[np.ndarray, "3 3"] | None
) -> Float[np.ndarray, " pair"]:
    """Lengths of displacements between nearest images, or as they stand without a cell (reduced)."""
    if cell_nm is None:
        return np.linalg.norm(displacement_nm, axis=-1)
    cells = np.broadcast_to(cell_nm, (len(displacement_nm), 3, 3))
    numbers = image_numbers(displacement_nm.astype(np.float64), cells)
    return np.linalg.norm(displacement_nm - numbers @ cell_nm, axis=-1)


def make_whole(
    positions_nm: Float32[np.ndarray, "frame atom 3"], cell_nm: Float[np.ndarray, "frame 3 3"], molecules: Molecules
) -> Repaired:
    """Join bonds that cross the box, then bring each molecule to the image that is nearest to its anchor.

    `positions_nm` are those of molecules.atoms, `cell_nm` the reduced cells.
    """
    whole, broken = joined_bonds(positions_nm, cell_nm, molecules)
    if molecules.level.any():
        together, apart = joined_molecules(whole, cell_nm, molecules)
        return Repaired(together, made_whole=broken, brought_together=apart)
    return Repaired(whole, made_whole=broken, brought_together=np.zeros_like(broken))


def joined_bonds(
    positions_nm: Float32[np.ndarray, "frame atom 3"], cell_nm: Float[np.ndarray, "frame 3 3"], molecules: Molecules
) -> tuple[Float32[np.ndarray, "frame atom 3"], Bool[np.ndarray, " frame"]]:
    """Positions with every branch moved to the image of its bond, and which frames had to be changed."""
    child, parent = molecules.order[molecules.start], molecules.parent
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite stays so, for the checks to see
        displacement = positions_nm[:, child] - positions_nm[:, parent]
        square = np.einsum("fbx,fbx->fb", displacement, displacement)
    frame, bond = np.nonzero((square > NEAR_NM**2) & np.isfinite(square))
    numbers = image_numbers(displacement[frame, bond].astype(np.float64), cell_nm[frame])
    crossing = numbers.any(axis=1)
    frame, bond, numbers = frame[crossing], bond[crossing], numbers[crossing]
    broken, row = np.unique(frame, return_inverse=True)
    steps = np.zeros((len(broken), len(molecules.atoms) + 1, 3), dtype=np.int32)
    np.add.at(steps, (row, molecules.start[bond]), -numbers)
    np.add.at(steps, (row, molecules.stop[bond]), numbers)
    shifts = np.cumsum(steps[:, :-1], axis=1, dtype=np.int32)
    return moved(positions_nm, cell_nm, molecules.order, broken, shifts), np.isin(np.arange(len(positions_nm)), broken)


def joined_molecules(
    positions_nm: Float32[np.ndarray, "frame atom 3"], cell_nm: Float[np.ndarray, "frame 3 3"], molecules: Molecules
) -> tuple[Float32[np.ndarray, "frame atom 3"], Bool[np.ndarray, " frame"]]:
    """Positions with every molecule at the image nearest to its anchor, and which frames had to be changed."""
    n_frames, n_molecules = len(positions_nm), len(molecules.level)
    with np.errstate(invalid="ignore"):
        displacement = (positions_nm[:, molecules.own] - positions_nm[:, molecules.other]).reshape(-1, 3)
    displacement[~np.isfinite(displacement).all(axis=1)] = 0
    found = image_numbers(displacement.astype(np.float64), np.repeat(cell_nm, n_molecules, axis=0))
    numbers = -found.reshape(n_frames, n_molecules, 3)
    for level in range(1, molecules.level.max() + 1):
        members = np.flatnonzero(molecules.level == level)
        numbers[:, members] += numbers[:, molecules.anchor[members]]
    apart = numbers.any(axis=(1, 2))
    shifts = np.repeat(numbers[apart], np.diff(molecules.first), axis=1)
    return moved(positions_nm, cell_nm, molecules.order, np.flatnonzero(apart), shifts), apart


def moved(
    positions_nm: Float32[np.ndarray, "frame atom 3"],
    cell_nm: Float[np.ndarray, "frame 3 3"],
    order: Int[np.ndarray, " atom"],
    changed: Int[np.ndarray, " changed"],
    numbers: Int[np.ndarray, "changed atom 3"],
) -> Float32[np.ndarray, "frame atom 3"]:
    """Positions plus whole numbers of cell vectors, given in `order`, in the frames `changed`."""
    if not len(changed):
        return positions_nm
    result = positions_nm.copy()
    for frame, number in zip(changed.tolist(), numbers, strict=True):
        atoms = np.flatnonzero(number.any(axis=1))
        result[frame, order[atoms]] += (number[atoms] @ cell_nm[frame]).astype(np.float32)
    return result
