import dataclasses

import numpy as np

from geom2msm.sampled_matrices import FEW_COUNTS_PER_STATE, Posterior, interval


def posterior_with(counts_per_state: float) -> Posterior:
    matrices, distributions = np.full((3, 2, 2), 0.5), np.full((3, 2), 0.5)
    found = Posterior.of_matrices(matrices, distributions)
    return dataclasses.replace(found, counts_per_state=counts_per_state)


def test_intervals_are_given_from_so_many_counts_per_state_on():
    samples = np.random.default_rng(0).normal(size=(200, 4))
    enough, few = posterior_with(float(FEW_COUNTS_PER_STATE)), posterior_with(FEW_COUNTS_PER_STATE - 0.01)
    np.testing.assert_array_equal(enough.interval(samples), interval(samples))
    assert np.isnan(few.interval(samples)).all()
    assert np.isnan(few.interval(samples, around=np.zeros(4))).all()


def test_an_interval_that_excludes_the_estimate_is_not_given():
    samples = np.random.default_rng(0).normal(size=(200, 3))
    found = posterior_with(np.inf).interval(samples, around=np.array([0.0, 9.0, -9.0]))
    np.testing.assert_array_equal(np.isnan(found), [[False, True, True]] * 2)


def test_a_centered_interval_has_the_most_likely_number_in_its_middle_and_keeps_its_shape():
    samples = np.exp(np.random.default_rng(3).normal(size=(999, 2)))
    around = np.array([1.3, 0.8])
    known = posterior_with(np.inf)
    found, plain = known.centered_interval(samples, around=around), known.interval(samples)
    np.testing.assert_allclose(found[1] / found[0], plain[1] / plain[0])
    inside = (samples * around / np.median(samples, axis=0) < around).mean(axis=0)
    np.testing.assert_allclose(inside, 0.5, atol=1e-3)
    # In another unit it is the same interval.
    np.testing.assert_allclose(known.centered_interval(7 * samples, around=7 * around), 7 * found)


def test_what_the_samples_exclude_is_not_centered_and_what_is_zero_stays():
    samples = np.exp(np.random.default_rng(4).normal(size=(200, 3)))
    samples[:, 2] = 0
    found = posterior_with(np.inf).centered_interval(samples, around=np.array([1.0, 1e3, 0.0]))
    assert np.isfinite(found[:, 0]).all()
    assert np.isnan(found[:, 1]).all()
    assert found[:, 2].tolist() == [0.0, 0.0]
    assert np.isnan(posterior_with(1.0).centered_interval(samples, around=np.ones(3))).all()


def test_a_shifted_interval_has_the_most_likely_number_in_its_middle_and_stays_a_probability():
    samples = np.random.default_rng(3).beta(8, 3, size=(999, 3))
    median = np.median(samples, axis=0)
    around = median + np.array([0.02, 0.2, -0.02])
    known = posterior_with(np.inf)
    found, plain = known.shifted_interval(samples, around=around), known.interval(samples)
    np.testing.assert_allclose(found[:, [0, 2]], (plain + around - median)[:, [0, 2]])
    assert found[1, 1] == 1.0
    assert np.isnan(posterior_with(1.0).shifted_interval(samples, around=around)).all()
    # What is known without an error stays so.
    assert known.shifted_interval(np.zeros((50, 1)), around=np.zeros(1)).tolist() == [[0.0], [0.0]]
