"""Samples of the posterior by deeptime's Gibbs sampler and by ours, on the same counts: seconds, and the intervals.

    OMP_NUM_THREADS=1 PYTHONPATH=scripts python benchmarks/posterior_sampling.py [--lags 10 50] [--samples 100]

The particle in four wells of `msm_stage.py`, in as many microstates. Processor time of drawing alone, without the
eigenvalues; between two samples deeptime sweeps as often as it does by default, square root of the number of states.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
from deeptime.markov.tools.estimation.dense.tmat_sampling.tmatrix_sampler import TransitionMatrixSampler
from msm_stage import N_TRAJECTORIES, write_variables

from geom2msm.joined_store import read_variables
from geom2msm.markov import (
    MarkovModel,
    count_transitions,
    estimate_model,
    implied_timescales,
    leading_eigenvalues,
    sample_posterior,
    sampled_eigenvalues,
)
from geom2msm.sampled_matrices import Posterior, interval
from geom2msm.states import assign_microstates, fit_microstates

N_PROCESSES = 3


def discrete_trajectories(n_frames: int, n_microstates: int) -> list[np.ndarray]:
    """The microstate of every frame."""
    with tempfile.TemporaryDirectory() as name:
        write_variables(Path(name), n_frames)
        points = read_variables(str(Path(name) / "variables.zarr.zip"))
    centers = fit_microstates([points], n_microstates=n_microstates, seed=0)
    return np.array_split(assign_microstates(points, centers), N_TRAJECTORIES)


def by_deeptime(model: MarkovModel, n_samples: int) -> Posterior:
    """Its Gibbs sampler, from the most likely matrix on."""
    effective = model.counts.active_matrix / model.counts.lag_frames
    sampler = TransitionMatrixSampler(
        effective, reversible=True, P0=model.transition_matrix, n_steps=math.isqrt(len(effective)), seed=0
    )
    return Posterior.of_matrices(*sampler.sample(n_samples, return_statdist=True))


def quantities(posterior: Posterior, lag_frames: int) -> np.ndarray:
    """Of every sample the slowest timescales in frames, and the probability of the first half of the states."""
    values = sampled_eigenvalues(posterior, n_values=N_PROCESSES + 1)
    times = implied_timescales(values, lag_ps=float(lag_frames), n_processes=N_PROCESSES)
    half = posterior.stationary_distributions.shape[1] // 2
    return np.column_stack([times, posterior.stationary_distributions[:, :half].sum(axis=1)])


def compare(dtrajs: list[np.ndarray], lag_frames: int, arguments: argparse.Namespace) -> None:
    """Print what both samplers say at one lag."""
    counts = count_transitions(dtrajs, lag_frames=lag_frames, n_microstates=arguments.microstates)
    model = estimate_model(counts)
    seconds, found = [], []
    for sampler in (by_deeptime, lambda model, n_samples: sample_posterior(model, n_samples=n_samples, seed=0)):
        begin = time.process_time()
        posterior = sampler(model, arguments.samples)
        seconds.append(time.process_time() - begin)
        found.append(quantities(posterior, lag_frames))
        del posterior
    values = leading_eigenvalues(model.transition_matrix, model.stationary_distribution, n_values=N_PROCESSES + 1)
    estimate = implied_timescales(values, lag_ps=float(lag_frames), n_processes=N_PROCESSES)
    print(f"lag {lag_frames}, {len(counts.active)} states, {np.count_nonzero(counts.active_matrix)} counted pairs")
    print(f"  deeptime {seconds[0]:.3g} s, ours {seconds[1]:.3g} s: {seconds[0] / seconds[1]:.2g} times as fast")
    means, deviations = np.mean(found, axis=1), np.std(found, axis=1)
    errors = np.hypot(*deviations) / math.sqrt(arguments.samples)
    print(f"  {'':12s} {'estimate':>9s} {'deeptime':>26s} {'ours':>26s} difference of means in errors")
    for k, name in enumerate([*(f"t{process + 2}" for process in range(N_PROCESSES)), "population"]):
        ranges = [f"{each[:, k].mean():.4g} [{low:.4g}, {high:.4g}]" for each in found
                  for low, high in [interval(each[:, k])]]  # fmt: skip
        best = f"{estimate[k]:.4g}" if k < N_PROCESSES else ""
        off = (means[1] - means[0])[k] / errors[k]
        print(f"  {name:12s} {best:>9s} {ranges[0]:>26s} {ranges[1]:>26s} {off:+.1f}", flush=True)


def main() -> None:
    """Print a comparison per lag."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--microstates", type=int, default=1000)
    parser.add_argument("--lags", type=int, nargs="+", default=[10, 50], help="in frames")
    parser.add_argument("--samples", type=int, default=100)
    arguments = parser.parse_args()
    dtrajs = discrete_trajectories(arguments.frames, arguments.microstates)
    for lag_frames in arguments.lags:
        compare(dtrajs, lag_frames, arguments)


if __name__ == "__main__":
    main()
