import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geom2msm.kinetics import mean_first_passage_times
from geom2msm.markov import (
    MarkovModel,
    count_transitions,
    eigenvalues,
    estimate_model,
    implied_timescales,
    right_eigenvectors,
    sample_posterior,
)
from geom2msm.markov_validation import ck_table, ck_verdict
from geom2msm.states import find_macrostates
from systems import double_well, simulate_chain, three_state_chain
from systems import implied_timescales as exact_timescales

seeds = st.integers(0, 2**31)
few = settings(max_examples=20)


def random_trajectories(seed: int, n_states: int = 6) -> list[np.ndarray]:
    """Sticky walks among states that are all connected."""
    rng = np.random.default_rng(seed)
    matrix = rng.dirichlet(np.ones(n_states), size=n_states) + 3 * np.eye(n_states)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return [simulate_chain(matrix, 400, rng) for _ in range(3)]


def model_of(dtrajs: list[np.ndarray], *, lag_frames: int = 2) -> MarkovModel:
    return estimate_model(count_transitions(dtrajs, lag_frames=lag_frames, n_microstates=6))


@few
@given(seed=seeds)
def test_estimates_and_samples_are_reversible_stochastic_matrices(seed):
    model = model_of(random_trajectories(seed))
    posterior = sample_posterior(model, n_samples=5, seed=seed % 1000)
    for matrix, pi in [
        (model.transition_matrix, model.stationary_distribution),
        *zip(posterior.transition_matrices, posterior.stationary_distributions, strict=True),
    ]:
        assert (matrix >= 0).all()
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
        np.testing.assert_allclose(pi.sum(), 1, atol=1e-12)
        np.testing.assert_allclose(pi @ matrix, pi, atol=1e-8)
        flow = pi[:, None] * matrix
        np.testing.assert_allclose(flow, flow.T, atol=1e-8)


@few
@given(seed=seeds)
def test_timescales_do_not_depend_on_the_names_of_microstates(seed):
    dtrajs = random_trajectories(seed)
    names = np.random.default_rng(seed).permutation(6)
    models = [model_of(dtrajs), model_of([names[dtraj] for dtraj in dtrajs])]
    first, second = (
        implied_timescales(eigenvalues(m.transition_matrix, m.stationary_distribution), lag_ps=2.0, n_processes=5)
        for m in models
    )
    np.testing.assert_allclose(first, second, rtol=1e-5)


@few
@given(seed=seeds)
def test_eigenvectors_are_orthonormal_under_the_stationary_distribution(seed):
    model = model_of(random_trajectories(seed))
    vectors = right_eigenvectors(model, n_processes=4)
    gram = vectors.T @ np.diag(model.stationary_distribution) @ vectors
    np.testing.assert_allclose(gram, np.eye(4), atol=1e-9)
    eigenvalue = eigenvalues(model.transition_matrix, model.stationary_distribution)[:4]
    np.testing.assert_allclose(model.transition_matrix @ vectors, vectors * eigenvalue, atol=1e-7)


@few
@given(seed=seeds)
def test_memberships_are_probabilities_and_every_macrostate_owns_a_microstate(seed):
    macrostates = find_macrostates(model_of(random_trajectories(seed)), n_macrostates=2)
    np.testing.assert_allclose(macrostates.memberships.sum(axis=1), 1, atol=1e-12)
    assert (macrostates.memberships >= 0).all()
    assert set(macrostates.assignment) == {0, 1}


@few
@given(seed=seeds)
def test_passage_times_obey_the_triangle_inequality_and_vanish_at_home(seed):
    model = model_of(random_trajectories(seed))
    times = mean_first_passage_times(model.transition_matrix, model.stationary_distribution, np.eye(6))
    np.testing.assert_array_equal(np.diag(times), 0)
    assert (times[:, None, :] <= times[:, :, None] + times[None] + 1e-9).all()


def test_a_three_state_chain_gives_back_its_matrix_and_timescales_within_the_intervals():
    # Coverage: the 95 % intervals hold the truth in at least 90 of 100 repeats, for counts that overlap ten-fold.
    matrix = three_state_chain()
    truth = np.concatenate([
        exact_timescales(matrix), [0.6, 0.3, 0.1], np.linalg.matrix_power(matrix, 10)[[0, 1, 2], [1, 2, 1]]
    ])  # fmt: skip
    hits = np.zeros(len(truth))
    for seed in range(100):
        rng = np.random.default_rng(seed)
        model = model_of([simulate_chain(matrix, 4000, rng) for _ in range(4)], lag_frames=10)
        posterior = sample_posterior(model, n_samples=100, seed=seed)
        eigenvalue = eigenvalues(posterior.transition_matrices, posterior.stationary_distributions)
        samples = np.concatenate([
            implied_timescales(eigenvalue, lag_ps=10.0, n_processes=2), posterior.stationary_distributions,
            posterior.transition_matrices[:, [0, 1, 2], [1, 2, 1]],
        ], axis=1)  # fmt: skip
        lower, upper = np.quantile(samples, [0.025, 0.975], axis=0)
        hits += (lower <= truth) & (truth <= upper)
    assert (hits >= 90).all(), hits


def test_a_double_well_in_many_microstates_gives_back_its_one_slow_timescale():
    x, matrix = double_well(n_cells=16, barrier_kT=2.0)
    exact = exact_timescales(matrix)[0]
    hits = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        dtrajs = [simulate_chain(matrix, 4000, rng) for _ in range(3)]
        model = estimate_model(count_transitions(dtrajs, lag_frames=10, n_microstates=len(x)))
        posterior = sample_posterior(model, n_samples=100, seed=seed)
        eigenvalue = eigenvalues(posterior.transition_matrices, posterior.stationary_distributions)
        lower, upper = np.quantile(-10 / np.log(eigenvalue[:, 1]), [0.025, 0.975])
        hits += lower <= exact <= upper
    assert hits >= 17


def chapman_kolmogorov(dtrajs: list[np.ndarray], *, lag_frames: int, n_macrostates: int) -> dict:
    model = model_of(dtrajs, lag_frames=lag_frames)
    posterior = sample_posterior(model, n_samples=100, seed=0)
    macrostates = find_macrostates(model, n_macrostates=n_macrostates)
    table = ck_table(dtrajs, model, posterior, macrostates, lag_ps=float(lag_frames), n_multiples=5, seed=0)
    assert len(table) == 5 * n_macrostates**2
    for name in ("predicted", "estimated"):
        np.testing.assert_allclose(table.groupby(["multiple", "from_state"])[name].sum(), 1, atol=1e-9)
    return ck_verdict(table)


@pytest.mark.parametrize("seed", range(5))
def test_the_chapman_kolmogorov_test_passes_for_a_markov_chain(seed):
    rng = np.random.default_rng(seed)
    dtrajs = [simulate_chain(three_state_chain(), 8000, rng) for _ in range(6)]
    found = chapman_kolmogorov(dtrajs, lag_frames=10, n_macrostates=3)
    assert found["verdict"] == "pass"
    assert found["largest_deviation_in_errors"] < 2


@pytest.mark.parametrize("seed", range(3))
def test_the_chapman_kolmogorov_test_fails_where_a_state_hides_a_slow_step(seed):
    # 0 and 1 look the same, but only 1 is near 2: who is seen in 2 comes back far too often.
    flows = np.array([[0, 0.0005, 0], [0.0005, 0, 0.02], [0, 0.02, 0]])
    matrix = flows / np.array([[0.5], [0.25], [0.25]])
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=1))
    rng = np.random.default_rng(seed)
    dtrajs = [np.array([0, 0, 1])[simulate_chain(matrix, 10_000, rng)] for _ in range(4)]
    found = chapman_kolmogorov(dtrajs, lag_frames=5, n_macrostates=2)
    assert found["verdict"] == "fail"
    assert found["largest_deviation"] > 0.1


def test_passage_times_of_the_three_state_chain_are_the_analytic_ones():
    matrix = three_state_chain()
    p01, p10, p12, p21 = matrix[0, 1], matrix[1, 0], matrix[1, 2], matrix[2, 1]
    zero_to_one, two_to_one = 1 / p01, 1 / p21
    one_to_two = (1 + p10 * zero_to_one) / p12
    one_to_zero = (1 + p12 * two_to_one) / p10
    expected = np.array([
        [0, zero_to_one, zero_to_one + one_to_two], [one_to_zero, 0, one_to_two],
        [two_to_one + one_to_zero, two_to_one, 0],
    ])  # fmt: skip
    np.testing.assert_allclose(
        mean_first_passage_times(matrix, np.array([0.6, 0.3, 0.1]), np.eye(3)), expected, rtol=1e-9
    )
