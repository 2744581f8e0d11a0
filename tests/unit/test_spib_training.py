"""Training: hidden states are found, vanished states go, and the same seed gives the same bytes."""

import dataclasses

import numpy as np
import pytest
import torch

from geom2msm.history import write_history, write_scores
from geom2msm.mixers.layout import TokenLayout
from geom2msm.spib import Spib, SpibConfig
from geom2msm.spib_state import LabeledPairs
from geom2msm.spib_training import (
    EpochLosses,
    evaluate,
    fit_spib,
    indicator_singular_values,
    new_spib,
    refine,
    represent_states,
    state_scores,
)
from geom2msm.states import assign_microstates, fit_microstates
from geom2msm.stored_tokens import Tokens
from geom2msm.token_pairs import TokenPairs
from geom2msm.training_state import Checkpoint, Member
from geom2msm.vamp import PairedValues, vamp2_score
from systems import double_well, implied_timescales, simulate_chain, three_state_chain

LAG = 2
# Five steps of the slow chain make one frame: timescales of 43 and 10 frames, populations 0.6, 0.3 and 0.1.
CHAIN = np.linalg.matrix_power(three_state_chain(), 5)
CONFIG = SpibConfig.from_settings({
    "kind": "spib", "mixer": "sum", "hidden_channels": 16, "lag_ps": 2.0,
    "initial_labels": "tica", "initial_states": 9, "latent_dimensions": 2, "decoder_channels": 16, "beta": 1e-3,
    "learning_rate": 5e-3, "batch_pairs": 100, "n_refinements": 5, "max_epochs_per_refinement": 6,
    "population_tolerance": 0.01, "patience": 2, "minimum_population": 0.0,
})  # fmt: skip
QUICK = dataclasses.replace(CONFIG, n_refinements=2, max_epochs_per_refinement=2)


def hidden_states(*, seed: int, n_frames: int = 3000) -> np.ndarray:
    return simulate_chain(CHAIN, n_frames, np.random.default_rng(seed))


def labeled(scalars: np.ndarray, labels: np.ndarray) -> LabeledPairs:
    """Pairs of frames with these scalars in two tokens, and vectors that are noise."""
    n_frames = len(scalars)
    vectors = 0.1 * np.random.default_rng(5).normal(size=(n_frames, 2, 3, 4))
    tokens = (torch.from_numpy(array.astype(np.float16)) for array in (scalars, vectors))
    pairs = TokenPairs(
        torch.arange(n_frames - LAG), LAG, TokenLayout(4, (0, 0)), Tokens(*tokens, torch.zeros(n_frames, 2, 3))
    )
    return LabeledPairs(pairs, torch.from_numpy(labels).long())


def hidden_chain(*, seed: int, labels_of: int = 9, clustering: int = 0, n_frames: int = 3000) -> LabeledPairs:
    """Frames of a molecule with three shapes, labeled by k-means as a real system is."""
    noise = 0.3 * np.random.default_rng(seed + 100).normal(size=(n_frames, 2, 4))
    scalars = np.random.default_rng(99).normal(size=(3, 2, 4))[hidden_states(seed=seed, n_frames=n_frames)] + noise
    flat = scalars.reshape(n_frames, -1)
    # All trajectories are labeled by the centers of one.
    noise = 0.3 * np.random.default_rng(101).normal(size=(3000, 2, 4))
    reference = np.random.default_rng(99).normal(size=(3, 2, 4))[hidden_states(seed=1)] + noise
    centers = fit_microstates([reference.reshape(3000, -1)], n_microstates=labels_of, seed=clustering)
    return labeled(scalars, assign_microstates(flat, centers))


@pytest.fixture(scope="module")
def training():
    return hidden_chain(seed=1)


@pytest.fixture(scope="module")
def validation():
    return hidden_chain(seed=2)


@pytest.fixture(scope="module")
def few():
    """Training and validation pairs where what is learned does not matter."""
    return [hidden_chain(seed=seed, n_frames=500) for seed in (1, 2)]


@pytest.fixture(scope="module")
def fitted(training, validation):
    return fit_spib(training, validation, config=CONFIG, member=Member(0))


def predicted(model: Spib, data: LabeledPairs) -> np.ndarray:
    return data.project(model).states.numpy()


def test_the_states_of_a_hidden_chain_are_found(fitted, training, validation):
    model, _, scores = fitted
    assert scores["n_states"] == model.n_states == 3
    for data, seed in ((training, 1), (validation, 2)):
        truth = hidden_states(seed=seed)
        # Both are numbered by population, but in a short trajectory the order of the true ones may be another.
        agreement = np.zeros((3, 3))
        np.add.at(agreement, (predicted(model, data), truth), 1)
        assert agreement.max(axis=1).sum() > 0.995 * len(truth)
        assert len(set(agreement.argmax(axis=1))) == 3


def test_populations_are_those_of_the_hidden_states(fitted, validation):
    _, _, scores = fitted
    truth = np.bincount(hidden_states(seed=2)[LAG:], minlength=3) / (3000 - LAG)
    np.testing.assert_allclose(sorted(scores["populations_validation"]), sorted(truth), atol=0.01)
    assert scores["populations_training"] == sorted(scores["populations_training"], reverse=True)


@pytest.mark.parametrize("seed", [1, 2])
def test_other_seeds_of_network_and_clusters_give_the_same_states(seed, fitted, validation):
    pairs = [hidden_chain(seed=trajectory, clustering=seed) for trajectory in (1, 2)]
    model, _, scores = fit_spib(*pairs, config=CONFIG, member=Member(seed))
    assert scores["n_states"] == 3
    assert (predicted(model, validation) == predicted(fitted[0], validation)).mean() > 0.99


def test_scores_are_those_of_a_markov_model_of_the_states(fitted):
    _, history, scores = fitted
    # In 3000 frames the slowest process relaxes 70 times: its timescale is known to about 15 %.
    np.testing.assert_allclose(scores["timescales_training_ps"], implied_timescales(CHAIN), rtol=0.4)
    assert 2 < scores["score_validation"] <= 3
    assert scores["dimensions"] == 2
    assert scores["validation_loss"] == history[-1].validation_loss


def test_both_wells_are_found_whatever_they_start_from():
    x, transition_matrix = double_well()
    pairs, places = [], []
    for seed in (1, 2):
        cells = simulate_chain(np.linalg.matrix_power(transition_matrix, 10), 2000, np.random.default_rng(seed))
        scalars = np.random.default_rng(seed + 10).normal(size=(2000, 2, 4))
        scalars[:, :, 1] = 2 * x[cells, None]
        pairs.append(labeled(scalars, cells // 3))
        places.append(x[cells])
    model, _, scores = fit_spib(*pairs, config=dataclasses.replace(CONFIG, n_refinements=8), member=Member(0))
    assert scores["n_states"] == 2
    # The border between the states may lie anywhere on the barrier, from which both wells are reached.
    inside = np.abs(places[1]) > 0.7
    agreement = (predicted(model, pairs[1])[inside] == (places[1][inside] > 0)).mean()
    assert max(agreement, 1 - agreement) > 0.98


def test_states_that_vanish_are_removed_and_the_others_keep_their_decoder(training, validation):
    model = new_spib(training, config=CONFIG, seed=0)
    with torch.no_grad():
        model.state_logits.bias[[1, 4]] -= 1e3
    latent = torch.randn(30, 2)
    before = model.state_logits(model.decoder(latent))
    left = predicted(model, training)[LAG:]
    survivors = np.argsort(-np.bincount(left, minlength=9), kind="stable")[: len(np.unique(left))]
    relabeled, _, _ = refine(model, training, validation, config=CONFIG)
    assert model.n_states == len(survivors) < 8
    torch.testing.assert_close(model.state_logits(model.decoder(latent)), before[:, survivors.copy()], rtol=0, atol=0)
    assert set(relabeled.states.tolist()) <= set(range(model.n_states))


def test_no_state_is_left_below_the_minimum_at_any_relabeling_the_last_included(training, validation):
    config = dataclasses.replace(CONFIG, minimum_population=0.2, n_refinements=1, max_epochs_per_refinement=3)
    model, _, scores = fit_spib(training, validation, config=config, member=Member(0))
    assert min(scores["populations_training"]) > 0.2
    assert sum(scores["populations_training"]) == pytest.approx(1)
    np.testing.assert_allclose(model.populations, scores["populations_training"])


def test_a_minimum_that_leaves_no_state_is_refused(training, validation):
    model = new_spib(training, config=CONFIG, seed=0)
    with torch.no_grad():
        model.state_logits.weight.zero_()
    with pytest.raises(ValueError, match="minimum_population = 2, but the largest of 9 states holds 1 of the frames"):
        refine(model, training, validation, config=dataclasses.replace(CONFIG, minimum_population=2.0))


def test_a_state_is_represented_by_its_frame_closest_to_the_mean(training):
    model = new_spib(training, config=CONFIG, seed=0)
    means = torch.randn(3000, 2)
    represent_states(model, training, means)
    for state in range(9):
        members = [frame for frame in range(3000) if training.states[frame] == state]
        center = means[members].mean(dim=0)
        closest = min(members, key=lambda frame: float((means[frame] - center).square().sum()))
        assert torch.equal(model.representative_scalars[state], training.pairs.tokens.scalars[closest])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(few):
    runs = [fit_spib(*few, config=QUICK, member=Member(seed)) for seed in (3, 3, 4)]
    tensors = [model.tensors() for model, _, _ in runs]
    assert runs[0][1:] == runs[1][1:]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    assert not torch.equal(tensors[0]["decoder.0.weight"], tensors[2]["decoder.0.weight"])


def test_training_does_not_touch_the_global_random_numbers(few):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit_spib(*few, config=QUICK, member=Member(0))
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


class Killed(Exception):
    """Stands for a signal."""


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_killed_training_continues_with_identical_results(epoch, few, tmp_path):
    whole, rows, scores = fit_spib(*few, config=QUICK, member=Member(0))

    def kill(history):
        if len(history) == epoch + 1:
            raise Killed

    checkpoint = Checkpoint(tmp_path / "weights.part", {"seed": 0})
    with pytest.raises(Killed):
        fit_spib(*few, config=QUICK, member=Member(0, checkpoint, kill))
    seen = []
    again = Member(0, checkpoint, lambda history: seen.append(len(history)))
    continued, rows_again, scores_again = fit_spib(*few, config=QUICK, member=again)
    assert seen[0] == epoch + 1
    assert (rows_again, scores_again) == (rows, scores)
    for name, tensor in whole.tensors().items():
        assert torch.equal(continued.tensors()[name], tensor)


def test_a_round_ends_when_the_populations_stay(training, validation):
    config = dataclasses.replace(CONFIG, n_refinements=1, max_epochs_per_refinement=50, population_tolerance=0.05)
    _, history, _ = fit_spib(training, validation, config=config, member=Member(0))
    changes = [row.population_change for row in history]
    assert 2 < len(history) < 50
    assert max(changes[-2:]) < config.population_tolerance <= changes[-3]


def test_populations_do_not_stay_before_anything_is_learned(training, validation, caplog):
    config = dataclasses.replace(CONFIG, learning_rate=1e-30, n_refinements=1)
    _, history, _ = fit_spib(training, validation, config=config, member=Member(0))
    # The first change is from the labels to what the untrained decoder says.
    assert [row.population_change > 0 for row in history] == [True, *[False] * 5]
    assert "after 6 epochs the network predicts states hardly better" in caplog.text


def test_labels_that_time_does_not_connect_to_frames_lose_their_states(validation, caplog, tmp_path):
    rng = np.random.default_rng(0)
    pairs = [labeled(rng.normal(size=(1000, 2, 4)), rng.choice(4, size=1000, p=[0.7, 0.1, 0.1, 0.1])) for _ in range(2)]
    with caplog.at_level("WARNING"):
        model, _, scores = fit_spib(*pairs, config=CONFIG, member=Member(0))
    assert "all states merged into one" in caplog.text
    assert "Lower beta" in caplog.text
    assert (model.n_states, scores["score_validation"], scores["dimensions"]) == (1, 1.0, 0)
    assert set(predicted(model, pairs[1])) == {0}
    write_scores(tmp_path / "scores.json", scores)


def test_a_loss_that_is_no_number_stops_the_training(training, validation):
    config = dataclasses.replace(CONFIG, learning_rate=1e30)
    with pytest.raises(ValueError, match=r"in epoch 1; lower learning_rate \(now 1e\+30\)"):
        fit_spib(training, validation, config=config, member=Member(0))


def test_labels_of_other_frames_are_refused(training):
    with pytest.raises(ValueError, match="labels are of 2999 frames, the tokens of 3000"):
        LabeledPairs(training.pairs, training.states[1:])


def test_a_state_that_validation_never_visits_costs_nothing_but_its_score(training, validation):
    never = validation.relabeled(torch.where(validation.states == 2, 1, validation.states))
    history = [EpochLosses(1, 1, 9, 0.0, *map(float, range(6)))]
    scores = state_scores(training, never, history, config=CONFIG)
    assert scores["populations_validation"][2] == 0
    # Eight states are visited: one more function than the constant has nothing to say.
    assert 1 < scores["score_validation"] < 8


def test_the_score_of_states_is_the_vamp2_of_their_indicator_functions(validation):
    indicators = torch.nn.functional.one_hot(validation.states, 9)[:, 1:].double()
    values = PairedValues(indicators, validation.pairs.starts, LAG)
    covariances = values.covariances()
    found = indicator_singular_values(validation.counts(validation.pairs.starts, n_states=9))
    assert float(found[0]) == pytest.approx(1)
    assert float(found.square().sum()) == pytest.approx(float(vamp2_score(covariances, epsilon=1e-12)), rel=1e-6)


def test_the_history_is_a_table_with_one_row_per_epoch(tmp_path):
    write_history(tmp_path / "history.csv", [EpochLosses(1, 1, 9, 0.5, 2.0, 1.5, 0.5, 2.25, 1.75, 0.5)])
    assert (tmp_path / "history.csv").read_text() == (
        "epoch,refinement,n_states,population_change,training_loss,training_reconstruction,training_divergence,"
        "validation_loss,validation_reconstruction,validation_divergence\n1,1,9,0.5,2.0,1.5,0.5,2.25,1.75,0.5\n"
    )


def test_a_frame_of_weight_two_counts_as_two(training):
    """Populations, counts and losses are those of pairs given twice; without weights they are not."""
    pairs, n_states = training.pairs, int(training.states.max()) + 1
    some = dataclasses.replace(training, pairs=dataclasses.replace(pairs, starts=pairs.starts[::3].clone()))
    log_weights = torch.zeros(pairs.n_frames, dtype=torch.float64)
    log_weights[:] = 3.0
    log_weights[:1200] += np.log(2)
    twice = torch.cat([pairs.starts[:1200:3], pairs.starts[::3]]).sort().values
    repeated = dataclasses.replace(training, pairs=dataclasses.replace(pairs, starts=twice))
    weighted = dataclasses.replace(some, pairs=dataclasses.replace(some.pairs, log_weights=log_weights))
    assert float(weighted.weights.mean()) == pytest.approx(1)
    expected = repeated.populations(n_states=n_states)
    torch.testing.assert_close(weighted.populations(n_states=n_states), expected)
    assert (some.populations(n_states=n_states) - expected).abs().max() > 1e-3, "the test would not see weights"
    counts = weighted.counts(weighted.pairs.starts, n_states=n_states)
    torch.testing.assert_close(counts * 1400 / 1000, repeated.counts(twice, n_states=n_states))
    chosen = weighted.pairs.starts[[700, 3]]
    torch.testing.assert_close(weighted.weights_of(chosen), weighted.weights[[700, 3]])


def test_pairs_without_weight_are_as_if_they_were_not_there(training):
    """Where the first half weighs nothing, the losses are those of the second half alone."""
    pairs = training.pairs
    log_weights = torch.where(torch.arange(pairs.n_frames) < 1500, -50.0, 0.0).double()
    half = dataclasses.replace(training, pairs=dataclasses.replace(pairs, starts=pairs.starts[1500:]))
    weighted = dataclasses.replace(training, pairs=dataclasses.replace(pairs, log_weights=log_weights))
    model = new_spib(half, config=QUICK, seed=0)
    means = model.means(pairs.chunks())
    model.represent(half.tokens(torch.arange(model.n_states)), torch.full((model.n_states,), 1 / model.n_states))
    found, expected = (evaluate(model, data, means, beta=1e-3) for data in (weighted, half))
    # Divergence, the third, is near zero here and mostly noise.
    assert found[:2] == pytest.approx(expected[:2], rel=0.005)
    whole = evaluate(model, training, means, beta=1e-3)
    assert whole[:2] != pytest.approx(expected[:2], rel=0.01)
