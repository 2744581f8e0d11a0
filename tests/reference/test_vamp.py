"""The same numbers as deeptime, whose code is independent of ours."""

import numpy as np
import pytest
import torch
from deeptime.covariance import Covariance
from deeptime.decomposition import TICA, VAMP
from deeptime.decomposition.deep import vamp_score

from geom2msm.tica import TicaConfig, fit_tica
from geom2msm.vamp import (
    Covariances,
    PairedValues,
    SingularFunctions,
    vamp1_score,
    vamp2_score,
    vamp2_score_batch_mean,
    vampe_score,
)
from systems import simulate_chain, three_state_chain

LAG = 10


@pytest.fixture(scope="module")
def features():
    """Noisy, mixed, shifted observations of the three-state chain."""
    rng = np.random.default_rng(0)
    states = simulate_chain(three_state_chain(), 20_000, rng)
    means = rng.normal(size=(3, 5))
    return (means[states] + rng.normal(size=(len(states), 5))) @ rng.normal(size=(5, 5)) + 3.0


@pytest.fixture(scope="module")
def pairs(features):
    return PairedValues(torch.from_numpy(features), torch.arange(len(features) - LAG), LAG)


def deeptime_vamp(features, *, dimensions):
    return VAMP(lagtime=LAG, dim=dimensions, epsilon=1e-12).fit((features[:-LAG], features[LAG:])).fetch_model()


def test_vamp2_of_the_same_pairs(features, pairs):
    expected = deeptime_vamp(features, dimensions=None).score(2)
    assert float(vamp2_score(pairs.covariances(), epsilon=1e-12)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("ours", "r"), [(vamp1_score, 1), (vamp2_score, 2), (vampe_score, "E")])
def test_every_score_counts_the_constant_as_deeptime_does(ours, r, features, pairs):
    expected = deeptime_vamp(features, dimensions=None).score(r)
    assert float(ours(pairs.covariances(), epsilon=1e-12)) == pytest.approx(expected, abs=1e-8)


def test_the_cross_validated_vamp_e(features, pairs):
    half = len(features) // 2
    training = PairedValues(pairs.values[:half], torch.arange(half - LAG), LAG)
    validation = PairedValues(pairs.values[half:], torch.arange(half - LAG), LAG)
    functions = SingularFunctions.fit(training.covariances(), dimensions=2, epsilon=1e-12)
    model = deeptime_vamp(features[:half], dimensions=2)
    tested = VAMP(lagtime=LAG, epsilon=1e-12).fit((features[half:-LAG], features[half + LAG :])).fetch_model()
    actual = float(functions.vampe_score(functions.project(validation.covariances())))
    # deeptime divides covariances by one less than the number of pairs
    assert actual == pytest.approx(model.score("E", test_model=tested), abs=1e-3)


def test_weighted_covariances(features, pairs):
    log_weights = torch.from_numpy(np.sin(np.arange(len(features)) / 50))
    weights = np.exp(log_weights[:-LAG].numpy())
    # deeptime has no weighted Ctt
    estimator = Covariance(lagtime=LAG, compute_c00=True, compute_c0t=True, compute_ctt=False, remove_data_mean=True)
    expected = estimator.partial_fit((features[:-LAG], features[LAG:]), weights=weights).fetch_model()
    found = PairedValues(pairs.values, pairs.starts, LAG, log_weights=log_weights).covariances()
    np.testing.assert_allclose(found.mean_t.numpy(), expected.mean_0, rtol=1e-9)
    np.testing.assert_allclose(found.mean_lag.numpy(), expected.mean_t, rtol=1e-9)
    scale = found.c00.numpy()[0, 0] / expected.cov_00[0, 0]
    for ours, theirs in ((found.c00, expected.cov_00), (found.c0t, expected.cov_0t)):
        np.testing.assert_allclose(ours.numpy(), scale * theirs, rtol=1e-7, atol=1e-9)
    assert abs(scale - 1) < 1e-3


def test_vamp2_of_the_torch_implementation(features):
    x_t, x_lag = torch.from_numpy(features[:-LAG]), torch.from_numpy(features[LAG:])
    expected = vamp_score(x_t, x_lag, method="VAMP2", epsilon=1e-10, mode="trunc")
    torch.testing.assert_close(
        vamp2_score(Covariances.of_pairs(x_t, x_lag), epsilon=1e-12), expected, rtol=0, atol=1e-8
    )


def test_gradient_of_vamp2(features):
    x_t, x_lag = (torch.from_numpy(x[:500].copy()).requires_grad_() for x in (features[:-LAG], features[LAG:]))
    (expected,) = torch.autograd.grad(vamp_score(x_t, x_lag, method="VAMP2", epsilon=1e-12, mode="trunc"), x_t)
    (actual,) = torch.autograd.grad(vamp2_score(Covariances.of_pairs(x_t, x_lag), epsilon=1e-14), x_t)
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-9)


def test_the_cross_validated_score(features, pairs):
    half = len(features) // 2
    training = PairedValues(pairs.values[:half], torch.arange(half - LAG), LAG)
    validation = PairedValues(pairs.values[half:], torch.arange(half - LAG), LAG)
    functions = SingularFunctions.fit(training.covariances(), dimensions=2, epsilon=1e-12)
    model = deeptime_vamp(features[:half], dimensions=2)
    tested = VAMP(lagtime=LAG, epsilon=1e-12).fit((features[half:-LAG], features[half + LAG :])).fetch_model()
    actual = float(vamp2_score(functions.project(validation.covariances()), epsilon=1e-12))
    assert actual == pytest.approx(model.score(2, test_model=tested), abs=1e-9)


def test_the_singular_functions(features, pairs):
    model = deeptime_vamp(features, dimensions=2)
    functions = SingularFunctions.fit(pairs.covariances(), dimensions=2, epsilon=1e-12)
    ours, theirs = functions(pairs.values).numpy(), model.transform(features)
    for column in range(2):
        assert abs(np.corrcoef(ours[:, column], theirs[:, column])[0, 1]) == pytest.approx(1.0, abs=1e-9)


def test_tica(features, pairs):
    config = TicaConfig(kind="tica", feature="torsions", lag_ps=10.0, dimensions=2, epsilon=1e-12)
    functions = fit_tica(pairs, config=config)
    model = TICA(lagtime=LAG, dim=2, epsilon=1e-12).fit((features[:-LAG], features[LAG:])).fetch_model()
    np.testing.assert_allclose(functions.singular_values.numpy(), model.singular_values[:2], rtol=0, atol=1e-9)
    ours, theirs = functions(pairs.values).numpy(), model.transform(features)
    for column in range(2):
        assert abs(np.corrcoef(ours[:, column], theirs[:, column])[0, 1]) == pytest.approx(1.0, abs=1e-9)


def test_the_mean_of_batches(features, pairs):
    batches = list(pairs.batch_covariances(500))
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(pairs.starts), generator=generator)[: len(batches) * 500].reshape(-1, 500).numpy()
    expected = [
        VAMP(lagtime=LAG, epsilon=1e-12).fit((features[starts], features[starts + LAG])).fetch_model().score(2)
        for starts in order
    ]
    assert vamp2_score_batch_mean(batches, epsilon=1e-12) == pytest.approx(np.mean(expected), abs=1e-8)


def test_covariances(features, pairs):
    estimator = Covariance(lagtime=LAG, compute_c00=True, compute_c0t=True, compute_ctt=True, remove_data_mean=True)
    expected = estimator.fit(features).fetch_model()
    actual = pairs.covariances()
    # deeptime divides by one less than the number of pairs
    unbiased = actual.n_pairs / (actual.n_pairs - 1)
    for ours, theirs in ((actual.c00, expected.cov_00), (actual.c0t, expected.cov_0t), (actual.ctt, expected.cov_tt)):
        np.testing.assert_allclose(unbiased * ours.numpy(), theirs, rtol=1e-9)
