"""Weights: what does not fit to the last key is refused, and nothing random is ever used in its place."""

import hashlib

import pytest
import torch
from safetensors.torch import load_file, save_file

import prepare_encoder
from geom2msm.encoder.architectures import ARCHITECTURES, encoder_config, untrained
from geom2msm.encoder.checkpoints import read_geom2vec
from geom2msm.encoder.visnet import ViSNet, ViSNetConfig
from geom2msm.encoder.weights import EncoderCard, load_encoder, save_encoder

CONFIG = ViSNetConfig(2, 16, 4, 8, 0.5)
CARD = EncoderCard("small", "visnet", (1, 6, 8), CONFIG)
ARCHITECTURE = {"kind": "visnet", "n_layers": 2, "hidden_channels": 16, "n_heads": 4, "n_radial": 8, "cutoff_nm": 0.5}
HEADS = {"visnet": "vec_out.", "torchmd_et": "output_model_noise.", "tensornet": "output_model_noise."}


def settings(path, file_format="safetensors", **architecture):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    weights = {"path": str(path), "sha256": digest, "format": file_format, "license": "MIT"}
    shape = {name: value for name, value in (ARCHITECTURE | architecture).items() if value is not None}
    return {"architecture": shape, "elements": [1, 6, 8], "weights": weights}


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    save_encoder(str(path), ViSNet(CONFIG), CARD)
    return path


def architecture_of(kind):
    return {"kind": kind} | ({"n_heads": None} if kind == "tensornet" else {})


def random_network(kind):
    settings = {name: value for name, value in (ARCHITECTURE | architecture_of(kind)).items() if value is not None}
    torch.manual_seed(0)
    return untrained(encoder_config(settings, origin="test"))


def geom2vec_state(encoder, kind="visnet"):
    """The encoder's weights under the names, and for TensorNet in the order, of a geom2vec checkpoint."""
    state = {}
    for name, tensor in encoder.state_dict().items():
        if kind == "tensornet" and ("embedding.linears_scalar.1" in name or ".linears_scalar.2" in name):
            tensor = tensor.unflatten(0, (3, -1)).transpose(0, 1).flatten(0, 1)
        if name.startswith("denoiser."):
            name = f"{HEADS[kind]}output_network.{name.removeprefix('denoiser.')}"
        else:
            name = f"representation_model.{name.removeprefix('block.')}"
        state[name] = tensor
    return state | {"mean": torch.zeros(1), "std": torch.ones(1), "prior_model.atomref.weight": torch.zeros(3, 1)}


def test_weights_and_card_survive_the_file(weights):
    encoder, card = load_encoder(str(weights))
    assert card == CARD
    assert not encoder.training
    for name, tensor in load_file(weights).items():
        torch.testing.assert_close(encoder.state_dict()[name], tensor, rtol=0, atol=0)


def test_prepared_weights_are_the_given_ones(weights, tmp_path):
    prepare_encoder.main(str(tmp_path / "out.safetensors"), encoder="small", settings=settings(weights))
    assert load_encoder(str(tmp_path / "out.safetensors"))[1] == CARD
    assert load_file(tmp_path / "out.safetensors").keys() == load_file(weights).keys()


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_geom2vec_checkpoint_gives_the_same_network(kind, tmp_path):
    encoder = random_network(kind)
    path = tmp_path / "checkpoint.pth"
    torch.save(geom2vec_state(encoder, kind), path)
    declared = settings(path, "geom2vec", **architecture_of(kind))
    prepare_encoder.main(str(tmp_path / "out.safetensors"), encoder="small", settings=declared)
    loaded, card = load_encoder(str(tmp_path / "out.safetensors"))
    assert card.architecture == kind
    assert card.config == encoder.config
    for name, tensor in encoder.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_checkpoint_of_another_kind_is_refused(kind, tmp_path):
    path = tmp_path / "checkpoint.pth"
    torch.save(geom2vec_state(random_network(kind), kind), path)
    for other in ARCHITECTURES.keys() - {kind}:
        declared = settings(path, "geom2vec", **architecture_of(other))
        with pytest.raises(ValueError, match=r"no part of a geom2vec checkpoint|do not fit the declared architecture"):
            prepare_encoder.main(str(tmp_path / "out.safetensors"), encoder="small", settings=declared)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_another_cutoff_is_refused(kind, tmp_path):
    path = tmp_path / "checkpoint.pth"
    torch.save(geom2vec_state(random_network(kind), kind), path)
    declared = settings(path, "geom2vec", **architecture_of(kind), cutoff_nm=0.75)
    with pytest.raises(ValueError, match=r"distance_expansion.betas was made for another cutoff_nm or n_radial"):
        prepare_encoder.main(str(tmp_path / "out.safetensors"), encoder="small", settings=declared)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "schnet"}, "kind 'schnet' is unknown; there are visnet, torchmd_et, tensornet"),
        ({"kind": "tensornet"}, "architecture of kind tensornet has no n_heads"),
        ({"n_heads": None}, "architecture of kind visnet lacks n_heads"),
    ],
    ids=str,
)
def test_an_impossible_architecture_is_refused(weights, tmp_path, change, message):
    with pytest.raises(ValueError, match=f"config/encoders.yaml: encoders.small: .*{message}"):
        prepare_encoder.main(str(tmp_path / "out.safetensors"), encoder="small", settings=settings(weights, **change))


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
        read_geom2vec(str(path), "visnet")
    assert capsys.readouterr().out == ""


def test_a_safetensors_file_without_our_card_is_refused(weights, tmp_path):
    plain = tmp_path / "plain.safetensors"
    save_file(load_file(weights), plain)
    with pytest.raises(ValueError, match=r"plain.safetensors: no encoder card inside"):
        load_encoder(str(plain))


def test_a_checkpoint_with_a_foreign_tensor_is_refused(weights, tmp_path):
    path = tmp_path / "foreign.pth"
    torch.save(geom2vec_state(load_encoder(str(weights))[0]) | {"classifier.weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"classifier.weight"):
        read_geom2vec(str(path), "visnet")
