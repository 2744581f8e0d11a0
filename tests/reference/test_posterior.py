"""Samples have the distribution of those of deeptime's Gibbs sampler, however different the way to them."""

import numpy as np
import pytest
from deeptime.markov.msm import MaximumLikelihoodMSM
from deeptime.markov.tools.estimation.dense.tmat_sampling.tmatrix_sampler import TransitionMatrixSampler
from scipy.stats import ks_2samp

from geom2msm import posterior as module
from geom2msm.markov import sampled_eigenvalues
from geom2msm.posterior import draw_reversible
from geom2msm.sampled_matrices import Posterior

N_SAMPLES = 1500
# Sweeps between two samples; after so many those of deeptime are independent of each other.
N_SWEEPS = 60
# One of the 300 comparisons is below this by chance in three of a hundred runs with other seeds.
SMALLEST_P = 1e-4
# What is less likely happens never in any trajectory, and deeptime's steps are too small to explore it.
SMALLEST_PROBABILITY = 1e-9


def random_counts(n_states: int, mean: float) -> np.ndarray:
    """Counts of a connected chain; many pairs of states have none, some one way only, and one is never stayed in."""
    rng = np.random.default_rng(n_states)
    shape = n_states, n_states
    counts = (0.05 + rng.gamma(0.5, 2 * mean, shape)) * (rng.random(shape) < 0.6)
    counts[np.arange(n_states), (np.arange(n_states) + 1) % n_states] += mean
    counts[0, 0] = 0
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("array_size", [1000, 300_000], ids=["few chains", "a chain per sample"])
@pytest.mark.parametrize(("n_states", "mean"), [(3, 30.0), (8, 30.0), (8, 3.0), (8, 0.3)])
def test_samples_are_distributed_like_those_of_deeptime(n_states, mean, array_size, monkeypatch):
    monkeypatch.setattr(module, "ARRAY_SIZE", array_size)
    counts = random_counts(n_states, mean)
    model = MaximumLikelihoodMSM(reversible=True).fit_fetch(counts)
    start = model.transition_matrix
    sampler = TransitionMatrixSampler(counts, reversible=True, P0=start, n_steps=N_SWEEPS, seed=1)
    expected = Posterior.of_matrices(*sampler.sample(N_SAMPLES, return_statdist=True))
    found = draw_reversible(counts, model.stationary_distribution, n_samples=N_SAMPLES, seed=1)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.columns, expected.columns)

    def quantities(posterior: Posterior) -> np.ndarray:
        values = sampled_eigenvalues(posterior, n_values=n_states)[:, 1:]
        found = np.concatenate([values, posterior.stationary_distributions, posterior.elements], axis=1)
        return np.where(np.abs(found) < SMALLEST_PROBABILITY, SMALLEST_PROBABILITY, found)

    pairs = zip(quantities(found).T, quantities(expected).T, strict=True)
    p_values = np.array([ks_2samp(*pair).pvalue for pair in pairs])
    assert p_values.min() > SMALLEST_P, p_values
    assert (p_values < 0.05).mean() < 0.3
