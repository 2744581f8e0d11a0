"""Intervals from blocks left out in turn: what they must be, and how often they hold the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import t as student

from geom2msm.resampling import MIN_BLOCKS, Blocks, cut_blocks, jackknife_interval


def of_means(values: np.ndarray, *, run: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of means over blocks [block number]; every block is a run of its own unless said."""
    n = len(values)
    blocks = Blocks(np.arange(n), np.arange(n) if run is None else run)
    without = (values.sum(axis=0) - values) / (n - 1)
    return jackknife_interval(values.mean(axis=0), without, blocks, n_used=np.full(values.shape[1:], n))


def test_of_values_that_are_symmetric_it_is_students_interval():
    values = np.concatenate([np.arange(1.0, 7), -np.arange(1.0, 7)])[:, None] + 3
    lower, upper = of_means(values)
    half = student.ppf(0.975, 11) * values.std(ddof=1) / np.sqrt(12)
    np.testing.assert_allclose([lower[0], upper[0]], [3 - half, 3 + half], rtol=1e-12)


block_values = arrays(float, st.integers(8, 30), elements=st.integers(-50, 50).map(float))


@given(values=block_values, scale=st.sampled_from([-3.0, -1.0, 0.01, 7.0]), shift=st.sampled_from([0.0, 2.0]))
def test_it_holds_the_estimate_and_moves_scales_and_turns_with_the_values(values, scale, shift):
    lower, upper = of_means(values[:, None])
    changed = np.sort(of_means(scale * values[:, None] + shift), axis=0)
    assert lower <= values.mean() <= upper
    assert (lower < upper) == (np.ptp(values) > 0)
    expected = np.sort(scale * np.array([lower, upper]) + shift, axis=0)
    np.testing.assert_allclose(changed, expected, rtol=1e-6, atol=1e-8)


def test_of_skew_values_it_misses_the_truth_on_both_sides_alike():
    """Means of ten exponential variates: Student's interval is too low in 9 of 100 cases and hardly ever too high."""
    values = np.random.default_rng(0).exponential(size=(10, 20_000))
    lower, upper = of_means(values)
    too_low, too_high = (upper < 1).mean(), (lower > 1).mean()
    assert 0.92 <= 1 - too_low - too_high <= 0.97
    assert max(too_low, too_high) < 0.06
    half = student.ppf(0.975, 9) * values.std(axis=0, ddof=1) / np.sqrt(10)
    assert (values.mean(axis=0) + half < 1).mean() > 0.07


def test_blocks_that_follow_each_other_share_what_crosses_their_border():
    # Moving averages of independent numbers: the mean of n has a variance of 4/n times that of one.
    steps = np.random.default_rng(1).normal(size=(41, 5_000))
    values = steps[1:] + steps[:-1]
    one_run = of_means(values, run=np.zeros(40, dtype=int))
    covered = [(lower <= 0) & (upper >= 0) for lower, upper in (one_run, of_means(values))]
    assert covered[0].mean() > 0.93
    assert covered[1].mean() < 0.9
    assert (one_run[1] - one_run[0] >= np.subtract(*of_means(values)[::-1]) - 1e-12).all()


def test_what_few_blocks_hold_has_no_interval_and_what_never_varies_has_no_width():
    values = np.random.default_rng(2).normal(size=(12, 3))
    values[:, 1] = 0.3
    estimate, without = values.mean(axis=0), (values.sum(axis=0) - values) / 11
    blocks = Blocks(np.arange(12), np.arange(12))
    lower, upper = jackknife_interval(estimate, without, blocks, n_used=np.array([12, 12, MIN_BLOCKS - 1]))
    assert lower[0] < estimate[0] < upper[0]
    np.testing.assert_allclose([lower[1], upper[1]], 0.3, rtol=1e-12)
    assert np.isnan([lower[2], upper[2]]).all()
    without[4, 0] = np.nan
    assert np.isnan(jackknife_interval(estimate, without, blocks, n_used=np.full(3, 12))[0][0])


def test_fewer_blocks_that_hold_it_make_it_wider():
    values = np.random.default_rng(3).normal(size=(30, 1))
    estimate, without = values.mean(axis=0), (values.sum(axis=0) - values) / 29
    blocks = Blocks(np.arange(30), np.arange(30))
    widths = [
        np.subtract(*jackknife_interval(estimate, without, blocks, n_used=np.array([n]))[::-1])[0] for n in (8, 30)
    ]
    assert widths[0] > 1.1 * widths[1]


def test_without_a_timescale_blocks_are_as_short_as_their_number_allows():
    assert cut_blocks([500, 1500], correlation_frames=np.nan).n_blocks == 100
    assert cut_blocks([500, 1500], correlation_frames=50.0).run.tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("lengths", [[5], [3, 0, 4]])
def test_every_block_knows_its_run(lengths):
    blocks = cut_blocks(lengths, correlation_frames=0.1)
    of_frame = np.repeat(np.arange(len(lengths)), lengths)
    np.testing.assert_array_equal(blocks.run[blocks.of_frame], of_frame)
