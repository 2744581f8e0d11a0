"""The rules that validate a Markov model, from feature stores on, for two members of a linear model."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import check_connectivity
import check_sampling
import check_vamp2
import cluster_microstates
import estimate_msm
import figure_connectivity
import figure_convergence
import figure_implied_timescales
import figure_vamp2_consistency
import fit_tica
import project_variables
import propose_lag
import scan_lags
import scan_members
import split_trajectories
from geom2msm import member_scans
from geom2msm.joined_store import StoredTrajectory, write_joined
from geom2msm.member_scans import frames_per_source
from geom2msm.store import read_array, write_store
from systems import simulate_chain, three_state_chain

N_FRAMES = {"run-0": 5000, "run-1": 4000, "run-2": 4500, "run-10": 4200}
TICA = {"kind": "tica", "feature": "torsions", "lag_ps": 20.0, "dimensions": 2, "epsilon": 1.0e-6}
# Fewer timescales than separate the macrostates: all of these are followed nevertheless.
MSM = {
    "model": "tica", "baseline": "tica", "lag_ps": 20.0, "scan_lags_ps": [10.0, 20.0, 40.0, 80.0], "n_microstates": 9,
    "n_macrostates": 3, "n_timescales": 1, "n_posterior_samples": 30, "ck_multiples": 3, "seed": 0,
}  # fmt: skip
AXES = {"features": ("frame", "channel"), "time_ps": ("frame",)}
PLACES = np.array([[0.0, 0.0, 1.0], [3.0, 0.0, 0.0], [0.0, 3.0, 0.0]])


class System:
    """A folder with everything up to the Markov model."""

    def __init__(self, folder: Path, *, continuous: bool):
        self.folder, rng = folder, np.random.default_rng(2)
        self.sources, inventories = [], []
        for name, n_frames in N_FRAMES.items():
            states = simulate_chain(three_state_chain(), n_frames, rng)
            self.sources.append(self.store(f"features-{name}", name, features=PLACES[states], rng=rng))
            inventory = {"trajectory": name, "n_frames": n_frames, "frame_interval_ps": 2.0, "checks": {}}
            inventory["sha256"] = name
            inventories.append(self.path(f"{name}.json"))
            Path(inventories[-1]).write_text(json.dumps(inventory))
        self.split = self.path("split.json")
        settings = {"scheme": "trajectories", "n_folds": 2, "nested": False, "block_ns": None, "gap_ps": 20.0}
        split_trajectories.main(inventories, self.split, continuous=continuous, settings=settings)
        self.weights, self.scores = [], []
        for fold in range(2):
            self.weights.append(self.path(f"fold{fold}.safetensors"))
            self.scores.append(self.path(f"fold{fold}.json"))
            outputs = [self.weights[-1], self.path(f"fold{fold}.csv"), self.scores[-1], self.path("costs.json")]
            fit_tica.main(self.sources, self.split, *outputs, fold=fold, seed=0, settings=TICA)
        shutil.copy(self.weights[1], self.path("chosen.safetensors"))
        self.variables = self.path("variables.zarr.zip")
        project_variables.main(self.sources, self.path("chosen.safetensors"), self.split, self.variables)
        self.estimate()

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def store(self, stem: str, trajectory: str, *, features: np.ndarray, rng: np.random.Generator) -> str:
        path, attributes = self.path(f"{stem}.zarr.zip"), {"system": "toy", "trajectory": trajectory}
        values = (features + 0.2 * rng.normal(size=features.shape)).astype("f4")
        arrays = {"features": values, "time_ps": 2.0 * np.arange(len(values))}
        attributes |= {"frame_interval_ps": 2.0, "provenance": {}}
        write_store(path, attributes=attributes, arrays=arrays, axes=AXES)
        return path

    def estimate(self) -> None:
        dtrajs, msm, timescales = (self.path(name) for name in ("dtrajs.zarr.zip", "msm.npz", "timescales.csv"))
        cluster_microstates.main(self.variables, self.path("microstates.npz"), dtrajs, settings=MSM)
        scan_lags.main(dtrajs, timescales, settings=MSM)
        tables = [self.path(name) for name in ("states.csv", "rates.csv", "summary.json")]
        estimate_msm.main(dtrajs, msm, *tables, settings=MSM, temperature_K=300.0)
        propose_lag.main(timescales, self.path("lag.json"), settings=MSM)
        outputs = [self.path("connectivity.csv"), self.path("connectivity.json")]
        check_connectivity.main(dtrajs, *outputs, settings=MSM)
        outputs = [self.path(name) for name in ("sampling.csv", "convergence.csv", "convergence.json")]
        check_sampling.main(dtrajs, msm, *outputs, settings=MSM)
        outputs = [self.path(name) for name in ("vamp2_consistency.csv", "vamp2_consistency.json")]
        check_vamp2.main(self.variables, msm, self.scores, *outputs, settings=MSM)
        self.scan("members.csv")

    def scan(self, name: str) -> pd.DataFrame:
        scan_members.main(self.sources, self.weights, self.split, self.path(name), settings=MSM)
        return self.table(name)

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.path(name))

    def json(self, name: str) -> dict:
        # Strictly: NaN is no JSON.
        return json.loads(Path(self.path(name)).read_text(), parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def system(tmp_path_factory) -> System:
    return System(tmp_path_factory.mktemp("parted"), continuous=False)


@pytest.fixture(scope="module")
def continuous(tmp_path_factory) -> System:
    return System(tmp_path_factory.mktemp("continuous"), continuous=True)


def test_no_half_written_file_is_left(system):
    assert not list(system.folder.rglob("*.part"))


@pytest.mark.parametrize("name", ["lag", "connectivity", "convergence", "vamp2_consistency"])
def test_a_good_model_passes_every_check_and_says_where_it_comes_from(system, name):
    found = system.json(f"{name}.json")
    assert list(found)[:2] == ["verdict", "reasons"]
    assert found["reasons"] == []
    assert found["verdict"] == "pass"
    assert found["provenance"]["settings"] == MSM
    assert found["provenance"]["inputs"]


@pytest.mark.parametrize("name", ["system", "continuous"])
def test_the_chosen_member_has_the_timescales_of_the_model(request, name):
    some = request.getfixturevalue(name)
    members, model = some.table("members.csv"), some.table("timescales.csv")
    assert list(members) == ["fold", "seed", "n_frames", "lag_ps", "process", "estimate_ps"]
    chosen, other = (members[members.fold == fold] for fold in (1, 0))
    np.testing.assert_allclose(chosen.estimate_ps, model.estimate_ps, rtol=1e-6)
    assert not np.allclose(other.estimate_ps, model.estimate_ps, rtol=1e-6)
    assert (members.n_frames == sum(N_FRAMES.values())).all()


def test_pieces_of_one_run_are_counted_across_where_they_meet(system, continuous):
    counts = [some.table("connectivity.csv").groupby("lag_ps").n_counts.sum() for some in (system, continuous)]
    # Three joints, and as many more transitions at each as the lag has frames.
    assert (counts[1] - counts[0]).tolist() == [3 * lag / 2 for lag in MSM["scan_lags_ps"]]


def test_sampling_has_one_row_per_state_and_all_frames(system):
    sampling, states = system.table("sampling.csv"), system.table("states.csv")
    for column in ("state", "visits", "entries", "exits", "n_trajectories"):
        assert sampling[column].tolist() == states[column].tolist()
    assert sampling.n_frames.sum() == sum(N_FRAMES.values())
    assert (sampling.effective_frames < sampling.n_frames.sum() / 10).all()


def test_the_members_scores_stand_beside_the_consistency(system):
    members = system.json("vamp2_consistency.json")["members"]
    assert [member["fold"] for member in members] == [0, 1]
    assert members[0]["score_validation"] == json.loads(Path(system.scores[0]).read_text())["score_validation"]


def test_every_process_between_the_states_is_scanned_and_judged(system):
    for name in ("timescales.csv", "members.csv"):
        assert set(system.table(name).process) == {1, 2}
    assert [process["name"] for process in system.json("lag.json")["processes"]] == ["t2", "t3"]
    judged = [row["quantity"] for row in system.json("convergence.json")["halves"]]
    assert judged == ["t2", "t3", "population 1", "population 2", "population 3"]


def test_a_configured_lag_that_disagrees_warns_and_stops_nothing(system, caplog):
    table = system.table("timescales.csv")
    table.loc[table.lag_ps == 10, ["estimate_ps", "lower_ps", "upper_ps"]] *= 0.3
    table.to_csv(system.path("bent.csv"), index=False)
    propose_lag.main(system.path("bent.csv"), system.path("bent.json"), settings=MSM | {"lag_ps": 10.0})
    found = system.json("bent.json")
    assert found["verdict"] == "warn"
    assert found["proposed_lag_ps"] == 20
    assert any(line.startswith("LAG TIME WARN: msm.lag_ps = 10 is too short") for line in caplog.messages)


@given(
    pieces=st.lists(st.tuples(st.integers(1, 500), st.booleans()), min_size=1, max_size=9),
    share=st.floats(0.01, 1.5),
)  # fmt: skip
def test_the_same_share_of_each_run_is_taken_from_its_beginning_however_it_is_cut(pieces, share):
    lengths, begins = [n for n, _ in pieces], [True, *[begin for _, begin in pieces[1:]]]
    max_frames = max(1, int(share * sum(lengths)))
    taken, run = frames_per_source(lengths, begins, max_frames=max_frames), np.cumsum(begins)
    whole = [sum(n for n, own in zip(lengths, run, strict=True) if own == number) for number in np.unique(run)]
    of_runs = frames_per_source(whole, [True] * len(whole), max_frames=max_frames)
    for number, expected in enumerate(of_runs, start=1):
        own = [place for place in range(len(lengths)) if run[place] == number]
        assert sum(taken[place] for place in own) == expected
        # What is taken is one stretch: nothing of a piece before the end of the one that it continues.
        for place, after in pairwise(own):
            assert taken[place] == lengths[place] or not taken[after]


def test_the_beginning_of_a_run_has_to_do_for_large_data_in_however_many_files(continuous, tmp_path, monkeypatch):
    whole, split, table = str(tmp_path / "whole.zarr.zip"), tmp_path / "split.json", str(tmp_path / "members.csv")
    arrays = {name: np.concatenate([read_array(path, name) for path in continuous.sources]) for name in AXES}
    attributes = {"system": "toy", "trajectory": "whole", "frame_interval_ps": 2.0, "provenance": {}}
    write_store(whole, attributes=attributes, arrays=arrays, axes=AXES)
    split.write_text(json.dumps({"runs": [{"whole": sum(N_FRAMES.values())}]}))
    for max_frames, n_frames in ((10**6, 17_700), (7000, 7000), (400, 400)):
        monkeypatch.setattr(member_scans, "MAX_FRAMES", max_frames)
        scan_members.main([whole], continuous.weights, str(split), table, settings=MSM)
        pd.testing.assert_frame_equal(continuous.scan("short.csv"), pd.read_csv(table), rtol=1e-5)
        assert (pd.read_csv(table).n_frames == n_frames).all()


def test_frames_that_all_lie_in_one_microstate_are_reported(system, tmp_path):
    path = str(tmp_path / "dtrajs.zarr.zip")
    attributes = {"frame_interval_ps": 2.0, "n_microstates": 2}
    arrays = {"microstate": np.zeros(200, dtype="i4")}
    write_joined(path, [StoredTrajectory("run-0", 200)], attributes=attributes, arrays=arrays)
    outputs = [str(tmp_path / name) for name in ("connectivity.csv", "connectivity.json")]
    check_connectivity.main(path, *outputs, settings=MSM)
    found = json.loads(Path(outputs[1]).read_text())
    assert found["verdict"] == "not estimable"
    assert "all frames lie in one microstate" in found["reasons"][0]


STYLE = str(Path(__file__).resolve().parents[2] / "config/figures.mplstyle")


def files(folder: Path, name: str) -> dict[str, str]:
    return {"style": STYLE} | {key: str(folder / f"{name}.{key}") for key in ("pdf", "png")} | {
        "table": str(folder / f"{name}-drawn.csv")
    }  # fmt: skip


def test_figures_of_what_is_not_estimable_are_drawn_without_it(system, tmp_path):
    """Every number missing, as from a chain of one state, or at lags beyond the data."""
    missing = {}
    for name in ("timescales", "members", "convergence", "vamp2_consistency"):
        table = system.table(f"{name}.csv")
        numbers = table.columns.difference(["lag_ps", "process", "fold", "seed", "end", "fraction", "quantity"])
        table.assign(**dict.fromkeys(numbers, np.nan)).to_csv(tmp_path / f"{name}.csv", index=False)
        missing[name] = str(tmp_path / f"{name}.csv")
    pd.DataFrame({"lag_ps": [10.0, 20.0], "set": 0, "n_microstates": 0}).reindex(
        columns=system.table("connectivity.csv").columns
    ).to_csv(tmp_path / "connectivity.csv", index=False)
    found = {"verdict": "not estimable", "reasons": ["all frames lie in one microstate"], "proposed_lag_ps": None}
    found |= {"largest_difference_in_errors": None, "dimensions": 2, "members": []}
    (tmp_path / "verdict.json").write_text(json.dumps(found))
    verdict = str(tmp_path / "verdict.json")
    scans = [missing["timescales"]] * 2 + [missing["members"]] * 2 + [verdict] * 2
    implied = files(tmp_path, "implied")
    figure_implied_timescales.main(*scans, **implied, names=["model", "baseline"], lag_ps=20.0)
    figure_connectivity.main(str(tmp_path / "connectivity.csv"), verdict, **files(tmp_path, "drawn_connectivity"))
    figure_convergence.main(missing["convergence"], verdict, **files(tmp_path, "drawn_convergence"))
    vamp2 = files(tmp_path, "drawn_vamp2")
    figure_vamp2_consistency.main(missing["vamp2_consistency"], verdict, **vamp2, lag_ps=20.0)
    assert len(list(tmp_path.glob("*.pdf"))) == len(list(tmp_path.glob("*.png"))) == 4
