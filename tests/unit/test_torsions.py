"""Torsions in pieces: values against those of a trajectory read at once, kills, and nothing kept longer than needed."""

import hashlib
import json
import traceback
from pathlib import Path

import mdtraj
import numpy as np
import pytest

import compute_torsions
from geom2msm import trajectory as reader
from geom2msm.frame_reader import FrameReader
from geom2msm.pieces import chunked
from geom2msm.provenance import INHERITED
from geom2msm.store import read_array, read_attributes
from geom2msm.torsions import along_bonds, backbone_torsions, torsion_pieces
from molecules import molecule

N_SAVED, STRIDE, N_FRAMES = 47, 2, 24
INTERVAL_PS = 4.0
# Eight channels of torsions, in chunks of five frames.
CHUNK_BYTES = 5 * 8 * 4


def glycines() -> tuple[mdtraj.Topology, np.ndarray]:
    """Three glycines without side chains that wriggle."""
    topology = molecule(*(("GLY", number, ["N", "CA", "C"]) for number in (1, 2, 3)))
    places = np.arange(topology.n_atoms)
    straight = np.stack([0.12 * places, 0.08 * (places % 2), 0 * places], axis=1)
    noise = np.random.default_rng(0).normal(0, 0.02, (N_SAVED, *straight.shape))
    return topology, (straight + noise).astype("f4")


@pytest.fixture
def paths(tmp_path, monkeypatch) -> list[str]:
    """A trajectory, its topology, its inventory; pieces of three frames and chunks of five."""
    monkeypatch.setattr(reader, "CHUNK_FRAMES", 3)
    monkeypatch.setattr(compute_torsions, "CHUNK_BYTES", CHUNK_BYTES, raising=False)
    topology, xyz = glycines()
    frames = mdtraj.Trajectory(xyz, topology)
    frames.save_xtc(str(tmp_path / "run-0.xtc"))
    frames[0].save_pdb(str(tmp_path / "top.pdb"))
    known = {"system": "test", "trajectory": "run-0", "frame_interval_ps": INTERVAL_PS, "stride": STRIDE}
    known |= {"n_frames": N_FRAMES, "make_whole": True, "selection": "all"}
    known["sha256"] = hashlib.sha256((tmp_path / "run-0.xtc").read_bytes()).hexdigest()
    (tmp_path / "run-0.json").write_text(json.dumps(known))
    return [str(tmp_path / name) for name in ("run-0.xtc", "top.pdb", "run-0.json")]


def run_killed(paths: list[str], output: str, patch: pytest.MonkeyPatch, *, n_chunks: int, source: str) -> None:
    """A run that dies when it has written so many chunks."""

    def some_chunks(pieces, size):
        for number, chunk in enumerate(chunked(pieces, size)):
            if number == n_chunks:
                raise KeyboardInterrupt
            yield chunk

    patch.setattr(compute_torsions, "chunked", some_chunks)
    with pytest.raises(KeyboardInterrupt) as killed:
        compute_torsions.main(*paths, output, source=source)
    # A lock ends with its process; here it ends with the store, in frames that the parser of selections caches.
    traceback.clear_frames(killed.tb)


def test_a_store_made_in_chunks_has_the_torsions_of_the_whole_trajectory(paths, tmp_path):
    output = str(tmp_path / "features.zarr.zip")
    compute_torsions.main(*paths, output, source="0")
    whole = mdtraj.load(paths[0], top=paths[1])[::STRIDE]
    quartets = [[2, 3, 4, 5], [0, 1, 2, 3], [5, 6, 7, 8], [3, 4, 5, 6]]
    names = ["phi GLY2", "psi GLY1", "phi GLY3", "psi GLY2"]
    angle = dict(zip(names, mdtraj.compute_dihedrals(whole, quartets, periodic=False).T, strict=True))
    attributes = read_attributes(output)
    along_chain = ["psi GLY1", "phi GLY2", "psi GLY2", "phi GLY3"]
    assert attributes["names"] == [f"{part} {name}" for name in along_chain for part in ("cos", "sin")]
    expected = [part(angle[name]) for name in along_chain for part in (np.cos, np.sin)]
    features = FrameReader(output, "features")
    assert (features.shape, features.dtype, features.axes) == ((N_FRAMES, 8), np.float32, ("frame", "channel"))
    np.testing.assert_array_equal(read_array(output, "features"), np.stack(expected, axis=1))
    time_ps = FrameReader(output, "time_ps")
    assert (time_ps.dtype, time_ps.axes) == (np.float64, ("frame",))
    np.testing.assert_array_equal(read_array(output, "time_ps"), INTERVAL_PS * np.arange(N_FRAMES))
    assert set(attributes) == {*INHERITED, "feature", "names", "provenance"}
    assert (attributes["system"], attributes["trajectory"], attributes["feature"]) == ("test", "run-0", "torsions")


@pytest.mark.parametrize("n_chunks", [0, 1, 4])
def test_a_killed_run_continues_where_it_was(paths, tmp_path, monkeypatch, n_chunks):
    whole, killed, first_frames = str(tmp_path / "whole.zarr.zip"), str(tmp_path / "killed.zarr.zip"), []
    compute_torsions.main(*paths, whole, source="0")
    with monkeypatch.context() as patch:
        run_killed(paths, killed, patch, n_chunks=n_chunks, source="0")

    def recorded(*arguments, first_frame, **settings):
        first_frames.append(first_frame)
        return torsion_pieces(*arguments, first_frame=first_frame, **settings)

    monkeypatch.setattr(compute_torsions, "torsion_pieces", recorded)
    compute_torsions.main(*paths, killed, source="0")
    assert first_frames == [5 * n_chunks]
    assert Path(killed).read_bytes() == Path(whole).read_bytes()


def test_what_other_code_left_unfinished_is_not_continued(paths, tmp_path, monkeypatch):
    whole, killed = str(tmp_path / "whole.zarr.zip"), str(tmp_path / "killed.zarr.zip")
    compute_torsions.main(*paths, whole, source="mended")

    def wrong(*arguments, **settings):
        return (0 * piece for piece in torsion_pieces(*arguments, **settings))

    with monkeypatch.context() as patch:
        patch.setattr(compute_torsions, "torsion_pieces", wrong)
        run_killed(paths, killed, patch, n_chunks=2, source="wrong")
    compute_torsions.main(*paths, killed, source="mended")
    assert Path(killed).read_bytes() == Path(whole).read_bytes()


def test_frames_are_on_disk_before_the_next_are_read(paths, tmp_path, monkeypatch):
    output, sizes = tmp_path / "features.zarr.zip", []

    def watched(*arguments, **settings):
        for piece in reader.iterate_frames(*arguments, **settings):
            part = Path(f"{output}.part")
            sizes.append(part.stat().st_size if part.exists() else 0)
            yield piece

    monkeypatch.setattr("geom2msm.torsions.iterate_frames", watched)
    compute_torsions.main(*paths, str(output), source="0")
    # The first is for the bonds; then there are twelve pieces and five chunks, the last of them after all pieces.
    assert len(set(sizes[1:])) == 1 + 4


def test_a_first_frame_without_a_single_bond_is_refused(paths, tmp_path):
    topology, xyz = glycines()
    mdtraj.Trajectory(10 * xyz, topology).save_dcd(str(tmp_path / "far.dcd"))
    names, quartets = backbone_torsions(topology, np.arange(topology.n_atoms), file="x.pdb")
    with pytest.raises(ValueError, match=r"far\.dcd: no backbone torsion .* 1\.\d\d nm or more apart; check that traj"):
        along_bonds(str(tmp_path / "far.dcd"), topology, names, quartets, make_whole=False)
