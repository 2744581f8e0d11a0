"""From trajectories and states to annotated states: the scripts of observables and contacts, one after the other."""

import gc
import hashlib
import json
from pathlib import Path

import mdtraj
import numpy as np
import pandas as pd
import pytest

import annotate_states
import compare_contacts
import measure_observables
from geom2msm.joined_store import StoredTrajectory, write_joined
from geom2msm.store import read_array, read_attributes

pytestmark = pytest.mark.filterwarnings("ignore:Unlikely unit cell vectors")
N_FRAMES, STRIDE = {"run-0": 400, "run-1": 300}, 2
SETTINGS = {
    "reference": None, "distances": {"caps": ["resname ACE and name C", "resname NME and name N"]}, "angles": {},
    "dihedrals": {}, "rmsd": {}, "table": None, "sasa_frames": 20, "contact_nm": 0.45, "contact_frames": 100,
}  # fmt: skip


def inventory_of(file: Path, topology: str, *, n_frames: int) -> str:
    content = {
        "system": "toy", "trajectory": file.stem, "selection": "not element H", "frame_interval_ps": 2.0,
        "stride": STRIDE, "make_whole": True, "n_frames": n_frames, "n_saved_frames": STRIDE * n_frames,
        "file": str(file), "topology": topology,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }  # fmt: skip
    path = file.with_suffix(".json")
    path.write_text(json.dumps(content))
    return str(path)


class System:
    """Two trajectories of alanine dipeptide in which NME is pulled away in the second state."""

    def __init__(self, folder: Path, topology: str):
        self.folder, self.topology, rng = folder, topology, np.random.default_rng(0)
        structure = mdtraj.load(topology)
        cap = structure.topology.select("resname NME")
        self.files, self.inventories, self.tables, self.macrostates = [], [], [], []
        for name, n_frames in N_FRAMES.items():
            macrostate = np.repeat(rng.integers(0, 2, n_frames // 10), 10).astype(np.int32)
            positions_nm = np.repeat(structure.xyz, STRIDE * n_frames, axis=0)
            positions_nm += rng.normal(0, 0.005, positions_nm.shape)
            positions_nm[:, cap] += 0.6 * np.repeat(macrostate, STRIDE)[:, None, None]
            self.files.append(folder / f"{name}.dcd")
            mdtraj.Trajectory(positions_nm.astype(np.float32), structure.topology).save_dcd(str(self.files[-1]))
            self.inventories.append(inventory_of(self.files[-1], topology, n_frames=n_frames))
            self.tables.append(str(folder / f"{name}.csv"))
            pd.DataFrame({"charge": np.arange(STRIDE * n_frames)}).to_csv(self.tables[-1], index=False)
            self.macrostates.append(macrostate)
        self.states = str(folder / "states.zarr.zip")
        arrays = dict.fromkeys(("microstate", "macrostate"), np.concatenate(self.macrostates))
        write_joined(self.states, [StoredTrajectory(*each) for each in N_FRAMES.items()], attributes={}, arrays=arrays)
        self.msm = str(folder / "msm.npz")
        np.savez(self.msm, active_microstates=[0, 1], stationary_distribution=[0.7, 0.3], memberships=np.eye(2),
                 lag_frames=1, eigenvalues=[1.0, 0.9])  # fmt: skip

    def measure(self, place: int, output: Path, *, table: bool = True) -> str:
        known = [str(self.files[place]), self.topology, self.inventories[place], self.topology]
        tables = [self.tables[place]] if table else []
        contacts = str(output).replace(".zarr.zip", ".npz")
        measure_observables.main(*known, tables, str(output), contacts, settings=SETTINGS, source="x")
        return str(output)


@pytest.fixture(scope="module")
def system(repository, tmp_path_factory) -> System:
    topology = str(repository / "resources/structures/alanine_dipeptide.pdb")
    return System(tmp_path_factory.mktemp("structures"), topology)


@pytest.fixture(scope="module")
def observables(system) -> list[str]:
    return [system.measure(place, system.folder / f"{place}.zarr.zip") for place in range(2)]


def test_observables_follow_the_frames_that_count(system, observables):
    for path, macrostate, file in zip(observables, system.macrostates, system.files, strict=True):
        known, values = read_attributes(path), read_array(path, "observables")
        assert known["names"] == ["rmsd", "radius_of_gyration", "sasa", "caps", "charge"]
        assert known["units"] == ["nm", "nm", "nm²", "nm", ""]
        assert len(values) == len(macrostate)
        np.testing.assert_allclose(values[:, 4], STRIDE * np.arange(len(values)))
        np.testing.assert_allclose(read_array(path, "time_ps"), 2.0 * np.arange(len(values)))
        frames = mdtraj.load(str(file), top=system.topology)[::STRIDE]
        atoms = [frames.topology.select(text)[0] for text in SETTINGS["distances"]["caps"]]
        expected = mdtraj.compute_distances(frames, [atoms], periodic=False)[:, 0]
        np.testing.assert_allclose(values[:, 3], expected, atol=1e-4)
        assert np.isfinite(values[:, 2]).sum() == 20


def test_a_killed_measurement_continues_to_the_same_bytes(system, observables, tmp_path, monkeypatch):
    monkeypatch.setattr(measure_observables, "CHUNK_FRAMES", 150)
    whole = system.measure(0, tmp_path / "whole.zarr.zip")
    original = measure_observables.measured

    def killed(*arguments, **reading):
        for number, piece in enumerate(original(*arguments, **reading)):
            yield piece[:200]
            if number == 0:
                raise KeyboardInterrupt

    monkeypatch.setattr(measure_observables, "measured", killed)
    with pytest.raises(KeyboardInterrupt):
        system.measure(0, tmp_path / "killed.zarr.zip")
    assert (tmp_path / "killed.zarr.zip.part").exists()
    # The dead process's lock goes with its store, which the traceback still holds.
    gc.collect()
    monkeypatch.setattr(measure_observables, "measured", original)
    continued = system.measure(0, tmp_path / "killed.zarr.zip")
    assert Path(continued).read_bytes() == Path(whole).read_bytes()
    np.testing.assert_array_equal(read_array(continued, "observables"), read_array(observables[0], "observables"))


def test_states_are_annotated_with_what_was_put_into_them(system, observables, tmp_path):
    output = str(tmp_path / "annotation.csv")
    annotate_states.main(observables, system.states, system.msm, output)
    table = pd.read_csv(output).set_index(["observable", "state"])
    assert table.loc["caps", "mean"].diff().iloc[1] > 0.5
    for name in ("rmsd", "radius_of_gyration", "caps", "sasa"):
        assert (table.loc[name].mean_lower < table.loc[name, "mean"]).all()
        assert (table.loc[name, "mean"] < table.loc[name].mean_upper).all()
    counts = np.bincount(np.concatenate(system.macrostates))
    assert table.loc["rmsd"].n_frames.tolist() == counts.tolist()
    joined = np.concatenate([read_array(path, "observables")[:, 3] for path in observables])
    states = np.concatenate(system.macrostates)
    np.testing.assert_allclose(
        table.loc["caps", "mean"], [joined[states == state].mean() for state in (0, 1)], rtol=1e-5
    )


def test_trajectories_with_other_observables_are_refused(system, observables, tmp_path):
    other = system.measure(1, tmp_path / "other.zarr.zip", table=False)
    with pytest.raises(ValueError, match=r"other\.zarr\.zip: observables rmsd, .* must have the same columns"):
        annotate_states.main([observables[0], other], system.states, system.msm, str(tmp_path / "a.csv"))
    assert not (tmp_path / "a.csv").exists()


def test_the_contact_that_was_broken_tells_the_states_apart(system, observables, tmp_path):
    contacts = [path.replace(".zarr.zip", ".npz") for path in observables]
    with np.load(contacts[0]) as stored:
        assert stored["names"].tolist() == ["A:ACE1 A:NME3"]
        assert stored["frames"].tolist() == list(range(0, 400, 4))
        np.testing.assert_array_equal(stored["touching"][:, 0], system.macrostates[0][::4] == 0)
    outputs = [str(tmp_path / name) for name in ("differences.csv", "probabilities.csv")]
    compare_contacts.main(contacts, system.states, system.msm, *outputs)
    (row,) = pd.read_csv(outputs[0]).to_dict("records")
    assert (row["state"], row["other_state"], row["contact"]) == (1, 2, "A:ACE1 A:NME3")
    assert row["difference"] == row["difference_lower"] == row["difference_upper"] == -1
    assert pd.read_csv(outputs[1]).probability.tolist() == [1, 0]


def test_a_file_that_changed_since_its_inspection_is_refused(system, tmp_path):
    known = json.loads(Path(system.inventories[0]).read_text())
    (tmp_path / "old.json").write_text(json.dumps(known | {"sha256": "0" * 64}))
    arguments = (str(system.files[0]), system.topology, str(tmp_path / "old.json"))
    with pytest.raises(ValueError, match="has changed since it was inspected"):
        measure_observables.main(
            *arguments, system.topology, [], str(tmp_path / "o.zarr.zip"), str(tmp_path / "c.npz"),
            settings=SETTINGS, source="x",
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
