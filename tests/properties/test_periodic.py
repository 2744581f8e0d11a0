"""Laws of whole molecules: any wrapping is undone, in any cell, and what is whole stays as it is to the last bit."""

import mdtraj
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geom2msm.molecules import find_molecules
from geom2msm.periodic import cell_heights, image_numbers, is_real_cell, make_whole, reduced_cells

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
    rng = np.random.default_rng(seed)
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
