"""More macrostates are asked for than the data have: everything is made, of those found, and says what is missing."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import mdtraj
import numpy as np
import pandas as pd
import pytest

import analyze_relaxation
import analyze_spectrum
import analyze_transition_paths
import annotate_states
import assign_states
import bootstrap_free_energy
import check_connectivity
import check_sampling
import check_vamp2
import cluster_microstates
import compare_contacts
import estimate_hmm
import estimate_msm
import extract_structures
import propose_lag
import scan_lags
import test_markov as markov_test
from geom2msm.joined_store import StoredTrajectory, write_joined
from geom2msm.judgement import read_json
from geom2msm.store import read_array, write_store
from geom2msm.verdicts import judge_spectrum
from systems import simulate_chain, three_state_chain

STYLE = str(Path(__file__).resolve().parents[2] / "config/figures.mplstyle")
N_ASKED, INTERVAL_PS = 4, 2.0
SETTINGS = {
    "model": "tica", "baseline": "other", "lag_ps": 20.0, "scan_lags_ps": [4.0, 20.0, 40.0], "n_microstates": 8,
    "n_macrostates": N_ASKED, "n_timescales": 2, "n_posterior_samples": 20, "ck_multiples": 3, "seed": 0,
    "transition_paths": {"source": "most_probable", "target": [4]},
}  # fmt: skip
# Frames lie exactly on as many points as there are states, so that k-means finds no more microstates.
PLACES = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [9.0, 9.0]])
ANGLES_DEG = np.array([[-80.0, 150.0], [-75.0, -20.0], [60.0, 40.0], [-150.0, 160.0]])
ENDS = ("pdb", "xtc", "csv")
PDB = """\
ATOM      1  N   GLY A   1       0.000   0.000   0.000  1.00  0.00           N
ATOM      2  CA  GLY A   1       1.450   0.000   0.000  1.00  0.00           C
END
"""
FIGURES = {
    "ck_test": {"ck_test": "ck_test.csv", "verdict": "ck_test.json"},
    "rates_network": {"states": "states.csv", "rates": "rates.csv", "msm": "msm.npz"},
    "passage_times": {"rates": "rates.csv"},
    "stationary_populations": {"states": "states.csv"},
    "committors": {"committors": "committors.csv", "memberships": "memberships.csv", "verdict": "tpt.json"},
    "flux_network": {"fluxes": "fluxes.csv", "pathways": "pathways.csv", "committors": "committors.csv"}
    | {"verdict": "tpt.json"},
    "passage_times_lags": {"passage_times": "mfpt_lags.csv"},
    "relaxation": {"relaxation": "relaxation.csv", "verdict": "relaxation.json"},
    "memberships": {"memberships": "memberships.csv", "spectrum": "spectrum.csv", "verdict": "spectrum.json"},
    "hmm": {"hmm": "hmm.json"},
    "reversibility": {"reversibility": "reversibility.json"},
    "free_energy": {"free_energy": "free_energy.csv"},
    "connectivity": {"connectivity": "connectivity.csv", "verdict": "connectivity.json"},
    "convergence": {"convergence": "convergence.csv", "verdict": "convergence.json"},
    "vamp2_consistency": {"consistency": "vamp2.csv", "verdict": "vamp2.json"},
    "annotation": {"annotation": "annotation.csv"},
    "state_contacts": {"probabilities": "contact_probabilities.csv"},
    "ramachandran": {"features": ["torsions-run-0.zarr.zip", "torsions-run-1.zarr.zip"], "states": "states.zarr.zip"},
    "observables_on_variables": {"observables": ["observables-run-0.zarr.zip", "observables-run-1.zarr.zip"]}
    | {"variables": "variables.zarr.zip", "states": "states.zarr.zip", "msm": "msm.npz"},
    "variables_scatter": {"states": "states.zarr.zip", "variables": "variables.zarr.zip"}
    | {"frames": [f"state-{state}.csv" for state in range(1, N_ASKED + 1)]}
    | {"structures": [f"state-{state}.pdb" for state in range(1, N_ASKED + 1)]},
}


class Stage:
    """The Markov state models of walks between the PLACES, with all their files, in a folder."""

    def __init__(self, folder: Path, walks: dict[str, np.ndarray]):
        self.folder, self.walks = folder, walks
        folder.mkdir()
        (folder / "top.pdb").write_text(PDB)
        self.write_inputs(np.random.default_rng(0))
        self.estimate()
        self.validate()
        self.analyze()
        self.describe()

    def at(self, *names: str) -> list[str]:
        return [str(self.folder / name) for name in names]

    def json(self, name: str) -> dict:
        return read_json(str(self.folder / name))

    def csv(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / name)

    def write_inputs(self, rng: np.random.Generator) -> None:
        walk = np.concatenate(list(self.walks.values()))
        time_ps = np.concatenate([INTERVAL_PS * np.arange(len(each)) for each in self.walks.values()])
        write_joined(
            *self.at("variables.zarr.zip"),
            [StoredTrajectory(name, len(each)) for name, each in self.walks.items()],
            attributes={"system": "toy", "frame_interval_ps": INTERVAL_PS, "names": ["function 2", "function 3"]}
            | {"units": ["standard deviations"] * 2},
            arrays={"variables": PLACES[walk].astype("f4"), "time_ps": time_ps},
            axes={"variables": ("frame", "dimension")},
        )
        topology = mdtraj.load_topology(*self.at("top.pdb"))
        for name, each in self.walks.items():
            known = {"system": "toy", "trajectory": name, "frame_interval_ps": INTERVAL_PS}
            angles = np.radians(ANGLES_DEG[each] + rng.normal(0, 12, (len(each), 2)))
            features = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(len(each), -1)
            names = [f"{part} {angle} ALA2" for angle in ("phi", "psi") for part in ("cos", "sin")]
            self.store(f"torsions-{name}", known | {"names": names}, features=features)
            described = {"names": ["rmsd"], "units": ["nm"], "periodic": [False], "every": [1]}
            values = each[:, None] + rng.normal(size=(len(each), 1))
            self.store(f"observables-{name}", known | described, observables=values)
            touching = each[:, None] == np.arange(3)
            names = np.array(["A:GLY1 A:GLY4", "A:GLY1 A:GLY5", "A:GLY2 A:GLY6"])
            np.savez(
                *self.at(f"contacts-{name}.npz"),
                trajectory=name, frames=np.arange(len(each)), names=names, touching=touching,
            )  # fmt: skip
            positions_nm = rng.normal(size=(len(each), 2, 3)).astype("f4")
            mdtraj.Trajectory(positions_nm, topology).save_xtc(*self.at(f"{name}.xtc"))
            inventory = {"trajectory": name, "file": self.at(f"{name}.xtc")[0], "topology": self.at("top.pdb")[0]}
            inventory |= {"selection": "protein", "frame_interval_ps": INTERVAL_PS, "stride": 1, "make_whole": True}
            inventory["checks"] = {}
            (self.folder / f"{name}.json").write_text(json.dumps(inventory))

    def store(self, name: str, attributes: dict, **arrays: np.ndarray) -> None:
        axes = dict.fromkeys(arrays, ("frame", "channel"))
        arrays = {key: values.astype("f4") for key, values in arrays.items()}
        write_store(*self.at(f"{name}.zarr.zip"), attributes=attributes, arrays=arrays, axes=axes)

    def of_runs(self, pattern: str) -> list[str]:
        return self.at(*[pattern.format(name) for name in self.walks])

    def estimate(self) -> None:
        names = ("variables.zarr.zip", "microstates.npz", "dtrajs.zarr.zip", "msm.npz", "states.zarr.zip")
        self.variables, self.centers, self.dtrajs, self.msm, self.states = self.at(*names)
        cluster_microstates.main(self.variables, self.centers, self.dtrajs, settings=SETTINGS)
        tables = self.at("states.csv", "rates.csv", "summary.json")
        estimate_msm.main(self.dtrajs, self.msm, *tables, settings=SETTINGS, temperature_K=300.0)
        assign_states.main(self.variables, self.dtrajs, self.msm, self.states)

    def validate(self) -> None:
        scan, lag = self.at("timescales.csv", "lag.json")
        scan_lags.main(self.dtrajs, scan, settings=SETTINGS)
        propose_lag.main(scan, lag, settings=SETTINGS)
        check_connectivity.main(self.dtrajs, *self.at("connectivity.csv", "connectivity.json"), settings=SETTINGS)
        sampling = self.at("sampling.csv", "convergence.csv", "convergence.json")
        check_sampling.main(self.dtrajs, self.msm, *sampling, settings=SETTINGS)
        check_vamp2.main(self.variables, self.msm, [], *self.at("vamp2.csv", "vamp2.json"), settings=SETTINGS)
        markov_test.main(self.dtrajs, self.msm, *self.at("ck_test.csv", "ck_test.json"), settings=SETTINGS)

    def analyze(self) -> None:
        paths = self.at("committors.csv", "fluxes.csv", "pathways.csv", "tpt.json")
        analyze_transition_paths.main(self.msm, *paths, settings=SETTINGS)
        spectrum = self.at("memberships.csv", "spectrum.csv", "spectrum.json", "reversibility.json")
        analyze_spectrum.main(self.centers, self.msm, *spectrum, settings=SETTINGS)
        relaxation = self.at("relaxation.csv", "mfpt_lags.csv", "relaxation.json")
        analyze_relaxation.main(self.dtrajs, self.msm, *relaxation, settings=SETTINGS)
        estimate_hmm.main(self.dtrajs, self.msm, *self.at("hmm.json"), settings=SETTINGS)
        features = self.of_runs("torsions-{}.zarr.zip")
        bootstrap_free_energy.main(features, self.states, self.msm, *self.at("free_energy.csv"), settings=SETTINGS)

    def describe(self) -> None:
        annotation, *contacts = self.at("annotation.csv", "contacts.csv", "contact_probabilities.csv")
        annotate_states.main(self.of_runs("observables-{}.zarr.zip"), self.states, self.msm, annotation)
        compare_contacts.main(self.of_runs("contacts-{}.npz"), self.states, self.msm, *contacts)
        (self.folder / "tokens.csv").write_text("token,atoms\n0,0 1\n")
        known = [self.states, self.variables, self.of_runs("{}.json"), self.msm, *self.at("states.csv", "tokens.csv")]
        for state in range(1, N_ASKED + 1):
            files = self.at(*[f"state-{state}.{end}" for end in ENDS])
            extract_structures.main(*known, [], *files, state=state, n_frames=5, seed=0)


def there_and_back() -> dict[str, np.ndarray]:
    """Three states that are all connected."""
    rng = np.random.default_rng(1)
    return {f"run-{i}": simulate_chain(three_state_chain(), 3000, rng) for i in range(2)}


def only_forward() -> dict[str, np.ndarray]:
    """Four states of which none is ever entered again: no two are connected in both directions."""
    return {"run-0": np.repeat([0, 1, 2], [200, 300, 150]), "run-1": np.repeat([1, 2, 3], [250, 150, 100])}


WALKS = {"three of four states": (there_and_back, 3), "one microstate": (only_forward, 1)}


@pytest.fixture(scope="module", params=WALKS)
def stage(request, tmp_path_factory) -> tuple[Stage, int]:
    """What the rules make, and how many states there are."""
    walk, n_found = WALKS[request.param]
    return Stage(tmp_path_factory.mktemp("fewer") / "states", walk()), n_found


@pytest.mark.parametrize("ends", [("most_probable", "slowest_process"), ("slowest_process", "least_probable")])
def test_ends_named_by_rule_are_found_among_the_states_that_there_are(stage, tmp_path, ends):
    made, n_found = stage
    paths = [str(tmp_path / name) for name in ("committors.csv", "fluxes.csv", "pathways.csv", "tpt.json")]
    chosen = {"transition_paths": dict(zip(("source", "target"), ends, strict=True))}
    analyze_transition_paths.main(made.msm, *paths, settings=SETTINGS | chosen)
    found = read_json(paths[3])
    assert (found["verdict"] == "not estimable") == (n_found == 1)
    if n_found == 1:
        assert any("the model has one state" in reason for reason in found["reasons"])
        assert pd.read_csv(paths[2]).empty


def numbers_of(content: object) -> list[float]:
    """All numbers in the content of a JSON file."""
    if isinstance(content, dict | list):
        parts = content.values() if isinstance(content, dict) else content
        return [number for part in parts for number in numbers_of(part)]
    return [content] if isinstance(content, int | float) and not isinstance(content, bool) else []


def test_the_number_of_states_fails_and_says_how_many_there_are(stage):
    made, n_found = stage
    found, summary = made.json("spectrum.json"), made.json("summary.json")
    assert summary["n_macrostates"] == found["n_macrostates"] == n_found
    assert summary["n_macrostates_asked"] == found["n_macrostates_asked"] == N_ASKED
    judged = judge_spectrum(found)
    assert (judged.verdict, judged.number) == ("fail", f"{n_found} of {N_ASKED} states found")
    assert judged.reasons[0].startswith(f"msm.n_macrostates asks for {N_ASKED} states, but the model has {n_found}: ")


def test_no_table_names_a_state_that_does_not_exist(stage):
    made, n_found = stage
    names, states = ("state", "from_state", "to_state", "other_state"), set(range(1, n_found + 1))
    for path in made.folder.glob("*.csv"):
        table = pd.read_csv(path)
        for name in set(names) & set(table):
            assert set(table[name]) <= states, path.name
        quantities = table.get("quantity", pd.Series(dtype=str)).astype(str)
        assert {int(name.split()[1]) for name in quantities if name.startswith("population")} <= states, path.name
    assert set(made.csv("states.csv").state) == set(made.csv("sampling.csv").state) == states
    assert set(made.csv("annotation.csv").state) == states
    assert read_array(made.states, "state_probabilities").shape[1] == n_found
    assert read_array(made.states, "macrostate").max() == n_found - 1


def test_structures_are_of_the_states_found_and_the_others_say_why_there_are_none(stage):
    made, n_found = stage
    for state in range(1, N_ASKED + 1):
        structure, ensemble, frames = (made.folder / f"state-{state}.{end}" for end in ENDS)
        atoms = [line for line in structure.read_text().splitlines() if line.startswith("ATOM")]
        table = pd.read_csv(frames)
        assert list(table) == list(made.csv("state-1.csv"))
        if state <= n_found:
            assert len(atoms) == 2
            assert len(table) == 6
            assert len(mdtraj.load(str(ensemble), top=str(structure))) == 5
        else:
            said = " ".join(line.removeprefix("REMARK   6 ") for line in structure.read_text().splitlines())
            assert said == f"STATE {state}: NOT ESTIMABLE {made.json('spectrum.json')['reasons'][0]} END"
            assert not atoms + table.to_dict("records") + [*ensemble.read_bytes()]


def test_paths_to_a_state_that_does_not_exist_are_not_estimable(stage):
    made, n_found = stage
    found = made.json("tpt.json")
    assert found["verdict"] == "not estimable"
    assert found["reasons"][-1].endswith(f"names state 4, but the last state of the model is {n_found}")
    assert found["source_states"] == found["target_states"] == []
    assert all(found[name] is None for name in ("rate_per_ns", "total_flux_per_ns", "mfpt_ps"))
    assert made.csv("fluxes.csv").empty
    assert made.csv("pathways.csv").empty
    assert made.csv("committors.csv").filter(like="committor").isna().all(axis=None)


def test_everything_else_is_estimated_of_the_states_found(stage):
    made, n_found = stage
    if n_found == 1:
        pytest.skip("nothing can be estimated of one microstate")
    assert made.csv("states.csv").probability.sum() == pytest.approx(1)
    assert made.csv("rates.csv").mfpt_ps.notna().all()
    assert len(made.csv("rates.csv")) == n_found * (n_found - 1)
    assert made.json("hmm.json")["n_hidden_states"] == n_found
    assert made.json("ck_test.json")["n_compared"] > 0
    assert {row["quantity"] for row in made.json("convergence.json")["halves"]} == {
        "t2", "t3", "population 1", "population 2", "population 3",
    }  # fmt: skip


def test_one_microstate_gives_no_number_but_what_was_counted(stage):
    made, n_found = stage
    if n_found > 1:
        pytest.skip("there are transitions")
    reason = "no two microstates are connected in both directions at a lag of 10 frames"
    for name in ("ck_test", "relaxation", "reversibility", "convergence", "tpt", "hmm", "vamp2", "lag", "connectivity"):
        assert made.json(f"{name}.json")["verdict"] == "not estimable", name
    for name in ("ck_test", "relaxation", "reversibility", "convergence", "tpt", "vamp2"):
        assert made.json(f"{name}.json")["reasons"][0].startswith(reason), name
    states = made.csv("states.csv")
    assert states.filter(regex="probability|energy").isna().all(axis=None)
    assert states[["visits", "entries", "exits", "n_trajectories"]].to_numpy().tolist() == [[2, 0, 0, 2]]
    assert made.csv("ck_test.csv").filter(regex="predicted|estimated").isna().all(axis=None)
    assert made.csv("relaxation.csv").query("time_ps > 0").predicted.isna().all()
    assert made.csv("vamp2.csv").filter(like="predicted").isna().all(axis=None)
    assert numbers_of(made.json("summary.json")["timescales"]) == [1, 2]
    assert not numbers_of(made.json("reversibility.json")["comparison"])
    assert made.csv("rates.csv").empty


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_is_drawn(figure, stage, tmp_path):
    made, _ = stage
    source = Path(__file__).resolve().parents[2] / f"scripts/figure_{figure}.py"
    spec = spec_from_file_location(source.stem, source)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    inputs = {
        key: made.at(*names) if isinstance(names, list) else made.at(names)[0] for key, names in FIGURES[figure].items()
    }
    inputs |= {"lag_ps": 20.0} if figure == "vamp2_consistency" else {}
    files = {key: str(tmp_path / f"{figure}.{end}") for key, end in (("pdf", "pdf"), ("png", "png"), ("table", "csv"))}
    module.main(**inputs, style=STYLE, **files)
    assert all(Path(path).stat().st_size > 0 for path in files.values())
