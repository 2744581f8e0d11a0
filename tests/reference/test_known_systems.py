"""Systems of deeptime whose transition matrices are known: trained models must find them again."""

import numpy as np
import pytest
import torch
from deeptime.data import quadruple_well, sqrt_model
from scipy.linalg import expm

from geom2msm.markov import count_transitions, estimate_model
from geom2msm.mixers.layout import TokenLayout
from geom2msm.spib import SpibConfig
from geom2msm.spib_state import LabeledPairs
from geom2msm.spib_training import fit_spib
from geom2msm.states import assign_microstates, fit_microstates
from geom2msm.stored_tokens import Tokens
from geom2msm.token_pairs import TokenPairs
from geom2msm.training import FoldPairs, fit_vampnet
from geom2msm.training_state import Member
from geom2msm.vampnet import VampnetConfig

VAMPNET = {
    "kind": "vampnet", "mixer": "mlp", "feature": "residue_distances", "hidden_channels": 32, "n_layers": 3,
    "lag_ps": 1.0, "learning_rate": 5e-3, "batch_pairs": 1000, "max_epochs": 15, "patience": 5, "epsilon": 1e-6,
}  # fmt: skip
SPIB = {
    "kind": "spib", "mixer": "mlp", "feature": "residue_distances", "hidden_channels": 32, "n_layers": 2,
    "lag_ps": 1.0, "initial_labels": "tica", "initial_states": 10, "latent_dimensions": 2, "decoder_channels": 16,
    "beta": 1e-2, "learning_rate": 5e-3, "batch_pairs": 500, "n_refinements": 6, "max_epochs_per_refinement": 5,
    "population_tolerance": 0.01, "patience": 2, "minimum_population": 0.0,
}  # fmt: skip
BETA = 4.0
FRAME_INTERVAL = 0.5
LAG_FRAMES = 2


def feature_pairs(features: np.ndarray, *, lag_frames: int) -> TokenPairs:
    """Features of one trajectory, as they come from a feature store."""
    n_frames, n_features = features.shape
    values = torch.from_numpy(features.astype(np.float32))[:, None]
    tokens = Tokens(values, torch.zeros(n_frames, 1, 3, 0), torch.zeros(n_frames, 1, 3))
    layout = TokenLayout(n_features, (0,))
    return TokenPairs(torch.arange(n_frames - lag_frames), lag_frames, layout, tokens=tokens)


def halves(features: np.ndarray, *, lag_frames: int) -> FoldPairs:
    """Training on the first half, validation on the second."""
    half = len(features) // 2
    training, validation = (
        feature_pairs(part, lag_frames=lag_frames) for part in (features[:half], features[half + lag_frames :])
    )
    return FoldPairs(training, validation, validation)


def transition_matrix(states: np.ndarray, *, lag_frames: int, n_states: int) -> np.ndarray:
    counts = count_transitions([states.astype(np.int32)], lag_frames=lag_frames, n_microstates=n_states)
    return estimate_model(counts).transition_matrix


def quadrant_matrix() -> np.ndarray:
    """Transition matrix between the quadrants at the lag, in equilibrium, from the Smoluchowski equation on a grid.

    V = (x^2 - 1)^2 + (y^2 - 1)^2 separates: that of the four wells is the Kronecker square of that of two. Rates
    between neighboring cells, D / dx^2 exp(-beta (V_j - V_i) / 2), obey detailed balance.
    """
    x = np.linspace(-2.2, 2.2, 600)
    potential = (x**2 - 1) ** 2
    rates = np.exp(-BETA * (potential[None] - potential[:, None]) / 2) / (BETA * (x[1] - x[0]) ** 2)
    rates *= np.abs(np.subtract.outer(np.arange(len(x)), np.arange(len(x)))) == 1
    propagator = expm(FRAME_INTERVAL * LAG_FRAMES * (rates - np.diag(rates.sum(axis=1))))
    sides = np.stack([x < 0, x > 0]).astype(float)
    start = sides * np.exp(-BETA * potential)
    two_wells = start / start.sum(axis=1, keepdims=True) @ propagator @ sides.T
    return np.kron(two_wells, two_wells)


@pytest.fixture(scope="module")
def four_wells() -> np.ndarray:
    """About 700 crossings of each barrier."""
    n_steps = round(FRAME_INTERVAL / 1e-3)
    return quadruple_well(h=1e-3, n_steps=n_steps).trajectory(np.array([[1.0, 1.0]]), 80_000, seed=11, n_jobs=1)


def quadrant(points: np.ndarray) -> np.ndarray:
    return 2 * (points[:, 0] > 0) + (points[:, 1] > 0)


def best_order(states: np.ndarray, points: np.ndarray, n_states: int) -> np.ndarray:
    """The quadrant in which most frames of each state lie."""
    return np.array([np.bincount(quadrant(points)[states == state], minlength=4).argmax() for state in range(n_states)])


def assert_recovers(found: np.ndarray, order: np.ndarray) -> None:
    """Every entry within 15 % or 0.004 of the known one: three standard errors of so many crossings."""
    assert sorted(order) == [0, 1, 2, 3]
    known = quadrant_matrix()[np.ix_(order, order)]
    np.testing.assert_allclose(found, known, rtol=0.15, atol=0.004)


def test_a_vampnet_recovers_the_hidden_states_behind_the_square_root():
    """Bimodal normal distributions, bent by a square root, which no straight line separates; T = 0.95 / 0.05."""
    hidden, observed = sqrt_model(20_000, seed=3)
    pairs = halves(observed, lag_frames=1)
    config = VampnetConfig.from_settings(VAMPNET | {"dimensions": 1})
    model, _, scores = fit_vampnet(pairs, config=config, member=Member(seed=0))
    # The constant, and an eigenvalue of 0.9.
    assert scores["score_validation"] == pytest.approx(1 + 0.9**2, abs=0.05)
    values = model(feature_pairs(observed, lag_frames=1).tokens).numpy()
    centers = fit_microstates([values], n_microstates=2, seed=0)
    states = assign_microstates(values, centers)
    assert max((states == hidden).mean(), (states != hidden).mean()) > 0.99
    known = np.array([[0.95, 0.05], [0.05, 0.95]])
    np.testing.assert_allclose(transition_matrix(states, lag_frames=1, n_states=2), known, atol=0.01)


def test_a_vampnet_recovers_the_transition_matrix_of_four_wells(four_wells):
    pairs = halves(four_wells, lag_frames=LAG_FRAMES)
    config = VampnetConfig.from_settings(VAMPNET | {"dimensions": 3})
    model, _, _ = fit_vampnet(pairs, config=config, member=Member(seed=0))
    values = model(feature_pairs(four_wells, lag_frames=LAG_FRAMES).tokens).numpy()
    states = assign_microstates(values, fit_microstates([values], n_microstates=4, seed=0))
    found = transition_matrix(states, lag_frames=LAG_FRAMES, n_states=4)
    assert_recovers(found, best_order(states, four_wells, 4))


def test_spib_recovers_the_number_of_wells_and_their_transition_matrix(four_wells):
    points = four_wells[:40_000]
    pairs = halves(points, lag_frames=LAG_FRAMES)
    centers = fit_microstates([points], n_microstates=10, seed=0)
    labeled = [
        LabeledPairs(part, torch.from_numpy(assign_microstates(part.tokens.scalars[:, 0].numpy(), centers)).long())
        for part in (pairs.training, pairs.validation)
    ]
    model, _, scores = fit_spib(*labeled, config=SpibConfig.from_settings(SPIB), member=Member(seed=0))
    assert scores["n_states"] == 4
    everything = feature_pairs(four_wells, lag_frames=LAG_FRAMES)
    states = LabeledPairs(everything, torch.zeros(len(four_wells), dtype=torch.long)).project(model).states.numpy()
    found = transition_matrix(states, lag_frames=LAG_FRAMES, n_states=4)
    assert_recovers(found, best_order(states, four_wells, 4))
