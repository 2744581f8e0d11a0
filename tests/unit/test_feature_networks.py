"""The VAMPnet on distances: features pass as one token without vectors."""

import dataclasses

import numpy as np
import pytest
import torch

from geom2msm.mixers.build import LobeConfig, build_lobe
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.mlp import MlpSettings
from geom2msm.pairs import frame_set
from geom2msm.runs import Piece
from geom2msm.store import write_store
from geom2msm.token_pairs import TokenPairs
from geom2msm.training import FoldPairs, fit_vampnet
from geom2msm.training_state import Member
from geom2msm.vampnet import VampnetConfig
from systems import simulate_chain, three_state_chain

SETTINGS = {
    "kind": "vampnet", "mixer": "mlp", "feature": "residue_distances", "hidden_channels": 8, "n_layers": 2,
    "lag_ps": 10.0, "dimensions": 2, "learning_rate": 1e-2, "batch_pairs": 500, "max_epochs": 4, "patience": 4,
    "epsilon": 1e-6, "score": "vamp2", "reversible": False, "lobes": 1, "output": "linear",
}  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Six noisy features of the three-state chain, with very different scales, in a feature store."""
    rng, n_frames = np.random.default_rng(0), 5000
    states = simulate_chain(three_state_chain(), n_frames, rng)
    means = rng.normal(size=(3, 6))
    features = (means[states] + 0.5 * rng.normal(size=(n_frames, 6))) * 10.0 ** np.arange(-3, 3) + 5
    path = str(tmp_path_factory.mktemp("features") / "run-0.zarr.zip")
    attributes = {"system": "s", "trajectory": "run-0", "frame_interval_ps": 1.0}
    arrays = {"features": features.astype("f4"), "time_ps": np.arange(n_frames) * 1.0}
    write_store(
        path, attributes=attributes, arrays=arrays, axes={"features": ("frame", "channel"), "time_ps": ("frame",)}
    )
    opened = (frame_set([[Piece("run-0", *span)]], [path], lag_ps=10.0) for span in ((0, 3000), (3010, 5000)))
    training, validation = (TokenPairs.open(frames, memory_mb=100) for frames in opened)
    return FoldPairs(training, validation, validation)


@pytest.mark.parametrize(
    "changes",
    [{}, {"lobes": 2}, {"reversible": True}, {"output": "softmax"}, {"score": "vamp1"}, {"score": "vampe"}],
    ids=str,
)
def test_a_network_on_features_finds_the_slow_processes(pairs, changes):
    config = VampnetConfig.from_settings(SETTINGS | changes)
    model, _, scores = fit_vampnet(pairs, config=config, member=Member(seed=0))
    assert 1.9 < scores["score_validation"] <= 3
    values = torch.cat([model(chunk) for chunk in pairs.training.chunks()])
    assert values.shape == (3000, 2)
    # Those of a reversible model are white over both directions of time.
    torch.testing.assert_close(torch.cov(values[:-10].T), torch.eye(2).double(), rtol=0, atol=0.1)


def test_each_feature_is_standardized_on_its_own(pairs):
    lobe = build_lobe(LobeConfig("mlp", 2, MlpSettings()), pairs.training.layout)
    lobe.standardize((chunk.scalars, chunk.vectors) for chunk in pairs.training.chunks())
    values, _ = lobe.standardization(pairs.training.tokens.scalars, pairs.training.tokens.vectors)
    torch.testing.assert_close(values[:, 0].mean(dim=0), torch.zeros(6), rtol=0, atol=1e-2)
    torch.testing.assert_close(values[:, 0].std(dim=0), torch.ones(6), rtol=0, atol=1e-2)


def test_the_network_is_a_plain_one():
    settings = dataclasses.replace(MlpSettings(), n_layers=1, hidden_channels=4)
    mixer = build_lobe(LobeConfig("mlp", 2, settings), TokenLayout(3, (0,))).mixer
    scalars = torch.randn(5, 1, 3)
    layer = mixer.layers[0]
    expected = torch.nn.functional.silu(scalars[:, 0] @ layer.weight.T + layer.bias)
    found = mixer(scalars, torch.zeros(5, 1, 3, 0), torch.zeros(5, 1, 3))
    torch.testing.assert_close(found, expected)
