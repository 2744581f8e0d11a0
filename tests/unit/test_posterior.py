import numpy as np
import pytest
from deeptime.markov.msm import MaximumLikelihoodMSM
from scipy.optimize import approx_fprime
from scipy.stats import beta, kstest

from geom2msm import posterior as module
from geom2msm.markov import eigenvalues, leading_eigenvalues, sampled_eigenvalues
from geom2msm.posterior import BradleyTerry, Chains, draw_reversible
from geom2msm.sampled_matrices import Posterior

# Counts that go one way only, no stay in state 1, states 0 and 3 never exchanged.
SPARSE = np.array([[9.0, 3, 2, 0], [1, 0, 4, 2], [0, 6, 5, 0.5], [0, 0, 2.5, 8]])


def most_likely_distribution(counts: np.ndarray) -> np.ndarray:
    return MaximumLikelihoodMSM(reversible=True).fit_fetch(counts).stationary_distribution


def drawn(counts: np.ndarray, *, n_samples: int, seed: int = 0) -> Posterior:
    return draw_reversible(counts, most_likely_distribution(counts), n_samples=n_samples, seed=seed)


def density_of(counts: np.ndarray) -> BradleyTerry:
    return BradleyTerry.of_counts(counts, most_likely_distribution(counts))


def random_counts(n_states: int, *, seed: int = 0) -> np.ndarray:
    """Counts of a walk on a circle with a few shortcuts."""
    rng = np.random.default_rng(seed)
    counts = np.diag(rng.gamma(5, size=n_states)) + rng.gamma(1, size=(n_states, n_states)) * (
        rng.random((n_states, n_states)) < 5 / n_states
    )
    return counts + 3 * np.roll(np.eye(n_states), 1, axis=1) + 2 * np.roll(np.eye(n_states), -1, axis=1)


@pytest.mark.parametrize("array_size", [20, 300_000], ids=["ten chains", "a chain per sample"])
@pytest.mark.parametrize(
    "counts",
    [[[200.0, 20], [25, 70]], [[20.0, 3], [1, 7]], [[2.0, 0.6], [0.5, 0.7]], [[0.5, 0.1], [0.1, 0.2]]],
    ids=["many", "some", "few", "hardly any"],
)
def test_probabilities_of_two_states_have_beta_distributions(counts, array_size, monkeypatch):
    # Every matrix of two states is reversible, so the rows are independent and Dirichlet.
    counts = np.array(counts)
    monkeypatch.setattr(module, "ARRAY_SIZE", array_size)
    matrices = drawn(counts, n_samples=2000).transition_matrices
    assert kstest(matrices[:, 0, 1], beta(counts[0, 1], counts[0, 0]).cdf).pvalue > 0.001
    assert kstest(matrices[:, 1, 0], beta(counts[1, 0], counts[1, 1]).cdf).pvalue > 0.001
    assert abs(np.corrcoef(matrices[:, 0, 1], matrices[:, 1, 0])[0, 1]) < 0.1


def test_coarse_steps_cost_acceptance_but_change_no_distribution(monkeypatch):
    counts = np.array([[2.0, 1.5], [0.5, 0.7]])
    monkeypatch.setattr(module, "STEPS", (1,))
    density = BradleyTerry.of_counts(counts, most_likely_distribution(counts))
    accepted = [Chains.started(density, np.random.default_rng(0), n_chains=500).advance(n) for n in (1, 8)]
    assert accepted[0] < 0.95 < 0.99 < accepted[1]
    matrices = drawn(counts, n_samples=3000).transition_matrices
    assert kstest(matrices[:, 0, 1], beta(1.5, 2.0).cdf).pvalue > 0.001
    assert kstest(matrices[:, 1, 0], beta(0.5, 0.7).cdf).pvalue > 0.001


def test_samples_are_stochastic_in_detailed_balance_and_zero_where_nothing_was_counted():
    for matrix, distribution in drawn(SPARSE, n_samples=50):
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-14)
        assert distribution.sum() == pytest.approx(1, abs=1e-14)
        flow = distribution[:, None] * matrix
        np.testing.assert_allclose(flow, flow.T, rtol=1e-12)
        np.testing.assert_array_equal(matrix > 0, SPARSE + SPARSE.T > 0)


def test_the_density_is_that_of_bradley_and_terry():
    density, rng = density_of(SPARSE), np.random.default_rng(0)
    z = rng.standard_normal((5, 3))
    u = np.exp(density.log_u(z))
    leaving = SPARSE - np.diag(np.diag(SPARSE))
    wins = [sum(leaving[i, j] * np.log(x[i] / (x[i] + x[j])) for i in range(4) for j in range(4)) for x in u]
    np.testing.assert_allclose(np.diff(density.log_density(z)), np.diff(wins), rtol=1e-10)


def test_the_gradient_is_that_of_the_density_and_vanishes_at_the_mode():
    density = density_of(SPARSE)
    for z in np.random.default_rng(0).standard_normal((3, 3)):
        expected = approx_fprime(z, lambda at: density.log_density(at[None])[0], 1e-7)
        np.testing.assert_allclose(density.gradient(z[None])[0], expected, atol=1e-5)
    np.testing.assert_allclose(density.gradient(np.zeros((1, 3))), 0, atol=1e-5)


def test_with_many_counts_the_coordinates_are_standard_normal():
    density = density_of(1e4 * SPARSE)
    z = np.eye(3)
    np.testing.assert_allclose(density.log_density(z) - density.log_density(0 * z), -0.5, atol=0.01)
    np.testing.assert_allclose(density.gradient(z), -z, atol=0.03)


def test_the_error_of_a_trajectory_falls_with_the_square_of_the_step():
    density = density_of(SPARSE)

    def error(n_steps: int) -> float:
        chains = Chains.started(density, np.random.default_rng(0), n_chains=200)
        return float(np.abs(chains.propose(n_steps)[2]).mean())

    errors = np.array([error(n_steps) for n_steps in (8, 16, 32)])
    np.testing.assert_allclose(errors[:-1] / errors[1:], 4, rtol=0.1)


def test_a_flow_that_was_counted_is_never_lost():
    counts = np.array([[50, 1e-3, 0], [1e-3, 20, 1e-3], [0, 1e-3, 50]])
    found = drawn(counts, n_samples=200)
    assert (found.elements > 0).all()
    assert np.isfinite(found.stationary_distributions).all()
    assert np.isfinite(sampled_eigenvalues(found, n_values=3)).all()


def test_a_posterior_of_matrices_gives_them_back():
    matrices = np.random.default_rng(0).dirichlet(np.ones(4), size=(6, 4))
    matrices[:, 0, 1] = 0
    distributions = np.full((6, 4), 0.25)
    found = Posterior.of_matrices(matrices, distributions)
    assert len(found) == 6
    assert found.elements.shape == (6, 15)
    np.testing.assert_array_equal(found.transition_matrices, matrices)
    for matrix, (again, distribution) in zip(matrices, found, strict=True):
        np.testing.assert_array_equal(again, matrix)
        np.testing.assert_array_equal(distribution, 0.25)


@pytest.mark.parametrize("which", ["LA", "LM"])
@pytest.mark.parametrize("n_states", [40, 300])
def test_leading_eigenvalues_are_the_first_of_all_of_them(n_states, which):
    counts = random_counts(n_states)
    # Nearly bipartite: one eigenvalue is close to -1, and has the second largest modulus.
    parity = np.arange(n_states) % 2
    counts *= np.where(parity[:, None] == parity, 0.02, 1)
    found = drawn(counts, n_samples=3)
    sampled = sampled_eigenvalues(found, n_values=6, which=which)
    for values, sample in zip(sampled, found, strict=True):
        whole = eigenvalues(*sample)
        expected = whole[np.argsort(-np.abs(whole) if which == "LM" else -whole)][:6]
        np.testing.assert_allclose(values, expected, atol=1e-10)
    assert (sampled[:, 1] < -0.5).all() == (which == "LM")


def test_leading_eigenvalues_that_coincide_are_all_found():
    # A product of two equal chains: its second eigenvalue occurs twice.
    steps = np.eye(18, k=1) + np.eye(18, k=-1)
    one = 0.3 * steps + np.diag(1 - 0.3 * steps.sum(axis=1))
    matrix = np.kron(one, one)
    found = leading_eigenvalues(matrix, np.full(324, 1 / 324), n_values=5)
    np.testing.assert_allclose(found, eigenvalues(matrix, np.full(324, 1 / 324))[:5], atol=1e-10)
    assert found[1] == pytest.approx(found[2], abs=1e-12)


def test_counts_per_state_are_those_drawn_from():
    counts = np.array([[8.0, 3.0], [2.0, 9.0]])
    assert drawn(counts, n_samples=2).counts_per_state == 11
