import dataclasses

import numpy as np
import pytest
import torch

from geom2msm.history import write_history, write_scores
from geom2msm.mixers.build import LobeConfig
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.sum import SumSettings
from geom2msm.stored_tokens import Tokens
from geom2msm.token_pairs import TokenPairs
from geom2msm.training import FoldPairs, evaluate, fit_vampnet, train
from geom2msm.training_state import Checkpoint, EpochScores, Member
from geom2msm.vamp import PairedValues, vamp2_score
from geom2msm.vampnet import Vampnet, VampnetConfig, new_lobes
from systems import exact_vamp2, implied_timescales, simulate_chain, three_state_chain

CONFIG = VampnetConfig(
    kind="vampnet",
    lobe=LobeConfig("sum", dimensions=2, mixer_settings=SumSettings(hidden_channels=16)),
    lag_ps=2.0,
    dimensions=2,
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
    positions_nm = torch.from_numpy(rng.normal(size=(n_frames, 2, 3)).astype(np.float32))
    tokens = Tokens(*as_stored, positions_nm)
    return TokenPairs(torch.arange(n_frames - LAG), LAG, TokenLayout(4, (0, 0)), tokens)


@pytest.fixture(scope="module")
def training():
    return hidden_chain(seed=1)


@pytest.fixture(scope="module")
def validation():
    return hidden_chain(seed=2)


def fold(training: TokenPairs, validation: TokenPairs) -> FoldPairs:
    return FoldPairs(training, validation, validation)


def fit(training, validation, *, config=CONFIG, seed=0):
    return fit_vampnet(fold(training, validation), config=config, member=Member(seed))


@pytest.fixture(scope="module")
def fitted(training, validation):
    return fit(training, validation)


def test_a_vampnet_reaches_the_exact_score_of_a_hidden_chain(fitted):
    _, _, scores = fitted
    exact = exact_vamp2(CHAIN, lag_frames=LAG, dimensions=2)
    # Twice the scatter over independent chains of this length.
    assert scores["score_validation"] == pytest.approx(exact, abs=0.08)


def test_a_vampnet_scores_as_well_as_the_hidden_states_themselves(fitted, validation):
    _, _, scores = fitted
    states = torch.from_numpy(hidden_states(seed=2, n_frames=validation.n_frames))
    known = PairedValues(torch.nn.functional.one_hot(states)[:, :2].double(), validation.starts, LAG)
    best = float(vamp2_score(known.covariances(), epsilon=CONFIG.epsilon))
    assert best - 0.02 < scores["score_validation"] < best + 0.005


def test_a_vampnet_finds_the_timescales_of_a_hidden_chain(fitted):
    _, _, scores = fitted
    np.testing.assert_allclose(scores["timescales_validation_ps"], implied_timescales(CHAIN), rtol=0.3)


def test_shuffled_time_scores_one_and_the_bias():
    config = dataclasses.replace(CONFIG, max_epochs=2)
    pairs = [hidden_chain(seed=seed, shuffled=True) for seed in (1, 2)]
    _, _, scores = fit(*pairs, config=config)
    n_pairs = scores["n_validation_pairs"]
    assert scores["score_validation"] == pytest.approx(1 + 2**2 / n_pairs, abs=6 * 2 / n_pairs)
    assert scores["score_validation_batch_mean"] == pytest.approx(1 + 2**2 / 500, abs=0.01)


def test_the_weights_of_the_best_epoch_are_restored(validation):
    # So few frames that the network soon learns them by heart and gets worse on others.
    few = hidden_chain(seed=3, n_frames=300)
    config = dataclasses.replace(CONFIG, learning_rate=0.03, batch_pairs=100, max_epochs=12, patience=12)
    lobes = new_lobes(few, config=config, seed=0)
    history = train(lobes, fold(few, validation), config=config, member=Member(0))
    scores = [row.selection_score for row in history]
    assert scores[-1] < max(scores) - 1e-3, "this run does not tell the best epoch from the last"
    now = float(vamp2_score(lobes.paired_outputs(validation).covariances(), epsilon=config.epsilon))
    assert now == pytest.approx(max(scores), abs=1e-9)


def test_the_same_seed_gives_the_same_model_and_another_seed_another(training, validation):
    config = dataclasses.replace(CONFIG, max_epochs=1)
    runs = [fit(training, validation, config=config, seed=seed) for seed in (3, 3, 4)]
    weights = [model.tensors() for model, _, _ in runs]
    assert runs[0][1] == runs[1][1]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    name = "lobe.mixer.embedding.vector_mixing.weight"
    assert not torch.equal(weights[0][name], weights[2][name])


def test_the_first_weights_depend_on_the_seed_and_on_nothing_else(training):
    lobes = []
    for seed, elsewhere in ((3, 0), (3, 1), (4, 0)):
        torch.manual_seed(elsewhere)
        lobes.append(new_lobes(training, config=CONFIG, seed=seed).lobe.mixer.embedding.vector_mixing.weight)
    assert torch.equal(lobes[0], lobes[1])
    assert not torch.equal(lobes[0], lobes[2])


def test_training_does_not_touch_the_global_random_numbers(training, validation):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(training, validation, config=dataclasses.replace(CONFIG, max_epochs=1), seed=0)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_training_stops_when_validation_no_longer_improves(training, validation):
    config = dataclasses.replace(CONFIG, learning_rate=1e-30, max_epochs=9, patience=2)
    lobes = new_lobes(training, config=config, seed=0)
    history = train(lobes, fold(training, validation), config=config, member=Member(0))
    assert [row.epoch for row in history] == [1, 2, 3]


def test_validation_scores_are_pooled_and_do_not_depend_on_the_batch(training, validation):
    lobes = new_lobes(training, config=CONFIG, seed=0)
    small, large = (
        evaluate(lobes, fold(training, validation), config=dataclasses.replace(CONFIG, batch_pairs=size), epoch=1)
        for size in (100, 2000)
    )
    assert small.selection_score == large.selection_score
    assert small.selection_score_batch_mean > small.selection_score + 0.01
    assert large.selection_score_batch_mean < small.selection_score_batch_mean


def test_singular_functions_are_fitted_to_training_pairs_only(training, validation, fitted):
    model, _, _ = fitted
    variables = model(training.tokens.take(training.starts))
    torch.testing.assert_close(variables.mean(dim=0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(variables.T.cov(), torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-3)
    assert model(validation.tokens).mean(dim=0).abs().max() > 1e-3


def test_a_model_rebuilt_from_its_tensors_gives_the_same_variables(validation, fitted):
    model, _, _ = fitted
    rebuilt = Vampnet.from_tensors(model.tensors(), config=CONFIG)
    frames = validation.tokens.take(slice(100))
    torch.testing.assert_close(rebuilt(frames), model(frames), rtol=0, atol=0)


def test_outputs_that_are_not_numbers_stop_the_training(training, validation):
    config = dataclasses.replace(CONFIG, learning_rate=1e30)
    with pytest.raises(ValueError, match=r"in epoch 1; lower learning_rate \(now 1e\+30\)"):
        fit(training, validation, config=config, seed=0)


def test_batches_too_small_for_the_score_are_reported(training, validation, caplog):
    config = dataclasses.replace(CONFIG, batch_pairs=40, max_epochs=1)
    with caplog.at_level("WARNING"):
        fit(training, validation, config=config, seed=0)
    assert "batches of 40 pairs; at least 20 d^2 = 80" in caplog.text


def test_every_epoch_is_logged(training, validation, caplog):
    with caplog.at_level("INFO"):
        fit(training, validation, config=dataclasses.replace(CONFIG, max_epochs=2), seed=0)
    assert "epoch 1:" in caplog.text
    assert "epoch 2:" in caplog.text


def test_the_history_is_a_table_with_one_row_per_epoch(tmp_path):
    write_history(tmp_path / "history.csv", [EpochScores(1, 1.5, 1.25, 1.3), EpochScores(2, 1.6, 1.5, 1.55)])
    assert (tmp_path / "history.csv").read_text() == (
        "epoch,training_score,selection_score,selection_score_batch_mean\n1,1.5,1.25,1.3\n2,1.6,1.5,1.55\n"
    )


def test_scores_that_are_not_numbers_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_scores(tmp_path / "scores.json", {"score_validation": float("nan")})


class KilledError(Exception):
    """Stands for the end of the process."""


def interrupted(pairs, path, *, config, after_epoch, identity="this"):
    """Train until the end of an epoch, die, and start again."""

    def die(history):
        # The state of the epoch before is what a kill between two epochs leaves.
        if len(history) == after_epoch + 1:
            raise KilledError

    with pytest.raises(KilledError):
        fit_vampnet(pairs, config=config, member=Member(0, Checkpoint(path, {"of": "this"}), die))
    epochs = []
    member = Member(0, Checkpoint(path, {"of": identity}), lambda history: epochs.append(len(history)))
    return fit_vampnet(pairs, config=config, member=member), epochs


@pytest.mark.parametrize("after_epoch", [1, 3])
def test_a_killed_training_continues_with_identical_results(training, validation, fitted, tmp_path, after_epoch):
    pairs = fold(training, validation)
    (model, history, _), epochs = interrupted(pairs, tmp_path / "part", config=CONFIG, after_epoch=after_epoch)
    assert epochs == list(range(after_epoch + 1, 7)), "it began again"
    assert history == fitted[1]
    expected = fitted[0].tensors()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.tensors().items())


def test_dropout_and_the_order_of_pairs_are_those_of_the_epoch_after_a_kill(training, validation, tmp_path):
    config = dataclasses.replace(CONFIG, max_epochs=3)
    pairs = fold(training, validation)
    network = torch.nn.Dropout(0.5)
    lobes = [new_lobes(training, config=config, seed=0) for _ in range(2)]
    for one in lobes:
        one.lobe.head.insert(0, network)
    whole = train(lobes[0], pairs, config=config, member=Member(0))
    path = tmp_path / "part"
    train(lobes[1], pairs, config=dataclasses.replace(config, max_epochs=2), member=Member(0, Checkpoint(path, {})))
    again = new_lobes(training, config=config, seed=0)
    again.lobe.head.insert(0, network)
    assert train(again, pairs, config=config, member=Member(0, Checkpoint(path, {}))) == whole


def test_the_checkpoint_of_another_training_is_not_continued(training, validation, tmp_path):
    config = dataclasses.replace(CONFIG, max_epochs=2)
    pairs = fold(training, validation)
    _, epochs = interrupted(pairs, tmp_path / "part", config=config, after_epoch=1, identity="another")
    assert epochs == [1, 2]


@pytest.mark.parametrize("content", [b"", b"half a file"])
def test_a_checkpoint_that_cannot_be_read_is_not_continued(training, validation, fitted, tmp_path, content):
    (tmp_path / "part").write_bytes(content)
    config = dataclasses.replace(CONFIG, max_epochs=1)
    member = Member(0, Checkpoint(tmp_path / "part", {}))
    _, history, _ = fit_vampnet(fold(training, validation), config=config, member=member)
    assert history == fitted[1][:1]


def test_nothing_is_chosen_on_the_validation_pairs(training, validation):
    config = dataclasses.replace(CONFIG, max_epochs=3)
    selection = hidden_chain(seed=4, n_frames=2000)
    runs = [
        fit_vampnet(FoldPairs(training, selection, reported), config=config, member=Member(0))
        for reported in (validation, hidden_chain(seed=5, n_frames=500, shuffled=True))
    ]
    assert runs[0][1] == runs[1][1]
    assert all(torch.equal(a, b) for a, b in zip(*(run[0].tensors().values() for run in runs), strict=True))
    assert runs[0][2]["score_validation"] > runs[1][2]["score_validation"] + 0.3
    assert runs[0][2]["score_selection"] == runs[1][2]["score_selection"]


def test_without_nesting_there_is_no_selection_score(training, validation):
    config = dataclasses.replace(CONFIG, max_epochs=1)
    _, _, scores = fit_vampnet(FoldPairs(training, validation, validation), config=config, member=Member(0))
    assert "score_selection" not in scores


def test_two_lobes_are_two_networks_and_score_as_well(training, validation):
    config = dataclasses.replace(CONFIG, lobes=2)
    model, _, scores = fit(training, validation, config=config)
    assert scores["score_validation"] == pytest.approx(exact_vamp2(CHAIN, lag_frames=LAG, dimensions=2), abs=0.1)
    weights = model.tensors()
    name = "mixer.embedding.vector_mixing.weight"
    assert not torch.equal(weights[f"lobe.{name}"], weights[f"lobe_lag.{name}"])
    rebuilt = Vampnet.from_tensors(weights, config=config)
    torch.testing.assert_close(rebuilt(validation.tokens), model(validation.tokens), rtol=0, atol=0)


def test_half_precision_arithmetic_scores_the_same(training, validation, fitted):
    config = dataclasses.replace(CONFIG, precision="bf16")
    _, history, scores = fit(training, validation, config=config)
    assert history != fitted[1], "the arithmetic is that of float32"
    assert scores["score_validation"] == pytest.approx(fitted[2]["score_validation"], abs=0.02)
