"""From the keys of a model's section to a lobe."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from torch import nn

from geom2msm.mixers.equivariant import EquivariantMixer, EquivariantSettings
from geom2msm.mixers.gvp import GvpSettings, SubGvp
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.lobe import Lobe, OutputHead
from geom2msm.mixers.merging import MergingSettings, TokenMerging
from geom2msm.mixers.mlp import FeatureMlp, MlpSettings
from geom2msm.mixers.mlp_mixer import MLPMixerSettings, SubMixer
from geom2msm.mixers.sum import SumMixer, SumSettings
from geom2msm.mixers.transformer import SubFormer, TransformerSettings


@dataclass(frozen=True)
class MixerKind:
    """A kind of mixer: the dataclass of its keys, and the network, built from (settings, layout)."""

    settings: type
    network: type[nn.Module]


MIXERS = {
    "sum": MixerKind(SumSettings, SumMixer),
    "mixer": MixerKind(MLPMixerSettings, SubMixer),
    "transformer": MixerKind(TransformerSettings, SubFormer),
    "gvp": MixerKind(GvpSettings, SubGvp),
    "equivariant": MixerKind(EquivariantSettings, EquivariantMixer),
    "mlp": MixerKind(MlpSettings, FeatureMlp),
}


@dataclass(frozen=True)
class LobeConfig:
    """What fixes a lobe besides the layout of its tokens."""

    mixer: str
    dimensions: int
    mixer_settings: object
    output: str = "linear"
    merging: MergingSettings | None = None


def build_lobe(config: LobeConfig, layout: TokenLayout) -> Lobe:
    """A lobe with random weights."""
    merging, of_mixer = None, layout
    if config.merging is not None:
        if config.mixer == "equivariant" and config.merging.merger == "scalar":
            raise ValueError("merger: scalar leaves no vectors to mixer: equivariant; choose merger: equivariant.")
        merging = TokenMerging(config.merging, layout, config.mixer_settings.hidden_channels)
        of_mixer = merging.layout
    mixer = MIXERS[config.mixer].network(config.mixer_settings, of_mixer)
    return Lobe(layout, merging, mixer, OutputHead(mixer.width, config.dimensions, output=config.output))


def split_settings(settings: Mapping[str, object]) -> tuple[LobeConfig, dict[str, object]]:
    """The lobe that the keys of a model's section describe, and the keys that say nothing about it."""
    mixer = settings["mixer"]
    if mixer not in MIXERS:
        raise ValueError(f"mixer: {mixer} is unknown; choose one of {', '.join(MIXERS)}.")
    kind, rest = MIXERS[mixer].settings, dict(settings)
    chosen = kind(**{field.name: rest.pop(field.name) for field in fields(kind) if field.name in rest})
    common = {name: rest.pop(name) for name in ("mixer", "dimensions", "output") if name in rest}
    if rest.get("token_merging") is not None:
        common["merging"] = MergingSettings(**rest["token_merging"])
    rest.pop("token_merging", None)
    return LobeConfig(mixer_settings=chosen, **common), rest
