"""Molecules made whole, and brought to where they touch, by nearest images in a periodic box of any shape.

A bond crosses the box where an image of its second atom is nearer to the first than the atom that was saved. Integers
count the cell vectors between them; summed along the bonds they move whole branches.

Molecules that touch as they were saved never part. What does not touch joins at the smallest distance between any two
atoms over all images, the nearest first: a shortest spanning tree (Kruskal, Proc. Am. Math. Soc. 7, 48 (1956)), in
every frame anew. Atoms that are in place keep their coordinates to the last bit; nothing is rotated or centered.
"""

import heapq
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from geom2msm.molecules import Molecules
from geom2msm.periodic import extent, image_numbers, is_inside, nearest_images, nearest_of_groups

# Bonds as short as this are certainly not across a box.
NEAR_NM = 0.3
# Molecules in contact have atoms as near as this, with or without hydrogens.
TOUCH_NM = 0.35
# Frames with coordinates beyond this, or that are not finite, are damaged, and left for the checks to see.
FARTHEST_NM = 1e6
# Solvent and salt are looked at by every such atom of a molecule.
LOOSE_STEP = 3


@dataclass(frozen=True)
class Repaired:
    """Positions with whole molecules side by side, and in which frames something had to be moved."""

    positions_nm: Float32[np.ndarray, "frame atom 3"]
    made_whole: Bool[np.ndarray, " frame"]
    brought_together: Bool[np.ndarray, " frame"]


@dataclass(frozen=True)
class Assembly:
    """Which molecules of one frame are joined, and how many cell vectors have moved each of them."""

    cluster: Int[np.ndarray, " molecule"]
    numbers: Int[np.ndarray, "molecule 3"]

    def join(self, one: int, other: int, number: Int[np.ndarray, "3"]) -> None:
        """Move all that hangs on `other` so that it is `number` cell vectors from where it was saved beside `one`."""
        hanging = self.cluster == self.cluster[other]
        self.numbers[hanging] += self.numbers[one] + number - self.numbers[other]
        self.cluster[hanging] = self.cluster[one]

    def is_joined(self, members: Int[np.ndarray, " member"]) -> bool:
        """Whether all of these molecules are together."""
        return bool((self.cluster[members] == self.cluster[members[0]]).all())


def make_whole(
    positions_nm: Float32[np.ndarray, "frame atom 3"], cell_nm: Float[np.ndarray, "frame 3 3"], molecules: Molecules
) -> Repaired:
    """Join bonds that cross the box, then bring molecules to the images where they touch.

    `positions_nm` are those of molecules.atoms, `cell_nm` the reduced cells.
    """
    whole, broken = joined_bonds(positions_nm, cell_nm, molecules)
    together, apart = joined_molecules(whole, cell_nm, molecules)
    return Repaired(together, made_whole=broken, brought_together=apart)


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
    """Positions with every molecule where it touches others or is nearest to them, and which frames had to be changed.

    Pairs of atoms that hold one frame together are tried on the others at once; few frames are looked at one by one.
    """
    n_frames, n_molecules = len(positions_nm), len(molecules.first) - 1
    if n_molecules == 1:
        return positions_nm, np.zeros(n_frames, dtype=bool)
    numbers = np.zeros((n_frames, n_molecules, 3), dtype=np.int64)
    pending = np.flatnonzero(np.abs(positions_nm).max(axis=(1, 2)) < FARTHEST_NM)  # NaN is not
    contacts = np.zeros((0, 4), dtype=np.int64)
    while len(pending):
        frame, pending = pending[0], pending[1:]
        ordered = positions_nm[frame, molecules.order].astype(np.float64)
        numbers[frame], contacts = assembled(ordered, cell_nm[frame], molecules, contacts)
        if len(contacts) == n_molecules - 1:
            one, other = molecules.order[molecules.first[contacts[:, :2]] + contacts[:, 2:]].T
            ends = positions_nm[pending[:, None, None], np.stack([one, other])].astype(np.float64)
            pending = pending[(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1) >= TOUCH_NM).any(axis=1)]
    changed = numbers.any(axis=(1, 2))
    shifts = np.repeat(numbers[changed], np.diff(molecules.first), axis=1)
    return moved(positions_nm, cell_nm, molecules.order, np.flatnonzero(changed), shifts), changed


def assembled(
    ordered_nm: Float[np.ndarray, "atom 3"],
    cell_nm: Float[np.ndarray, "3 3"],
    molecules: Molecules,
    known: Int[np.ndarray, "known 4"],
) -> tuple[Int[np.ndarray, "molecule 3"], Int[np.ndarray, "contact 4"]]:
    """How many cell vectors to add to each molecule of one frame, the largest staying where it is, and the contacts.

    A contact is two molecules and an atom of each that touch as saved; those of another frame are tried first.
    """
    binding, sizes = np.flatnonzero(molecules.binds), np.diff(molecules.first)
    parts = {member: ordered_nm[slice(*molecules.first[member : member + 2])] for member in binding.tolist()}
    assembly = Assembly(np.arange(len(sizes)), np.zeros((len(sizes), 3), dtype=np.int64))
    contacts = known_contacts(parts, assembly, known)
    contacts += new_contacts(parts, assembly, binding)
    join_nearest(parts, cell_nm, assembly, binding)
    if not molecules.binds.all():
        join_loose(ordered_nm, cell_nm, assembly, molecules)
    return assembly.numbers - assembly.numbers[sizes.argmax()], np.array(contacts, dtype=np.int64).reshape(-1, 4)


def known_contacts(
    parts_nm: dict[int, Float[np.ndarray, "_ 3"]], assembly: Assembly, known: Int[np.ndarray, "known 4"]
) -> list[tuple[int, int, int, int]]:
    """Join molecules whose contacts in another frame are contacts in this one, too; those that are."""
    contacts = []
    for one, other, atom, neighbor in known.tolist():
        if np.linalg.norm(parts_nm[one][atom] - parts_nm[other][neighbor]) < TOUCH_NM:
            assembly.join(one, other, np.zeros(3, dtype=np.int64))
            contacts.append((one, other, atom, neighbor))
    return contacts


def new_contacts(
    parts_nm: dict[int, Float[np.ndarray, "_ 3"]], assembly: Assembly, members: Int[np.ndarray, " member"]
) -> list[tuple[int, int, int, int]]:
    """Join molecules that touch as they were saved, and the contacts by which they are joined."""
    if assembly.is_joined(members):
        return []
    low, high = np.array([extent(parts_nm[member]) for member in members.tolist()]).transpose(1, 0, 2)
    one, other = np.triu_indices(len(members), 1)
    gap = np.maximum(np.maximum(low[one] - high[other], low[other] - high[one]), 0)
    length = np.linalg.norm(gap, axis=1)
    close = np.flatnonzero(length < TOUCH_NM)
    close = close[np.argsort(length[close], kind="stable")]
    contacts = []
    for left, right in zip(members[one[close]].tolist(), members[other[close]].tolist(), strict=True):
        if assembly.cluster[left] != assembly.cluster[right]:
            contact = contact_between(parts_nm[left], parts_nm[right])
            if contact is not None:
                assembly.join(left, right, np.zeros(3, dtype=np.int64))
                contacts.append((left, right, *contact))
    return contacts


def contact_between(
    one_nm: Float[np.ndarray, "atom 3"], other_nm: Float[np.ndarray, "neighbor 3"]
) -> tuple[int, int] | None:
    """The two nearest atoms of two molecules as they stand, if they touch."""
    low, high = extent(other_nm)
    near = np.flatnonzero(is_inside(one_nm, low - TOUCH_NM, high + TOUCH_NM))
    neighbors, place, length = nearest_of_groups(other_nm, np.arange(len(other_nm)), one_nm[near], reach_nm=TOUCH_NM)
    if not len(neighbors):
        return None
    best = length.argmin()
    return int(near[place[best]]), int(neighbors[best])


def join_nearest(
    parts_nm: dict[int, Float[np.ndarray, "_ 3"]],
    cell_nm: Float[np.ndarray, "3 3"],
    assembly: Assembly,
    members: Int[np.ndarray, " member"],
) -> None:
    """Join what does not touch at nearest images, the nearest molecules first.

    Distances are measured only where spheres around the molecules leave it open which pair is nearest.
    """
    queue = [
        (bound, False, one, other, None) for bound, one, other in sphere_gaps(parts_nm, cell_nm, assembly, members)
    ]
    heapq.heapify(queue)
    while queue and not assembly.is_joined(members):
        _, is_exact, one, other, number = heapq.heappop(queue)
        if assembly.cluster[one] == assembly.cluster[other]:
            continue
        if is_exact:
            assembly.join(one, other, number)
            continue
        ends = np.array([0, len(parts_nm[other])])
        numbers, _, lengths = nearest_images(parts_nm[other], ends, parts_nm[one], cell_nm)
        heapq.heappush(queue, (float(lengths[0]), True, one, other, numbers[0]))


def sphere_gaps(
    parts_nm: dict[int, Float[np.ndarray, "_ 3"]],
    cell_nm: Float[np.ndarray, "3 3"],
    assembly: Assembly,
    members: Int[np.ndarray, " member"],
) -> list[tuple[float, int, int]]:
    """Lower bounds of the distances between images of molecules that are not joined: larger one, smaller one."""
    members = members[np.argsort([-len(parts_nm[member]) for member in members.tolist()], kind="stable")]
    low, high = np.array([extent(parts_nm[member]) for member in members.tolist()]).transpose(1, 0, 2)
    one, other = np.triu_indices(len(members), 1)
    is_open = assembly.cluster[members[one]] != assembly.cluster[members[other]]
    one, other = one[is_open], other[is_open]
    middle, radius = (low + high) / 2, np.linalg.norm(high - low, axis=1) / 2
    apart = middle[other] - middle[one]
    apart -= image_numbers(apart, np.broadcast_to(cell_nm, (len(apart), 3, 3))) @ cell_nm
    bound = np.linalg.norm(apart, axis=1) - radius[one] - radius[other]
    return list(zip(bound.tolist(), members[one].tolist(), members[other].tolist(), strict=True))


def join_loose(
    ordered_nm: Float[np.ndarray, "atom 3"],
    cell_nm: Float[np.ndarray, "3 3"],
    assembly: Assembly,
    molecules: Molecules,
) -> None:
    """Bring each loose molecule to the binding one that it touches, or else to the one that is nearest to it.

    How near is measured by every third of their atoms, which for water is the first.
    """
    molecule = np.repeat(np.arange(len(molecules.binds)), np.diff(molecules.first))
    place_in_molecule = np.arange(len(molecule)) - molecules.first[molecule]
    binds, numbers = molecules.binds[molecule], assembly.numbers
    targets, owner = ordered_nm[binds], molecule[binds]
    touching, place, _ = nearest_of_groups(ordered_nm[~binds], molecule[~binds], targets, reach_nm=TOUCH_NM)
    numbers[touching] = numbers[owner[place]]
    rest = np.setdiff1d(np.flatnonzero(~molecules.binds), touching)
    if len(rest):
        sampled = np.isin(molecule, rest) & (place_in_molecule % LOOSE_STEP == 0)
        first = np.append(np.unique(molecule[sampled], return_index=True)[1], sampled.sum())
        added, target, _ = nearest_images(ordered_nm[sampled], first, targets, cell_nm)
        numbers[rest] = added + numbers[owner[target]]


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
