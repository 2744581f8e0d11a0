"""Linear models on features and on tokens: what they see, principal components, and the same function at projection."""

import dataclasses

import numpy as np
import pytest
import torch

from geom2msm.mixers.layout import TokenLayout
from geom2msm.stored_tokens import Tokens
from geom2msm.tica import (
    PrincipalComponents,
    TicaConfig,
    component_pairs,
    find_components,
    fit_linear_model,
    invariant_features,
)
from geom2msm.token_pairs import TokenPairs
from systems import simulate_chain, three_state_chain

CONFIG = TicaConfig(kind="tica", feature="tokens", lag_ps=10.0, dimensions=2, epsilon=1e-6)
LAG = 10


def token_pairs(*, n_frames=6000, seed=0, channels=5) -> TokenPairs:
    """The three-state chain as tokens of noisy scalars and of vectors whose lengths tell the state."""
    rng, shapes = np.random.default_rng(seed), np.random.default_rng(9)
    states = simulate_chain(three_state_chain(), n_frames, rng)
    scalars = shapes.normal(size=(3, 2, channels))[states] + rng.normal(size=(n_frames, 2, channels))
    directions = rng.normal(size=(n_frames, 2, 3, channels))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    vectors = directions * shapes.uniform(0.5, 2, size=(3, 2, 1, channels))[states]
    tokens = Tokens(*(torch.from_numpy(a.astype("f4")) for a in (scalars, vectors, vectors[..., 0])))
    layout = TokenLayout(channels, (0, 0))
    return TokenPairs(torch.arange(n_frames - LAG), LAG, layout, tokens=tokens)


def test_features_of_tokens_do_not_turn_with_the_molecule():
    tokens = token_pairs(n_frames=50).tokens
    rotation, _ = torch.linalg.qr(torch.randn(3, 3))
    turned = tokens._replace(vectors=torch.einsum("ij,ftjc->ftic", rotation, tokens.vectors))
    torch.testing.assert_close(invariant_features(turned), invariant_features(tokens), rtol=0, atol=1e-5)
    assert invariant_features(tokens).shape == (50, 2 * 2 * 5)


def test_features_that_pass_as_a_token_come_out_as_they_are():
    features = torch.randn(7, 4)
    tokens = Tokens(features[:, None], torch.zeros(7, 1, 3, 0), torch.zeros(7, 1, 3))
    torch.testing.assert_close(invariant_features(tokens), features, rtol=0, atol=0)


def test_few_features_are_left_alone():
    sample = torch.randn(20, 4)
    torch.testing.assert_close(PrincipalComponents.fit(sample, rank=4)(sample), sample, rtol=0, atol=0)


def test_components_are_uncorrelated_and_as_many_as_the_rank():
    sample = torch.randn(200, 6) @ torch.randn(6, 30) + 5
    components = PrincipalComponents.fit(sample, rank=10)
    assert components.basis.shape == (30, 6), "there are only six directions"
    covariance = torch.cov(components(sample).double().T)
    off_diagonal = covariance - covariance.diagonal().diag()
    assert off_diagonal.abs().max() < 1e-4 * covariance.max()
    assert PrincipalComponents.fit(sample, rank=3).basis.shape == (30, 3)


def test_a_feature_that_never_changes_is_no_component():
    sample = torch.cat([torch.randn(100, 6), torch.full((100, 6), 3.0)], dim=1)
    assert PrincipalComponents.fit(sample, rank=8).basis.shape[1] == 6


@pytest.mark.parametrize("rank", [8, 500])
@pytest.mark.parametrize("reversible", [True, False])
def test_the_model_of_the_features_is_that_of_the_components(rank, reversible):
    config, pairs = dataclasses.replace(CONFIG, rank=rank, reversible=reversible), token_pairs()
    functions, scores = fit_linear_model(pairs, token_pairs(seed=1), config=config)
    assert scores["rank"] == min(rank, 20)
    values = functions(invariant_features(pairs.tokens))
    assert values.shape == (6000, 2)
    torch.testing.assert_close(values[:-LAG].mean(dim=0), torch.zeros(2).double(), rtol=0, atol=0.15)
    from_components = component_pairs(pairs, find_components(pairs, rank=rank))
    lagged = (invariant_features(pairs.tokens).double() - functions.mean_lag) @ functions.right
    seen = dataclasses.replace(from_components, values=values, values_lag=None if reversible else lagged)
    projected = seen.covariances(reversible=reversible)
    torch.testing.assert_close(projected.c00, torch.eye(2).double(), rtol=0, atol=1e-3)
    expected = torch.tensor(scores["singular_values"]).double()
    torch.testing.assert_close(projected.c0t.diagonal(), expected, rtol=0, atol=1e-3)


def test_the_tokens_tell_the_slow_processes():
    _, scores = fit_linear_model(token_pairs(), token_pairs(seed=1), config=CONFIG)
    assert 2.2 < scores["score_validation"] <= 3
    assert scores["timescales_validation_ps"][0] == pytest.approx(214, rel=0.6)


def test_components_do_not_depend_on_the_chunks(monkeypatch):
    pairs = token_pairs(n_frames=500)
    whole = find_components(pairs, rank=6)
    values = whole(invariant_features(pairs.tokens))
    monkeypatch.setattr("geom2msm.token_pairs.CHUNK_BYTES", 37 * pairs.tokens.frame_bytes)
    torch.testing.assert_close(find_components(pairs, rank=6).basis, whole.basis, rtol=0, atol=0)
    torch.testing.assert_close(component_pairs(pairs, whole).values, values, rtol=0, atol=1e-5)


def test_weights_reach_the_fit():
    pairs = token_pairs(n_frames=2000)
    weighted = dataclasses.replace(pairs, log_weights=torch.linspace(0, 5, 2000).double())
    found = [fit_linear_model(p, pairs, config=CONFIG)[1] for p in (pairs, weighted)]
    assert found[0]["effective_training_pairs"] == 1990
    assert found[1]["effective_training_pairs"] < 1000
    assert found[0]["singular_values"] != found[1]["singular_values"]
