"""Intervals hold the truth as often as they say: in at least 90 of 100 repeats, for processes with known answers."""

from collections.abc import Iterator

import numpy as np
import pytest

from geom2msm.convergence import convergence_table, convergence_verdict
from geom2msm.kinetics import mean_first_passage_times
from geom2msm.lag_choice import propose_lag
from geom2msm.markov import (
    MarkovModel,
    MsmSettings,
    Posterior,
    count_transitions,
    eigenvalues,
    estimate_model,
    implied_timescales,
    interval,
    sample_posterior,
    scan_lags,
)
from geom2msm.states import Macrostates, find_macrostates
from geom2msm.vamp2_consistency import measured_vamp2
from systems import ThreeWells, birth_death_chain, exact_vamp2, simulate_chain, stationary_distribution
from systems import implied_timescales as exact_timescales

REPEATS = 100
LAG = 5


def simulated(seed: int, n_frames: int = 6000) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [simulate_chain(birth_death_chain(), n_frames, rng) for _ in range(4)]


def estimates(dtrajs: list[np.ndarray], *, lag_frames: int, n_microstates: int, seed: int):
    model = estimate_model(count_transitions(dtrajs, lag_frames=lag_frames, n_microstates=n_microstates))
    return model, sample_posterior(model, n_samples=100, seed=seed)


def sampled_timescales(posterior: Posterior, *, lag: int) -> np.ndarray:
    spectrum = eigenvalues(posterior.transition_matrices, posterior.stationary_distributions)
    return implied_timescales(spectrum, lag_ps=float(lag), n_processes=2)


def hits(samples: Iterator[np.ndarray], truth: np.ndarray) -> np.ndarray:
    """In how many repeats the 95 % interval of the samples [sample quantity] holds the truth, per quantity."""
    bounds = map(interval, samples)
    return sum((lower <= truth) & (truth <= upper) for lower, upper in bounds)


def passage_times(matrix: np.ndarray, stationary: np.ndarray) -> np.ndarray:
    """From one end of the chain to the other and back, in lags."""
    times = mean_first_passage_times(matrix, stationary, np.eye(matrix.shape[-1]))
    return np.stack([times[..., 0, -1], times[..., -1, 0]], axis=-1)


def of_birth_and_death(model: MarkovModel, posterior: Posterior) -> np.ndarray:
    """Samples of t2, t3, of all populations, of a free energy difference and of two passage times, in frames."""
    stationary = posterior.stationary_distributions
    times = LAG * passage_times(posterior.transition_matrices, stationary)
    difference = np.log(stationary[:, :1] / stationary[:, -1:])
    return np.concatenate([sampled_timescales(posterior, lag=LAG), stationary, difference, times], axis=1)


def test_intervals_of_a_birth_death_chain_hold_times_populations_and_passage_times():
    matrix = birth_death_chain()
    pi = stationary_distribution(matrix)
    # Arrivals are seen only once per lag: the time that a model at this lag can know is that of the chain at the lag.
    times = LAG * passage_times(np.linalg.matrix_power(matrix, LAG), pi)
    truth = np.concatenate([exact_timescales(matrix)[:2], pi, [np.log(pi[0] / pi[-1])], times])
    models = (estimates(simulated(seed), lag_frames=LAG, n_microstates=6, seed=seed) for seed in range(REPEATS))
    found = hits((of_birth_and_death(*each) for each in models), truth)
    assert (found >= 90).all(), found


def test_intervals_of_the_measured_score_hold_the_exact_one():
    exact = exact_vamp2(birth_death_chain(), lag_frames=LAG, dimensions=5)
    found = 0
    for seed in range(REPEATS):
        runs = [np.eye(6)[dtraj][:, 1:] for dtraj in simulated(seed)]
        _, lower, upper = measured_vamp2(runs, lag_frames=LAG, seed=seed)
        found += lower <= exact <= upper
    assert found >= 90


@pytest.mark.slow
def test_intervals_of_three_wells_in_many_cells_hold_times_and_populations():
    system, edges, lag, stride = ThreeWells(), np.linspace(-8 / 3, 8 / 3, 17), 10, 2
    truth = np.concatenate([system.timescales(), system.populations()])
    positions = system.simulate(4 * REPEATS, 5000, np.random.default_rng(0), stride=stride)
    cells = np.digitize(positions, edges).astype(np.int32)
    # Two of the edges are the tops of the barriers.
    well_of_cell = np.digitize(np.append(edges, np.inf) - 1e-6, system.barriers)

    def samples(seed: int) -> np.ndarray:
        dtrajs = list(cells[:, 4 * seed : 4 * seed + 4].T)
        model, posterior = estimates(dtrajs, lag_frames=lag, n_microstates=len(edges) + 1, seed=seed)
        wells = np.eye(3)[well_of_cell[model.counts.active]]
        times = stride * sampled_timescales(posterior, lag=lag)
        return np.concatenate([times, posterior.stationary_distributions @ wells], axis=1)

    found = hits((samples(seed) for seed in range(REPEATS)), truth)
    assert (found >= 90).all(), found


def settings(**changes) -> MsmSettings:
    values = {
        "model": "m", "baseline": "b", "lag_ps": float(LAG), "scan_lags_ps": [1.0, 2.0, 5.0, 10.0, 20.0, 40.0],
        "n_microstates": 6, "n_macrostates": 2, "n_timescales": 2, "n_posterior_samples": 50, "ck_multiples": 5,
        "seed": 0,
    }  # fmt: skip
    return MsmSettings(**values | changes)


def test_halves_of_a_chain_in_equilibrium_seldom_disagree():
    # Three errors apart: once in 370 of independent comparisons, and there are three per repeat.
    verdicts = []
    for seed in range(30):
        dtrajs = simulated(seed)
        model = estimate_model(count_transitions(dtrajs, lag_frames=LAG, n_microstates=6))
        macrostates = find_macrostates(model, n_macrostates=2)
        found = convergence_verdict(convergence_table(dtrajs, model, macrostates, settings()), n_processes=1)
        verdicts.append(found["largest_difference_in_errors"] > 3)
    assert sum(verdicts) <= 1


def test_the_shortest_lag_is_proposed_for_a_chain_that_is_markovian_at_all_lags():
    proposed = [
        propose_lag(
            scan_lags(simulated(seed), settings(), n_microstates=6, frame_interval_ps=1.0),
            configured_lag_ps=1.0,
            n_processes=1,
        )["proposed_lag_ps"]
        for seed in range(20)
    ]
    assert sum(lag == 1 for lag in proposed) >= 18, proposed


def test_a_longer_lag_is_proposed_where_a_coarse_state_hides_a_step():
    # Two states of six are told apart: their timescale grows with the lag, and is the true one only at long lags.
    proposed = []
    for seed in range(10):
        coarse = [(dtraj > 2).astype(int) for dtraj in simulated(seed, n_frames=40_000)]
        chosen = settings(scan_lags_ps=[1.0, 5.0, 20.0, 40.0, 80.0, 120.0, 160.0], n_timescales=1)
        table = scan_lags(coarse, chosen, n_microstates=2, frame_interval_ps=1.0)
        proposed.append(propose_lag(table, configured_lag_ps=1.0, n_processes=1))
    assert all(found["verdict"] in ("warn", "fail") for found in proposed)
    assert all(found["proposed_lag_ps"] is None or found["proposed_lag_ps"] >= 20 for found in proposed)


@pytest.mark.parametrize(
    "dtrajs",
    [
        [np.zeros(400, dtype=int)],
        [np.zeros(400, dtype=int), np.ones(400, dtype=int)],
        [np.repeat([0, 1, 2], 150)],
        [np.tile([0, 1], 2), np.tile([1, 2], 2)],
    ],
    ids=["one state", "disconnected", "never left", "shorter than the lag"],
)
def test_degenerate_chains_are_not_estimable_and_not_numbers(dtrajs):
    table = scan_lags(dtrajs, settings(), n_microstates=3, frame_interval_ps=1.0)
    long = table[table.lag_ps >= 5]
    assert long[["estimate_ps", "mean_ps", "lower_ps", "upper_ps", "active_fraction"]].isna().all(axis=None)
    assert propose_lag(table, configured_lag_ps=5.0, n_processes=1)["verdict"] == "not estimable"


def test_parts_of_a_chain_that_is_left_only_at_the_end_are_not_estimable():
    dtrajs = [np.concatenate([np.zeros(2000, dtype=int), dtraj[:2000]]) for dtraj in simulated(0)]
    model = estimate_model(count_transitions(dtrajs, lag_frames=LAG, n_microstates=6))
    macrostates = Macrostates(np.eye(6)[:, :2] + np.repeat([[0, 0], [0, 1]], [2, 4], axis=0), np.array([0, *[1] * 5]))
    table = convergence_table(dtrajs, model, macrostates, settings())
    early = table[(table.end == "first") & (table.fraction <= 0.5)]
    assert early[["estimate", "lower", "upper"]].isna().all(axis=None)
    assert convergence_verdict(table, n_processes=1)["verdict"] == "warn"
