import dataclasses

import numpy as np
import pytest
import torch

from geom2msm.training import (
    EpochScores,
    TokenPairs,
    Vampnet,
    VampnetConfig,
    evaluate,
    fit_vampnet,
    new_lobe,
    paired_outputs,
    train,
    write_history,
    write_scores,
)
from geom2msm.vamp import PairedValues, vamp2_score
from systems import exact_vamp2, implied_timescales, simulate_chain, three_state_chain

CONFIG = VampnetConfig(
    kind="vampnet",
    mixer="sum",
    lag_ps=2.0,
    dimensions=2,
    hidden_channels=16,
    learning_rate=3e-3,
    batch_pairs=500,
    max_epochs=6,
    patience=6,
    epsilon=1e-6,
)
LAG = 2
# Five steps of the slow chain make one frame, so that 8000 frames hold 190 relaxations of its slowest process.
CHAIN = np.linalg.matrix_power(three_state_chain(), 5)


def hidden_states(*, seed: int, n_frames: int) -> np.ndarray:
    return simulate_chain(CHAIN, n_frames, np.random.default_rng(seed))


def hidden_chain(*, seed: int, n_frames: int = 8000, shuffled: bool = False) -> TokenPairs:
    """Tokens of a molecule with three shapes: noise around three means, and vectors that turn at random."""
    rng = np.random.default_rng(seed + 100)
    states = hidden_states(seed=seed, n_frames=n_frames)
    if shuffled:
        rng.shuffle(states)
    shapes = np.random.default_rng(99)
    scalars = shapes.normal(size=(3, 2, 4))[states] + 0.3 * rng.normal(size=(n_frames, 2, 4))
    vectors = shapes.normal(size=(3, 2, 3, 4))[states] + 0.3 * rng.normal(size=(n_frames, 2, 3, 4))
    rotations = np.linalg.qr(rng.normal(size=(n_frames, 3, 3)))[0]
    vectors = np.einsum("fij,ftjc->ftic", rotations, vectors)
    as_stored = (torch.from_numpy(array.astype(np.float16)) for array in (scalars, vectors))
    return TokenPairs(*as_stored, torch.arange(n_frames - LAG), LAG)


@pytest.fixture(scope="module")
def training():
    return hidden_chain(seed=1)


@pytest.fixture(scope="module")
def validation():
    return hidden_chain(seed=2)


@pytest.fixture(scope="module")
def fitted(training, validation):
    return fit_vampnet(training, validation, config=CONFIG, seed=0)


def test_a_vampnet_reaches_the_exact_score_of_a_hidden_chain(fitted):
    _, _, scores = fitted
    exact = exact_vamp2(CHAIN, lag_frames=LAG, dimensions=2)
    # Twice the scatter over independent chains of this length.
    assert scores["score_validation"] == pytest.approx(exact, abs=0.08)


def test_a_vampnet_scores_as_well_as_the_hidden_states_themselves(fitted, validation):
    _, _, scores = fitted
    states = torch.from_numpy(hidden_states(seed=2, n_frames=len(validation.scalars)))
    known = PairedValues(torch.nn.functional.one_hot(states)[:, :2].double(), validation.starts, LAG)
    best = float(vamp2_score(known.covariances(), epsilon=CONFIG.epsilon))
    assert best - 0.02 < scores["score_validation"] < best + 0.005


def test_a_vampnet_finds_the_timescales_of_a_hidden_chain(fitted):
    _, _, scores = fitted
    np.testing.assert_allclose(scores["timescales_validation_ps"], implied_timescales(CHAIN), rtol=0.3)


def test_shuffled_time_scores_one_and_the_bias():
    config = dataclasses.replace(CONFIG, max_epochs=2)
    pairs = [hidden_chain(seed=seed, shuffled=True) for seed in (1, 2)]
    _, _, scores = fit_vampnet(*pairs, config=config, seed=0)
    n_pairs = scores["n_validation_pairs"]
    assert scores["score_validation"] == pytest.approx(1 + 2**2 / n_pairs, abs=6 * 2 / n_pairs)
    assert scores["score_validation_batch_mean"] == pytest.approx(1 + 2**2 / 500, abs=0.01)


def test_the_weights_of_the_best_epoch_are_restored(validation):
    # So few frames that the network soon learns them by heart and gets worse on others.
    few = hidden_chain(seed=3, n_frames=300)
    config = dataclasses.replace(CONFIG, learning_rate=0.03, batch_pairs=100, max_epochs=12, patience=12)
    lobe = new_lobe(few, config=config, seed=0)
    history = train(lobe, few, validation, config=config, seed=0)
    scores = [row.validation_score for row in history]
    assert scores[-1] < max(scores) - 1e-3, "this run does not tell the best epoch from the last"
    now = float(vamp2_score(paired_outputs(lobe, validation).covariances(), epsilon=config.epsilon))
    assert now == pytest.approx(max(scores), abs=1e-9)


def test_the_same_seed_gives_the_same_model_and_another_seed_another(training, validation):
    config = dataclasses.replace(CONFIG, max_epochs=1)
    runs = [fit_vampnet(training, validation, config=config, seed=seed) for seed in (3, 3, 4)]
    weights = [model.tensors() for model, _, _ in runs]
    assert runs[0][1] == runs[1][1]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["lobe.vector_mixing.weight"], weights[2]["lobe.vector_mixing.weight"])


def test_the_first_weights_depend_on_the_seed_and_on_nothing_else(training):
    lobes = []
    for seed, elsewhere in ((3, 0), (3, 1), (4, 0)):
        torch.manual_seed(elsewhere)
        lobes.append(new_lobe(training, config=CONFIG, seed=seed).vector_mixing.weight)
    assert torch.equal(lobes[0], lobes[1])
    assert not torch.equal(lobes[0], lobes[2])


def test_training_does_not_touch_the_global_random_numbers(training, validation):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit_vampnet(training, validation, config=dataclasses.replace(CONFIG, max_epochs=1), seed=0)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_training_stops_when_validation_no_longer_improves(training, validation):
    config = dataclasses.replace(CONFIG, learning_rate=1e-30, max_epochs=9, patience=2)
    history = train(new_lobe(training, config=config, seed=0), training, validation, config=config, seed=0)
    assert [row.epoch for row in history] == [1, 2, 3]


def test_validation_scores_are_pooled_and_do_not_depend_on_the_batch(training, validation):
    lobe = new_lobe(training, config=CONFIG, seed=0)
    small, large = (
        evaluate(lobe, training, validation, config=dataclasses.replace(CONFIG, batch_pairs=size), epoch=1)
        for size in (100, 2000)
    )
    assert small.validation_score == large.validation_score
    assert small.validation_score_batch_mean > small.validation_score + 0.01
    assert large.validation_score_batch_mean < small.validation_score_batch_mean


def test_singular_functions_are_fitted_to_training_pairs_only(training, validation, fitted):
    model, _, _ = fitted
    variables = model(training.scalars[training.starts], training.vectors[training.starts])
    torch.testing.assert_close(variables.mean(dim=0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(variables.T.cov(), torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-3)
    assert model(validation.scalars, validation.vectors).mean(dim=0).abs().max() > 1e-3


def test_a_model_rebuilt_from_its_tensors_gives_the_same_variables(validation, fitted):
    model, _, _ = fitted
    rebuilt = Vampnet.from_tensors(model.tensors(), config=CONFIG)
    frames = (validation.scalars[:100], validation.vectors[:100])
    torch.testing.assert_close(rebuilt(*frames), model(*frames), rtol=0, atol=0)


def test_outputs_that_are_not_numbers_stop_the_training(training, validation):
    config = dataclasses.replace(CONFIG, learning_rate=1e30)
    with pytest.raises(ValueError, match=r"in epoch 1; lower learning_rate \(now 1e\+30\)"):
        fit_vampnet(training, validation, config=config, seed=0)


def test_an_unknown_mixer_is_refused(training):
    with pytest.raises(ValueError, match="mixer: blender is unknown; choose one of sum"):
        new_lobe(training, config=dataclasses.replace(CONFIG, mixer="blender"), seed=0)


def test_batches_too_small_for_the_score_are_reported(training, validation, caplog):
    config = dataclasses.replace(CONFIG, batch_pairs=40, max_epochs=1)
    with caplog.at_level("WARNING"):
        fit_vampnet(training, validation, config=config, seed=0)
    assert "batches of 40 pairs; at least 20 d^2 = 80" in caplog.text


def test_every_epoch_is_logged(training, validation, caplog):
    with caplog.at_level("INFO"):
        fit_vampnet(training, validation, config=dataclasses.replace(CONFIG, max_epochs=2), seed=0)
    assert "epoch 1:" in caplog.text
    assert "epoch 2:" in caplog.text


def test_the_history_is_a_table_with_one_row_per_epoch(tmp_path):
    write_history(tmp_path / "history.csv", [EpochScores(1, 1.5, 1.25, 1.3), EpochScores(2, 1.6, 1.5, 1.55)])
    assert (tmp_path / "history.csv").read_text() == (
        "epoch,training_score,validation_score,validation_score_batch_mean\n1,1.5,1.25,1.3\n2,1.6,1.5,1.55\n"
    )


def test_scores_that_are_not_numbers_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_scores(tmp_path / "scores.json", {"score_validation": float("nan")})
