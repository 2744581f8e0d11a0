"""Cells of a periodic box of any shape, and nearest images in them: of displacements, and of groups of points."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

# Liquid water has 100 atoms per nm3; more than this is a dummy cell, such as the 1 Angstrom cube of PDB files.
DENSEST_PER_NM3 = 1000.0
FLATTEST_CELL_NM = 0.6
# Images are looked for so far away at first, then twice as far, and so on.
FIRST_REACH_NM = 0.5
# A molecule that spans more images than this is no molecule but a damaged frame.
MOST_IMAGES = 20_000
# Of images as near as this to each other, the one that was saved.
EQUAL_NM = 1e-5


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


def nearest_images(
    points_nm: Float[np.ndarray, "point 3"],
    first: Int[np.ndarray, " group_and_end"],
    targets_nm: Float[np.ndarray, "target 3"],
    cell_nm: Float[np.ndarray, "3 3"],
) -> tuple[Int[np.ndarray, "group 3"], Int[np.ndarray, " group"], Float[np.ndarray, " group"]]:
    """How many cell vectors bring a point of each group nearest to a target, which target, and their distance.

    Group g is points[first[g]:first[g + 1]] and moves as one. Of equal images it is the one that was saved. The
    distance is infinite, and nothing moves, where a damaged group or targets span thousands of cells.
    """
    group = np.repeat(np.arange(len(first) - 1), np.diff(first))
    wrap = wrapping_numbers(points_nm, first, targets_nm, cell_nm)
    wrapped = points_nm - (wrap @ cell_nm)[group]
    numbers, target = np.zeros_like(wrap), np.zeros(len(wrap), dtype=np.int64)
    distance, reach = np.full(len(wrap), np.inf), FIRST_REACH_NM
    # No point is farther from a lattice than half the diagonal of a box with edges of these lengths.
    while np.isinf(distance).any() and reach <= 2 * np.linalg.norm(cell_nm) + FIRST_REACH_NM:
        rest = np.isinf(distance)[group]
        images, source, step = images_around(wrapped[rest], targets_nm, cell_nm, reach_nm=reach)
        found, place, length = nearest_of_groups(wrapped[rest], group[rest], images, reach_nm=reach)
        numbers[found] = -wrap[found] - step[place]
        target[found], distance[found] = source[place], length
        reach *= 2
    keep_saved(points_nm, group, targets_nm, numbers, target, distance)
    return numbers, target, distance


def wrapping_numbers(
    points_nm: Float[np.ndarray, "point 3"],
    first: Int[np.ndarray, " group_and_end"],
    targets_nm: Float[np.ndarray, "target 3"],
    cell_nm: Float[np.ndarray, "3 3"],
) -> Int[np.ndarray, "group 3"]:
    """How many cell vectors to subtract so that the middle of each group is nearest to that of the targets."""
    low, high = np.minimum.reduceat(points_nm, first[:-1]), np.maximum.reduceat(points_nm, first[:-1])
    apart = (low + high) / 2 - sum(extent(targets_nm)) / 2
    return image_numbers(apart, np.broadcast_to(cell_nm, (len(apart), 3, 3)))


def images_around(
    points_nm: Float[np.ndarray, "point 3"],
    targets_nm: Float[np.ndarray, "target 3"],
    cell_nm: Float[np.ndarray, "3 3"],
    *,
    reach_nm: float,
) -> tuple[Float[np.ndarray, "image 3"], Int[np.ndarray, " image"], Int[np.ndarray, "image 3"]]:
    """All images of the targets in the box around the points that is wider by `reach_nm`, their targets and steps."""
    (low, high), (lowest, highest) = extent(points_nm), extent(targets_nm)
    low, high = low - reach_nm, high + reach_nm
    images, source, step = [np.zeros((0, 3))], [np.zeros(0, np.int64)], [np.zeros((0, 3), np.int64)]
    for number in steps_into(low - highest, high - lowest, cell_nm):
        shift = number @ cell_nm
        inside = np.flatnonzero(is_inside(targets_nm, low - shift, high - shift))
        images.append(targets_nm[inside] + shift)
        source.append(inside)
        step.append(np.broadcast_to(number, (len(inside), 3)))
    return np.concatenate(images), np.concatenate(source), np.concatenate(step)


def steps_into(
    low_nm: Float[np.ndarray, "3"], high_nm: Float[np.ndarray, "3"], cell_nm: Float[np.ndarray, "3 3"]
) -> Int[np.ndarray, "step 3"]:
    """Numbers of cell vectors whose sums lie in a box; none if they are beyond all reason."""
    inverse = np.linalg.inv(cell_nm)
    middle, half = (low_nm + high_nm) / 2 @ inverse, (high_nm - low_nm) / 2 @ np.abs(inverse)
    lowest, highest = np.ceil(middle - half), np.floor(middle + half)
    if np.prod(np.maximum(highest - lowest + 1, 0)) > MOST_IMAGES:
        return np.zeros((0, 3), dtype=np.int64)
    ranges = [np.arange(one, other + 1) for one, other in zip(lowest, highest, strict=True)]
    steps = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    return steps[is_inside(steps @ cell_nm, low_nm, high_nm)].astype(np.int64)


def extent(points_nm: Float[np.ndarray, "point 3"]) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """The smallest and the largest coordinates."""
    columns = np.ascontiguousarray(points_nm.T)  # ten times faster to reduce
    return columns.min(axis=1), columns.max(axis=1)


def is_inside(
    points_nm: Float[np.ndarray, "point 3"], low_nm: Float[np.ndarray, "3"], high_nm: Float[np.ndarray, "3"]
) -> Bool[np.ndarray, " point"]:
    """Which points lie in a box with edges along the axes."""
    x, y, z = points_nm.T
    inside = (x >= low_nm[0]) & (x <= high_nm[0])
    inside &= (y >= low_nm[1]) & (y <= high_nm[1])
    return inside & (z >= low_nm[2]) & (z <= high_nm[2])


def nearest_of_groups(
    points_nm: Float[np.ndarray, "point 3"],
    group: Int[np.ndarray, " point"],
    targets_nm: Float[np.ndarray, "target 3"],
    *,
    reach_nm: float,
) -> tuple[Int[np.ndarray, " found"], Int[np.ndarray, " found"], Float[np.ndarray, " found"]]:
    """The groups of which a point is nearer than `reach_nm` to a target, the target that is nearest, its distance."""
    if not len(targets_nm):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    low, high = extent(targets_nm)
    near = np.flatnonzero(is_inside(points_nm, low - reach_nm, high + reach_nm))
    length, place = cKDTree(targets_nm).query(points_nm[near], distance_upper_bound=reach_nm)
    hits = np.flatnonzero(np.isfinite(length))
    hits = hits[np.lexsort((length[hits], group[near[hits]]))]
    found, best = np.unique(group[near[hits]], return_index=True)
    return found, place[hits[best]], length[hits[best]]


def keep_saved(
    points_nm: Float[np.ndarray, "point 3"],
    group: Int[np.ndarray, " point"],
    targets_nm: Float[np.ndarray, "target 3"],
    numbers: Int[np.ndarray, "group 3"],
    target: Int[np.ndarray, " group"],
    distance_nm: Float[np.ndarray, " group"],
) -> None:
    """Take back, in place, the moves of groups that were as near to a target as they were saved."""
    doubtful = np.isfinite(distance_nm) & numbers.any(axis=1)
    if not doubtful.any():
        return
    some, reach = doubtful[group], distance_nm[doubtful].max() + EQUAL_NM
    low, high = extent(points_nm[some])
    near = np.flatnonzero(is_inside(targets_nm, low - reach, high + reach))
    found, place, length = nearest_of_groups(points_nm[some], group[some], targets_nm[near], reach_nm=reach)
    equal = length <= distance_nm[found] + EQUAL_NM
    numbers[found[equal]], target[found[equal]] = 0, near[place[equal]]
