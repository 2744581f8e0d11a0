"""A trajectory that another program still writes to is refused, whenever it grows."""

import json

import mdtraj
import numpy as np
import pytest

import compute_torsions
import inspect_trajectory
from geom2msm import provenance as module

SETTINGS = {"selection": "all", "frame_interval_ps": 1.0, "stride": 1, "make_whole": True}


@pytest.fixture
def structure(repository):
    return str(repository / "resources/structures/alanine_dipeptide.pdb")


@pytest.fixture
def trajectory(structure, tmp_path):
    """Ten frames, and a function that appends one."""
    path = tmp_path / "a.xtc"
    molecule = mdtraj.load(structure)
    mdtraj.Trajectory(np.repeat(molecule.xyz, 10, axis=0), molecule.topology).save(str(path))
    frame = path.read_bytes()[: path.stat().st_size // 10]

    def grow():
        with path.open("ab") as file:
            file.write(frame)

    return path, grow


def inspect(trajectory, structure, inventory):
    names = {"system": "s", "trajectory": "a"}
    inspect_trajectory.main(str(trajectory), structure, str(inventory), **names, **SETTINGS)


def test_one_that_grows_while_it_is_inspected(trajectory, structure, tmp_path, monkeypatch):
    path, grow = trajectory
    frames = inspect_trajectory.inspect_frames

    def slow(*arguments, **settings):
        found = frames(*arguments, **settings)
        grow()
        return found

    monkeypatch.setattr(inspect_trajectory, "inspect_frames", slow)
    with pytest.raises(ValueError, match=r"a\.xtc: the file has changed while it was read; run again"):
        inspect(path, structure, tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_one_that_has_grown_since_it_was_inspected(trajectory, structure, tmp_path):
    path, grow = trajectory
    inspect(path, structure, tmp_path / "a.json")
    grow()
    with pytest.raises(ValueError, match=r"a\.xtc: the file has changed since it was inspected; is it still being"):
        compute_torsions.main(str(path), structure, str(tmp_path / "a.json"), str(tmp_path / "a.zarr.zip"), source="0")
    assert not (tmp_path / "a.zarr.zip").exists()


def test_one_at_rest_passes(trajectory, structure, tmp_path):
    path, _ = trajectory
    inspect(path, structure, tmp_path / "a.json")
    compute_torsions.main(str(path), structure, str(tmp_path / "a.json"), str(tmp_path / "a.zarr.zip"), source="0")
    assert json.loads((tmp_path / "a.json").read_text())["sha256"] == module.sha256_file(path)
    assert (tmp_path / "a.zarr.zip").exists()
