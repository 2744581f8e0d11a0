import numpy as np
import pytest
import torch

from geom2msm.interpreted import Network, Sample, of_states, read_tokens
from geom2msm.joined_store import StoredTrajectory, write_joined
from geom2msm.mixers.build import LobeConfig, build_lobe
from geom2msm.mixers.layout import TokenLayout
from geom2msm.store import write_store
from geom2msm.stored_tokens import Tokens
from mixer_cases import CHANNELS, random_tokens, small_settings

AXES = {
    "scalars": ("frame", "token", "channel"),
    "vectors": ("frame", "token", "3", "channel"),
    "positions_nm": ("frame", "token", "3"),
}
LENGTHS = (300, 500)


def written(path, **arrays: np.ndarray) -> str:
    write_store(str(path), attributes={}, arrays=arrays, axes={name: AXES[name] for name in arrays})
    return str(path)


def written_states(path, states: list[np.ndarray]) -> str:
    trajectories = [StoredTrajectory(f"run-{number}", len(each)) for number, each in enumerate(states)]
    write_joined(str(path), trajectories, attributes={}, arrays={"macrostate": np.concatenate(states)})
    return str(path)


@pytest.fixture
def stores(tmp_path):
    """Tokens of two trajectories, whose first scalar is the number of the frame, and states, the third of them rare."""
    tokens, states, first = [], [], 0
    for number, n_frames in enumerate(LENGTHS):
        scalars, vectors, positions = (array.numpy() for array in random_tokens(0, n_frames=n_frames, n_tokens=2))
        scalars[:, 0, 0] = np.arange(first, first + n_frames)
        macrostate = np.arange(n_frames) % 2
        macrostate[7::50] = 2
        macrostate[3::100] = -1
        arrays = {"scalars": scalars.astype("f4"), "vectors": vectors.astype("f2")}
        path = tmp_path / f"tokens-{number}.zarr.zip"
        tokens.append(written(path, **arrays, positions_nm=positions.astype("f4")))
        states.append(macrostate.astype("i4"))
        first += n_frames
    return tokens, written_states(tmp_path / "states.zarr.zip", states)


def test_a_sample_has_all_states_and_never_dropped_frames(stores):
    sample = Sample.read(*stores, n_frames=30)
    frames = sample.tokens.scalars[:, 0, 0].numpy()
    assert np.bincount(sample.states).tolist() == [0, 10, 10, 10]
    within = np.where(frames < LENGTHS[0], frames, frames - LENGTHS[0])
    assert not np.isin(within, np.arange(3, 500, 100)).any()
    assert ((within % 50 == 7) == (sample.states == 3)).all()
    assert (np.diff(frames) > 0).all()


def test_a_rare_state_has_as_many_frames_as_there_are(stores):
    sample = Sample.read(*stores, n_frames=3000)
    assert np.bincount(sample.states)[3] == 16
    assert len(sample.everywhere.scalars) == sum(LENGTHS)
    assert sample.weights == pytest.approx({1: 400 / 792, 2: 376 / 792, 3: 16 / 792})


def test_frames_of_everywhere_are_evenly_spread(stores):
    frames = Sample.read(*stores, n_frames=80).everywhere.scalars[:, 0, 0].numpy()
    assert frames[0] == 0
    assert frames[-1] == sum(LENGTHS) - 1
    assert set(np.diff(frames)) <= {10, 11}


def test_tokens_come_from_their_trajectory(stores):
    frames = np.array([0, 299, 300, 799])
    assert read_tokens(stores[0], LENGTHS, frames).scalars[:, 0, 0].tolist() == frames.tolist()


def test_states_of_other_trajectories_are_refused(stores):
    with pytest.raises(ValueError, match="states were assigned to 299"):
        read_tokens(stores[0], (299, 500), np.array([0]))


def test_means_and_errors_of_states_are_those_of_their_frames():
    values, states = torch.rand(10, 2, 3), np.array([1, 2, 2, 1, 1, 2, 1, 4, 2, 2])
    found = of_states(values, states)
    assert list(found) == [1, 2, 4]
    inside = values.double().numpy()[states == 2]
    np.testing.assert_allclose(found[2][0], inside.mean(axis=0))
    np.testing.assert_allclose(found[2][1], inside.std(axis=0, ddof=1) / 5**0.5)
    assert np.isnan(found[4][1]).all()


def test_an_untrained_network_differs_from_the_trained_one_in_its_weights_only():
    config = LobeConfig("sum", dimensions=3, mixer_settings=small_settings("sum"))
    lobe = build_lobe(config, TokenLayout(CHANNELS, (0, 0, 0))).eval()
    tokens = Tokens(*(array.float() for array in random_tokens(0, n_frames=200, n_tokens=3)))
    lobe.standardize([tokens[:2]])
    trained = Network(lobe, config, torch.eye(3, dtype=torch.float64))
    before = torch.random.get_rng_state()
    one, same, other = (trained.untrained(tokens, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.testing.assert_close(torch.cov(one.coordinates(tokens).T), torch.eye(3, dtype=torch.float64))
    assert torch.equal(one.coordinates(tokens), same.coordinates(tokens))
    assert not torch.equal(one.coordinates(tokens), other.coordinates(tokens))
    for name, value in trained.lobe.standardization.state_dict().items():
        assert torch.equal(one.lobe.standardization.state_dict()[name], value)
