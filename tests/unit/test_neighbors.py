"""Neighbor tables: the rule is kept to the letter, by the dense search and by the tree alike."""

import numpy as np
import pytest
import torch

from geom2msm.encoder import neighbors
from geom2msm.encoder.neighbors import neighbor_table, transposed


def expected_sets(positions, cutoff, rule):
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    sets = []
    for i, row in enumerate(distance):
        near = [j for j in range(len(row)) if row[j] < cutoff or j == i]
        if rule == "nearest32":
            near = sorted(near, key=lambda j: row[j])[:32]
        if rule == "first32":
            near = near[:32]
        sets.append(set(near))
    return sets


def found_sets(table):
    return [set(row[kept].tolist()) for row, kept in zip(table.indices, table.mask, strict=True)]


BOXES = {
    "orthorhombic": [[1.2, 0, 0], [0, 1.3, 0], [0, 0, 1.1]],
    "truncated octahedron": [[1.4, 0, 0], [0.4667, 1.3199, 0], [-0.4667, 0.66, 1.1431]],
    "strongly tilted": [[1.25, 0, 0], [-2.6, 1.15, 0], [2.7, 1.3, 1.1]],
    "left-handed": [[0, 1.2, 0.4], [1.3, 0, 0.1], [0.3, -0.2, 1.2]],
}


@pytest.fixture(params=[0, 1000], ids=["tree", "dense"])
def search(request, monkeypatch):
    """Runs a test with the search for large molecules and with that for small ones."""
    monkeypatch.setattr(neighbors, "DENSE_ATOMS", request.param)


def displacements(positions, table):
    """Of every atom: its neighbors and where they are seen from it, nearest first."""
    vectors = positions[table.indices] + (0 if table.shift is None else table.shift) - positions[:, None]
    return [
        sorted(zip(row[kept].tolist(), vector[kept].tolist(), strict=True), key=lambda seen: np.linalg.norm(seen[1]))
        for row, kept, vector in zip(table.indices, table.mask, vectors, strict=True)
    ]


def displacements_among_images(positions, box, cutoff, rule):
    """The same by trying every image up to five boxes away."""
    steps = np.stack(np.meshgrid(*[np.arange(-5, 6)] * 3), axis=-1).reshape(-1, 3)
    seen = []
    for i, center in enumerate(positions):
        vectors = positions[:, None] - center + (steps @ box)[None]
        near = np.linalg.norm(vectors, axis=-1) < cutoff
        assert near.sum(1).max() <= 1
        own = [(j, vectors[j, near[j]][0].tolist()) for j in np.flatnonzero(near.any(1)).tolist()]
        assert (i, [0, 0, 0]) in own
        own = sorted(own, key=lambda found: np.linalg.norm(found[1])) if rule == "nearest32" else own
        own = own if rule == "all" else own[:32]
        seen.append(sorted(own, key=lambda found: np.linalg.norm(found[1])))
    return seen


@pytest.mark.usefixtures("search")
@pytest.mark.parametrize("rule", neighbors.RULES)
@pytest.mark.parametrize("name", BOXES)
def test_atoms_in_a_periodic_box_see_the_nearest_image_of_each_other(rule, name):
    box = np.array(BOXES[name])
    # Spread over several boxes, as an unwrapped trajectory is.
    positions = np.random.default_rng(0).uniform(-0.5, 1.5, (110, 3)) @ box
    table = neighbor_table(
        torch.from_numpy(positions)[None], cutoff=0.5, rule=rule, cell_nm=torch.from_numpy(box)[None]
    )
    expected = displacements_among_images(positions, box, 0.5, rule)
    for ours, theirs in zip(displacements(torch.from_numpy(positions), table), expected, strict=True):
        assert [j for j, _ in ours] == [j for j, _ in theirs]
        np.testing.assert_allclose([v for _, v in ours], [v for _, v in theirs], atol=1e-12)


@pytest.mark.usefixtures("search")
def test_frames_with_boxes_of_their_own_and_missing_atoms_are_as_if_alone():
    rng = np.random.default_rng(0)
    boxes = torch.tensor([BOXES["orthorhombic"], BOXES["strongly tilted"]], dtype=torch.float64)
    positions = torch.from_numpy(rng.random((2, 60, 3))) @ boxes
    present = torch.from_numpy(rng.random((2, 60)) < 0.8)
    table = neighbor_table(positions, cutoff=0.5, rule="nearest32", present=present, cell_nm=boxes)
    together, alone, n_before = displacements(positions[present], table), [], 0
    for frame, box, real in zip(positions, boxes, present, strict=True):
        frame = frame[real]
        own = neighbor_table(frame[None], cutoff=0.5, rule="nearest32", cell_nm=box[None])
        alone += [[(j + n_before, vector) for j, vector in seen] for seen in displacements(frame, own)]
        n_before += len(frame)
    assert [[j for j, _ in seen] for seen in together] == [[j for j, _ in seen] for seen in alone]
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_allclose([v for _, v in ours], [v for _, v in theirs], atol=1e-12)


@pytest.mark.usefixtures("search")
@pytest.mark.parametrize("rule", neighbors.RULES)
def test_an_atom_exactly_at_the_cutoff_through_the_box_is_no_neighbor(rule):
    positions = torch.tensor([[[0.125, 0, 0], [0.75, 0, 0], [0.375, 0, 0]]], dtype=torch.float64)
    table = neighbor_table(positions, cutoff=0.375, rule=rule, cell_nm=torch.eye(3, dtype=torch.float64)[None])
    assert found_sets(table) == [{0, 2}, {1}, {0, 2}]


@pytest.mark.usefixtures("search")
@pytest.mark.parametrize("periodic", [False, True])
def test_among_equal_distances_any_may_be_kept_but_none_twice(periodic):
    grid = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), axis=-1).reshape(-1, 3)
    cell = 6 * torch.eye(3, dtype=torch.float64)[None] if periodic else None
    table = neighbor_table(torch.from_numpy(grid)[None], cutoff=2.5, rule="nearest32", cell_nm=cell)
    apart = np.abs(grid[:, None] - grid)
    distance = np.linalg.norm(np.minimum(apart, 6 - apart) if periodic else apart, axis=-1)
    for i, seen in enumerate(displacements(torch.from_numpy(grid), table)):
        near = np.sort(distance[i][distance[i] < 2.5])[:32]
        assert len({j for j, _ in seen}) == len(near)
        np.testing.assert_allclose([np.linalg.norm(vector) for _, vector in seen], near)
        assert i in {j for j, _ in seen}


def test_a_table_seen_from_the_other_end_has_opposite_displacements():
    box = torch.tensor(BOXES["strongly tilted"], dtype=torch.float64)
    positions = torch.from_numpy(np.random.default_rng(0).random((90, 3))) @ box
    table = neighbor_table(positions[None], cutoff=0.5, rule="nearest32", cell_nm=box[None])
    turned = transposed(table)
    here = {(i, j): vector for i, seen in enumerate(displacements(positions, table)) for j, vector in seen}
    there = {(j, i): vector for i, seen in enumerate(displacements(positions, turned)) for j, vector in seen}
    assert here.keys() == there.keys()
    assert any((j, i) not in here for i, j in here)
    for edge, vector in here.items():
        np.testing.assert_allclose(vector, np.negative(there[edge]), atol=1e-12)
    empty = turned.indices[~turned.mask]
    assert (empty == torch.arange(90)[:, None].expand_as(turned.indices)[~turned.mask]).all()


@pytest.mark.parametrize(
    "cell", [[[2, 0, 0], [1.9, 0.99, 0], [0, 0, 2]], np.zeros((3, 3)), np.full((3, 3), np.nan)],
    ids=["thin", "no box", "not a number"],
)  # fmt: skip
def test_a_box_thinner_than_two_cutoffs_is_refused(cell):
    cells = torch.stack([10 * torch.eye(3), torch.as_tensor(cell).float()])
    with pytest.raises(ValueError, match=r"a periodic box is (0.\d+|0) nm across at its thinnest, less than twice"):
        neighbor_table(torch.zeros(2, 2, 3), cutoff=0.5, rule="all", cell_nm=cells)


def test_a_box_of_exactly_two_cutoffs_is_accepted():
    cell = 1.5 * torch.eye(3)[None]
    assert neighbor_table(torch.zeros(1, 1, 3), cutoff=0.75, rule="all", cell_nm=cell).mask.all()


@pytest.mark.usefixtures("search")
@pytest.mark.parametrize("rule", neighbors.RULES)
def test_every_atom_has_the_neighbors_that_the_rule_says(rule):
    positions = np.random.default_rng(0).random((90, 3))
    table = neighbor_table(torch.from_numpy(positions)[None], cutoff=0.5, rule=rule)
    assert found_sets(table) == expected_sets(positions, 0.5, rule)


@pytest.mark.usefixtures("search")
@pytest.mark.parametrize("rule", neighbors.RULES)
def test_an_atom_exactly_at_the_cutoff_is_no_neighbor(rule):
    positions = torch.tensor([[[0.0, 0, 0], [0.5, 0, 0], [0.25, 0, 0]]], dtype=torch.float64)
    table = neighbor_table(positions, cutoff=0.5, rule=rule)
    assert found_sets(table) == [{0, 2}, {1, 2}, {0, 1, 2}]


def test_padded_frames_give_the_tables_of_the_frames_alone():
    generator = torch.Generator().manual_seed(0)
    frames = [torch.rand(n, 3, generator=generator) for n in (5, 9, 3)]
    present = torch.zeros(3, 9, dtype=torch.bool)
    padded = torch.zeros(3, 9, 3)
    for row, frame in enumerate(frames):
        padded[row, : len(frame)], present[row, : len(frame)] = frame, True
    table = neighbor_table(padded, cutoff=0.6, rule="nearest32", present=present)
    alone, shift = [], 0
    for frame in frames:
        sets = found_sets(neighbor_table(frame[None], cutoff=0.6, rule="nearest32"))
        alone += [{j + shift for j in near} for near in sets]
        shift += len(frame)
    assert found_sets(table) == alone


def test_an_unknown_rule_is_named():
    with pytest.raises(ValueError, match="'nearest64' is unknown; choose one of nearest32"):
        neighbor_table(torch.zeros(1, 2, 3), cutoff=0.5, rule="nearest64")
