import numpy as np
import pytest

from geom2msm.markov import count_transitions, estimate_model
from geom2msm.sampling import autocovariance, sampling_table, statistical_inefficiency
from geom2msm.states import Macrostates
from systems import simulate_chain, three_state_chain


def test_the_autocovariance_is_the_sum_of_products():
    values = np.random.default_rng(0).normal(size=37)
    expected = [(values[: len(values) - lag] * values[lag:]).sum() for lag in range(len(values))]
    np.testing.assert_allclose(autocovariance(values), expected, atol=1e-12)


def test_frames_that_forget_at_once_are_all_independent():
    rng = np.random.default_rng(0)
    assert statistical_inefficiency([rng.normal(size=20_000) for _ in range(2)]) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("lengths", [[200_000], [70_000, 40_000, 90_000]])
def test_the_inefficiency_of_a_two_state_chain_is_the_one_of_its_eigenvalue(lengths):
    # rho(t) = l^t, so that g = (1 + l) / (1 - l).
    matrix = np.array([[0.97, 0.03], [0.02, 0.98]])
    rng = np.random.default_rng(1)
    series = [simulate_chain(matrix, length, rng).astype(float) for length in lengths]
    assert statistical_inefficiency(series) == pytest.approx(1.95 / 0.05, rel=0.1)


def test_a_trajectory_that_never_changes_is_worth_one_frame_and_a_constant_is_not_estimable():
    series = [np.zeros(500), np.ones(500)]
    assert statistical_inefficiency(series) == pytest.approx(500)
    assert np.isnan(statistical_inefficiency([np.ones(50), np.ones(20)]))


def test_the_table_counts_what_happened_to_every_state():
    dtrajs = [np.repeat([0, 1, 2, 1, 0], 30), np.repeat([0, 1], 40)]
    model = estimate_model(count_transitions(dtrajs, lag_frames=5, n_microstates=3))
    table = sampling_table(dtrajs, model, Macrostates(np.eye(3), np.arange(3)), frame_interval_ps=2.0)
    assert table.state.tolist() == [1, 2, 3]
    assert table.visits.tolist() == [3, 3, 1]
    assert table.entries.tolist() == [1, 3, 1]
    assert table.exits.tolist() == [2, 2, 1]
    assert table.n_trajectories.tolist() == [2, 2, 1]
    assert table.n_frames.tolist() == [100, 100, 30]
    # Every frame but the last five of a trajectory starts a count, and one in five of them is independent.
    assert table.effective_counts.sum() == pytest.approx((230 - 2 * 5) / 5)
    assert (table.effective_frames * table.statistical_inefficiency_ps / 2.0).tolist() == pytest.approx([230] * 3)


def test_dropped_frames_belong_to_no_state():
    dtrajs = [np.tile([0, 0, 1, 1], 50), np.full(10, 2)]
    model = estimate_model(count_transitions(dtrajs, lag_frames=1, n_microstates=3))
    table = sampling_table(dtrajs, model, Macrostates(np.eye(2), np.arange(2)), frame_interval_ps=1.0)
    assert table.n_frames.tolist() == [100, 100]
    assert table.n_trajectories.tolist() == [1, 1]


def test_effective_frames_are_those_of_an_independent_sample():
    # The spread of the population over repeats is that of so many independent frames.
    matrix, estimates, numbers = three_state_chain(), [], []
    for seed in range(60):
        states = simulate_chain(matrix, 20_000, np.random.default_rng(seed))
        inside = (states == 0).astype(float)
        estimates.append(inside.mean())
        numbers.append(len(inside) / statistical_inefficiency([inside]))
    assert np.var(estimates) == pytest.approx(0.6 * 0.4 / np.median(numbers), rel=0.5)
