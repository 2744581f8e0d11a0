"""The rules from variables to structures, in the order of the workflow, on a simulated three-state chain."""

import json
from pathlib import Path

import mdtraj
import numpy as np
import pandas as pd
import pytest

import assign_states
import cluster_microstates
import estimate_msm
import extract_structures
import scan_lags
import test_markov as markov_test
from geom2msm.joined_store import StoredTrajectory, read_pieces, read_trajectories, write_joined
from geom2msm.states import count_visits
from geom2msm.store import read_array
from systems import simulate_chain, three_state_chain

PLACES = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
N_FRAMES = {"run-0": 3000, "run-1": 2500, "run-2": 2000, "run-10": 2800}
SETTINGS = {
    "model": "vampnet", "baseline": "tica", "lag_ps": 20.0, "scan_lags_ps": [4.0, 20.0], "n_microstates": 12,
    "n_macrostates": 3, "n_timescales": 2, "n_posterior_samples": 30, "ck_multiples": 3, "seed": 0,
}  # fmt: skip
PDB = """\
ATOM      1  N   GLY A   1       0.000   0.000   0.000  1.00  0.00           N
ATOM      2  H   GLY A   1      -0.500   0.800   0.000  1.00  0.00           H
ATOM      3  CA  GLY A   1       1.450   0.000   0.000  1.00  0.00           C
ATOM      4  O   HOH B   2       9.000   0.000   0.000  1.00  0.00           O
END
"""


def write_variables(path: Path, states: np.ndarray, *, rng: np.random.Generator) -> str:
    """Variables of all trajectories, which are in these states one after the other."""
    variables = PLACES[states] + 0.2 * rng.normal(size=(len(states), 2))
    time_ps = np.concatenate([2.0 * np.arange(n_frames) for n_frames in N_FRAMES.values()])
    write_joined(
        str(path),
        [StoredTrajectory(*each) for each in N_FRAMES.items()],
        attributes={"system": "toy", "frame_interval_ps": 2.0},
        arrays={"variables": variables.astype(np.float32), "time_ps": time_ps},
        axes={"variables": ("frame", "dimension")},
    )
    return str(path)


def write_trajectory(folder: Path, name: str, n_frames: int) -> str:
    """A raw trajectory whose x coordinate of the first atom is frame / 1000 nm, and its inventory."""
    topology = mdtraj.load_topology(str(folder / "top.pdb"))
    positions_nm = np.zeros((n_frames, 4, 3), dtype=np.float32)
    positions_nm[:, :, 0] = np.arange(n_frames)[:, None] / 1000 + np.array([0, 0.1, 0.2, 0.9])
    mdtraj.Trajectory(positions_nm, topology, time=2.0 * np.arange(n_frames)).save_xtc(str(folder / f"{name}.xtc"))
    inventory = {
        "trajectory": name, "file": str(folder / f"{name}.xtc"), "topology": str(folder / "top.pdb"),
        "selection": "protein and not element H", "frame_interval_ps": 2.0,
        "stride": 1, "make_whole": True, "checks": {"first_time_ps": 0.0},
    }  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(inventory))
    return str(folder / f"{name}.json")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Everything the rules write."""
    folder = tmp_path_factory.mktemp("msm")
    (folder / "top.pdb").write_text(PDB)
    rng = np.random.default_rng(15)
    walks = [simulate_chain(three_state_chain(), n_frames, rng) for n_frames in N_FRAMES.values()]
    variables = write_variables(folder / "variables.zarr.zip", np.concatenate(walks), rng=rng)
    inventories = [write_trajectory(folder, name, n_frames) for name, n_frames in N_FRAMES.items()]
    dtrajs, msm, assigned = (str(folder / name) for name in ("dtrajs.zarr.zip", "msm.npz", "states.zarr.zip"))
    cluster_microstates.main(variables, str(folder / "microstates.npz"), dtrajs, settings=SETTINGS)
    scan_lags.main(dtrajs, str(folder / "timescales.csv"), settings=SETTINGS)
    tables = [str(folder / name) for name in ("states.csv", "rates.csv", "summary.json")]
    estimate_msm.main(dtrajs, msm, *tables, settings=SETTINGS, temperature_K=300.0)
    markov_test.main(dtrajs, msm, *[str(folder / name) for name in ("ck_test.csv", "ck_test.json")], settings=SETTINGS)
    assign_states.main(variables, dtrajs, msm, assigned)
    (folder / "tokens.csv").write_text("token,atoms\n0,0 2\n")
    (folder / "importance.csv").write_text(
        "state,token,method,importance\n" + "".join(f"{state},0,occlusion,0.5\n" for state in (1, 2, 3))
    )
    for state in (1, 2, 3):
        outputs = [str(folder / f"state-{state}.{ending}") for ending in ("pdb", "xtc", "csv")]
        known = [msm, tables[0], str(folder / "tokens.csv"), [str(folder / "importance.csv")]]
        extract_structures.main(assigned, variables, inventories, *known, *outputs, state=state, n_frames=20, seed=0)
    return folder


def test_no_half_written_file_is_left(results):
    assert not list(results.rglob("*.part"))


def test_microstates_are_centers_of_the_variables(results):
    stored = np.load(results / "microstates.npz")
    assert stored["centers"].shape == (12, 2)
    assert json.loads(str(stored["provenance"]))["settings"]["n_microstates"] == 12


def test_timescales_have_their_columns_and_values(results):
    table = pd.read_csv(results / "timescales.csv")
    assert list(table) == ["lag_ps", "process", "estimate_ps", "lower_ps", "upper_ps", "active_fraction"]
    # 214 and 49 frames of 2 ps.
    truth_ps = table.process.map({1: 428, 2: 98})
    assert ((table.lower_ps < truth_ps) & (truth_ps < table.upper_ps)).all()


def test_states_are_ordered_by_probability_with_intervals_around_them(results):
    states = pd.read_csv(results / "states.csv")
    assert states.state.tolist() == [1, 2, 3]
    np.testing.assert_allclose(states.probability, [0.6, 0.3, 0.1], atol=0.15)
    assert states.probability.is_monotonic_decreasing
    assert (states.probability_lower < states.probability).all()
    assert (states.probability < states.probability_upper).all()
    np.testing.assert_allclose(states.free_energy_kT, -np.log(states.probability / states.probability[0]))
    assert (states.free_energy_kT_lower <= states.free_energy_kT).all()
    assert (states.free_energy_kT <= states.free_energy_kT_upper).all()
    assert states.n_microstates.sum() == 12
    assert (states.n_trajectories == 4).all()
    assert (states.visits >= states[["entries", "exits"]].max(axis=1)).all()


def test_rates_name_every_ordered_pair_and_the_transitions_seen(results):
    rates = pd.read_csv(results / "rates.csv")
    states = pd.read_csv(results / "states.csv").set_index("state")
    assert set(zip(rates.from_state, rates.to_state, strict=True)) == {
        (a, b) for a in (1, 2, 3) for b in (1, 2, 3) if a != b
    }
    assert (rates.mfpt_lower_ps < rates.mfpt_ps).all()
    assert (rates.mfpt_ps < rates.mfpt_upper_ps).all()
    assert rates.groupby("from_state").n_transitions.sum().to_dict() == states.exits.to_dict()
    # Between neighbors one over the probability per frame; 2 ps per frame.
    from_first = rates[(rates.from_state == 1) & (rates.to_state == 2)].iloc[0]
    assert from_first.mfpt_lower_ps < 2 / three_state_chain()[0, 1] < from_first.mfpt_upper_ps
    neighbors = (rates.from_state - rates.to_state).abs() == 1
    assert (rates.n_transitions[neighbors] > 1).all()
    assert (rates.n_transitions[~neighbors] <= 1).all()


def test_visits_shorter_than_the_lag_are_not_counted(results):
    macrostates = read_pieces(str(results / "states.zarr.zip"), "macrostate")
    cored, raw = (count_visits(macrostates, n_macrostates=3, coring_frames=frames) for frames in (10, 1))
    assert pd.read_csv(results / "states.csv").visits.tolist() == cored.visits.tolist()
    assert cored.visits.sum() < raw.visits.sum()


def test_the_summary_says_what_was_kept(results):
    summary = json.loads((results / "summary.json").read_text())
    assert summary["lag_frames"] == 10
    assert summary["fraction_of_frames_active"] == 1
    assert summary["dropped"] == []
    assert summary["n_frames"] == sum(N_FRAMES.values())
    assert summary["kT_kJ_per_mol"] == pytest.approx(2.494, abs=1e-3)
    assert [row["process"] for row in summary["timescales"]] == [1, 2, 3]
    assert summary["spectral_gaps"][0] == pytest.approx(214 / 49, rel=0.5)


def test_the_model_is_stored_whole(results):
    with np.load(results / "msm.npz") as msm:
        assert msm["transition_matrix"].shape == (12, 12)
        np.testing.assert_allclose(msm["transition_matrix"].sum(axis=1), 1, atol=1e-12)
        assert msm["memberships"].shape == (12, 3)
        assert msm["right_eigenvectors"].shape == (12, 3)
        assert sorted(set(msm["macrostate_of_microstate"])) == [0, 1, 2]
        assert float(msm["lag_ps"]) == 20.0
        assert msm["count_matrix"].sum() == sum(N_FRAMES.values()) - 10 * len(N_FRAMES)


def test_the_chapman_kolmogorov_test_is_written_with_a_verdict(results):
    table = pd.read_csv(results / "ck_test.csv")
    assert list(table) == [
        "lag_ps", "multiple", "from_state", "to_state", "predicted", "predicted_lower", "predicted_upper",
        "estimated", "estimated_lower", "estimated_upper",
    ]  # fmt: skip
    assert len(table) == 3 * 9
    assert sorted(set(table.lag_ps)) == [20, 40, 60]
    verdict = json.loads((results / "ck_test.json").read_text())
    assert verdict["verdict"] in ("pass", "warn")
    assert verdict["largest_deviation_in_errors"] < 3
    assert verdict["thresholds"]["pass_errors"] == 3


def test_assignments_agree_with_the_places_the_frames_were_drawn_from(results):
    path = str(results / "states.zarr.zip")
    assert {each.name: each.n_frames for each in read_trajectories(path)} == N_FRAMES
    macrostate, probabilities = read_array(path, "macrostate"), read_array(path, "state_probabilities")
    np.testing.assert_array_equal(probabilities.argmax(axis=1), macrostate)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    variables = read_array(str(results / "variables.zarr.zip"), "variables")
    nearest = np.linalg.norm(variables[:, None] - PLACES, axis=-1).argmin(axis=1)
    assert (nearest == macrostate).mean() > 0.99


def of_trajectory(results: Path, store: str, name: str, trajectory: str) -> np.ndarray:
    return read_pieces(str(results / f"{store}.zarr.zip"), name)[list(N_FRAMES).index(trajectory)]


def test_structures_are_the_frames_they_say_with_whole_residues_and_no_solvent(results):
    table = pd.read_csv(results / "states.csv").set_index("state")
    for state in (1, 2, 3):
        text = (results / f"state-{state}.pdb").read_text()
        assert f"STATE {state}, STATIONARY PROBABILITY {table.probability[state]:.4f}" in text
        words = text.split("TRAJECTORY ")[1].split()
        trajectory, frame = words[0].strip(","), int(words[2])
        structure = mdtraj.load(str(results / f"state-{state}.pdb"))
        assert [atom.name for atom in structure.topology.atoms] == ["N", "H", "CA"]
        np.testing.assert_allclose(structure.xyz[0, 0, 0], frame / 1000, atol=2e-3)
        assert of_trajectory(results, "states", "macrostate", trajectory)[frame] == state - 1
        # Frames are normally distributed around the place of their state.
        variables = of_trajectory(results, "variables", "variables", trajectory)[frame]
        assert np.linalg.norm(variables - PLACES, axis=1).min() < 0.2


def test_the_ensemble_holds_the_frames_of_its_table(results):
    for state in (1, 2, 3):
        frames = pd.read_csv(results / f"state-{state}.csv")
        assert frames.role.tolist() == ["representative"] + ["ensemble"] * 20
        np.testing.assert_allclose(frames.time_ps, 2 * frames.frame)
        for row in frames.itertuples():
            assert of_trajectory(results, "states", "macrostate", row.trajectory)[row.frame] == state - 1
        ensemble = mdtraj.load(str(results / f"state-{state}.xtc"), top=str(results / f"state-{state}.pdb"))
        assert len(ensemble) == 20
        np.testing.assert_allclose(ensemble.xyz[:, 0, 0], frames.frame[1:] / 1000, atol=2e-3)


def test_b_factors_are_the_importance_of_the_token(results):
    lines = [line for line in (results / "state-1.pdb").read_text().splitlines() if line.startswith("ATOM")]
    assert [float(line[60:66]) for line in lines] == [99, 0, 99]


def test_the_same_inputs_give_the_same_bytes(results, tmp_path):
    variables, dtrajs = str(results / "variables.zarr.zip"), tmp_path / "dtrajs.zarr.zip"
    cluster_microstates.main(variables, str(tmp_path / "microstates.npz"), str(dtrajs), settings=SETTINGS)
    for name in ("microstates.npz", "dtrajs.zarr.zip"):
        assert (tmp_path / name).read_bytes() == (results / name).read_bytes()
    scan_lags.main(str(dtrajs), str(tmp_path / "timescales.csv"), settings=SETTINGS)
    assert (tmp_path / "timescales.csv").read_text() == (results / "timescales.csv").read_text()


def test_a_lag_between_frames_is_refused(results, tmp_path):
    outputs = [str(tmp_path / name) for name in ("msm.npz", "states.csv", "rates.csv", "summary.json")]
    with pytest.raises(ValueError, match="lag_ps = 3 is not a positive multiple of frame_interval_ps = 2"):
        estimate_msm.main(
            str(results / "dtrajs.zarr.zip"), *outputs, settings=SETTINGS | {"lag_ps": 3.0}, temperature_K=300.0
        )
    assert not list(tmp_path.iterdir())
