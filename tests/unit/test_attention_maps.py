import numpy as np
import pytest
import torch

from geom2msm.attention_maps import Places, attends, frame_attention, mean_attention, token_attention
from geom2msm.interpreted import Network
from geom2msm.mixers.build import LobeConfig, build_lobe
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.merging import MergingSettings
from geom2msm.schema import ATTENDING_MIXERS
from geom2msm.stored_tokens import Tokens
from mixer_cases import ATTENDING, CASES, CHANNELS, random_tokens, small_lobe, small_settings

CHAIN = (0, 0, 0, 1, 1)
NAMES = ["A:ALA1", "A:GLY2", "A:TRP3", "B:U1", "B:G2"]
every_attending = pytest.mark.parametrize("case", ATTENDING, ids=lambda case: f"{case[0]}-{case[1]}")


def network(case, *, merging: MergingSettings | None = None, **changes) -> Network:
    settings = small_settings(case[0], global_tokens=case[1], **changes)
    config = LobeConfig(case[0], dimensions=3, mixer_settings=settings, merging=merging)
    lobe = build_lobe(config, TokenLayout(CHANNELS, CHAIN)).eval()
    return Network(lobe, config, torch.eye(3, dtype=torch.float64))


def tokens(n_frames: int = 12) -> Tokens:
    return Tokens(*(array.float() for array in random_tokens(0, n_frames=n_frames, n_tokens=5)))


def test_the_driver_knows_which_mixers_attend():
    assert set(ATTENDING_MIXERS) == {case[0] for case in CASES if attends(small_lobe(case, chain=CHAIN))}


@every_attending
def test_there_is_a_name_for_every_place(case):
    model = network(case)
    names = Places.of(model.lobe).names(NAMES)
    assert frame_attention(model, tokens()).shape == (12, len(names), len(names))
    assert names[1:6] == NAMES
    assert names[0] == "class token"
    assert names[6:] == [f"global {number + 1}" for number in range(case[1])]


def test_without_a_class_token_all_tokens_look():
    model = network(("equivariant", 2), pooling="mean")
    places, weights = Places.of(model.lobe), frame_attention(model, tokens())
    assert places.names(NAMES)[:5] == NAMES
    expected = weights[:, :5, :5].mean(dim=1)
    torch.testing.assert_close(token_attention(model, tokens()), expected / expected.sum(dim=1, keepdim=True))


@every_attending
def test_the_class_token_looks_at_tokens_in_parts_that_sum_to_one(case):
    model = network(case)
    shares, weights = token_attention(model, tokens()), frame_attention(model, tokens())
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(12))
    torch.testing.assert_close(shares / shares[:, :1], weights[:, 0, 1:6] / weights[:, 0, 1:2])


def test_tokens_of_a_window_share_its_weight():
    model = network(("transformer", 2), merging=MergingSettings(window=2))
    assert Places.of(model.lobe).names(NAMES) == [
        "class token", "A:ALA1 to A:GLY2", "A:TRP3", "B:U1 to B:G2", "global 1", "global 2",
    ]  # fmt: skip
    shares, weights = token_attention(model, tokens()), frame_attention(model, tokens())[:, 0, 1:4]
    windows = torch.stack([shares[:, :2].sum(dim=1), shares[:, 2], shares[:, 3:].sum(dim=1)], dim=1)
    torch.testing.assert_close(windows, weights / weights.sum(dim=1, keepdim=True))
    torch.testing.assert_close(shares[:, 0], shares[:, 1])


def test_attention_is_averaged_over_the_frames_of_a_state(monkeypatch):
    model, states = network(("transformer", 0)), np.array([1, 1, 3, 1, 3, 3, 3, 1, 3, 3, 1, 3])
    monkeypatch.setattr("geom2msm.interpreted.BATCH_BYTES", 5 * tokens().frame_bytes)
    found, weights = mean_attention(model, tokens(), states), frame_attention(model, tokens()).double().numpy()
    assert list(found) == [1, 3]
    for state, mean in found.items():
        np.testing.assert_allclose(mean, weights[states == state].mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(mean.sum(axis=1), 1, rtol=1e-6)
