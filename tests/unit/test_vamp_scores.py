"""VAMP-1, VAMP-2 and VAMP-E count alike, the reversible variant has eigenvalues, softmax loses no rank."""

import dataclasses

import numpy as np
import pytest
import torch

from geom2msm.covariances import Covariances, PairedValues
from geom2msm.vamp import (
    ScoreConfig,
    SingularFunctions,
    contrasts,
    fit_functions,
    implied_timescales_ps,
    koopman_matrix,
    model_scores,
    reversible_timescales_ps,
    score_of,
    training_loss,
    vamp1_score,
    vamp2_score,
    vampe_score,
)
from systems import double_well, eigenvalues, simulate_chain, three_state_chain

SCORES = {"vamp1": vamp1_score, "vamp2": vamp2_score, "vampe": vampe_score}
every_score = pytest.mark.parametrize("score", SCORES)


def chain_pairs(*, n_frames=20_000, lag_frames=10, seed=0, states=None) -> PairedValues:
    """The three-state chain through noisy features."""
    rng = np.random.default_rng(seed)
    found = simulate_chain(three_state_chain(), n_frames, rng) if states is None else states
    means = np.random.default_rng(1).normal(size=(3, 4))
    values = torch.from_numpy(means[found] + 0.5 * rng.normal(size=(len(found), 4)))
    return PairedValues(values, torch.arange(len(found) - lag_frames), lag_frames)


def softmax_pairs(pairs: PairedValues, *, n_states=3) -> PairedValues:
    weights = torch.randn(pairs.values.shape[1], n_states, dtype=torch.float64)
    return dataclasses.replace(pairs, values=(pairs.values @ weights).softmax(dim=1))


@every_score
def test_frames_that_are_perfectly_remembered_score_all_dimensions_and_the_constant(score):
    x = torch.randn(500, 3)
    assert float(SCORES[score](Covariances.of_pairs(x, x), epsilon=1e-12)) == pytest.approx(4.0, abs=1e-6)


@every_score
def test_frames_that_know_nothing_of_each_other_score_the_constant_alone(score):
    x_t, x_lag = torch.randn(2, 200_000, 2, dtype=torch.float64)
    assert float(SCORES[score](Covariances.of_pairs(x_t, x_lag), epsilon=1e-6)) == pytest.approx(1.0, abs=0.02)


def test_vamp_e_of_the_pairs_of_the_fit_is_vamp_2():
    pairs = chain_pairs()
    covariances = pairs.covariances()
    for dimensions in (1, 2, 4):
        functions = SingularFunctions.fit(covariances, dimensions=dimensions, epsilon=1e-12)
        projected = functions.project(covariances)
        expected = vamp2_score(projected, epsilon=1e-12)
        torch.testing.assert_close(functions.vampe_score(projected), expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(vampe_score(covariances, epsilon=1e-12), expected, rtol=0, atol=1e-8)


def test_vamp_e_does_not_refit_to_the_pairs_it_is_tested_on():
    functions = SingularFunctions.fit(chain_pairs(n_frames=400).covariances(), dimensions=4, epsilon=1e-12)
    projected = functions.project(chain_pairs(seed=5).covariances())
    assert float(functions.vampe_score(projected)) < float(vamp2_score(projected, epsilon=1e-12)) - 1e-3


def test_wrong_functions_have_a_vamp_e_below_the_constant():
    functions = SingularFunctions.fit(chain_pairs().covariances(), dimensions=2, epsilon=1e-12)
    opposite = dataclasses.replace(functions, singular_values=-functions.singular_values)
    assert float(opposite.vampe_score(functions.project(chain_pairs().covariances()))) < 1


@every_score
@pytest.mark.parametrize("reversible", [False, True])
@pytest.mark.parametrize("output", ["linear", "softmax"])
def test_gradients_of_the_loss_are_those_of_finite_differences(score, reversible, output):
    config = ScoreConfig(score=score, reversible=reversible, output=output, epsilon=1e-3)
    x_t, x_lag = (torch.randn(20, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weights = torch.randn(2, 20, dtype=torch.float64)

    def loss(a, b):
        outputs = (a.softmax(dim=1), b.softmax(dim=1)) if output == "softmax" else (a, b)
        return training_loss(*outputs, config, *weights)

    assert torch.autograd.gradcheck(loss, (x_t, x_lag))


@every_score
def test_the_loss_is_minus_the_score_that_is_named(score):
    x_t, x_lag = torch.randn(2, 50, 3, dtype=torch.float64)
    expected = -SCORES[score](Covariances.of_pairs(x_t, x_lag), epsilon=1e-6)
    torch.testing.assert_close(training_loss(x_t, x_lag, ScoreConfig(score=score)), expected)


def test_contradictory_settings_are_refused():
    with pytest.raises(ValueError, match="score: vamp3 is unknown; choose one of vamp1, vamp2, vampe"):
        ScoreConfig(score="vamp3")
    with pytest.raises(ValueError, match="output: sigmoid is unknown"):
        ScoreConfig(output="sigmoid")
    with pytest.raises(ValueError, match="reversible: true needs lobes: 1"):
        ScoreConfig(reversible=True, lobes=2)


def test_contrasts_are_orthonormal_and_blind_for_the_constant():
    basis = contrasts(5)
    torch.testing.assert_close(basis.T @ basis, torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(basis.sum(dim=0), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)


@every_score
def test_a_softmax_scores_as_its_states_without_any_one_of_them(score):
    pairs = softmax_pairs(chain_pairs())
    found = score_of(pairs.covariances(), ScoreConfig(score=score, output="softmax", epsilon=1e-12))
    for left_out in range(3):
        kept = pairs.values[:, [state for state in range(3) if state != left_out]]
        expected = SCORES[score](dataclasses.replace(pairs, values=kept).covariances(), epsilon=1e-12)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)


def test_a_softmax_is_not_scored_by_its_ridge():
    """Without the contrasts, rounding in the constant direction would be divided by the ridge."""
    pairs = softmax_pairs(chain_pairs())
    scores = [
        float(score_of(pairs.covariances(), ScoreConfig(output="softmax", epsilon=epsilon)))
        for epsilon in (1e-14, 1e-10, 1e-6)
    ]
    np.testing.assert_allclose(scores, scores[0], atol=1e-4)
    assert scores[0] <= 3


def test_functions_of_a_softmax_act_on_its_outputs():
    pairs = softmax_pairs(chain_pairs())
    config = ScoreConfig(output="softmax", epsilon=1e-12)
    functions = fit_functions(pairs, dimensions=2, config=config)
    projected = functions.project(pairs.covariances())
    torch.testing.assert_close(projected.c00, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(projected.c0t.diagonal(), functions.singular_values, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        functions(pairs.values)[pairs.starts].mean(dim=0), torch.zeros(2).double(), atol=1e-9, rtol=0
    )


def test_a_softmax_has_one_dimension_less_than_states():
    with pytest.raises(ValueError, match="dimensions = 3, but there are only 2 features"):
        fit_functions(softmax_pairs(chain_pairs(n_frames=500)), dimensions=3, config=ScoreConfig(output="softmax"))


def test_eigenfunctions_of_a_reversible_process_are_left_and_right():
    pairs = chain_pairs(n_frames=200_000)
    functions = fit_functions(pairs, dimensions=2, config=ScoreConfig(reversible=True))
    torch.testing.assert_close(functions.left, functions.right, rtol=0, atol=0)
    projected = functions.project(pairs.covariances(reversible=True))
    torch.testing.assert_close(projected.c0t, functions.singular_values.diag(), rtol=0, atol=1e-6)
    best = koopman_matrix(pairs.covariances(reversible=True), epsilon=1e-6)
    torch.testing.assert_close(functions.singular_values, torch.linalg.eigvalsh(best).flip(0)[:2], rtol=0, atol=1e-9)
    exact = eigenvalues(three_state_chain())[1:] ** 10
    assert (functions.singular_values.numpy() <= exact + 0.02).all(), "noisy features see less than the states"


def test_a_negative_eigenvalue_stays_negative():
    """A process that jumps back and forth is fast, not slow."""
    states = np.tile([0, 1], 500)[np.random.default_rng(0).integers(0, 2) :]
    values = torch.from_numpy(2.0 * states - 1)[:, None] + 0.1 * torch.randn(len(states), 1, dtype=torch.float64)
    pairs = PairedValues(values, torch.arange(len(states) - 1), 1)
    functions = fit_functions(pairs, dimensions=1, config=ScoreConfig(reversible=True))
    assert -1 <= float(functions.singular_values[0]) < -0.9
    assert float(fit_functions(pairs, dimensions=1, config=ScoreConfig()).singular_values[0]) > 0.9


def test_lagged_frames_may_be_seen_through_functions_of_their_own():
    pairs = chain_pairs()
    mapped = dataclasses.replace(pairs, values_lag=pairs.values @ torch.randn(4, 4, dtype=torch.float64) + 3)
    expected = vamp2_score(pairs.covariances(), epsilon=1e-12)
    torch.testing.assert_close(vamp2_score(mapped.covariances(), epsilon=1e-12), expected, rtol=0, atol=1e-7)
    functions = fit_functions(mapped, dimensions=2, config=ScoreConfig(lobes=2, epsilon=1e-12))
    one = fit_functions(pairs, dimensions=2, config=ScoreConfig(epsilon=1e-12))
    torch.testing.assert_close(functions(pairs.values), one(pairs.values), rtol=0, atol=1e-6)


def test_what_alternates_is_no_slow_process():
    # A slow state of +1 or -1, and a coordinate that changes its sign with every frame but a few.
    rng = np.random.default_rng(0)
    slow = np.cumprod(np.where(rng.random(4000) < 0.1, -1, 1))
    alternating = np.cumprod(np.where(rng.random(4000) < 0.02, 1, -1))
    values = torch.from_numpy(np.stack([slow, alternating], axis=1).astype(float))
    pairs = PairedValues(values, torch.arange(3999), 1)
    functions = fit_functions(pairs, dimensions=2, config=ScoreConfig(reversible=True, epsilon=1e-9))
    assert functions.singular_values[0] == pytest.approx(0.8, abs=0.05)
    assert functions.singular_values[1] == pytest.approx(-0.96, abs=0.03)
    times = reversible_timescales_ps(pairs.covariances(reversible=True), lag_ps=1.0, epsilon=1e-9)
    assert times[0] == pytest.approx(-1 / np.log(0.8), rel=0.2)
    assert times[1] is None


def test_all_scores_of_a_model_are_reported():
    training, validation = chain_pairs(seed=1), chain_pairs(seed=2)
    functions = fit_functions(training, dimensions=2, config=ScoreConfig(reversible=True))
    scores = model_scores(functions, training, validation, lag_ps=10.0, batch_pairs=500, epsilon=1e-6, reversible=True)
    assert scores["vampe_validation"] <= scores["score_validation"] <= scores["vamp1_validation"] <= 3
    assert scores["singular_values"] == functions.singular_values.tolist()
    both_ways = functions.project(validation.covariances(reversible=True))
    assert scores["timescales_validation_ps"] == reversible_timescales_ps(both_ways, lag_ps=10.0, epsilon=1e-6)
    np.testing.assert_allclose(
        scores["timescales_validation_ps"], implied_timescales_ps(both_ways, lag_ps=10.0, epsilon=1e-6), rtol=1e-9
    )
    assert scores["effective_training_pairs"] == scores["n_training_pairs"]


def test_the_double_well_has_the_same_slow_function_from_either_variant():
    x, transition_matrix = double_well()
    states = simulate_chain(transition_matrix, 20_000, np.random.default_rng(0))
    values = torch.from_numpy(np.stack([x, x**2, x**3], axis=1)[states])
    pairs = PairedValues(values, torch.arange(len(states) - 10), 10)
    one, other = (fit_functions(pairs, dimensions=1, config=ScoreConfig(reversible=r))(values) for r in (False, True))
    assert abs(np.corrcoef(one[:, 0], other[:, 0])[0, 1]) > 0.999
