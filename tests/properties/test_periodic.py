"""Laws of whole molecules: any wrapping is undone, in any cell, and what is whole stays as it is to the last bit."""

from itertools import combinations, pairwise

import mdtraj
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geom2msm.complexes import TOUCH_NM, make_whole
from geom2msm.molecules import find_molecules
from geom2msm.periodic import cell_heights, image_numbers, is_real_cell, reduced_cells

CELLS = {
    "cube": np.diag([3.0, 3.0, 3.0]),
    "box": np.diag([2.0, 3.0, 5.0]),
    "hexagonal": np.array([[3.0, 0, 0], [-1.5, 2.598, 0], [0, 0, 4.0]]),
    "truncated octahedron": np.array([[3.0, 0, 0], [1.0, 2.828, 0], [-1.0, 1.414, 2.449]]),
    "rhombic dodecahedron": np.array([[3.0, 0, 0], [0, 3.0, 0], [1.5, 1.5, 2.121]]),
    "strongly tilted": np.array([[2.5, 0, 0], [7.3, 2.6, 0], [-9.1, 8.4, 2.7]]),
    "rotated": np.array([[2.0, 2.0, 0], [-2.0, 2.0, 0.3], [0.1, 0.2, 3.0]]),
}
named_cells = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
seeds = st.integers(0, 2**32 - 1)


def any_seed(test):
    return settings(max_examples=25)(given(seed=seeds)(test))


def some_seeds(test):
    """For laws of whole assemblies, which take longer to check."""
    return settings(max_examples=8)(given(seed=seeds)(test))


def brute_force_lengths(displacement, cell, reach=3):
    """Shortest over all images up to `reach` cells away."""
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3), axis=-1).reshape(-1, 3)
    return np.linalg.norm(displacement[:, None] + steps @ cell, axis=-1).min(axis=1)


def branched_molecules(sizes, rng):
    """Random trees of carbon atoms, each beginning near the last atom of the one before, and their topology."""
    topology, positions = mdtraj.Topology(), [np.zeros(3)]
    for size in sizes:
        residue = topology.add_residue("LIG", topology.add_chain())
        atoms = [topology.add_atom(f"C{i}", mdtraj.element.carbon, residue) for i in range(size)]
        first = len(positions)
        positions.append(positions[-1] + 0.2 * rng.normal(size=3))
        for i, atom in enumerate(atoms[1:], start=1):
            parent = int(rng.integers(max(0, i - 4), i))
            topology.add_bond(atoms[parent], atom)
            step = rng.normal(size=3)
            positions.append(positions[first + parent] + 0.15 * step / np.linalg.norm(step))
    return topology, np.array(positions[1:])


@named_cells
def test_a_reduced_cell_spans_the_same_lattice_with_shortest_vectors(cell):
    reduced = reduced_cells(cell[None])[0]
    numbers = reduced @ np.linalg.inv(cell)
    np.testing.assert_allclose(numbers, np.round(numbers), atol=1e-9)
    assert abs(abs(np.linalg.det(numbers)) - 1) < 1e-9
    steps = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3), axis=-1).reshape(-1, 3)
    lengths = np.sort(np.linalg.norm(steps[steps.any(axis=1)] @ cell, axis=1))
    assert np.linalg.norm(reduced[0]) == pytest.approx(lengths[0])


@named_cells
@any_seed
def test_the_nearest_image_is_that_of_a_search_among_all(cell, seed):
    displacement = np.random.default_rng(seed).uniform(-8, 8, size=(20, 3))
    reduced = reduced_cells(cell[None])[0]
    numbers = image_numbers(displacement, np.tile(reduced, (20, 1, 1)))
    found = np.linalg.norm(displacement - numbers @ reduced, axis=1)
    inside = displacement - np.round(displacement @ np.linalg.inv(reduced)) @ reduced
    np.testing.assert_allclose(found, brute_force_lengths(inside, reduced), atol=1e-9)


@named_cells
@any_seed
def test_any_wrapping_of_atoms_is_undone(cell, seed):
    rng = np.random.default_rng(seed)
    topology, whole = branched_molecules([12, 7, 1], rng)
    shifts = rng.integers(-2, 3, size=(5, len(whole), 3))
    shifts[0] = 0
    wrapped = (whole + shifts @ cell).astype(np.float32)
    atoms, cells = np.arange(len(whole)), reduced_cells(np.tile(cell, (5, 1, 1)))
    molecules = find_molecules(topology, atoms, wrapped[-1], cell.astype(np.float32))
    repaired = make_whole(wrapped, cells, molecules).positions_nm
    for part in (slice(0, 12), slice(12, 19)):
        expected = whole[part] - whole[part][0]
        np.testing.assert_allclose(
            repaired[:, part] - repaired[:, part][:, :1], np.tile(expected, (5, 1, 1)), atol=1e-4
        )


@named_cells
@any_seed
def test_molecules_in_contact_come_together_again(cell, seed):
    """In cells so large that no molecule touches another one at two images."""
    rng, cell = np.random.default_rng(seed), 3 * cell
    topology, whole = branched_molecules([40, 30, 5], rng)
    molecule = np.repeat([0, 1, 2], [40, 30, 5])
    shifts = rng.integers(-2, 3, size=(4, 3, 3))[:, molecule]
    apart = (whole + shifts @ cell).astype(np.float32)
    molecules = find_molecules(topology, np.arange(75), apart[0], cell.astype(np.float32))
    repaired = make_whole(apart, reduced_cells(np.tile(cell, (4, 1, 1))), molecules)
    first = repaired.positions_nm - repaired.positions_nm[:, :1]
    for frame in first[1:]:
        np.testing.assert_allclose(frame, first[0], atol=1e-4)
    assert not repaired.made_whole.any()
    contact = np.linalg.norm(first[0, :40, None] - first[0, None, 40:70], axis=-1).min()
    apart_nm = (whole[:40, None] - whole[None, 40:70]).reshape(-1, 3)
    assert contact <= brute_force_lengths(apart_nm, reduced_cells(cell[None])[0]).min() + 1e-3


@named_cells
@any_seed
def test_what_is_whole_and_together_is_not_touched(cell, seed):
    rng = np.random.default_rng(seed)
    topology, whole = branched_molecules([5, 3], rng)
    positions = np.tile(whole, (3, 1, 1)).astype(np.float32)
    molecules = find_molecules(topology, np.arange(8), positions[0], cell.astype(np.float32))
    repaired = make_whole(positions, reduced_cells(np.tile(cell, (3, 1, 1))), molecules)
    again = make_whole(repaired.positions_nm, reduced_cells(np.tile(cell, (3, 1, 1))), molecules)
    np.testing.assert_array_equal(again.positions_nm, repaired.positions_nm)
    assert not repaired.made_whole.any()
    assert not again.brought_together.any()


def chains(starts, rng, *, size=6):
    """Random chains of carbon atoms, 0.1 nm apart, from starting points [frame molecule 3]: topology, coordinates."""
    n_frames, n_molecules, _ = np.shape(starts)
    topology = mdtraj.Topology()
    for _ in range(n_molecules):
        residue = topology.add_residue("LIG", topology.add_chain())
        atoms = [topology.add_atom(f"C{i}", mdtraj.element.carbon, residue) for i in range(size)]
        for one, other in pairwise(atoms):
            topology.add_bond(one, other)
    steps = rng.normal(size=(n_molecules, size, 3))
    offsets = np.cumsum(0.1 * steps / np.linalg.norm(steps, axis=-1, keepdims=True), axis=1)
    return topology, (np.asarray(starts)[:, :, None] + offsets).reshape(n_frames, -1, 3).astype(np.float32)


def repaired(topology, positions, cell):
    cells = np.tile(cell, (len(positions), 1, 1)).astype(np.float32)
    molecules = find_molecules(topology, np.arange(topology.n_atoms), positions[0], cells[0])
    return make_whole(positions, reduced_cells(cells), molecules)


def smallest_distance(one, other, cell=None):
    apart = (one[:, None] - other[None]).reshape(-1, 3).astype(np.float64)
    return brute_force_lengths(apart, cell).min() if cell is not None else np.linalg.norm(apart, axis=-1).min()


def test_a_ligand_that_binds_elsewhere_stays_where_it_is_bound():
    """A rod of 4 nm in a box of 6 nm: from end to end the way through the box is shorter than along the rod."""
    rod = np.stack([1 + 0.15 * np.arange(28), np.full(28, 3.0), np.full(28, 3.0)], axis=1)
    places = [rod[-1, 0] + 0.2, 2.5, 0.8, rod[-1, 0] + 0.2]
    topology, ligand = chains([[[place, 3.0, 3.0]] for place in places], np.random.default_rng(0), size=1)
    joined = mdtraj.Topology()
    residue = joined.add_residue("ROD", joined.add_chain())
    atoms = [joined.add_atom("C", mdtraj.element.carbon, residue) for _ in rod]
    for one, other in pairwise(atoms):
        joined.add_bond(one, other)
    positions = np.concatenate([np.tile(rod, (4, 1, 1)), ligand], axis=1).astype(np.float32)
    result = repaired(joined.join(topology), positions, np.diag([6.0, 6.0, 6.0]))
    np.testing.assert_array_equal(result.positions_nm, positions)
    assert not result.brought_together.any()


@named_cells
@some_seeds
def test_a_molecule_goes_to_its_nearest_image_or_stays_where_it_touches(cell, seed):
    rng = np.random.default_rng(seed)
    starts = np.stack([np.zeros((4, 3)), rng.uniform(-4, 4, size=(4, 3))], axis=1)
    topology, positions = chains(starts, rng, size=10)
    result, reduced = repaired(topology, positions, cell), reduced_cells(cell[None])[0]
    for before, after, moved in zip(positions, result.positions_nm, result.brought_together, strict=True):
        np.testing.assert_array_equal(after[:10], before[:10])
        saved, nearest = smallest_distance(before[:10], before[10:]), smallest_distance(after[:10], after[10:])
        best = nearest_brute_force(before[:10], before[10:], reduced)
        assert nearest == pytest.approx(saved if saved < TOUCH_NM else best, abs=1e-4)
        if saved < TOUCH_NM or saved <= best:
            np.testing.assert_array_equal(after, before)
        assert moved == (not np.array_equal(after, before))


def whole_of(topology):
    """The molecules of a topology whose atoms are all in place, without coordinates."""
    positions = np.zeros((topology.n_atoms, 3), np.float32)
    return find_molecules(topology, np.arange(topology.n_atoms), positions, 9 * np.eye(3, dtype=np.float32))


def nearest_brute_force(one, other, reduced):
    """The smallest distance between atoms of two molecules over all images, in a reduced cell."""
    apart = (one[:, None] - other[None]).reshape(-1, 3).astype(np.float64)
    inside = apart - np.round(apart @ np.linalg.inv(reduced)) @ reduced
    return brute_force_lengths(inside, reduced).min()


@named_cells
@some_seeds
def test_molecules_that_touch_as_saved_never_part(cell, seed):
    """Seven molecules at random, often in two or three clusters."""
    rng = np.random.default_rng(seed)
    topology, positions = chains(rng.uniform(-1.5, 1.5, size=(3, 7, 3)), rng)
    result = repaired(topology, positions, cell)
    shift = (result.positions_nm - positions).reshape(3, 7, 6, 3)
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :, :1], shift.shape), atol=1e-5)
    for before, moved in zip(positions.reshape(3, 7, 6, 3), shift[:, :, 0], strict=True):
        for one, other in combinations(range(7), 2):
            if smallest_distance(before[one], before[other]) < TOUCH_NM:
                np.testing.assert_allclose(moved[one], moved[other], atol=1e-5)


@named_cells
@some_seeds
def test_a_molecule_between_two_others_holds_them_together(cell, seed):
    """A chain of molecules, longer than half the cell, that touch their neighbors only, however each was wrapped."""
    rng, cell = np.random.default_rng(seed), 2 * cell
    starts = 0.3 * np.arange(12)[:, None] * [1.0, 0.5, 0.2]
    topology, whole = chains(np.tile(starts, (4, 1, 1)), rng, size=2)
    images = np.repeat(rng.integers(-2, 3, size=(4, 12, 3)), 2, axis=1)
    result = repaired(topology, (whole + images @ cell).astype(np.float32), cell)
    apart = result.positions_nm - result.positions_nm[:, :1]
    np.testing.assert_allclose(apart, whole - whole[:, :1], atol=1e-4)


@pytest.mark.parametrize("saved_nm", [0.33, -0.33, 0.3])
def test_a_molecule_that_touches_two_images_stays_beside_the_one_that_it_was_saved_with(saved_nm):
    """In a cell of 0.65 nm, as in a crystal: the nearest image changes from frame to frame."""
    pair = np.array([[0, 0, 0], [saved_nm, 0, 0]], np.float32)[None]
    topology, cell = chains(np.zeros((1, 2, 3)), np.random.default_rng(0), size=1)[0], np.diag([0.65, 3, 3])
    np.testing.assert_array_equal(repaired(topology, pair, cell).positions_nm, pair)


def test_salt_between_two_images_stays_beside_the_one_that_it_was_saved_with():
    along = 0.1 * np.arange(20)
    rod = np.stack([0 * along, along, 0 * along], axis=1)
    ions = rod + 0.33 * np.where(np.arange(20) % 2, 1, -1)[:, None] * [1, 0, 0]
    topology = chains(np.zeros((1, 1, 3)), np.random.default_rng(0), size=20)[0]
    topology = topology.join(chains(np.zeros((1, 20, 3)), np.random.default_rng(0), size=1)[0])
    positions = np.concatenate([rod, ions]).astype(np.float32)[None]
    np.testing.assert_array_equal(repaired(topology, positions, np.diag([0.65, 4, 3])).positions_nm, positions)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [1, -1])
def test_of_equal_images_it_is_the_one_that_was_saved(axis, side):
    topology = chains(np.zeros((1, 2, 3)), np.random.default_rng(0), size=1)[0]
    pairs = np.zeros((3, 2, 3), np.float32)
    pairs[:, 1, axis] = side * np.float32(1.5)
    pairs[1:] += np.array([0.2, 1 / 3, 7.7], np.float32)
    np.testing.assert_array_equal(repaired(topology, pairs, np.diag([3.0, 3.0, 3.0])).positions_nm, pairs)


@some_seeds
def test_a_frame_is_repaired_whatever_frames_come_with_it(seed):
    rng = np.random.default_rng(seed)
    cell, steps = CELLS["truncated octahedron"], rng.normal(0, 0.15, size=(20, 4, 3))
    topology, positions = chains(np.cumsum(steps, axis=0), rng)
    cells, molecules = reduced_cells(np.tile(cell, (20, 1, 1))), whole_of(topology)
    together = make_whole(positions, cells, molecules).positions_nm
    alone = [make_whole(positions[i : i + 1], cells[i : i + 1], molecules).positions_nm[0] for i in range(20)]
    np.testing.assert_array_equal(together, alone)


@named_cells
@some_seeds
def test_solvent_surrounds_what_it_dissolves(cell, seed):
    """Forty waters anywhere: each ends where its oxygen is nearest to the solute, or where it touched it."""
    rng = np.random.default_rng(seed)
    topology, solute = chains(np.zeros((1, 1, 3)), rng, size=25)
    chain = topology.add_chain()
    for _ in range(40):
        water = topology.add_residue("HOH", chain)
        oxygen = topology.add_atom("O", mdtraj.element.oxygen, water)
        for name in ("H1", "H2"):
            topology.add_bond(oxygen, topology.add_atom(name, mdtraj.element.hydrogen, water))
    shape = np.array([[0, 0, 0], [0.0957, 0, 0], [-0.024, 0.0927, 0]])
    water = (rng.uniform(-4, 4, size=(1, 40, 1, 3)) + shape).reshape(1, -1, 3)
    positions = np.concatenate([solute, water], axis=1).astype(np.float32)
    result = repaired(topology, positions, cell).positions_nm
    reduced = reduced_cells(cell[None])[0]
    np.testing.assert_array_equal(result[:, :25], positions[:, :25])
    for before, after in zip(positions, result, strict=True):
        for first in range(25, 145, 3):
            atoms, saved = slice(first, first + 3), smallest_distance(before[:25], before[first : first + 3])
            if saved < TOUCH_NM:
                np.testing.assert_array_equal(after[atoms], before[atoms])
                continue
            best = nearest_brute_force(before[:25], before[first : first + 1], reduced)
            assert smallest_distance(after[:25], after[first : first + 1]) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("span", [50.0, 1e7, 1e30])
def test_a_molecule_torn_over_thousands_of_cells_neither_moves_nor_lasts(span):
    starts = np.array([[[0, 0, 0], [1.0, 0, 0]], [[0, 0, 0], [2.9, 0, 0]]])
    topology, positions = chains(starts, np.random.default_rng(0))
    torn = positions.copy()
    torn[1, 8:] *= np.float32(span)
    cells, molecules = reduced_cells(np.tile(CELLS["cube"], (2, 1, 1))), whole_of(topology)
    alone = make_whole(positions[:1], cells[:1], molecules).positions_nm[0]
    np.testing.assert_array_equal(make_whole(torn, cells, molecules).positions_nm[0], alone)


def test_bonds_that_the_topology_lacks_are_found_by_distance():
    topology, whole = branched_molecules([8], np.random.default_rng(0))
    topology._bonds = []
    wrapped = whole.astype(np.float32) + np.array([3.0, 0, 0], np.float32) * (np.arange(8) > 3)[:, None]
    cell = CELLS["cube"].astype(np.float32)
    molecules = find_molecules(topology, np.array([0]), wrapped, cell)
    np.testing.assert_array_equal(molecules.atoms, np.arange(8))
    repaired = make_whole(wrapped[None], reduced_cells(cell[None]), molecules)
    np.testing.assert_allclose(repaired.positions_nm[0] - whole[0], whole - whole[0], atol=1e-5)


def test_an_absurd_bond_of_the_topology_holds_nothing_together():
    topology, whole = branched_molecules([4, 4], np.random.default_rng(0))
    whole[4:] += 1.2
    topology.add_bond(topology.atom(3), topology.atom(4))
    molecules = find_molecules(topology, np.array([0]), whole.astype(np.float32), np.diag([5.0] * 3).astype(np.float32))
    np.testing.assert_array_equal(molecules.atoms, np.arange(4))


@pytest.mark.parametrize(
    ("cell", "n_atoms", "real"),
    [
        (np.diag([3.0, 3.0, 3.0]), 2000, True),
        (np.diag([0.1, 0.1, 0.1]), 20, False),
        (np.diag([1.0, 1.0, 1.0]), 2000, False),
        (np.diag([9.0, 9.0, 0.3]), 100, False),
        (np.zeros((3, 3)), 1, False),
        (np.full((3, 3), np.nan), 1, False),
    ],
)
def test_a_placeholder_is_no_cell(cell, n_atoms, real):
    assert is_real_cell(cell[None].astype(np.float32), n_atoms=n_atoms) is real


def test_the_height_of_a_cell_is_that_of_its_flattest_direction():
    np.testing.assert_allclose(cell_heights(np.stack([CELLS["box"], np.diag([9.0, 1.0, 4.0])])), [2.0, 1.0])
