"""The rules and figures of the Markov model on a million frames and a thousand microstates: seconds and memory of each.

    OMP_NUM_THREADS=1 PYTHONPATH=scripts python benchmarks/msm_stage.py [--frames 1000000] [--microstates 1000]

A particle in four wells (deeptime), in ten trajectories, as variables of a model. Every rule's `main` runs in a process
of its own, as in the workflow; times are processor times of the process, imports included.
"""

import argparse
import importlib
import inspect
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from deeptime.data import quadruple_well

from geom2msm.joined_store import StoredTrajectory, write_joined
from geom2msm.peak_memory import peak_memory_mib

N_TRAJECTORIES = 10
RULES = (
    "cluster_microstates", "scan_lags", "propose_lag", "check_connectivity", "estimate_msm", "test_markov",
    "check_sampling", "analyze_transition_paths", "analyze_spectrum", "analyze_relaxation", "estimate_hmm",
)  # fmt: skip
FIGURES = (
    "connectivity", "convergence", "ck_test", "rates_network", "passage_times", "stationary_populations", "committors",
    "flux_network", "passage_times_lags", "relaxation", "memberships", "hmm", "reversibility",
)  # fmt: skip
# The rule whose verdict a figure shows.
JUDGES = {
    "convergence": "check_sampling", "ck_test": "test_markov", "committors": "analyze_transition_paths",
    "flux_network": "analyze_transition_paths", "relaxation": "analyze_relaxation",
    "connectivity": "check_connectivity",
}  # fmt: skip
SPECIAL = {"connectivity": "check_connectivity-table", "figure_memberships-verdict": "gap"}
STYLE = Path(__file__).parents[1] / "config" / "figures.mplstyle"
ENDINGS = {
    "microstates": "npz", "msm": "npz", "variables": "zarr.zip", "dtrajs": "zarr.zip", "pdf": "pdf", "png": "png",
}  # fmt: skip


def settings(n_microstates: int) -> dict[str, object]:
    """The `msm` section of a system."""
    return {
        "model": "a", "baseline": "b", "lag_ps": 10.0, "scan_lags_ps": [2.0, 5.0, 10.0, 20.0, 50.0],
        "n_microstates": n_microstates, "n_macrostates": 4, "n_timescales": 4, "n_posterior_samples": 100,
        "ck_multiples": 5, "seed": 0,
    }  # fmt: skip


def write_variables(folder: Path, n_frames: int) -> None:
    """Positions of the particle, one frame per ps; wells are left every few hundred frames."""
    simulation, length = quadruple_well(h=1e-3, n_steps=100), n_frames // N_TRAJECTORIES
    starts = [np.array([[1.0, -1.0]]) * (-1) ** number for number in range(N_TRAJECTORIES)]
    points = [simulation.trajectory(start, length, seed=seed, n_jobs=1) for seed, start in enumerate(starts)]
    write_joined(
        str(folder / "variables.zarr.zip"),
        [StoredTrajectory(f"run-{number}", length) for number in range(N_TRAJECTORIES)],
        attributes={"system": "wells", "frame_interval_ps": 1.0},
        arrays={"variables": np.concatenate(points).astype(np.float32)},
        axes={"variables": ("frame", "dimension")},
    )


def stem_of(rule: str, parameter: str) -> str:
    """Name of the file that a parameter of a rule stands for, the same for the rule that writes and those that read."""
    writer = JUDGES.get(rule.removeprefix("figure_"), rule) if parameter == "verdict" else rule
    stem = f"{writer}-{parameter}" if parameter in ("verdict", "table") else parameter
    return SPECIAL.get(stem, stem)


def run_rule(rule: str, folder: Path, n_microstates: int) -> None:
    """One rule's `main`; files are named after its parameters, and `verdict` and `table` after the rule, too."""
    known = {"settings": settings(n_microstates), "temperature_K": 300.0, "style": str(STYLE)}
    arguments = {}
    for name in inspect.signature(main := importlib.import_module(rule).main).parameters:
        if name in known:
            arguments[name] = known[name]
        else:
            arguments[name] = str(folder / f"{stem_of(rule, name)}.{ENDINGS.get(name, 'txt')}")
    main(**arguments)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([used.ru_utime + used.ru_stime, peak_memory_mib()]))


def main() -> None:
    """Print a row per rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--microstates", type=int, default=1000)
    parser.add_argument("--rule", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rule:
        run_rule(arguments.rule, arguments.folder, arguments.microstates)
        return
    with tempfile.TemporaryDirectory() as name:
        write_variables(Path(name), arguments.frames)
        for rule in (*RULES, *(f"figure_{figure}" for figure in FIGURES)):
            command = [sys.executable, __file__, "--rule", rule, "--folder", name]
            words = [*command, "--microstates", str(arguments.microstates)]
            result = subprocess.run(words, capture_output=True, text=True, check=False)
            if result.returncode:
                print(f"{rule:30s} {result.stderr.strip().splitlines()[-1]}", flush=True)
                continue
            seconds, memory_mb = json.loads(result.stdout.splitlines()[-1])
            print(f"{rule:30s} {seconds:8.1f} s {memory_mb:8.0f} MB", flush=True)


if __name__ == "__main__":
    main()
