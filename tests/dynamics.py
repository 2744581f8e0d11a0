"""Made-up artefacts of transition paths, relaxation, spectra and hidden models, as their figures read them."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

BOUNDS = {"": 1.0, "_lower": 0.8, "_upper": 1.3}


def with_interval(name: str, values: np.ndarray, unit: str = "") -> dict[str, np.ndarray]:
    """Columns of an estimate and its bounds."""
    return {f"{name}{bound}{unit}": factor * np.asarray(values) for bound, factor in BOUNDS.items()}


class Dynamics:
    """Tables and verdicts of a system of so many states, two microstates each, in a folder."""

    def __init__(self, folder: Path, probability: np.ndarray):
        self.folder, self.probability, self.n_states = folder, probability, len(probability)
        self.states = np.arange(1, self.n_states + 1)
        owner = np.repeat(self.states, 2)
        self.microstates = pd.DataFrame({
            "microstate": np.arange(len(owner)), "state": owner, "probability": probability[owner - 1] / 2,
        })  # fmt: skip

    def table(self, name: str, table: pd.DataFrame) -> str:
        path = self.folder / f"{name}.csv"
        table.to_csv(path, index=False)
        return str(path)

    def verdict(self, name: str, **content: object) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps({"verdict": "warn", "reasons": ["made up"], "lag_ps": 10.0} | content))
        return str(path)

    def inputs(self) -> dict[str, dict[str, str]]:
        """Arguments of the figures' mains."""
        parts: list[Callable[[], dict]] = [self.paths, self.passages, self.relaxation, self.spectrum, self.models]
        return {figure: arguments for part in parts for figure, arguments in part().items()}

    def paths(self) -> dict[str, dict[str, str]]:
        committor = (self.microstates.state - 1) / max(1, self.n_states - 1)
        found = self.microstates.assign(backward_committor=1 - committor, **with_interval("committor", committor))
        route = np.arange(1, self.n_states)
        flux = pd.DataFrame({"from_state": route, "to_state": route + 1, "fraction": 1.0})
        flux = flux.assign(flux_per_ns=0.4, flux_lower_per_ns=0.3, flux_upper_per_ns=0.6)
        listed = pd.DataFrame({"pathway": [" > ".join(map(str, self.states))], "flux_per_ns": 0.4})
        ends = {"source_states": [1], "target_states": [self.n_states]}
        total = {f"total_flux_per_ns{bound}": 0.4 * factor for bound, factor in BOUNDS.items()}
        shared = {"committors": self.table("committors", found), "verdict": self.verdict("tpt", **ends, **total)}
        pathways = self.table("pathways", listed.assign(**with_interval("fraction", np.ones(1))))
        network = {"fluxes": self.table("fluxes", flux), "pathways": pathways}
        return {"committors": shared | {"memberships": self.memberships()}, "flux_network": shared | network}

    def memberships(self) -> str:
        names = [f"membership_{state}" for state in self.states]
        own = 0.1 / self.n_states + 0.9 * np.eye(self.n_states)[self.microstates.state - 1]
        places = {"variable_1": self.microstates.state, "variable_2": self.microstates.microstate % 2}
        return self.table("memberships", self.microstates.assign(**dict(zip(names, own.T, strict=True)), **places))

    def passages(self) -> dict[str, dict[str, str]]:
        pairs = [(i, j) for i in self.states for j in self.states if i != j]
        rows = [
            {"method": method, "lag_ps": lag, "from_state": i, "to_state": j, "n_passages": 12.0}
            | with_interval("mfpt", np.float64((40 + lag) / self.probability[j - 1]), "_ps")
            for method in ("model", "counted") for lag in (1.0, 10.0, 50.0) for i, j in pairs
        ]  # fmt: skip
        table = pd.DataFrame(rows)
        # Nobody was seen on the way to the last state, seen too rarely.
        table.loc[(table.method == "counted") & (table.to_state == self.n_states), table.columns[5:]] = np.nan
        return {"passage_times_lags": {"passage_times": self.table("mfpt_lags", table)}}

    def relaxation(self) -> dict[str, dict[str, str]]:
        curves = [("autocorrelation", 1), ("autocorrelation", 2), *(("relaxation", state) for state in self.states)]
        time_ps = np.array([0.0, 10.0, 30.0, 100.0])
        tables = [
            pd.DataFrame({"kind": kind, "index": index, "time_ps": time_ps, "n_blocks": 12})
            .assign(**with_interval("predicted", np.exp(-time_ps / 80)))
            .assign(**with_interval("measured", 0.97 * np.exp(-time_ps / 80)))
            for kind, index in curves
        ]  # fmt: skip
        verdict = self.verdict("relaxation", largest_deviation_in_errors=2.4)
        return {"relaxation": {"relaxation": self.table("relaxation", pd.concat(tables)), "verdict": verdict}}

    def spectrum(self) -> dict[str, dict[str, str]]:
        process = np.arange(1, 7)
        table = pd.DataFrame({"process": process}).assign(**with_interval("timescale", 400.0 / process**2, "_ps"))
        found = {"n_macrostates": self.n_states, "gap": 1.4, "crispness": 0.9}
        arguments = {"memberships": self.memberships(), "spectrum": self.table("spectrum", table)}
        return {"memberships": arguments | {"verdict": self.verdict("spectrum", **found)}}

    def models(self) -> dict[str, dict[str, str]]:
        """Reversible and hidden model, each beside the other one."""
        times_ps = 400.0 / np.arange(1, self.n_states) ** 2
        quantities = {"population": self.probability, "timescale_ps": times_ps, "current": np.array([0.01, -0.2])}
        rows = {"free": [], "hidden": []}
        for quantity, values in quantities.items():
            for index, value in enumerate(values, start=1):
                name = f"{index}-{index + 1}" if quantity == "current" else str(index)
                both = with_interval("reversible", value) | with_interval("nonreversible", value)
                rows["free"].append({"quantity": quantity, "name": name} | both | {"difference_in_errors": 0.3})
                if quantity != "current":
                    both = with_interval("hidden", value) | with_interval("plain", value)
                    rows["hidden"].append({"quantity": quantity, "index": index} | both)
        for one, other in itertools.combinations("abcde", 2):
            both = with_interval("reversible", np.float64(0)) | with_interval("nonreversible", np.float64(0.1))
            row = {"quantity": "current between sets", "name": f"{one}-{other}", "difference_in_errors": 0.2}
            rows["free"].append(row | both)
        found = {"justified": "reversible", "largest_difference_in_errors": 0.3, "comparison": rows["free"]}
        return {
            "reversibility": {"reversibility": self.verdict("reversibility", **found)},
            "hmm": {"hmm": self.verdict("hmm", comparison=rows["hidden"])},
        }
