import torch
from hypothesis import given
from hypothesis import strategies as st

from geom2msm.vamp import Covariances, SingularFunctions, vamp2_score

seeds = st.integers(0, 2**31)
channels = st.integers(1, 6)


def correlated_pairs(seed: int, n_channels: int, *, n_pairs: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of features that remember each other more or less, far from centered."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x_t = draw(n_pairs, n_channels) @ invertible(seed, n_channels) + 10 * draw(n_channels)
    x_lag = x_t @ draw(n_channels, n_channels) + 3 * draw(n_pairs, n_channels)
    return x_t, x_lag


def invertible(seed: int, size: int) -> torch.Tensor:
    """A random matrix with singular values between 0.2 and 5."""
    generator = torch.Generator().manual_seed(seed + 1)
    u, _, vh = torch.linalg.svd(torch.randn(size, size, generator=generator, dtype=torch.float64))
    return u * 5 ** (2 * torch.rand(size, generator=generator, dtype=torch.float64) - 1) @ vh


def score(x_t: torch.Tensor, x_lag: torch.Tensor, *, epsilon: float = 0.0) -> torch.Tensor:
    return vamp2_score(Covariances.of_pairs(x_t, x_lag), epsilon=epsilon)


@given(seed=seeds, n_channels=channels)
def test_the_score_is_unchanged_by_invertible_linear_maps(seed, n_channels):
    x_t, x_lag = correlated_pairs(seed, n_channels)
    first, second = invertible(seed + 7, n_channels), invertible(seed + 8, n_channels)
    mapped = score(x_t @ first + 1.0, x_lag @ second - 2.0)
    torch.testing.assert_close(mapped, score(x_t, x_lag), rtol=0, atol=1e-9)


@given(seed=seeds, n_channels=channels)
def test_the_ridge_changes_the_score_little(seed, n_channels):
    x_t, x_lag = correlated_pairs(seed, n_channels)
    torch.testing.assert_close(score(x_t, x_lag, epsilon=1e-6), score(x_t, x_lag), rtol=0, atol=1e-3)


@given(seed=seeds, n_channels=channels)
def test_the_score_lies_between_one_and_the_number_of_features_plus_one(seed, n_channels):
    assert 1 <= float(score(*correlated_pairs(seed, n_channels))) <= n_channels + 1 + 1e-12


@given(seed=seeds, n_channels=channels)
def test_the_score_does_not_know_the_direction_of_time(seed, n_channels):
    x_t, x_lag = correlated_pairs(seed, n_channels)
    torch.testing.assert_close(score(x_lag, x_t), score(x_t, x_lag), rtol=0, atol=1e-9)


@given(seed=seeds, n_channels=st.integers(2, 6))
def test_fewer_features_never_score_more(seed, n_channels):
    x_t, x_lag = correlated_pairs(seed, n_channels)
    assert float(score(x_t[:, 1:], x_lag[:, 1:])) <= float(score(x_t, x_lag)) + 1e-9


@given(seed=seeds, n_channels=channels, cuts=st.lists(st.integers(1, 299), min_size=1, max_size=4, unique=True))
def test_merged_covariances_are_those_of_the_union(seed, n_channels, cuts):
    x_t, x_lag = correlated_pairs(seed, n_channels)
    parts = [
        Covariances.of_pairs(a, b)
        for a, b in zip(x_t.tensor_split(sorted(cuts)), x_lag.tensor_split(sorted(cuts)), strict=True)
    ]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    whole = Covariances.of_pairs(x_t, x_lag)
    assert merged.n_pairs == whole.n_pairs
    for name in ("mean_t", "mean_lag", "c00", "c0t", "ctt"):
        torch.testing.assert_close(getattr(merged, name), getattr(whole, name), rtol=1e-10, atol=1e-9)


@given(seed=seeds, n_channels=st.integers(2, 6))
def test_the_slowest_functions_score_best_of_all_projections(seed, n_channels):
    x_t, x_lag = correlated_pairs(seed, n_channels)
    covariances = Covariances.of_pairs(x_t, x_lag)
    dimensions = n_channels // 2
    functions = SingularFunctions.fit(covariances, dimensions=dimensions, epsilon=0.0)
    best = float(vamp2_score(functions.project(covariances), epsilon=0.0))
    left, right = (invertible(seed + shift, n_channels)[:, :dimensions] for shift in (3, 4))
    assert float(vamp2_score(covariances.project(left, right), epsilon=0.0)) <= best + 1e-9
    assert abs(best - 1 - float(functions.singular_values.square().sum())) < 1e-9
