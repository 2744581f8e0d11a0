import weakref

import numpy as np
import pytest
import torch

from geom2msm.covariances import shuffled_batches
from geom2msm.vamp import (
    Covariances,
    PairedValues,
    ScoreConfig,
    SingularFunctions,
    fit_functions,
    implied_timescales_ps,
    koopman_matrix,
    model_scores,
    vamp2_score,
    vamp2_score_batch_mean,
)
from geom2msm.weights_files import read_weights, write_weights
from systems import double_well, exact_vamp2, implied_timescales, simulate_chain, three_state_chain

EPSILON = 1e-6


def indicator_pairs(transition_matrix, *, n_frames=100_000, lag_frames=10, seed=0) -> PairedValues:
    """A simulated chain, seen through the indicator functions of all states but the last (the constant is the rest)."""
    states = simulate_chain(transition_matrix, n_frames, np.random.default_rng(seed))
    values = torch.nn.functional.one_hot(torch.from_numpy(states))[:, :-1].double()
    return PairedValues(values, torch.arange(n_frames - lag_frames), lag_frames)


def noise_pairs(*, n_pairs, channels, seed=0) -> PairedValues:
    """Frames that know nothing of each other."""
    values = torch.randn(2 * n_pairs, channels, generator=torch.Generator().manual_seed(seed))
    return PairedValues(values, torch.arange(n_pairs), n_pairs)


def test_the_three_state_chain_gives_back_its_score():
    pairs = indicator_pairs(three_state_chain())
    exact = exact_vamp2(three_state_chain(), lag_frames=10, dimensions=2)
    assert float(vamp2_score(pairs.covariances(), epsilon=EPSILON)) == pytest.approx(exact, abs=0.03)


def test_the_three_state_chain_gives_back_its_timescales():
    pairs = indicator_pairs(three_state_chain(), n_frames=400_000)
    found = implied_timescales_ps(pairs.covariances(), lag_ps=10.0, epsilon=EPSILON)
    np.testing.assert_allclose(found, implied_timescales(three_state_chain()), rtol=0.12)


def test_the_double_well_has_one_slow_process_that_tells_its_wells_apart():
    x, transition_matrix = double_well()
    pairs = indicator_pairs(transition_matrix)
    functions = SingularFunctions.fit(pairs.covariances(), dimensions=1, epsilon=1e-9)
    well = np.sign(x[_cell(pairs.values)])
    assert abs(np.corrcoef(functions(pairs.values).squeeze(), well)[0, 1]) > 0.9


def _cell(one_hot: torch.Tensor) -> np.ndarray:
    """The state of each frame; a row of zeros is the last."""
    return torch.where(one_hot.sum(dim=1) > 0, one_hot.argmax(dim=1), one_hot.shape[1]).numpy()


def test_features_that_are_perfectly_remembered_score_all_of_them_and_the_constant():
    x = torch.randn(500, 3)
    assert float(vamp2_score(Covariances.of_pairs(x, x), epsilon=0.0)) == pytest.approx(4.0)


def test_frames_that_know_nothing_of_each_other_score_one_and_the_bias():
    n_pairs, channels = 5000, 6
    score = float(vamp2_score(noise_pairs(n_pairs=n_pairs, channels=channels).covariances(), epsilon=EPSILON))
    assert score == pytest.approx(1 + channels**2 / n_pairs, abs=4 * channels * 2**0.5 / n_pairs)


def test_the_mean_of_batches_is_too_high_by_the_bias_of_one_batch():
    pairs, batch_pairs = noise_pairs(n_pairs=20_000, channels=6), 200
    mean = vamp2_score_batch_mean(pairs.batch_covariances(batch_pairs), epsilon=EPSILON)
    assert mean == pytest.approx(1 + 36 / batch_pairs, abs=0.03)


def test_pooled_covariances_do_not_depend_on_the_chunks(monkeypatch):
    pairs = noise_pairs(n_pairs=1000, channels=4)
    whole = pairs.covariances()
    monkeypatch.setattr("geom2msm.covariances.CHUNK_PAIRS", 77)
    chunked = pairs.covariances()
    assert chunked.n_pairs == whole.n_pairs == 1000
    for name in ("mean_t", "mean_lag", "c00", "c0t", "ctt"):
        torch.testing.assert_close(getattr(chunked, name), getattr(whole, name), rtol=0, atol=1e-14)


def test_covariances_survive_a_large_offset_in_single_precision_features():
    x = torch.randn(2000, 2) + 1000.0
    y = 0.5 * x + torch.randn(2000, 2)
    shifted = vamp2_score(Covariances.of_pairs(x - 1000.0, y - 500.0), epsilon=EPSILON)
    torch.testing.assert_close(vamp2_score(Covariances.of_pairs(x, y), epsilon=EPSILON), shifted, rtol=0, atol=1e-4)


def test_time_reversed_pairs_make_a_symmetric_koopman_matrix():
    covariances = indicator_pairs(three_state_chain(), n_frames=3000).covariances().with_time_reversed()
    torch.testing.assert_close(covariances.c0t, covariances.c0t.T)
    torch.testing.assert_close(covariances.c00, covariances.ctt)
    assert covariances.n_pairs == 2 * 2990


def test_gradients_are_those_of_finite_differences():
    x_t, x_lag = (torch.randn(30, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda a, b: vamp2_score(Covariances.of_pairs(a, b), epsilon=EPSILON), (x_t, x_lag))


def test_gradients_are_finite_where_eigenvalues_coincide():
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    vamp2_score(Covariances.of_pairs(x, x), epsilon=EPSILON).backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("value", [1.0, torch.nan, torch.inf])
def test_features_without_a_covariance_are_refused(value):
    x = torch.full((10, 2), value)
    with pytest.raises(ValueError, match="not positive definite"):
        vamp2_score(Covariances.of_pairs(x, x), epsilon=EPSILON)


def test_singular_functions_are_white_and_correlate_by_their_singular_values():
    pairs = indicator_pairs(three_state_chain())
    functions = SingularFunctions.fit(pairs.covariances(), dimensions=2, epsilon=1e-10)
    projected = functions.project(pairs.covariances())
    identity = torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(projected.c00, identity, rtol=0, atol=1e-8)
    torch.testing.assert_close(projected.ctt, identity, rtol=0, atol=1e-8)
    torch.testing.assert_close(projected.c0t, functions.singular_values.diag(), rtol=0, atol=1e-8)


def test_singular_functions_stay_as_they_were_fitted():
    training, other = (indicator_pairs(three_state_chain(), seed=seed) for seed in (0, 1))
    functions = SingularFunctions.fit(training.covariances(), dimensions=2, epsilon=EPSILON)
    frames = other.values[:100]
    alone = torch.cat([functions(frame[None]) for frame in frames])
    torch.testing.assert_close(alone, functions(other.values)[:100], rtol=0, atol=1e-12)
    assert functions(other.values).mean(dim=0).abs().max() > 1e-4, "the mean was taken from other frames"


def test_the_rarer_end_of_every_singular_function_is_positive():
    pairs = indicator_pairs(three_state_chain())
    functions = SingularFunctions.fit(pairs.covariances(), dimensions=2, epsilon=EPSILON).oriented(pairs)
    assert (functions(pairs.values).pow(3).mean(dim=0) > 0).all()
    again = functions.oriented(pairs)
    torch.testing.assert_close(again.left, functions.left, rtol=0, atol=0)


def test_signs_are_those_of_the_frames_at_which_pairs_start_a_few_at_a_time(monkeypatch):
    pairs, evaluated = indicator_pairs(three_state_chain(), n_frames=5000), []
    config, evaluate = ScoreConfig(epsilon=EPSILON), SingularFunctions.__call__
    whole = fit_functions(pairs, dimensions=2, config=config)
    monkeypatch.setattr("geom2msm.covariances.CHUNK_PAIRS", 77)
    monkeypatch.setattr(SingularFunctions, "__call__", lambda f, x: (evaluated.append(len(x)), evaluate(f, x))[1])
    functions = fit_functions(pairs, dimensions=2, config=config)
    torch.testing.assert_close(functions.left, whole.left, rtol=0, atol=1e-10)
    assert max(evaluated) <= 77
    assert sum(evaluated) == len(pairs.starts)
    # No pair starts at the last frame, however far out it is.
    for far_out in (-1e6, 1e6):
        values = pairs.values.clone()
        values[-1] = far_out
        elsewhere = functions.oriented(PairedValues(values, pairs.starts, pairs.lag_frames))
        torch.testing.assert_close(elsewhere.left, functions.left, rtol=0, atol=0)


def test_of_many_channels_fewer_pairs_are_held_at_a_time(monkeypatch):
    pairs = noise_pairs(n_pairs=1000, channels=40)
    monkeypatch.setattr("geom2msm.covariances.CHUNK_VALUES", 40 * 30)
    assert max(map(len, pairs.chunks())) == 30
    assert torch.equal(torch.cat(pairs.chunks()), pairs.starts)
    monkeypatch.setattr("geom2msm.covariances.CHUNK_VALUES", 1)
    assert max(map(len, pairs.chunks())) == 1


def test_covariances_of_batches_are_never_held_together(monkeypatch):
    pairs, made, alive, of_pairs = noise_pairs(n_pairs=4000, channels=3), [], [], Covariances.of_pairs

    def counted(*arguments):
        found = of_pairs(*arguments)
        made.append(weakref.ref(found))
        alive.append(sum(one() is not None for one in made))
        return found

    functions = SingularFunctions.fit(pairs.covariances(), dimensions=2, epsilon=EPSILON)
    monkeypatch.setattr(Covariances, "of_pairs", counted)
    model_scores(functions, pairs, pairs, lag_ps=1.0, batch_pairs=100, epsilon=EPSILON)
    assert len(made) == 2 * (40 + 1)
    assert max(alive) <= 3


def test_more_dimensions_than_features_are_refused():
    with pytest.raises(ValueError, match="dimensions = 3, but there are only 2 features"):
        SingularFunctions.fit(indicator_pairs(three_state_chain()).covariances(), dimensions=3, epsilon=EPSILON)


def test_singular_values_of_the_koopman_matrix_make_the_score():
    covariances = indicator_pairs(three_state_chain()).covariances()
    values = torch.linalg.svdvals(koopman_matrix(covariances, epsilon=EPSILON))
    torch.testing.assert_close(1 + values.square().sum(), vamp2_score(covariances, epsilon=EPSILON))


def test_batches_use_every_pair_at_most_once_and_have_one_size():
    batches = shuffled_batches(torch.arange(10, 20), 3, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in batches] == [3, 3, 3]
    assert len(set(torch.cat(batches).tolist()) & set(range(10, 20))) == 9


def test_fewer_pairs_than_a_batch_are_one_batch():
    (batch,) = shuffled_batches(torch.arange(4), 1000, torch.Generator().manual_seed(0))
    assert sorted(batch.tolist()) == [0, 1, 2, 3]


def test_scores_of_functions_are_those_of_their_span():
    training, validation = (indicator_pairs(three_state_chain(), seed=seed) for seed in (0, 1))
    functions = SingularFunctions.fit(training.covariances(), dimensions=2, epsilon=EPSILON)
    scores = model_scores(functions, training, validation, lag_ps=10.0, batch_pairs=1000, epsilon=EPSILON)
    direct = float(vamp2_score(validation.covariances(), epsilon=EPSILON))
    assert scores["score_validation"] == pytest.approx(direct, abs=1e-4)
    assert scores["n_validation_pairs"] == len(validation.starts)
    for name in ("training", "validation"):
        assert scores[f"score_{name}_batch_mean"] > scores[f"score_{name}"]
    np.testing.assert_allclose(scores["timescales_validation_ps"], implied_timescales(three_state_chain()), rtol=0.3)


def test_weights_come_back_as_they_were_written(tmp_path):
    functions = SingularFunctions.fit(indicator_pairs(three_state_chain()).covariances(), dimensions=2, epsilon=EPSILON)
    path = tmp_path / "weights.safetensors"
    write_weights(path, functions.tensors(), {"kind": "tica", "settings": {"lag_ps": 10.0}})
    tensors, description = read_weights(str(path))
    assert description == {"kind": "tica", "settings": {"lag_ps": 10.0}}
    torch.testing.assert_close(SingularFunctions.from_tensors(tensors).left, functions.left, rtol=0, atol=0)


@pytest.mark.parametrize("content", [b"", b"not a weights file", b"\x10" + b"\0" * 30])
def test_a_broken_weights_file_is_named(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights.safetensors: no complete weights file of geom2msm"):
        read_weights(str(path))
