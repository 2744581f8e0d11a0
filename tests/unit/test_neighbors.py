"""Neighbor tables: the rule is kept to the letter, by the dense search and by the tree alike."""

import numpy as np
import pytest
import torch

from geom2msm.encoder import neighbors
from geom2msm.encoder.neighbors import neighbor_table


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


@pytest.mark.parametrize("rule", neighbors.RULES)
@pytest.mark.parametrize("dense_atoms", [0, 1000], ids=["tree", "dense"])
def test_every_atom_has_the_neighbors_that_the_rule_says(rule, dense_atoms, monkeypatch):
    monkeypatch.setattr(neighbors, "DENSE_ATOMS", dense_atoms)
    positions = np.random.default_rng(0).random((90, 3))
    table = neighbor_table(torch.from_numpy(positions)[None], cutoff=0.5, rule=rule)
    assert found_sets(table) == expected_sets(positions, 0.5, rule)


@pytest.mark.parametrize("dense_atoms", [0, 1000], ids=["tree", "dense"])
def test_an_atom_exactly_at_the_cutoff_is_no_neighbor(dense_atoms, monkeypatch):
    monkeypatch.setattr(neighbors, "DENSE_ATOMS", dense_atoms)
    positions = torch.tensor([[[0.0, 0, 0], [0.5, 0, 0], [0.25, 0, 0]]], dtype=torch.float64)
    table = neighbor_table(positions, cutoff=0.5, rule="all")
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
