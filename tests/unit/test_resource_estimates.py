"""What jobs ask for: more than was measured, and not ten times too much."""

import pytest

from geom2msm import resource_estimates, tica
from geom2msm.resource_estimates import (
    JOB_MB,
    embedding_mb,
    embedding_minutes,
    linear_model_mb,
    most_epochs,
    training_mb,
    training_minutes,
)


# docs/performance.md, tokens of large and mixed molecules.
@pytest.mark.parametrize(
    ("n_atoms", "measured_mb", "seconds_per_frame"),
    [
        (10, 597, 0.0010),
        (44, 507, 0.0031),
        (154, 507, 0.0128),
        (1656, 533, 0.139),
        (2486, 549, 0.209),
        (21746, 839, 1.97),
    ],
)
def test_an_embedding_gets_more_than_it_took_and_less_than_ten_times_that(n_atoms, measured_mb, seconds_per_frame):
    assert measured_mb + JOB_MB < embedding_mb(n_atoms) < 3 * (measured_mb + JOB_MB)
    took = 100_000 * seconds_per_frame / 60
    assert took < embedding_minutes(100_000, n_atoms) < 10 * took + 30


# results/benchmarks of the default system: 61 MB of tokens.
MEMORY = {"kind": "vampnet", "memory_mb": 2000, "batch_memory_mb": 1000}


def test_a_training_gets_more_than_it_took_and_less_than_three_times_that():
    assert 525 + JOB_MB < training_mb(61.0, MEMORY) < 3 * (525 + JOB_MB)


def test_the_memory_of_a_training_ends_with_its_buffers_and_its_batch():
    assert training_mb(1e6, MEMORY) == training_mb(1e5, MEMORY) < 1.5 * 2000 + 1000 + 2000
    assert training_mb(1e6, MEMORY | {"kind": "spib"}) > training_mb(1e6, MEMORY) + 2000
    assert training_mb(1e6, MEMORY | {"batch_memory_mb": 3000}) == training_mb(1e6, MEMORY) + 2000


# Peaks of one fit on features of single precision.
@pytest.mark.parametrize(
    ("n_frames", "n_features", "rank", "measured_mb"),
    [
        (200_000, 300, 500, 1152),
        (20_000, 3000, 500, 696),
        (100_000, 1000, 500, 1463),
        (5000, 20_000, 500, 1625),
        (20_000, 3000, 1500, 1505),
    ],
)
def test_a_linear_model_gets_more_than_it_took_and_less_than_three_times_that(n_frames, n_features, rank, measured_mb):
    found = linear_model_mb(n_frames * n_features * 4 / 2**20, n_frames, rank=rank)
    assert 1.3 * (measured_mb + JOB_MB) < found < 3 * (measured_mb + JOB_MB)


def test_a_linear_model_of_tokens_holds_their_components_only():
    stored_mb, components_mb = 1e5, 1_000_000 * 500 * 4 / 2**20
    assert components_mb < linear_model_mb(stored_mb, 1_000_000, rank=500) < 5 * components_mb
    longer = linear_model_mb(2 * stored_mb, 2_000_000, rank=500) - linear_model_mb(stored_mb, 1_000_000, rank=500)
    assert components_mb < longer < 1.5 * components_mb
    assert resource_estimates.FRAMES_PER_COMPONENT == tica.FRAMES_PER_COMPONENT


def test_time_grows_with_data_and_epochs():
    assert training_minutes(600.0, 50) > training_minutes(60.0, 50) > 0
    assert most_epochs({"kind": "vampnet", "max_epochs": 7}) == 7
    assert most_epochs({"kind": "spib", "n_refinements": 3, "max_epochs_per_refinement": 5}) == 15
