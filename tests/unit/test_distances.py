"""Distances as features: which pairs, their values against a direct loop, streaming, and refusals."""

import hashlib
import json

import mdtraj
import numpy as np
import pytest

import compute_distances
from geom2msm import distances as module
from geom2msm.distances import Distances, find_distances
from geom2msm.pieces import chunked
from geom2msm.store import read_array, read_attributes

RESIDUE = (("N", "N"), ("CA", "C"), ("C", "C"), ("O", "O"), ("H", "H"))


def chains(*lengths):
    """Chains of alanines without side chains, and a calcium ion."""
    topology = mdtraj.Topology()
    for length in lengths:
        chain = topology.add_chain()
        for number in range(length):
            residue = topology.add_residue("ALA", chain, resSeq=number + 1)
            for name, element in RESIDUE:
                topology.add_atom(name, mdtraj.element.get_by_symbol(element), residue)
    ion = topology.add_residue("CA", topology.add_chain(), resSeq=1)
    topology.add_atom("CA", mdtraj.element.calcium, ion)
    return topology


def found(feature, *lengths, ion=False) -> tuple[mdtraj.Topology, Distances]:
    topology = chains(*lengths)
    selected = np.arange(topology.n_atoms - (not ion))
    return topology, find_distances(topology, selected, feature=feature, file="top.pdb")


def positions(topology, n_frames=7, seed=0):
    return np.random.default_rng(seed).normal(size=(n_frames, topology.n_atoms, 3)).astype("f4")


def test_neighbors_in_a_chain_are_left_out_and_other_chains_are_not():
    topology, distances = found("calpha_distances", 3, 2)
    residues = [[topology.atom(atom).residue.index for atom in pair] for pair in distances.pairs.tolist()]
    assert residues == [[0, 2], [0, 3], [0, 4], [1, 3], [1, 4], [2, 3], [2, 4]]
    assert distances.names[:2] == ["0:ALA1 0:ALA3", "0:ALA1 1:ALA1"]
    assert {topology.atom(atom).name for atom in distances.pairs.ravel().tolist()} == {"CA"}


def test_calcium_is_no_calpha_and_hydrogens_count_nowhere():
    topology, calphas = found("calpha_distances", 4, ion=True)
    assert len(calphas.names) == 3
    _, heavy = found("heavy_atom_distances", 4, ion=True)
    assert len(heavy.names) == 3 * 16 + 4 * 4, "the ion is a residue of one heavy atom in a chain of its own"
    elements = {topology.atom(atom).element.symbol for atom in heavy.pairs.ravel().tolist()}
    assert elements == {"N", "C", "O", "Ca"}


def test_residue_distances_are_the_smallest_of_all_pairs_of_heavy_atoms(monkeypatch):
    topology, distances = found("residue_distances", 5, 2)
    xyz = positions(topology)
    heavy = [[atom.index for atom in residue.atoms if atom.element.symbol != "H"] for residue in topology.residues]
    expected = [
        np.linalg.norm(xyz[:, heavy[a], None] - xyz[:, None, heavy[b]], axis=-1).min(axis=(1, 2))
        for a in range(7)
        for b in range(a + 1, 7)
        if b - a >= 2 or (a, b) == (4, 5)
    ]
    monkeypatch.setattr(module, "CHUNK_DISTANCES", 3 * len(distances.pairs))
    np.testing.assert_allclose(distances(xyz), np.stack(expected, axis=1), rtol=1e-5)


@pytest.mark.parametrize("feature", ["calpha_distances", "residue_distances", "heavy_atom_distances"])
def test_distances_do_not_change_when_the_molecule_moves(feature):
    topology, distances = found(feature, 5)
    xyz, (rotation, _) = positions(topology), np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    moved = (xyz @ rotation + 3.0).astype("f4")
    np.testing.assert_allclose(distances(moved), distances(xyz), rtol=1e-4, atol=1e-5)


def test_a_system_without_such_pairs_is_refused():
    with pytest.raises(ValueError, match=r"top.pdb: no two residues are 2 or more apart .* 'calpha_distances' is"):
        found("calpha_distances", 2)


def test_too_many_distances_are_refused_with_a_way_out(monkeypatch):
    monkeypatch.setattr(module, "MAX_CHANNELS", 20)
    with pytest.raises(ValueError, match=r"'heavy_atom_distances' has 48 distances, more than 20; .* residue_dist"):
        found("heavy_atom_distances", 4)


@pytest.mark.parametrize(("feature", "number"), [("residue_distances", 3), ("heavy_atom_distances", 48)])
def test_too_many_distances_are_refused_before_they_are_listed(feature, number, monkeypatch):
    monkeypatch.setattr(module, "MAX_CHANNELS", 2)
    monkeypatch.setattr(module, "product", lambda *_: pytest.fail("pairs of atoms are listed"))
    with pytest.raises(ValueError, match=rf"'{feature}' has {number} distances, more than 2; "):
        found(feature, 4)


@pytest.fixture
def trajectory(tmp_path):
    """A trajectory of 23 frames, its topology and an inventory with a stride of 2."""
    topology = chains(4)
    xyz = positions(topology, n_frames=23) + 5
    frames = mdtraj.Trajectory(xyz, topology)
    frames.save_dcd(str(tmp_path / "run-0.dcd"))
    frames[0].save_pdb(str(tmp_path / "top.pdb"))
    inventory = {"system": "test", "trajectory": "run-0", "frame_interval_ps": 4.0, "stride": 2, "n_frames": 12}
    digest = hashlib.sha256((tmp_path / "run-0.dcd").read_bytes()).hexdigest()
    inventory |= {"make_whole": True, "selection": "resname ALA", "sha256": digest}
    (tmp_path / "run-0.json").write_text(json.dumps(inventory))
    return [str(tmp_path / name) for name in ("run-0.dcd", "top.pdb", "run-0.json")], xyz


def test_a_store_of_distances_has_the_frames_of_the_inventory(trajectory, tmp_path, monkeypatch):
    monkeypatch.setattr(compute_distances, "CHUNK_BYTES", 5 * 12)
    (paths, xyz), output = trajectory, str(tmp_path / "features.zarr.zip")
    compute_distances.main(*paths, output, feature="calpha_distances", source="0")
    calphas = xyz[::2, [1, 6, 11, 16]]
    expected = [np.linalg.norm(calphas[:, a] - calphas[:, b], axis=1) for a, b in ((0, 2), (0, 3), (1, 3))]
    np.testing.assert_allclose(read_array(output, "features"), np.stack(expected, axis=1), atol=2e-3)
    np.testing.assert_array_equal(read_array(output, "time_ps"), 4.0 * np.arange(12))
    attributes = read_attributes(output)
    assert (attributes["feature"], attributes["stride"], attributes["unit"]) == ("calpha_distances", 2, "nm")
    assert len(attributes["names"]) == 3


def test_a_killed_run_continues_where_it_was(trajectory, tmp_path, monkeypatch):
    monkeypatch.setattr(compute_distances, "CHUNK_BYTES", 5 * 12)
    (paths, _), whole, killed = trajectory, str(tmp_path / "whole.zarr.zip"), str(tmp_path / "killed.zarr.zip")
    compute_distances.main(*paths, whole, feature="calpha_distances", source="0")

    def two_chunks(pieces, size):
        for number, chunk in enumerate(chunked(pieces, size)):
            if number == 2:
                raise KeyboardInterrupt
            yield chunk

    with monkeypatch.context() as patch:
        patch.setattr(compute_distances, "chunked", two_chunks)
        with pytest.raises(KeyboardInterrupt):
            compute_distances.main(*paths, killed, feature="calpha_distances", source="0")
    compute_distances.main(*paths, killed, feature="calpha_distances", source="0")
    assert (tmp_path / "killed.zarr.zip").read_bytes() == (tmp_path / "whole.zarr.zip").read_bytes()
