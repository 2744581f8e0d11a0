"""The rules of transition paths, spectra, relaxation, hidden models and free energies, on a three-state chain."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analyze_relaxation
import analyze_spectrum
import analyze_transition_paths
import assign_states
import bootstrap_free_energy
import cluster_microstates
import estimate_hmm
import estimate_msm
from geom2msm.joined_store import StoredTrajectory, write_joined
from geom2msm.store import write_store
from systems import simulate_chain, three_state_chain

PLACES = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
ANGLES_DEG = np.array([[-80.0, 150.0], [-75.0, -20.0], [60.0, 40.0]])
SETTINGS = {
    "model": "vampnet", "baseline": "tica", "lag_ps": 20.0, "scan_lags_ps": [4.0, 20.0], "n_microstates": 8,
    "n_macrostates": 3, "n_timescales": 2, "n_posterior_samples": 30, "ck_multiples": 3, "seed": 0,
    "transition_paths": {"source": [1], "target": "slowest_process"},
}  # fmt: skip


def write_variables(path: str, walks: dict[str, np.ndarray], *, rng: np.random.Generator) -> str:
    """Variables of all trajectories, which are in these states."""
    places = PLACES[np.concatenate(list(walks.values()))]
    time_ps = np.concatenate([2.0 * np.arange(len(walk)) for walk in walks.values()])
    write_joined(
        path,
        [StoredTrajectory(name, len(walk)) for name, walk in walks.items()],
        attributes={"system": "toy", "frame_interval_ps": 2.0},
        arrays={"variables": (places + 0.2 * rng.normal(size=places.shape)).astype("f4"), "time_ps": time_ps},
        axes={"variables": ("frame", "dimension")},
    )
    return path


def write_torsions(path: str, name: str, states: np.ndarray, *, rng: np.random.Generator) -> str:
    """Torsions of one trajectory that is in these states."""
    angles = np.radians(ANGLES_DEG[states] + rng.normal(0, 12, (len(states), 2)))
    features = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(len(states), -1).astype(np.float32)
    names = [f"{part} {angle} ALA2" for angle in ("phi", "psi") for part in ("cos", "sin")]
    attributes = {"system": "toy", "trajectory": name, "frame_interval_ps": 2.0, "names": names}
    write_store(path, attributes=attributes, arrays={"features": features}, axes={"features": ("frame", "channel")})
    return path


def run_rules(folder: Path, chain: np.ndarray, lengths: list[int], settings: dict) -> None:
    """Everything from variables to the artefacts of kinetics.smk."""
    rng = np.random.default_rng(3)
    walks = {f"run-{i}": simulate_chain(chain, length, rng) for i, length in enumerate(lengths)}

    def at(*names: str) -> list[str]:
        return [str(folder / name) for name in names]

    variables, features = (
        write_variables(*at("variables.zarr.zip"), walks, rng=rng),
        [write_torsions(*at(f"{name}.zarr.zip"), name, walk, rng=rng) for name, walk in walks.items()],
    )
    centers, dtrajs, msm, states = at("microstates.npz", "dtrajs.zarr.zip", "msm.npz", "states.zarr.zip")
    cluster_microstates.main(variables, centers, dtrajs, settings=settings)
    estimate_msm.main(
        dtrajs, msm, *at("states.csv", "rates.csv", "summary.json"), settings=settings, temperature_K=300.0
    )
    assign_states.main(variables, dtrajs, msm, states)
    analyze_transition_paths.main(
        msm, *at("committors.csv", "fluxes.csv", "pathways.csv", "tpt.json"), settings=settings
    )
    analyze_spectrum.main(
        centers,
        msm,
        *at("memberships.csv", "spectrum.csv", "spectrum.json", "reversibility.json"),
        settings=settings,
    )
    analyze_relaxation.main(dtrajs, msm, *at("relaxation.csv", "mfpt_lags.csv", "relaxation.json"), settings=settings)
    estimate_hmm.main(dtrajs, msm, *at("hmm.json"), settings=settings)
    bootstrap_free_energy.main(features, states, msm, *at("free_energy.csv"), settings=settings)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kinetics")
    run_rules(folder, three_state_chain(), [2300] * 8, SETTINGS)
    return folder


def read(folder: Path, name: str) -> dict:
    """A JSON file, without the NaN and Infinity that JSON does not have."""
    return json.loads((folder / name).read_text(), parse_constant=lambda constant: pytest.fail(f"{name}: {constant}"))


def test_without_phi_and_psi_the_table_of_free_energies_is_empty(results, tmp_path, caplog):
    table, names = str(tmp_path / "free_energy.csv"), ["cos psi ALA1", "sin psi ALA1"]
    features = [str(tmp_path / f"run-{number}.zarr.zip") for number in range(8)]
    arrays, axes = {"features": np.ones((2300, 2), "f4")}, {"features": ("frame", "channel")}
    for number, path in enumerate(features):
        attributes = {"system": "toy", "trajectory": f"run-{number}", "frame_interval_ps": 2.0, "names": names}
        write_store(path, attributes=attributes, arrays=arrays, axes=axes)
    bootstrap_free_energy.main(
        features, str(results / "states.zarr.zip"), str(results / "msm.npz"), table, settings=SETTINGS
    )
    assert "no residue has both phi and psi" in caplog.text
    assert list(pd.read_csv(table).columns[:4]) == ["residue", "phi_deg", "psi_deg", "free_energy_kT"]
    assert pd.read_csv(table).empty


VERDICTS = ["tpt.json", "spectrum.json", "reversibility.json", "relaxation.json", "hmm.json"]


def test_no_half_written_file_is_left(results):
    assert not list(results.rglob("*.part"))


@pytest.mark.parametrize("name", VERDICTS)
def test_verdicts_have_reasons_unless_they_pass_and_say_where_they_come_from(name, results):
    found = read(results, name)
    assert found["verdict"] in ("pass", "warn", "fail", "not estimable")
    assert bool(found["reasons"]) == (found["verdict"] != "pass")
    assert found["lag_ps"] == 20
    assert str(results / "msm.npz") in found["provenance"]["inputs"]


def test_paths_lead_to_the_state_that_the_slowest_process_changes(results):
    found = read(results, "tpt.json")
    assert (found["source_states"], found["target_states"]) == ([1], [3])
    committors = pd.read_csv(results / "committors.csv")
    assert (committors[committors.state == 1].committor == 0).all()
    assert (committors[committors.state == 3].committor == 1).all()
    # In the chain 1 - 2 - 3 every path goes through 2.
    assert pd.read_csv(results / "pathways.csv").pathway[0] == "1 > 2 > 3"


def test_the_passage_time_of_paths_is_that_of_the_table_of_rates(results):
    rates = pd.read_csv(results / "rates.csv")
    expected = rates[(rates.from_state == 1) & (rates.to_state == 3)].mfpt_ps.item()
    # One averages over where state 1 is entered, the other over where it is.
    assert read(results, "tpt.json")["mfpt_ps"] == pytest.approx(expected, rel=0.02)
    lags = pd.read_csv(results / "mfpt_lags.csv").query("method == 'model' and lag_ps == 20")
    np.testing.assert_allclose(lags.mfpt_ps, rates.mfpt_ps, rtol=1e-6)


def test_model_and_counted_passage_times_agree_within_their_intervals(results):
    times = pd.read_csv(results / "mfpt_lags.csv").set_index(["method", "lag_ps", "from_state", "to_state"])
    model, counted = times.loc["model"], times.loc["counted"]
    assert ((model.mfpt_lower_ps < counted.mfpt_upper_ps) & (counted.mfpt_lower_ps < model.mfpt_upper_ps)).all()


def test_free_energies_follow_the_basins(results):
    bins = pd.read_csv(results / "free_energy.csv")
    states = pd.read_csv(results / "states.csv")
    right = bins[bins.phi_deg > 0]
    share = np.exp(-right.free_energy_kT).sum() / np.exp(-bins.free_energy_kT).sum()
    assert share == pytest.approx(states.probability[2], rel=1e-3)
    common = bins[bins.free_energy_kT < 1.5]
    assert common.error_kT.between(0.02, 1).all()


def test_a_chain_hardly_seen_gives_verdicts_and_no_crash(tmp_path):
    # Hardly any transition, and lags of a fifth and of nearly all of the trajectories.
    chain = np.array([[0.97, 0.03, 0.0], [0.03, 0.965, 0.005], [0.0, 0.5, 0.5]])
    run_rules(
        tmp_path, chain, [50] * 4, SETTINGS | {"n_macrostates": 2, "n_microstates": 4, "scan_lags_ps": [20.0, 90.0]}
    )
    for name in VERDICTS:
        assert read(tmp_path, name)["verdict"] in ("pass", "warn", "fail", "not estimable")
    assert pd.read_csv(tmp_path / "free_energy.csv").error_kT.isna().all()
    for name in ("tpt.json", "reversibility.json", "relaxation.json"):
        found = read(tmp_path, name)
        assert found["verdict"] == "not estimable"
        assert "independent transitions per microstate" in found["reasons"][0]
        assert "set msm.n_microstates to 2 or fewer" in found["reasons"][0]
