"""Weights: what does not fit to the last key is refused, and nothing random is ever used in its place."""

import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import prepare_encoder
from geom2msm.encoder.checkpoints import read_geom2vec
from geom2msm.encoder.embedding import check_elements
from geom2msm.encoder.visnet import ViSNet, ViSNetConfig
from geom2msm.encoder.weights import EncoderCard, load_encoder, read_card, save_encoder

CONFIG = ViSNetConfig(2, 16, 4, 8, 0.5)
CARD = EncoderCard("small", "visnet", (1, 6, 8), CONFIG)
ARCHITECTURE = {"kind": "visnet", "n_layers": 2, "hidden_channels": 16, "n_heads": 4, "n_radial": 8, "cutoff_nm": 0.5}


def settings(path, file_format="safetensors", **architecture):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    weights = {"path": str(path), "sha256": digest, "format": file_format, "license": "MIT"}
    return {"architecture": ARCHITECTURE | architecture, "elements": [1, 6, 8], "weights": weights}


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    save_encoder(str(path), ViSNet(CONFIG), CARD)
    return path


def geom2vec_state(encoder):
    """The encoder's weights under the names of a geom2vec checkpoint."""
    names = {"block.": "representation_model.", "denoiser.": "vec_out.output_network."}
    state = {}
    for name, tensor in encoder.state_dict().items():
        ours = next(prefix for prefix in names if name.startswith(prefix))
        state[names[ours] + name.removeprefix(ours)] = tensor
    return state | {"mean": torch.zeros(1), "std": torch.ones(1), "prior_model.atomref.weight": torch.zeros(3, 1)}


def test_weights_and_card_survive_the_file(weights):
    encoder, card = load_encoder(str(weights))
    assert card == CARD
    assert not encoder.training
    for name, tensor in load_file(weights).items():
        torch.testing.assert_close(encoder.state_dict()[name], tensor, rtol=0, atol=0)


def test_prepared_weights_are_the_given_ones(weights, tmp_path):
    prepare_encoder.main(str(tmp_path / "out.safetensors"), encoder="small", settings=settings(weights))
    assert read_card(str(tmp_path / "out.safetensors")) == CARD
    assert load_file(tmp_path / "out.safetensors").keys() == load_file(weights).keys()


def test_a_geom2vec_checkpoint_gives_the_same_network(weights, tmp_path):
    encoder, _ = load_encoder(str(weights))
    path = tmp_path / "checkpoint.pth"
    torch.save(geom2vec_state(encoder), path)
    prepare_encoder.main(str(tmp_path / "out.safetensors"), encoder="small", settings=settings(path, "geom2vec"))
    for name, tensor in load_file(tmp_path / "out.safetensors").items():
        torch.testing.assert_close(encoder.state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("change", [{"n_layers": 3}, {"hidden_channels": 32}, {"n_radial": 16}], ids=str)
def test_another_architecture_is_refused(weights, tmp_path, change):
    with pytest.raises(ValueError, match="these weights do not fit the declared architecture"):
        prepare_encoder.main(str(tmp_path / "out.safetensors"), encoder="small", settings=settings(weights, **change))
    assert not (tmp_path / "out.safetensors").exists()


def test_a_missing_key_a_surplus_key_and_a_nan_are_named(weights, tmp_path):
    state = load_file(weights)
    state["block.embedding.weight"][0, 0] = torch.nan
    state["block.extra"] = state.pop("block.out_norm.bias")
    path = tmp_path / "bad.safetensors"
    save_file(state, path)
    with pytest.raises(
        ValueError,
        match=r"embedding.weight holds values that are not finite; .*extra is not part .*out_norm.bias is missing",
    ):
        prepare_encoder.main(str(tmp_path / "out.safetensors"), encoder="small", settings=settings(path))


def test_a_damaged_file_is_refused_by_its_checksum(weights, tmp_path):
    damaged = settings(weights)
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(
        ValueError, match=r"weights.safetensors: sha256 is .* but config/encoders.yaml: encoders.small.weights expects"
    ):
        prepare_encoder.main(str(tmp_path / "out.safetensors"), encoder="small", settings=damaged)
    assert not list(tmp_path.glob("out*"))


def test_a_missing_file_without_address_is_refused(tmp_path, weights):
    known = settings(weights)
    weights.unlink()
    with pytest.raises(
        ValueError, match=r"there is no such file, and config/encoders.yaml: encoders.small.weights gives no url"
    ):
        prepare_encoder.main(str(tmp_path / "out.safetensors"), encoder="small", settings=known)


class Surprise:
    """Something that is no tensor: unpickling it would run code."""

    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_a_checkpoint_that_holds_more_than_tensors_is_refused_unread(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    torch.save({"representation_model.x": Surprise()}, path)
    with pytest.raises(ValueError, match="not a readable PyTorch state dict"):
        read_geom2vec(str(path))
    assert capsys.readouterr().out == ""


def test_elements_never_trained_on_are_refused_by_atom():
    with pytest.raises(ValueError, match=r"encoder small was not trained on the elements of 1 atoms \(ZN1-ZN\)"):
        check_elements(np.array([6, 30]), (1, 6, 8), ["ALA1-CA", "ZN1-ZN"], encoder="small")
