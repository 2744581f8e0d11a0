"""Weights of biased data: what they restore is known exactly for small chains."""

import dataclasses

import numpy as np
import pytest
import torch

from geom2msm.covariances import Covariances, PairedValues, pair_covariances
from geom2msm.vamp import ScoreConfig, fit_functions, training_loss, vamp2_score
from systems import _from_flows, double_well, exact_vamp2, simulate_chain, stationary_distribution, three_state_chain

FIELDS = ("mean_t", "mean_lag", "c00", "c0t", "ctt")


def one_hot(states, n_states) -> torch.Tensor:
    """Indicator functions of all states; they and their averages are what a chain is."""
    return torch.nn.functional.one_hot(torch.as_tensor(states), n_states).double()


def exact(pair_probability) -> Covariances:
    """Covariances of the indicator functions under a probability of pairs (from, to)."""
    n_states = len(pair_probability)
    start, end = np.divmod(np.arange(n_states**2), n_states)
    log_weights = torch.from_numpy(np.log(pair_probability.ravel() + 1e-300))
    return Covariances.of_pairs(one_hot(start, n_states), one_hot(end, n_states), log_weights)


def assert_equal(found, expected, *, atol):
    for name in FIELDS:
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=0, atol=atol)


def short_runs(transition_matrix, start_probability, *, n_runs, n_frames, seed=0):
    """Many runs from a start distribution of choice, laid end to end: states and first frames."""
    rng = np.random.default_rng(seed)
    states = np.empty((n_runs, n_frames), dtype=np.int64)
    states[:, 0] = rng.choice(len(start_probability), size=n_runs, p=start_probability)
    cumulative = np.cumsum(transition_matrix, axis=1)
    for frame in range(1, n_frames):
        draws = rng.random(n_runs)[:, None]
        states[:, frame] = (cumulative[states[:, frame - 1]] / cumulative[states[:, frame - 1], -1:] < draws).sum(
            axis=1
        )
    return states.ravel(), torch.arange(n_runs) * n_frames


def test_runs_from_the_wrong_starts_are_put_right_by_the_weights_of_the_start_frames():
    transition_matrix = np.linalg.matrix_power(three_state_chain(), 40)
    mu, starts = stationary_distribution(transition_matrix), np.array([0.1, 0.2, 0.7])
    states, first = short_runs(transition_matrix, starts, n_runs=300_000, n_frames=2)
    pairs = PairedValues(one_hot(states, 3), first, 1, log_weights=torch.from_numpy(np.log(mu / starts))[states])
    expected = exact(mu[:, None] * transition_matrix)
    assert_equal(pairs.covariances(), expected, atol=0.01)
    functions = dataclasses.replace(pairs, values=pairs.values[:, 1:])
    score = float(vamp2_score(functions.covariances(), epsilon=1e-9))
    assert score == pytest.approx(exact_vamp2(transition_matrix, lag_frames=1, dimensions=2), abs=0.03)
    unweighted = dataclasses.replace(functions, log_weights=None).covariances()
    assert abs(float(vamp2_score(unweighted, epsilon=1e-9)) - score) > 0.1, "the test would not see missing weights"
    on_the_lagged_side = dataclasses.replace(pairs, log_weights=pairs.log_weights.roll(-1)).covariances()
    assert (on_the_lagged_side.mean_t - expected.mean_t).abs().max() > 0.05


def biased_double_well():
    """A double well whose bias removes the barrier: stationary distributions without and with it, and the dynamics."""
    x, unbiased = double_well(n_cells=12, barrier_kT=2.0)
    mu = stationary_distribution(unbiased)
    mu_biased = np.sqrt(mu) / np.sqrt(mu).sum()
    flows, cell = np.zeros((12, 12)), np.arange(11)
    flows[cell, cell + 1] = flows[cell + 1, cell] = np.minimum(mu_biased[:-1], mu_biased[1:]) / 2
    return x, mu, mu_biased, _from_flows(flows, mu_biased)


def biased_pairs(*, n_frames=200_000, lag_frames=5):
    _, mu, mu_biased, biased = biased_double_well()
    states = simulate_chain(biased, n_frames, np.random.default_rng(1))
    log_weights = torch.from_numpy(np.log(mu / mu_biased))[states]
    return PairedValues(one_hot(states, 12), torch.arange(n_frames - lag_frames), lag_frames, log_weights=log_weights)


def test_a_biased_trajectory_has_the_unbiased_statics_and_the_process_that_starts_from_them():
    _, mu, _, biased = biased_double_well()
    forward = mu[:, None] * np.linalg.matrix_power(biased, 5)
    found = biased_pairs().covariances()
    np.testing.assert_allclose(found.mean_t, mu, atol=0.01)
    assert_equal(found, exact(forward), atol=0.01)


def test_the_reversible_estimate_is_the_symmetric_half_of_that_process():
    _, mu, _, biased = biased_double_well()
    forward = mu[:, None] * np.linalg.matrix_power(biased, 5)
    found = biased_pairs().covariances(reversible=True)
    assert_equal(found, exact((forward + forward.T) / 2), atol=0.01)
    torch.testing.assert_close(found.c0t, found.c0t.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.c00, found.ctt, rtol=0, atol=1e-12)


@pytest.mark.parametrize("reversible", [False, True])
def test_singular_values_never_exceed_one(reversible):
    pairs = biased_pairs(n_frames=5000)
    pairs = dataclasses.replace(pairs, values=pairs.values[:, ::2], log_weights=5 * pairs.log_weights)
    functions = fit_functions(pairs, dimensions=3, config=ScoreConfig(reversible=reversible, epsilon=1e-9))
    assert functions.singular_values.abs().max() <= 1 + 1e-9


def random_pairs(n_pairs=300, spread=3.0):
    generator = torch.Generator().manual_seed(3)
    x_t = torch.randn(n_pairs, 3, generator=generator, dtype=torch.float64)
    x_lag = x_t + torch.randn(n_pairs, 3, generator=generator, dtype=torch.float64)
    return x_t, x_lag, spread * torch.randn(n_pairs, generator=generator, dtype=torch.float64)


def test_equal_weights_are_no_weights():
    x_t, x_lag, _ = random_pairs()
    assert_equal(
        Covariances.of_pairs(x_t, x_lag, torch.full((300,), 7.0)), Covariances.of_pairs(x_t, x_lag), atol=1e-12
    )


def test_a_weight_of_three_is_three_times_the_same_pair():
    x_t, x_lag, _ = random_pairs()
    counts = torch.arange(300) % 3 + 1
    repeated = Covariances.of_pairs(x_t.repeat_interleave(counts, dim=0), x_lag.repeat_interleave(counts, dim=0))
    assert_equal(Covariances.of_pairs(x_t, x_lag, counts.double().log()), repeated, atol=1e-12)


@pytest.mark.parametrize("shift", [0.0, 2000.0, -2000.0])
def test_a_constant_added_to_all_log_weights_changes_nothing_and_none_overflows(shift):
    x_t, x_lag, log_weights = random_pairs()
    whole = Covariances.of_pairs(x_t, x_lag, log_weights)
    parts = [
        Covariances.of_pairs(*part)
        for part in zip(*(t.split(77) for t in (x_t, x_lag, log_weights + shift)), strict=True)
    ]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    assert_equal(merged, whole, atol=1e-9)
    assert merged.n_pairs == 300


def test_relative_weights_between_trajectories_survive():
    """Two runs, one of which counts e^4 times as much: its pairs are the covariances, whatever the order."""
    x_t, x_lag, _ = random_pairs(n_pairs=400)
    log_weights = torch.cat([torch.full((200,), 4.0), torch.zeros(200)]).double()
    alone = [Covariances.of_pairs(x_t[half], x_lag[half]) for half in (slice(0, 200), slice(200, 400))]
    share = np.exp(4) / (1 + np.exp(4))
    mean = share * alone[0].mean_t + (1 - share) * alone[1].mean_t
    together = Covariances.of_pairs(x_t, x_lag, log_weights)
    torch.testing.assert_close(together.mean_t, mean, rtol=0, atol=1e-12)
    chunks = [
        Covariances.of_pairs(x_t[half], x_lag[half], log_weights[half]) for half in (slice(0, 200), slice(200, 400))
    ]
    assert_equal(chunks[0].merge(chunks[1]), together, atol=1e-12)
    assert_equal(chunks[1].merge(chunks[0]), together, atol=1e-12)


def test_one_frame_that_has_all_the_weight_is_one_effective_pair():
    values = torch.randn(11, 2)
    log_weights = torch.zeros(11, dtype=torch.float64)
    pairs = PairedValues(values, torch.arange(10), 1, log_weights=log_weights)
    assert pairs.effective_pairs() == pytest.approx(10)
    log_weights[3] = 50.0
    assert pairs.effective_pairs() == pytest.approx(1)


def test_the_loss_of_a_batch_has_the_weights_of_the_pooled_score():
    x_t, x_lag, log_weights = random_pairs()
    for reversible in (False, True):
        config = ScoreConfig(reversible=reversible)
        expected = pair_covariances(
            x_t, x_lag, log_weights_t=log_weights, log_weights_lag=log_weights.flip(0), reversible=reversible
        )
        loss = training_loss(x_t, x_lag, config, log_weights, log_weights.flip(0))
        torch.testing.assert_close(loss, -vamp2_score(expected, epsilon=1e-6))
        assert abs(float(loss - training_loss(x_t, x_lag, config))) > 1e-3


def test_the_reversible_estimate_does_not_know_the_direction_of_time():
    """Each pair counts by the mean of both its weights, so that played backwards it counts the same."""
    x_t, x_lag, start = random_pairs()
    end = start.roll(7)
    forward = pair_covariances(x_t, x_lag, log_weights_t=start, log_weights_lag=end, reversible=True)
    backward = pair_covariances(x_lag, x_t, log_weights_t=end, log_weights_lag=start, reversible=True)
    assert_equal(forward, backward, atol=1e-12)
