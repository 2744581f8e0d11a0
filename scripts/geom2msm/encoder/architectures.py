"""The kinds of encoder: the one place where the name of an architecture becomes a network."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from torch import nn

from geom2msm.encoder.tensornet import TensorNet, TensorNetConfig
from geom2msm.encoder.torchmd_et import TorchMDET, TorchMDETConfig
from geom2msm.encoder.visnet import ViSNet, ViSNetConfig

Encoder = ViSNet | TorchMDET | TensorNet
EncoderConfig = ViSNetConfig | TorchMDETConfig | TensorNetConfig


@dataclass(frozen=True)
class Architecture:
    """A kind of encoder: the class of its settings and that of its network."""

    config: type
    network: type[nn.Module]


ARCHITECTURES = {
    "visnet": Architecture(ViSNetConfig, ViSNet),
    "torchmd_et": Architecture(TorchMDETConfig, TorchMDET),
    "tensornet": Architecture(TensorNetConfig, TensorNet),
}


def encoder_config(settings: Mapping[str, object], *, origin: str) -> EncoderConfig:
    """Settings of an architecture, its kind among them, as they stand in config/encoders.yaml and in weight files."""
    kind = settings.get("kind")
    if kind not in ARCHITECTURES:
        raise ValueError(f"{origin}: architecture kind {kind!r} is unknown; there are {', '.join(ARCHITECTURES)}")
    config = ARCHITECTURES[kind].config
    given, known = settings.keys() - {"kind"}, {field.name for field in fields(config)}
    missing = known - given - {"max_atomic_number"}
    if missing or given - known:
        found = [f"lacks {name}" for name in sorted(missing)] + [f"has no {name}" for name in sorted(given - known)]
        raise ValueError(f"{origin}: architecture of kind {kind} {'; '.join(found)}")
    return config(**{name: settings[name] for name in given})


def kind_of(config: EncoderConfig) -> str:
    """Name of the architecture that a config belongs to."""
    return next(kind for kind, architecture in ARCHITECTURES.items() if architecture.config is type(config))


def untrained(config: EncoderConfig) -> Encoder:
    """The network of a config with random weights."""
    return ARCHITECTURES[kind_of(config)].network(config)
