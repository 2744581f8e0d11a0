"""Each figure script draws what its table holds, with units, in the common colors, and always the same bytes."""

import json
import re
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from itertools import combinations, cycle, product
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from dynamics import Dynamics
from geom2msm.free_energy import COLUMNS as FREE_ENERGY_COLUMNS
from geom2msm.joined_store import StoredTrajectory, read_pieces, write_joined
from geom2msm.ramachandran import frame_weights, free_energy_map, read_torsions
from geom2msm.store import read_array, read_attributes, write_store
from geom2msm.style import save_figure, start_figure, state_color
from geom2msm.verdict_texts import QUESTIONS
from geom2msm.verdicts import VERDICTS, Judged, headline, table_row
from molecules import pdb_line

ROOT = Path(__file__).resolve().parents[2]
STYLE = str(ROOT / "config/figures.mplstyle")
BASINS_DEG = np.array([[-80, 150], [-75, -20], [60, 40], [-150, 160], [60, -130]])
NAMES = ["vampnet", "tica_torsions"]
VAMP2 = [f"{name}{end}" for name in ("measured", "predicted") for end in ("", "_lower", "_upper")]


class Results:
    """The artefacts that figures read, of a made-up system, in a folder."""

    def __init__(self, folder: Path, *, n_states: int = 3, residues: tuple[str, ...] = ("ALA2",), n_frames: int = 300):
        self.folder, self.n_states, self.residues, self.n_frames = folder, n_states, residues, n_frames
        folder.mkdir(parents=True, exist_ok=True)
        self.rng = np.random.default_rng(0)
        self.runs = ("run-0", "run-1")
        features, states, variables = zip(*(self.run(name) for name in self.runs), strict=True)
        self.features = list(features)
        self.states = self.joined("states", {key: np.concatenate([e[key] for e in states]) for key in states[0]})
        self.variables = self.stored_variables(np.concatenate(variables))
        self.microstates = np.arange(2 * n_states)
        self.msm = str(folder / "msm.npz")
        probability = np.repeat(self.probability() / 2, 2)
        np.savez(
            self.msm,
            active_microstates=self.microstates,
            stationary_distribution=probability,
            macrostate_of_microstate=self.microstates // 2,
            transition_matrix=0.9 * np.eye(len(probability)) + 0.1 * probability,
            lag_ps=10.0,
        )
        self.populations = self.table("states", self.state_rows())
        self.rates = self.table("rates", self.rate_rows())
        self.ck_test = self.table("ck_test", self.ck_rows())
        self.verdict = self.json(
            "ck_test", {"largest_deviation": 0.0321, "largest_deviation_in_errors": 1.2, "verdict": "pass"}
        )
        self.scans = [self.table(name, self.scan_rows(factor)) for name, factor in zip(NAMES, (1.0, 0.8), strict=True)]
        self.histories, self.scores, self.baseline = self.members()
        self.validation()
        self.structures()
        self.interpretation()
        self.pretraining = self.table("encoder", self.pretraining_rows())
        self.sweep = self.table("sweep", self.sweep_rows())
        self.encoder_check = self.json("encoder_check", self.encoder_check_content())

    def probability(self) -> np.ndarray:
        weights = 4.0 ** -np.arange(self.n_states)
        return weights / weights.sum()

    def run(self, trajectory: str) -> tuple[str, dict[str, np.ndarray], np.ndarray]:
        """The store of torsions, states and variables of a trajectory."""
        macrostates = np.repeat(self.rng.choice(self.n_states, self.n_frames // 10, p=self.probability()), 10)
        macrostates[-5:] = -1
        basins = BASINS_DEG[macrostates][:, None] + self.rng.normal(0, 18, (self.n_frames, len(self.residues), 2))
        angles = np.radians(basins)
        features = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(self.n_frames, -1)
        names = [
            f"{part} {angle} {name}" for name in self.residues for angle in ("phi", "psi") for part in ("cos", "sin")
        ]
        variables = np.stack([np.where(macrostates == state, 1.5, -0.5) for state in range(self.n_states)], axis=1)
        microstates = np.where(macrostates < 0, -1, 2 * macrostates + self.rng.integers(0, 2, self.n_frames))
        described = {"system": "toy", "trajectory": trajectory, "frame_interval_ps": 1.0}
        return (
            self.store(f"features-{trajectory}", described | {"names": names}, features=features.astype("f4")),
            {"macrostate": macrostates.astype("i4"), "microstate": microstates.astype("i4")},
            variables.astype("f4"),
        )

    def stored_variables(self, values: np.ndarray, *, latent: bool = False) -> str:
        """The variables of all frames: singular functions, or those of a model of kind spib."""
        names = [f"latent z{place + 1}" if latent else f"function {place + 2}" for place in range(values.shape[1])]
        units = ["" if latent else "standard deviations"] * len(names)
        return self.joined("variables", {"variables": values}, names=names, units=units)

    def joined(self, name: str, arrays: dict[str, np.ndarray], **attributes: list[str]) -> str:
        path = str(self.folder / f"{name}.zarr.zip")
        write_joined(
            path, [StoredTrajectory(run, self.n_frames) for run in self.runs],
            attributes={"system": "toy", "frame_interval_ps": 1.0} | attributes, arrays=arrays,
            axes={key: ("frame", "channel") for key, values in arrays.items() if values.ndim == 2},
        )  # fmt: skip
        return path

    def store(self, name: str, attributes: dict, **arrays: np.ndarray) -> str:
        path = str(self.folder / f"{name}.zarr.zip")
        axes = {key: ("frame", "channel")[: values.ndim] for key, values in arrays.items()}
        write_store(path, attributes=attributes, arrays=arrays, axes=axes)
        return path

    def table(self, name: str, rows: list[dict]) -> str:
        path = str(self.folder / f"{name}.csv")
        pd.DataFrame(rows).to_csv(path, index=False)
        return path

    def json(self, name: str, content: dict) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)

    def state_rows(self) -> list[dict]:
        rows = []
        for state, p in enumerate(self.probability(), start=1):
            kT = np.log(self.probability()[0] / p)
            energy = {"free_energy_kT": kT, "free_energy_kT_lower": 0.9 * kT, "free_energy_kT_upper": 1.1 * kT}
            interval = {"probability": p, "probability_lower": 0.9 * p, "probability_upper": 1.1 * p}
            rows.append(
                {"state": state} | interval | energy | {"n_microstates": 2, "visits": 5, "entries": 4, "exits": 4}
            )
        return rows

    def pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(1, self.n_states + 1) for j in range(1, self.n_states + 1)]

    def rate_rows(self) -> list[dict]:
        rows = []
        for i, j in self.pairs():
            if i != j:
                mfpt = 40.0 / self.probability()[j - 1]
                times = {"mfpt_ps": mfpt, "mfpt_lower_ps": 0.8 * mfpt, "mfpt_upper_ps": 1.3 * mfpt}
                rows.append({"from_state": i, "to_state": j} | times | {"n_transitions": 0 if {i, j} == {1, 3} else 12})
        return rows

    def ck_rows(self) -> list[dict]:
        rows = []
        for i, j in self.pairs():
            for multiple in range(1, 6):
                p = self.probability()[j - 1] + ((i == j) - self.probability()[j - 1]) * np.exp(-0.3 * multiple)
                rows.append(
                    {"lag_ps": 10.0 * multiple, "multiple": multiple, "from_state": i, "to_state": j}
                    | {"predicted": p, "predicted_lower": p - 0.03, "predicted_upper": p + 0.03}
                    | {"estimated": p + 0.02, "estimated_lower": p - 0.02, "estimated_upper": p + 0.06}
                )
        return rows

    def scan_rows(self, factor: float) -> list[dict]:
        rows = []
        for lag in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0):
            for process, slow in enumerate((220.0, 60.0), start=1):
                time = factor * slow * lag / (lag + 1)
                interval = {
                    "lower_ps": time / (1.1 + lag / 200),
                    "upper_ps": time * (1.1 + lag / 200),
                }
                rows.append(
                    {"lag_ps": lag, "process": process, "estimate_ps": time} | interval | {"active_fraction": 1.0}
                )
        return rows

    def scan_inputs(self) -> dict[str, str]:
        """Scans of the model and of the baseline, of their members, and the lags proposed: 5 ps and none."""
        inputs = {}
        for role, scan, proposed_ps in zip(("model", "baseline"), self.scans, (5.0, None), strict=True):
            table = pd.read_csv(scan)[["lag_ps", "process", "estimate_ps"]]
            members = [table.assign(seed=seed, estimate_ps=table.estimate_ps * (0.9 + 0.1 * seed)) for seed in range(3)]
            inputs[role] = scan
            inputs[f"{role}_members"] = self.table(f"members-{role}", pd.concat(members).to_dict("records"))
            inputs[f"{role}_lag"] = self.json(f"lag-{role}", {"proposed_lag_ps": proposed_ps})
        return inputs

    def free_energy(self) -> str:
        """Free energies weighted with the model, with errors but for one bin."""
        with np.load(self.msm) as model:
            weights = frame_weights(
                read_array(self.states, "microstate"),
                model["active_microstates"],
                model["stationary_distribution"],
            )
        bins = pd.concat(
            [free_energy_map(residue, weights) for residue in read_torsions(self.features, like=self.states)]
        )
        error_kT = np.where(np.arange(len(bins)) > 0, 0.1 + bins.free_energy_kT / 10, np.nan)
        return self.table("free_energy", bins.assign(error_kT=error_kT).to_dict("records"))

    def validation(self) -> None:
        """Connectivity, convergence and the consistency of VAMP-2."""
        sets = [
            {"lag_ps": lag, "set": number, "n_microstates": size, "fraction_of_frames": share}
            | {"fraction_of_counts": share**2}
            for lag in (1.0, 10.0)
            for number, size, share in ((1, 6, 0.95), (2, 1, 0.05))
        ]
        self.connectivity = self.table("connectivity", sets)
        self.connectivity_verdict = self.json("connectivity", {"verdict": "warn", "reasons": ["95 % of the frames"]})
        names = ["t2", "t3", *(f"population {state + 1}" for state in range(self.n_states))]
        parts = [
            {"end": end, "fraction": fraction, "quantity": name, "estimate": value}
            | {"lower": 0.8 * value, "upper": 1.3 * value}
            for end, fraction in (("first", 0.5), ("first", 1.0), ("last", 0.5))
            for name, value in zip(names, [220.0, 60.0, *self.probability()], strict=True)
        ]
        self.convergence = self.table("convergence", parts)
        self.convergence_verdict = self.json("convergence", {"verdict": "pass", "largest_difference_in_errors": 1.24})
        scores = [{"lag_ps": lag} | dict.fromkeys(VAMP2, 1 + np.exp(-lag / 100)) for lag in (1.0, 10.0, 20.0)]
        self.vamp2 = self.table("vamp2_consistency", scores)
        members = [
            {"lag_ps": 10.0, "dimensions": dimensions, "score_training": 1.9, "score_validation": 1.8}
            for dimensions in (1, 3)
        ]
        found = {"verdict": "pass", "largest_difference_in_errors": None, "dimensions": 1, "members": members}
        self.vamp2_verdict = self.json("vamp2_consistency", found)

    def interpretation(self) -> None:
        """Importance of one token more than there are residues, attention, and maps of the tokens."""
        tokens = [f"A:{name.replace(' ', '')}" for name in (*self.residues, "NME9")]
        states, places = range(1, self.n_states + 1), ["class token", *tokens]
        importances = [
            {"state": state, "token": token, "residue": name, "method": method}
            | {"share": [0.9, 0.1, 0.0, 0.0, 0.0, 0.0][token], "share_error": 0.02, "untrained_share": 1 / len(tokens)}
            for method, state in product(("occlusion", "gradient", "attention"), states)
            for token, name in enumerate(tokens)
        ]
        self.importance = self.table("importance", importances)
        self.importance_verdict = self.json("importance", {"verdict": "warn", "n_untrained": 9})
        weights = [
            {"state": state, "from_place": one, "to_place": other, "attention": 0.1 * state, "untrained": 0.25}
            for state, one, other in product(states, places, places)
        ]
        self.attention = self.table("attention", weights)
        points = [
            {"encoder": encoder, "token": token, "residue": name, "residue_name": name[2:5], "state": state}
            | {"x": 10 * token + self.rng.normal(), "y": state + self.rng.normal()}
            for encoder, state in product(("pretrained", "random weights"), (0, *states))
            for token, name in [*enumerate(tokens)] * 4
        ]
        self.points = self.table("embedding_map", points)
        found = {"residue_alike": 0.97, "residue_by_chance": 0.5, "state_alike": None, "state_by_chance": None}
        separation = {"pretrained": found | {"state_alike": 0.8, "state_by_chance": 0.3}, "random weights": found}
        self.separation = self.json("embedding_map", {"separation": separation})

    def structures(self) -> None:
        """Observables of every frame, contacts, and structures of the states."""
        names, units = ["rmsd", "helix", "sasa", "energy"], ["nm", "1", "nm²", ""]
        described = {"names": names, "units": units, "every": [1, 1, 2, 1], "frame_interval_ps": 1.0}
        self.observables = []
        for trajectory, macrostate in zip(self.runs, read_pieces(self.states, "macrostate"), strict=True):
            values = self.rng.normal(size=(self.n_frames, 4)) + macrostate[:, None] * [3, 1, 0, 0]
            values[:, 2] = np.where(np.arange(self.n_frames) % 2, np.nan, values[:, 2])
            attributes = described | {"trajectory": trajectory}
            self.observables.append(
                self.store(f"observables-{trajectory}", attributes, observables=values.astype("f4"))
            )
        rows = [
            {"state": state + 1, "observable": name, "unit": unit, "periodic": False}
            | {"mean": state, "standard_deviation": 1.0}
            | {"mean_lower": state - 0.1 if state else None, "mean_upper": state + 0.1 if state else None}
            | {f"quantile_{q:g}": state + 2 * (q - 0.5) for q in (0.05, 0.25, 0.5, 0.75, 0.95)}
            for name, unit in zip(names, units, strict=True)
            for state in range(self.n_states)
        ]
        self.annotation = self.table("annotation", rows)
        contacts = [f"A:LEU{number} A:TRP{number + 4}" for number in range(4 * self.n_states)]
        probabilities = [
            {"state": state, "contact": name, "probability": (state * place / 7) % 1}
            for state in range(1, self.n_states + 1)
            for place, name in enumerate(contacts)
        ]
        self.contacts = self.table("contacts", probabilities)
        self.whole_msm = str(self.folder / "whole_msm.npz")
        with np.load(self.msm) as known:
            memberships = np.repeat(np.eye(self.n_states), 2, axis=0)
            np.savez(self.whole_msm, **known, memberships=memberships, lag_frames=2, eigenvalues=[1, 0.9])
        self.chosen, self.pdbs = [], []
        for state in range(1, self.n_states + 1):
            rows = [{"role": "representative", "trajectory": "run-1", "frame": state}]
            self.chosen.append(self.table(f"state-{state}", [*rows, rows[0] | {"role": "ensemble"}]))
            atoms = [pdb_line("C", "LIG", 1, symbol="C", x=1.5 * place) for place in range(state + 1)]
            self.pdbs.append(str(self.folder / f"state-{state}.pdb"))
            Path(self.pdbs[-1]).write_text("".join(atoms))

    def members(self) -> tuple[list[str], list[str], list[str]]:
        histories, scores, baseline = [], [], []
        for fold in range(2):
            for seed in range(2):
                name = f"fold{fold}-seed{seed}"
                epochs = np.arange(1, 21)
                training = 3.2 - 1.5 * np.exp(-epochs / 3) + 0.02 * seed
                validation = training - 0.05 * (1 + fold) - 0.004 * epochs
                rows = {"epoch": epochs, "training_score": training, "selection_score": validation}
                histories.append(self.table(f"history-{name}", pd.DataFrame(rows).to_dict("records")))
                known = {
                    "fold": fold,
                    "seed": seed,
                    "lag_ps": 10.0,
                    "dimensions": 3,
                    "best_epoch": int(epochs[validation.argmax()]),
                }
                best = {"score_training": training.max(), "score_validation": validation.max()}
                scores.append(self.json(f"scores-{name}", known | best))
                tica = {"score_training": 2.6 + 0.02 * fold, "score_validation": 2.5 - 0.04 * fold}
                baseline.append(self.json(f"tica-{name}", known | tica))
        return histories, scores, baseline

    def pretraining_rows(self) -> list[dict]:
        return [
            {
                "step": 100 * epoch,
                "epoch": epoch,
                "training_mse": 0.9**epoch,
                "r2_all_atom": 1 - 0.8**epoch,
                "r2_heavy": 1 - 0.9**epoch,
            }
            for epoch in range(12)
        ]

    def sweep_rows(self) -> list[dict]:
        """Members of a sweep over two mixers and three lags, and of a baseline that stands at one of the lags."""
        rows = []
        for mixer, lag_ps in [*product(("sum", "none"), (1000.0, 2000.0, 5000.0)), (None, 2000.0)]:
            for fold, seed in product(range(2), range(2 if mixer else 1)):
                score = 3.0 - lag_ps / 5000 + 0.5 * (mixer == "none") + 0.1 * fold + 0.02 * seed
                scores = {"score_training": score + 0.5, "score_training_batch_mean": score + 0.6}
                scores |= {"score_validation": score, "score_validation_batch_mean": score + 0.1}
                costs = {"wall_s": 100 * score, "sampled_memory_mib": 450.0, "peak_memory_mib": 200 * score}
                axes = {"mixer": mixer, "lag_ps": lag_ps, "baseline": None if mixer else "tica_torsions"}
                member = {"fold": fold, "seed": seed, "dimensions": self.n_states, "peak_gpu_memory_mib": 0.0}
                rows.append(axes | member | scores | costs)
        return rows

    def encoder_check_content(self) -> dict:
        elements = [
            {"element": element, "n_atoms": 10 * number, "r2": 0.9 - 0.1 * number, "standard_error": 0.02}
            for number, element in enumerate(("H", "C", "N", "O", "S")[: self.n_states], start=1)
        ]
        return {"r2": 0.62, "standard_error": 0.01, "n_atoms": 60, "elements": elements, "threshold": 0.3}

    def judged(self) -> str:
        """Nine checks, of which no two neighbors have the same verdict."""
        number = "a number that is longer than most of them are"
        rows = [
            table_row(check, Judged(verdict, number, 1.0))
            for check, verdict in zip(QUESTIONS, cycle(VERDICTS), strict=False)
        ]
        return self.json("verdicts", {"headline": headline(rows), "rows": rows})

    def inputs(self, figure: str) -> dict:
        """Inputs and parameters of a figure's main, by its argument names."""
        maps = {"features": self.features}
        return {
            "ramachandran": maps | {"states": self.states},
            "free_energy": {"free_energy": self.free_energy()},
            "singular_functions": maps | {"variables": self.variables},
            "implied_timescales": self.scan_inputs() | {"names": NAMES, "lag_ps": 10.0},
            "connectivity": {"connectivity": self.connectivity, "verdict": self.connectivity_verdict},
            "convergence": {"convergence": self.convergence, "verdict": self.convergence_verdict},
            "vamp2_consistency": {"consistency": self.vamp2, "verdict": self.vamp2_verdict, "lag_ps": 10.0},
            "ck_test": {"ck_test": self.ck_test, "verdict": self.verdict},
            "annotation": {"annotation": self.annotation},
            "state_contacts": {"probabilities": self.contacts},
            "observables_on_variables": {"observables": self.observables, "variables": self.variables}
            | {"states": self.states, "msm": self.whole_msm},
            "variables_scatter": {"states": self.states, "variables": self.variables}
            | {"frames": self.chosen, "structures": self.pdbs},
            "learning_curves": {"histories": self.histories, "scores": self.scores},
            "vamp2_scores": {"model": self.scores, "baseline": self.baseline, "names": NAMES},
            "rates_network": {"states": self.populations, "rates": self.rates, "msm": self.msm},
            "passage_times": {"rates": self.rates},
            "stationary_populations": {"states": self.populations},
            "pretraining": {"history": self.pretraining},
            "encoder_check": {"check": self.encoder_check},
            "verdicts": {"verdicts": self.judged()},
            "token_importance": {"importance": self.importance, "verdict": self.importance_verdict},
            "attention": {"attention": self.attention},
            "embedding_map": {"points": self.points, "scores": self.separation},
            "sweep_grid": {"members": self.sweep, "axes": ["mixer", "lag_ps"]},
            "sweep_curves": {"members": self.sweep, "axes": ["lag_ps", "mixer"]},
            "sweep_bars": {"members": self.sweep, "axes": ["lag_ps", "mixer"]},
            "sweep_costs": {"members": self.sweep, "axes": ["lag_ps", "mixer"]},
            **Dynamics(self.folder, self.probability()).inputs(),
        }[figure]


class WithoutIntervals(Results):
    """The same where the posterior gives no interval, because the counts are too few, and no verdict has a number."""

    def inputs(self, figure: str) -> dict[str, object]:
        """Arguments of the figure's main; the files they name have lost their bounds."""
        arguments = super().inputs(figure)
        for value in arguments.values():
            for path in value if isinstance(value, list) else [value]:
                self.remove_bounds(Path(str(path)))
        return arguments

    def remove_bounds(self, path: Path) -> None:
        if path.suffix == ".csv" and path.exists():
            table = pd.read_csv(path)
            table.assign(**dict.fromkeys(filter(is_bound, table), np.nan)).to_csv(path, index=False)
        elif path.suffix == ".json" and path.exists():
            path.write_text(json.dumps(json.loads(path.read_text(), object_hook=without_bounds)))


def is_bound(name: str) -> bool:
    return "lower" in name or "upper" in name


def without_bounds(content: dict) -> dict:
    judged = ("justified", "largest_difference_in_errors")
    return {key: None if is_bound(key) or key in judged else value for key, value in content.items()}


FIGURES = sorted(path.stem.removeprefix("figure_") for path in (ROOT / "scripts").glob("figure_*.py"))
every_figure = pytest.mark.parametrize("figure", FIGURES)


def script(figure: str):
    """The module of a figure's script, loaded anew."""
    spec = spec_from_file_location(f"figure_{figure}", ROOT / f"scripts/figure_{figure}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Drawn:
    """A figure that was made: its files, its table and Matplotlib's figure."""

    def __init__(self, figure: str, results: Results, folder: Path):
        module, kept = script(figure), []
        folder.mkdir(exist_ok=True, parents=True)

        def keep(drawn, table, **paths):
            kept.append((drawn, table))
            save_figure(drawn, table, **paths)

        module.save_figure = keep
        self.pdf, self.png, self.csv = (folder / f"{figure}.{ending}" for ending in ("pdf", "png", "csv"))
        module.main(**results.inputs(figure), style=STYLE, pdf=str(self.pdf), png=str(self.png), table=str(self.csv))
        (self.figure, self.table), self.saved = kept[0], pd.read_csv(self.csv)
        self.axes = [ax for ax in self.figure.axes if ax.get_label() != "<colorbar>"]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    return Results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def without_intervals(tmp_path_factory) -> WithoutIntervals:
    return WithoutIntervals(tmp_path_factory.mktemp("without_intervals"))


@pytest.fixture(scope="module")
def larger_results(tmp_path_factory) -> list[Results]:
    """Two and five states, and more residues than are drawn."""
    residues = ("TRP1", "ALA2", "B LEU3", "ALA4", "LEU5")
    folder = tmp_path_factory.mktemp("larger")
    return [Results(folder / str(n), n_states=n, residues=residues[: 2 * n], n_frames=100) for n in (2, 5)]


@pytest.fixture(scope="module")
def larger_drawings(larger_results, tmp_path_factory):
    """Each figure of the two larger systems, drawn once for all tests."""
    folder = tmp_path_factory.mktemp("larger_drawings")
    return cache(lambda figure: [Drawn(figure, results, folder / f"{results.n_states}") for results in larger_results])


@pytest.fixture(scope="module")
def draw(results, tmp_path_factory):
    """Each figure of the three-state system, drawn once for all tests."""
    folder = tmp_path_factory.mktemp("drawn")
    return cache(lambda figure: Drawn(figure, results, folder))


def test_every_figure_has_a_case_and_a_caption(results):
    for figure in FIGURES:
        assert results.inputs(figure)
        assert (ROOT / f"workflow/report/{figure}.rst").stat().st_size > 200


@every_figure
def test_a_figure_is_a_pdf_a_png_and_a_table(figure, draw):
    drawn = draw(figure)
    assert drawn.pdf.read_bytes().startswith(b"%PDF")
    assert drawn.png.read_bytes().startswith(b"\x89PNG")
    assert len(drawn.saved) == len(drawn.table) > 0
    assert not list(drawn.pdf.parent.glob("*.part"))


@every_figure
def test_equal_data_give_equal_bytes(figure, draw, results, tmp_path):
    first, second = draw(figure), Drawn(figure, results, tmp_path)
    for name in ("pdf", "png", "csv"):
        assert getattr(first, name).read_bytes() == getattr(second, name).read_bytes()


@every_figure
def test_a_figure_is_one_or_two_columns_wide_and_fits_a_page(figure, draw):
    width_mm, height_mm = 25.4 * draw(figure).figure.get_size_inches()
    assert min(abs(width_mm - 85), abs(width_mm - 178)) < 0.1
    assert height_mm < 240


WITHOUT_UNIT = {"VAMP-2 score", "epoch", "state", "to state", "from state", "stationary probability"} | {
    "R² of the denoising head",
    "element and number of atoms",
    "share of the data in the model",
    "number of microstates or sets",
    "share of every trajectory",
    "share of the importance in a state",
    "attention weight",
    "energy",
    *(f"function {number}" for number in (2, 3, 4)),
    *(f"latent z{number}" for number in (1, 2, 3)),
    "t-SNE coordinates without scale",
    "to",
    "from",
    "mixer",
    "first variable of the model",
    "second variable",
    "committor",
    "microstates, by committor",
    "share of the flux (%)",
    "autocorrelation of eigenfunctions",
    "probability to be where it started",
    "process",
    "membership",
    "stationary probability of the microstates",
    "population",
    "states (numbers) or sets (letters)",
    "net current / sum of both directions",
}


@pytest.mark.parametrize(("threshold", "lines"), [(0.3, 2), (None, 1)])
def test_the_encoder_check_shows_the_minimum_and_all_atoms_first(threshold, lines, results):
    module, (figure, axes) = script("encoder_check"), start_figure(STYLE, columns=1)
    scores = module.score_table(results.encoder_check_content())
    module.plot_encoder_check(axes[0, 0], scores, threshold=threshold)
    assert scores.atoms.tolist() == ["all", "H", "C", "N"]
    assert [bar.get_height() for bar in axes[0, 0].patches] == pytest.approx([0.62, 0.8, 0.7, 0.6])
    levels = [line.get_ydata()[0] for line in axes[0, 0].lines if len(set(line.get_ydata())) == 1]
    assert levels == [0, threshold][:lines]
    assert figure.axes


@every_figure
def test_every_axis_says_its_unit(figure, draw):
    drawn = draw(figure).figure
    labels = {label for ax in drawn.axes for label in (ax.get_xlabel(), ax.get_ylabel()) if label}
    labels |= {text for text in (drawn.get_supxlabel(), drawn.get_supylabel()) if text}
    assert labels or figure in ("rates_network", "verdicts")
    bare = {
        label
        for label in labels - WITHOUT_UNIT
        if not re.search(r"\((°|nm|nm²|fraction|kT|ps|ns|µs|s|MiB|standard deviations|validation)\)$", label)
    }
    assert bare <= {"transition probability"}


@every_figure
def test_no_label_is_cut_off_or_lies_on_another(figure, draw, larger_drawings):
    for drawn in (draw(figure), *larger_drawings(figure)):
        check_labels(drawn.figure)


def check_labels(drawn) -> None:
    drawn.draw_without_rendering()
    page, boxes = drawn.bbox, {text: text.get_window_extent() for text in labels_of(drawn)}
    for text, box in boxes.items():
        assert page.x0 - 1 <= box.x0 <= box.x1 <= page.x1 + 1, text
        assert page.y0 - 1 <= box.y0 <= box.y1 <= page.y1 + 1, text
    for one, other in combinations(boxes, 2):
        overlap = Bbox.intersection(boxes[one], boxes[other])
        assert overlap is None or min(overlap.width, overlap.height) < 2, (one, other)


def labels_of(drawn) -> list:
    """Every visible text of a figure but the numbers at its ticks."""
    texts = [text for text in (drawn._suptitle, drawn._supxlabel, drawn._supylabel) if text]
    for ax in drawn.axes:
        texts += [
            ax.title,
            ax.xaxis.label,
            ax.yaxis.label,
            *ax.texts,
            *(ax.get_legend().get_texts() if ax.get_legend() else []),
            *(label for label in ax.get_xticklabels() if re.search("[a-z]→", label.get_text())),
        ]
    for legend in drawn.legends:
        texts += legend.get_texts()
    return [text for text in texts if text.get_text().strip() and text.get_visible()]


@every_figure
def test_two_and_five_states_and_many_residues_are_drawn(figure, larger_drawings):
    for drawn in larger_drawings(figure):
        assert drawn.pdf.stat().st_size < 1_000_000


@every_figure
def test_a_figure_is_drawn_without_intervals_where_there_are_none(figure, without_intervals, tmp_path):
    drawn = Drawn(figure, without_intervals, tmp_path)
    assert drawn.saved[list(filter(is_bound, drawn.saved))].isna().all(axis=None)
    texts = [text.get_text() for text in drawn.figure.findobj(Text)]
    assert not [text for text in texts if "nan" in text or "∞" in text]


def test_the_map_is_the_table_in_the_colors_of_the_states(draw):
    drawn = draw("ramachandran")
    image = drawn.axes[0].images[0].get_array()
    for row in drawn.saved.itertuples():
        pixel = image[round((row.psi_deg + 177) / 6), round((row.phi_deg + 177) / 6)]
        assert to_hex(pixel).lower() == to_hex(state_color(row.state)).lower()
        assert pixel[3] > 0.2
    assert (image[..., 3] > 0).sum() == len(drawn.saved)
    assert drawn.saved.frames.sum() == 600
    assert 0 in set(drawn.saved.state)


def test_state_colors_agree_between_figures(draw):
    colors = {1: state_color(1), 2: state_color(2), 3: state_color(3)}
    bars = [to_hex(bar.get_facecolor()) for bar in draw("stationary_populations").axes[0].patches]
    nodes = [to_hex(node.get_facecolor()[0]) for node in draw("rates_network").axes[0].collections]
    predictions = [to_hex(ax.lines[0].get_color()) for ax in draw("ck_test").axes[:3]]
    legend = [to_hex(patch.get_facecolor()) for patch in draw("ramachandran").figure.legends[0].get_patches()[:3]]
    expected = [color.lower() for color in colors.values()]
    assert bars == nodes == predictions == legend == expected


def test_processes_and_models_do_not_borrow_the_color_of_a_state(draw):
    for figure in ("implied_timescales", "vamp2_scores", "learning_curves", "pretraining"):
        for ax in draw(figure).axes:
            for line in ax.lines:
                red, green, blue = matplotlib.colors.to_rgb(line.get_color())
                assert red == green == blue


def test_four_residues_that_vary_most_are_drawn_in_the_order_of_the_chain(tmp_path):
    results = Results(tmp_path / "results", residues=("TRP1", "ALA2", "GLY3", "ALA4", "LEU5"))
    for path in results.features:
        attributes, features = read_attributes(path), read_array(path, "features")
        features[:, 8:12] = [1, 0, 1, 0]
        results.store(Path(path).name.removesuffix(".zarr.zip"), attributes, features=features)
    drawn = Drawn("ramachandran", results, tmp_path)
    assert list(drawn.saved.residue.unique()) == ["TRP1", "ALA2", "ALA4", "LEU5"]
    assert [ax.get_title() for ax in drawn.axes] == ["TRP1", "ALA2", "ALA4", "LEU5"]


def test_free_energy_follows_the_model_not_the_counts(draw, results):
    bins = draw("free_energy").saved
    assert bins.free_energy_kT.min() == 0
    in_basin = [
        bins[(bins.phi_deg - phi).abs().lt(50) & (bins.psi_deg - psi).abs().lt(45)] for phi, psi in BASINS_DEG[:2]
    ]
    populations = [np.exp(-basin.free_energy_kT).sum() for basin in in_basin]
    expected = results.probability()[0] / results.probability()[1]
    assert populations[0] / populations[1] == pytest.approx(expected, rel=0.15)


def test_mean_singular_functions_are_drawn(draw):
    drawn = draw("singular_functions")
    assert [ax.get_title() for ax in drawn.axes] == [f"function {n}, ALA2" for n in (2, 3, 4)]
    image = drawn.axes[0].images[0].get_array()
    assert np.isfinite(image).sum() == (drawn.saved.variable == "function 2").sum()
    assert drawn.saved["mean"].between(-0.5, 1.5).all()


def test_timescales_are_drawn_in_the_unit_of_the_label_with_the_chosen_lag_and_the_gray_region(draw, results):
    drawn = draw("implied_timescales")
    model, baseline = drawn.axes
    assert model.get_ylabel() == "implied timescale (ps)"
    scan = pd.read_csv(results.scans[0])
    np.testing.assert_allclose(model.lines[0].get_ydata(), scan[scan.process == 1].estimate_ps)
    np.testing.assert_allclose(baseline.lines[0].get_ydata(), 0.8 * scan[scan.process == 1].estimate_ps)
    chosen = [line for line in model.lines if list(line.get_xdata()) == [10, 10]]
    assert len(chosen) == 1
    (gray,) = model.patches
    assert gray.get_path().contains_points([(10, 9), (100, 2)]).all()
    assert not gray.get_path().contains_points([(10, 11), (2, 100)]).any()


def written_ticks(axis) -> dict[float, Text]:
    """Labels that a drawn axis shows, by their place on it."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    shown = [tick for tick in ticks if low <= tick.get_loc() <= high and tick.label1.get_visible()]
    return {tick.get_loc(): tick.label1 for tick in shown if tick.label1.get_text()}


def scans_that_differ(folder: Path, factors: tuple[float, float], *, widest: float) -> Results:
    """Scans of model and baseline with timescales times so much, and intervals up to so many times the estimate."""
    results = Results(folder)
    for path, factor in zip(results.scans, factors, strict=True):
        scan = pd.read_csv(path)
        times = scan.filter(regex="_ps$").columns.drop("lag_ps")
        scan[times] *= factor
        scan.assign(lower_ps=scan.estimate_ps / 30, upper_ps=scan.estimate_ps * widest).to_csv(path, index=False)
    return results


@pytest.mark.parametrize("factors", [(1.0, 60.0), (60.0, 1.0), (1.0, 0.01)])
def test_all_timescales_and_intervals_of_model_and_baseline_lie_within_the_axis(factors, tmp_path):
    drawn = Drawn("implied_timescales", scans_that_differ(tmp_path, factors, widest=50.0), tmp_path)
    for ax in drawn.axes:
        low, high = ax.get_ylim()
        lines = [line.get_ydata() for line in ax.lines if line.get_linestyle() != "--" and len(line.get_ydata())]
        bands = [path.vertices[:, 1] for band in ax.collections for path in band.get_paths()]
        assert len(lines) == 6
        assert len(bands) == 2
        values = np.concatenate([*lines, *bands])
        assert low < np.nanmin(values)
        assert np.nanmax(values) < high


def test_a_posterior_without_upper_bound_does_not_squeeze_the_timescales(tmp_path):
    drawn = Drawn("implied_timescales", scans_that_differ(tmp_path, (1.0, 1.0), widest=1e12), tmp_path)
    estimates = drawn.saved.estimate_ps
    for ax in drawn.axes:
        low, high = ax.get_ylim()
        assert low < estimates.min() < estimates.max() < high
        assert high < 200 * estimates.max()


def test_convergence_shows_the_whole_interval_of_a_timescale(tmp_path):
    results = Results(tmp_path)
    parts = pd.read_csv(results.convergence)
    parts.assign(lower=parts.estimate / 40, upper=parts.estimate * 40).to_csv(results.convergence, index=False)
    drawn = Drawn("convergence", results, tmp_path)
    times = drawn.saved[drawn.saved.quantity.str.startswith("t")]
    low, high = drawn.axes[0].get_ylim()
    assert low < times.lower.min()
    assert times.upper.max() < high


@every_figure
def test_logarithmic_axes_have_plain_numbers(figure, draw):
    drawn = draw(figure).figure
    drawn.draw_without_rendering()
    for axis in (axis for ax in drawn.axes for axis in (ax.xaxis, ax.yaxis) if axis.get_scale() == "log"):
        for place, label in written_ticks(axis).items():
            if 0.01 <= place <= 10_000:
                assert float(label.get_text()) == pytest.approx(place)


@every_figure
def test_no_process_is_numbered_otherwise_than_its_timescale(figure, draw):
    texts = [text.get_text() for text in draw(figure).figure.findobj(Text)]
    assert not [text for text in texts if re.search(r"process (\d|i$)", text)]


@pytest.mark.parametrize("figure", ["hmm", "reversibility", "memberships"])
def test_processes_on_an_axis_are_named_by_their_timescales(figure, draw):
    drawn = draw(figure)
    drawn.figure.draw_without_rendering()
    (ax,) = [ax for ax in drawn.axes if ax.get_xlabel() == "process"]
    labels = [label.get_text() for label in written_ticks(ax.xaxis).values()]
    slowest = max(bars[0].get_ydata().max() for bars in ax.containers)
    (place,) = {round(x) for bars in ax.containers for x, y in bars[0].get_xydata() if y == slowest}
    named = {round(x): label.get_text() for x, label in written_ticks(ax.xaxis).items()}
    assert named[place] == "$t_{2}$"
    assert len(labels) == len(set(labels)) >= 2
    assert all(re.fullmatch(r"\$t_\{\d+\}\$", label) for label in labels)


def test_the_relaxation_names_processes_by_their_timescales(draw):
    legend = draw("relaxation").axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["$t_{2}$", "$t_{3}$"]


def test_the_currents_say_what_numbers_and_letters_are(draw):
    currents = draw("reversibility").axes[2]
    names = "".join(label.get_text() for label in currents.get_xticklabels())
    assert re.search("[a-e]", names)
    assert re.search("states.*number.*sets.*letter", currents.get_xlabel(), re.DOTALL)


def test_the_strokes_are_the_range_of_the_members_and_the_title_is_the_proposed_lag(draw, results):
    model, baseline = draw("implied_timescales").axes
    estimate = pd.read_csv(results.scans[0]).query("process == 1").estimate_ps
    strokes = [line for line in model.lines if line.get_marker() == "_"]
    for stroke, factor in zip(strokes[:2], (0.9, 1.1), strict=True):
        np.testing.assert_allclose(stroke.get_ydata(), factor * estimate)
    assert model.get_title() == "vampnet, flat from 5 ps on"
    assert baseline.get_title() == "tica torsions, flat nowhere"


def test_connectivity_draws_the_largest_set_and_counts_all(draw):
    drawn = draw("connectivity")
    shares, numbers = drawn.axes
    assert [line.get_ydata().tolist() for line in shares.lines] == [[0.95] * 2, [0.95**2] * 2]
    assert [line.get_ydata().tolist() for line in numbers.lines] == [[7, 7], [6, 6], [2, 2]]
    assert drawn.figure.get_suptitle() == "warn: 95 % of the frames"


def test_the_second_half_is_drawn_beside_the_first_with_an_open_symbol(draw):
    drawn = draw("convergence")
    times, populations = drawn.axes
    assert times.get_ylabel() == "implied timescale (ps)"
    opened = [line for line in populations.lines if line.get_markerfacecolor() == "1"]
    np.testing.assert_allclose([line.get_ydata()[0] for line in opened], [16 / 21, 4 / 21, 1 / 21])
    assert all(0.5 < line.get_xdata()[0] < 0.55 for line in opened)
    assert drawn.figure.get_suptitle() == "pass: halves differ by up to 1.2 errors"


def test_members_that_score_other_functions_are_left_out(draw):
    drawn = draw("vamp2_consistency")
    members = drawn.saved[drawn.saved.data != "all frames"]
    assert members.score.tolist() == [1.9, 1.8]
    assert drawn.axes[0].get_title() == "pass: no lag could be compared"


def test_importance_shows_every_way_with_untrained_networks_behind(draw, results):
    drawn = draw("token_importance")
    assert [ax.get_title().split("\n")[-1] for ax in drawn.axes] == ["occlusion", "gradient", "attention"]
    assert drawn.axes[0].get_title().startswith("warn; gray: mean of 9 untrained networks")
    for ax in drawn.axes:
        assert [bar.get_height() for bar in ax.patches] == [0.5, 0.5]
        points = [bar[0] for bar in ax.containers[1:]]
        assert [to_hex(line.get_color()) for line in points] == [state_color(state).lower() for state in (1, 2, 3)]
        assert all(line.get_ydata().tolist() == [0.9, 0.1] for line in points)


def test_attention_has_one_scale_and_ends_with_untrained_networks(draw):
    panels = draw("attention").axes
    assert [ax.get_title() for ax in panels] == ["state 1", "state 2", "state 3", "untrained, all states"]
    images = [ax.images[0] for ax in panels]
    assert [image.get_clim() for image in images] == 4 * [pytest.approx((0, 0.3))]
    np.testing.assert_allclose([image.get_array().mean() for image in images], [0.1, 0.2, 0.3, 0.25])


def test_maps_are_colored_by_residue_above_and_by_state_below(draw):
    above, above_random, below, below_random = draw("embedding_map").axes
    assert [text.get_text() for text in above.texts] == ["ALA", "NME"]
    assert above.get_title() == "pretrained\nresidue type: 97% of neighbors alike (chance 50%)"
    assert below.get_title() == "state: 80% of neighbors alike (chance 30%)"
    assert below_random.get_title() == "state: nothing to compare"
    colors = {to_hex(points.get_facecolor()[0]) for points in below.collections}
    assert colors == {to_hex(state_color(state)) for state in range(4)}
    assert not colors & {to_hex(points.get_facecolor()[0]) for points in above_random.collections}


def test_annotation_has_a_point_per_state_and_no_bar_where_there_is_no_interval(draw):
    drawn = draw("annotation")
    assert [ax.get_ylabel() for ax in drawn.axes] == ["RMSD (nm)", "helix (fraction)", "SASA (nm²)", "energy"]
    for ax in drawn.axes:
        point, caps, (bars,) = ax.containers[0]
        assert point.get_ydata().tolist() == [0, 1, 2]
        assert sum(len(segment) == 2 and np.isfinite(segment).all() for segment in bars.get_segments()) == 2
        spreads = [line for line in ax.lines if line not in (point, *caps)]
        assert [to_hex(line.get_color()) for line in spreads[::2]] == [state_color(n).lower() for n in (1, 2, 3)]


def test_an_angle_that_turns_a_little_past_180_degrees_does_not_push_out_what_differs():
    rows = [("omega", True, 179.0, 8.0), ("omega", True, -179.0, 8.0)]
    rows += [(f"distance {place}", False, mean, 1.0) for place in range(20) for mean in (0.0, 1 + 0.1 * place)]
    table = pd.DataFrame(rows, columns=["observable", "periodic", "mean", "standard_deviation"])
    assert script("annotation").most_telling(table) == [f"distance {place}" for place in range(4, 20)]


def test_contacts_that_differ_most_come_first_and_a_single_chain_is_not_named(draw, results):
    (ax,) = draw("state_contacts").axes
    image = ax.images[0].get_array()
    spread = image.max(axis=1) - image.min(axis=1)
    assert (np.diff(spread) <= 1e-12).all()
    wide = pd.read_csv(results.contacts).pivot(index="contact", columns="state", values="probability")
    assert spread[0] == pytest.approx((wide.max(axis=1) - wide.min(axis=1)).max())
    first = ax.get_yticklabels()[0].get_text()
    assert re.fullmatch(r"LEU\d+ – TRP\d+", first)
    np.testing.assert_allclose(image[0], wide.loc["A:" + first.replace(" – ", " A:")])


def test_without_a_contact_that_differs_the_figure_says_so(tmp_path):
    results = Results(tmp_path / "results")
    Path(results.contacts).write_text("state,contact,probability,probability_lower,probability_upper\n")
    drawn = Drawn("state_contacts", results, tmp_path)
    assert [text.get_text() for text in drawn.axes[0].texts] == ["no contact tells the states apart"]


def test_slow_variables_are_drawn_against_what_explains_them_best(draw):
    drawn = draw("observables_on_variables")
    titles = [ax.get_title() for ax in drawn.axes]
    assert titles[:3] == [f"function {number} (standard deviations)" for number in (2, 3, 4)]
    curves = drawn.saved[drawn.saved.other_observable.isna()]
    best = curves.groupby(["variable", "observable"]).explained.first().unstack().idxmax(axis=1)
    assert best["function 2"] == "rmsd"
    assert drawn.axes[3].get_xlabel() == "RMSD (nm)"
    value = curves[(curves.variable == "function 2") & (curves.observable == "rmsd")]
    np.testing.assert_allclose(drawn.axes[3].lines[0].get_ydata(), value["mean"], rtol=1e-5)
    assert titles[3] == f"function 2, {value.explained.iloc[0]:.0%} explained"


def test_frames_are_scattered_in_three_planes_and_in_space_with_a_star_per_state(draw, results):
    drawn = draw("variables_scatter")
    labels = {(ax.get_xlabel(), ax.get_ylabel()) for ax in drawn.axes if "function" in ax.get_xlabel()}
    assert labels == {(f"function {x}", f"function {y}") for x, y in ((2, 3), (2, 4), (3, 4))}
    assert [ax.get_title() for ax in drawn.axes if "state" in ax.get_title()] == ["state 1", "state 2", "state 3"]
    stars = drawn.saved[drawn.saved.role == "representative"]
    np.testing.assert_allclose(
        stars[["function 2", "function 3"]], read_pieces(results.variables, "variables")[1][1:4, :2]
    )
    np.testing.assert_allclose(drawn.axes[0].collections[-1].get_offsets(), stars[["function 2", "function 3"]])
    assert sum(ax.name == "3d" for ax in drawn.figure.axes) == 1
    sticks = [len(ax.collections[0].get_segments()) for ax in drawn.axes if "state" in ax.get_title()]
    assert sticks == [1, 2, 3]


def test_a_single_slow_variable_is_drawn_over_the_time(tmp_path):
    results = Results(tmp_path / "results")
    results.stored_variables(read_array(results.variables, "variables")[:, :1])
    first, *_ = Drawn("variables_scatter", results, tmp_path).axes
    assert (first.get_xlabel(), first.get_ylabel()) == ("time (ps)", "function 2")


@pytest.mark.parametrize("figure", ["singular_functions", "observables_on_variables", "variables_scatter"])
def test_latent_variables_are_not_called_singular_functions(figure, tmp_path):
    results = Results(tmp_path / "results")
    results.stored_variables(read_array(results.variables, "variables"), latent=True)
    drawn = Drawn(figure, results, tmp_path)
    texts = {text.get_text() for text in drawn.figure.findobj(Text)} | set(drawn.saved)
    texts |= set(drawn.saved.get("variable", []))
    assert any("latent z1" in text for text in texts)
    assert not [text for text in texts if "function" in text or "standard deviations" in text]


def test_a_ck_test_without_comparisons_says_so():
    assert script("ck_test").largest_deviation({"largest_deviation": None}) == "nothing could be compared"


def test_the_ck_test_names_its_largest_deviation(draw):
    drawn = draw("ck_test")
    assert drawn.figure.get_suptitle() == "pass: the largest deviation is 0.032, and 1.2 standard errors"
    assert [ax.get_title() for ax in drawn.axes[:4]] == ["1 → 1", "1 → 2", "1 → 3", "2 → 1"]
    pair = drawn.saved[(drawn.saved.from_state == 1) & (drawn.saved.to_state == 2)]
    np.testing.assert_allclose(drawn.axes[1].lines[0].get_ydata(), pair.predicted, rtol=1e-6)


def rare_transitions(folder: Path, *, n_states: int, probability: float) -> Drawn:
    """The Chapman-Kolmogorov test of a system that hardly ever leaves a state."""
    results = Results(folder, n_states=n_states)
    pairs = pd.read_csv(results.ck_test)
    numbers = pairs.filter(regex="predicted|estimated").columns
    rare = pairs.from_state != pairs.to_state
    pairs.loc[rare, numbers] *= probability
    pairs.loc[~rare, numbers] = 1 - probability * pairs.loc[~rare, numbers]
    pairs.to_csv(results.ck_test, index=False)
    return Drawn("ck_test", results, folder)


@pytest.mark.parametrize("n_states", [2, 3, 5])
@pytest.mark.parametrize("probability", [1.0, 0.007, 0.0003])
def test_rare_transitions_fill_their_panels_of_the_ck_test(n_states, probability, tmp_path):
    drawn = rare_transitions(tmp_path, n_states=n_states, probability=probability)
    for ax, (_, pair) in zip(drawn.axes, drawn.saved.groupby(["from_state", "to_state"]), strict=True):
        if pair.from_state.iloc[0] == pair.to_state.iloc[0]:
            assert ax.get_ylim() == (-0.05, 1.05)
            continue
        highest = pair[["predicted_upper", "estimated_upper"]].max(axis=None)
        low, high = ax.get_ylim()
        assert low < 0 < highest < high < 1.5 * highest


@pytest.mark.parametrize("n_states", [2, 3, 5])
@pytest.mark.parametrize("probability", [1.0, 0.007, 0.0003])
def test_ticks_of_the_ck_test_are_written_out_uncut_and_apart(n_states, probability, tmp_path):
    figure = rare_transitions(tmp_path, n_states=n_states, probability=probability).figure
    figure.draw_without_rendering()
    page, labels = figure.bbox, []
    for ax in figure.axes:
        ticks = written_ticks(ax.yaxis)
        assert len(ticks) >= 2
        numbers = [float(label.get_text().replace("−", "-")) for label in ticks.values()]
        assert numbers == pytest.approx(list(ticks))
        labels += [*ticks.values(), *(written_ticks(ax.xaxis).values() if ax in figure.axes[-n_states:] else [])]
    boxes = [label.get_window_extent() for label in [*labels, *labels_of(figure)]]
    for box in boxes:
        assert page.x0 <= box.x0 <= box.x1 <= page.x1
        assert page.y0 <= box.y0 <= box.y1 <= page.y1
    overlaps = [Bbox.intersection(one, other) for one, other in combinations(boxes, 2)]
    assert not [each for each in overlaps if each and min(each.width, each.height) > 1]


def test_a_transition_that_is_never_seen_has_a_panel_too(tmp_path):
    drawn = rare_transitions(tmp_path, n_states=2, probability=0.0)
    assert all(ax.get_ylim()[1] > 0 for ax in drawn.axes)


def test_the_kept_epoch_is_marked_on_every_learning_curve(draw, results):
    for ax in draw("learning_curves").axes:
        held_out = [line for line in ax.lines if "selection" in line.get_label()]
        assert len(held_out) == 2
        for line in held_out:
            assert line.get_markevery() == list(line.get_ydata() == line.get_ydata().max())


def test_a_model_without_scores_per_epoch_shows_its_loss(tmp_path):
    results = Results(tmp_path / "results")
    for path in results.histories:
        rows = {
            "epoch": range(1, 21),
            "training_loss": np.linspace(2, 1, 20),
            "validation_loss": np.linspace(2, 1.5, 20),
        }
        pd.DataFrame(rows).to_csv(path, index=False)
    for ax in Drawn("learning_curves", results, tmp_path).axes:
        ends = {line.get_label().split()[-1]: line.get_ydata()[-1] for line in ax.lines}
        assert ends == {"training": 1.0, "validation": 1.5}
        assert ax.get_ylabel() in ("", "information bottleneck loss")


def test_scores_have_mean_deviation_and_upper_bound(draw):
    drawn = draw("vamp2_scores")
    (ax,) = drawn.axes
    validation = drawn.saved[(drawn.saved.model == "vampnet") & (drawn.saved.data == "validation")].score
    bars = {tuple(np.round(bar.get_segments()[0][:, 1], 5)) for bar in ax.collections}
    expected = validation.mean() - validation.std(ddof=1), validation.mean() + validation.std(ddof=1)
    assert tuple(np.round(expected, 5)) in bars
    bounds = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert {value for line in bounds for value in line.get_ydata()} == {4}


def test_node_areas_are_probabilities_and_unseen_transitions_have_no_arrow(draw, results):
    (network,) = draw("rates_network").axes
    areas = np.array([node.get_sizes()[0] for node in network.collections])
    np.testing.assert_allclose(areas / areas.sum(), results.probability())
    assert len([text for text in network.texts if getattr(text, "arrow_patch", None)]) == 4
    assert "mean first passage time" in network.get_title()


def test_the_names_of_states_lie_beside_their_nodes(draw, larger_drawings):
    for drawn in (draw("rates_network"), *larger_drawings("rates_network")):
        drawn.figure.draw_without_rendering()
        (network,) = drawn.axes
        names = [text.get_window_extent() for text in network.texts if text.get_text().startswith("state")]
        assert len(network.collections) == len(names)
        for node in network.collections:
            x, y = network.transData.transform(node.get_offsets())[0]
            radius = np.sqrt(node.get_sizes()[0] / np.pi) * drawn.figure.dpi / 72
            for name in names:
                gap = np.hypot(x - np.clip(x, name.x0, name.x1), y - np.clip(y, name.y0, name.y1))
                assert gap > radius


def test_every_passage_time_is_written_with_its_interval(draw):
    drawn = draw("passage_times")
    texts = {tuple(map(float, text.xy)): [] for text in drawn.axes[0].texts}
    for text in drawn.axes[0].texts:
        texts[tuple(map(float, text.xy))].append(text.get_text())
    assert texts[2.0, 1.0] == ["210", "168–273"]
    assert len(texts) == 6


def test_the_grid_of_a_sweep_holds_every_mean_and_the_best_of_a_lag_is_bold(draw, results):
    (grid,) = draw("sweep_grid").axes
    members = pd.read_csv(results.sweep)
    texts = {(*text.xy, text.get_fontweight()): text.get_text() for text in grid.texts if "±" in text.get_text()}
    assert [label.get_text() for label in grid.get_xticklabels()] == ["sum", "none"]
    assert [label.get_text() for label in grid.get_yticklabels()] == ["1", "2", "5", "tica torsions (lag 2 ns)"]
    assert len(texts) == 7
    best = members[(members.mixer == "none") & (members.lag_ps == 1000)].score_validation
    assert texts[1, 0, "bold"] == f"{best.mean():.2f} ± {best.std(ddof=1):.2f}"
    # A lag has two mixers, and one of them also the baseline.
    assert [weight for *_, weight in texts].count("bold") == 3
    small = next(text.get_text() for text in grid.texts if text.xy == (1, 0) and "|" in text.get_text())
    assert small == f"{best.mean() + 0.1:.2f} | {best.mean() + 0.5:.2f}"


def test_curves_of_a_sweep_are_means_with_deviations_over_folds_and_seeds(draw):
    drawn = draw("sweep_curves")
    (ax,) = drawn.axes
    points = drawn.saved[drawn.saved.baseline.isna() & (drawn.saved.mixer == "sum")]
    solid = next(bar for bar in ax.containers if bar.get_label() == "mixer sum")
    np.testing.assert_allclose(solid[0].get_ydata().astype(float), points.score_validation_mean, rtol=1e-6)
    heights = [np.ptp(segment[:, 1]) / 2 for segment in solid[2][0].get_segments()]
    np.testing.assert_allclose(heights, points.score_validation_sd, rtol=1e-5)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "5"]
    assert ax.get_xlabel() == "lag (ns)"
    (baseline,) = [line for line in ax.lines if line.get_label() == "tica torsions (lag 2 ns)"]
    assert list(baseline.get_xdata()) == [2000.0]


def test_bars_of_a_sweep_show_their_members_but_not_those_of_baselines(draw, results):
    (ax,) = draw("sweep_bars").axes
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    members = pd.read_csv(results.sweep).dropna(subset="mixer")
    assert sorted(y for line in dots for y in line.get_ydata()) == pytest.approx(sorted(members.score_validation))
    # The bars of a group stand side by side.
    edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.containers[0].patches)
    others = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.containers[3].patches)
    assert [right for _, right in edges] == pytest.approx([left for left, _ in others])


def test_costs_of_a_sweep_are_those_of_the_gpu_where_one_was_used(draw, results, tmp_path):
    assert [ax.get_ylabel() for ax in draw("sweep_costs").axes] == [
        "wall time of a training (s)", "peak memory of a training (MiB)",
    ]  # fmt: skip
    on_gpu = Results(tmp_path / "results")
    table = pd.read_csv(on_gpu.sweep).assign(peak_gpu_memory_mib=300.0)
    table.to_csv(on_gpu.sweep, index=False)
    memory = Drawn("sweep_costs", on_gpu, tmp_path).axes[1]
    assert memory.get_ylabel() == "peak memory on the GPU (MiB)"
    assert {y for bars in memory.containers for y in bars[0].get_ydata()} == {300.0}


def test_free_energies_are_relative_to_the_most_probable_state(draw):
    drawn = draw("stationary_populations")
    heights = drawn.axes[1].collections[-1].get_offsets()[:, 1]
    np.testing.assert_allclose(heights, np.log(4) * np.arange(3), atol=1e-9)


def test_stores_of_other_trajectories_are_refused(results, tmp_path):
    arguments = results.inputs("ramachandran") | {"features": results.features[::-1]}
    files = {"pdf": str(tmp_path / "a.pdf"), "png": str(tmp_path / "a.png"), "table": str(tmp_path / "a.csv")}
    with pytest.raises(ValueError, match=r"trajectory 'run-1', but .* has 'run-0' there"):
        script("ramachandran").main(**arguments, style=STYLE, **files)


def test_a_system_without_phi_and_psi_has_figures_that_say_so(tmp_path):
    bare, like = Results(tmp_path), {"trajectory": "run-0", "names": ["cos psi ALA1", "sin psi ALA1"]}
    path, bare.runs = bare.store("bare", like, features=np.ones((300, 2), "f4")), ("run-0",)
    bare.joined("states", {"macrostate": np.zeros(300, "i4")})
    (tmp_path / "free_energy.csv").write_text(",".join(FREE_ENERGY_COLUMNS) + "\n")
    for figure, first in {
        "ramachandran": ([path], bare.states),
        "singular_functions": ([path], bare.states),
        "free_energy": (str(tmp_path / "free_energy.csv"),),
    }.items():
        files = [tmp_path / f"{figure}.{ending}" for ending in ("pdf", "png", "drawn.csv")]
        script(figure).main(*first, STYLE, *map(str, files))
        assert all(file.stat().st_size > 0 for file in files)
        assert pd.read_csv(files[2]).empty


def test_start_figure_takes_sizes_from_the_style_alone(tmp_path):
    style = tmp_path / "other.mplstyle"
    style.write_text("figure.figsize: 2.0, 1.0\n")
    figure, axes = start_figure(str(style), columns=1, height=3, panels=(2, 1))
    assert tuple(figure.get_size_inches()) == (2.0, 3.0)
    assert axes.shape == (2, 1)
