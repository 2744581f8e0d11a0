"""Encoder weights on disk: safetensors with the architecture beside them, checked to the last key."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from geom2msm.encoder.architectures import Encoder, EncoderConfig, encoder_config, untrained


@dataclass(frozen=True)
class EncoderCard:
    """What a weight file is: name, architecture, and the elements that it was trained on."""

    name: str
    architecture: str
    elements: tuple[int, ...]
    config: EncoderConfig


def save_encoder(path: str, encoder: Encoder, card: EncoderCard) -> None:
    """Write weights (float32) and card into one safetensors file."""
    weights = {name: tensor.detach().float().contiguous() for name, tensor in encoder.state_dict().items()}
    save_file(weights, path, metadata={"card": json.dumps(asdict(card), sort_keys=True)})


def _read(path: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise ValueError(f"{path}: no complete safetensors file ({error}); delete it, it is made anew") from error


def _card(metadata: Mapping[str, str], path: str) -> EncoderCard:
    if "card" not in metadata:
        raise ValueError(
            f"{path}: no encoder card inside; weights are written by the rules prepare_encoder and pretrain_encoder"
        )
    try:
        card = json.loads(metadata["card"])
        kind, elements, name = card["architecture"], tuple(card["elements"]), card["name"]
        settings = card["config"] | {"kind": kind}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: the encoder card inside cannot be read ({error}); delete the file") from error
    return EncoderCard(name, kind, elements, encoder_config(settings, origin=path))


def load_encoder(path: str) -> tuple[Encoder, EncoderCard]:
    """The frozen encoder of a weight file, in evaluation mode."""
    weights, metadata = _read(path)
    card = _card(metadata, path)
    encoder = build_encoder(card.config, weights, origin=path)
    return encoder.eval().requires_grad_(False), card


def build_encoder(config: EncoderConfig, weights: Mapping[str, Tensor], *, origin: str) -> Encoder:
    """An encoder with exactly these weights; any missing, surplus or misshapen one is an error."""
    encoder = untrained(config)
    own = encoder.state_dict()
    problems = [f"{name} is missing" for name in own.keys() - weights.keys()]
    problems += [f"{name} is not part of the architecture" for name in weights.keys() - own.keys()]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own.keys() & weights.keys()
        if own[name].shape != weights[name].shape
    ]
    problems += [
        f"{name} holds values that are not finite"
        for name, tensor in weights.items()
        if not torch.isfinite(tensor).all()
    ]
    problems += _misfitting_constants(encoder, weights)
    if problems:
        raise ValueError(
            f"{origin}: these weights do not fit the declared architecture: "
            f"{'; '.join(sorted(problems)[:3])} ({len(problems)} in all)"
        )
    encoder.load_state_dict(weights)
    return encoder


def _misfitting_constants(encoder: Encoder, weights: Mapping[str, Tensor]) -> list[str]:
    """Buffers that are not what the config makes them: the only trace that the cutoff leaves in a checkpoint."""
    return [
        f"{name} was made for another cutoff_nm or n_radial"
        for name, constant in encoder.named_buffers()
        if name in weights
        and weights[name].shape == constant.shape
        and not torch.allclose(weights[name].float(), constant, rtol=1e-5, atol=1e-6)
    ]
