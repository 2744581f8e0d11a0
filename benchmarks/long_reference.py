"""Simulate a configured system many times longer and print t2 and t3 of an MSM on its torsions.

The numbers that the default run is compared with in docs/performance.md come from
    python benchmarks/long_reference.py --times 10 --folder results/long_reference
which takes ten times as long as the rule simulate_trajectories on one core. Runs that are there
already are kept, so a stopped reference continues; --analyze-only looks at those that are complete.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import yaml
from deeptime.clustering import KMeans

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from geom2msm.markov import count_transitions, estimate_model, sample_posterior, timescale_table
from geom2msm.simulation import SimulationSettings, simulate
from geom2msm.topology import load_topology
from geom2msm.torsions import backbone_torsions, torsion_pieces
from geom2msm.units import frames

N_MICROSTATES = 100
CLUSTERED_FRAMES = 20_000
N_SAMPLES = 100

# Added to the seed of the config: the reference shares no random number with the default run.
SEED_OFFSET = 1_000_000


def missing_runs(folder: Path, n_runs: int) -> Iterator[tuple[int, str]]:
    paths = ((run, folder / f"run-{run}.xtc") for run in range(n_runs))
    return ((run, str(path)) for run, path in paths if not path.exists())


def dtrajs_of(paths: list[str], structure: str) -> list[np.ndarray]:
    """Microstates by k-means on cosine and sine of the torsions, all runs together."""
    topology = load_topology(structure)
    _, quartets = backbone_torsions(topology, np.arange(topology.n_atoms), file=structure)
    features = [np.concatenate(list(torsion_pieces(path, topology, quartets))) for path in paths]
    pooled = np.concatenate(features)
    stride = max(1, len(pooled) // CLUSTERED_FRAMES)
    clustering = KMeans(N_MICROSTATES, fixed_seed=1, max_iter=50).fit_fetch(pooled[::stride])
    return [clustering.transform(run) for run in features]


def print_timescales(dtrajs: list[np.ndarray], *, lags_ps: list[float], frame_interval_ps: float) -> None:
    """One line per lag: t2 and t3 with 95 % credible intervals, in ps."""
    print("lag_ps  t2_ps [95 %]              t3_ps [95 %]")
    for lag_ps in lags_ps:
        lag_frames = frames(lag_ps=lag_ps, frame_interval_ps=frame_interval_ps)
        counts = count_transitions(dtrajs, lag_frames=lag_frames, n_microstates=N_MICROSTATES)
        model = estimate_model(counts)
        posterior = sample_posterior(model, n_samples=N_SAMPLES, seed=0)
        table = timescale_table(model, posterior, lag_ps=lag_ps, n_processes=2)
        columns = [f"{row.estimate_ps:6.1f} [{row.lower_ps:6.1f}, {row.upper_ps:6.1f}]" for row in table.itertuples()]
        print(f"{lag_ps:6g}  " + "    ".join(columns), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="config/systems/alanine_dipeptide.yaml", help="YAML of the system")
    parser.add_argument("--times", type=int, default=10, help="how many times the configured number of runs")
    parser.add_argument("--folder", type=Path, default=Path("results/long_reference"), help="where the XTC files go")
    parser.add_argument("--lags-ps", type=float, nargs="+", default=[1, 2, 5, 10], help="lag times")
    parser.add_argument("--analyze-only", action="store_true", help="do not simulate what is missing")
    arguments = parser.parse_args()

    trajectories = yaml.safe_load(Path(arguments.config).read_text())["trajectories"]
    configured = SimulationSettings(**trajectories["simulate"], temperature_K=trajectories["temperature_K"])
    settings = replace(configured, n_runs=configured.n_runs * arguments.times, seed=configured.seed + SEED_OFFSET)
    interval_ps = trajectories["frame_interval_ps"]
    print(asdict(settings), f"frame_interval_ps = {interval_ps:g}", flush=True)
    if not arguments.analyze_only:
        for run, path in missing_runs(arguments.folder, settings.n_runs):
            simulate(settings, run=run, frame_interval_ps=interval_ps, output=path)

    paths = sorted(str(path) for path in arguments.folder.glob("run-*.xtc"))
    dtrajs = dtrajs_of(paths, settings.structure)
    print(f"{len(paths)} runs, {sum(map(len, dtrajs)) * interval_ps / 1000:g} ns")
    print_timescales(dtrajs, lags_ps=arguments.lags_ps, frame_interval_ps=interval_ps)


if __name__ == "__main__":
    main()
