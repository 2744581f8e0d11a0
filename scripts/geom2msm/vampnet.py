"""VAMPnets: the networks for both frames of a pair, and the model that is left after training (Mardt et al. 2018)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from geom2msm.gradient_parts import GradientParts
from geom2msm.mixers.build import LobeConfig, build_lobe, split_settings
from geom2msm.mixers.layout import TokenLayout
from geom2msm.stored_tokens import Tokens
from geom2msm.token_pairs import PairBatch, TokenPairs
from geom2msm.vamp import PairedValues, ScoreConfig, SingularFunctions

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class VampnetConfig:
    """Settings of a model of `kind: vampnet`, as in the config of a system."""

    kind: str
    lobe: LobeConfig
    lag_ps: float
    dimensions: int
    learning_rate: float
    batch_pairs: int
    max_epochs: int
    patience: int
    epsilon: float
    score: str = "vamp2"
    reversible: bool = False
    lobes: int = 1
    feature: str | None = None
    memory_mb: int = 2000
    batch_memory_mb: int = 1000
    precision: str = "float32"
    control: str = "none"

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> "VampnetConfig":
        """From the flat keys of the model's section; d + 1 states that sum to one span d functions and the constant."""
        lobe, rest = split_settings(settings)
        dimensions = lobe.dimensions
        if lobe.output == "softmax":
            lobe = replace(lobe, dimensions=dimensions + 1)
        return cls(lobe=lobe, dimensions=dimensions, **rest)

    @property
    def scoring(self) -> ScoreConfig:
        """What training maximizes."""
        return ScoreConfig(self.score, self.reversible, self.lobes, self.lobe.output, self.epsilon)


class Lobes(nn.Module):
    """The network for frames at t and, with two lobes, another one for frames at t + lag."""

    def __init__(self, config: VampnetConfig, layout: TokenLayout) -> None:
        super().__init__()
        self.lobe = build_lobe(config.lobe, layout)
        self.lobe_lag = build_lobe(config.lobe, layout) if config.lobes == 2 else None
        self.precision = PRECISIONS[config.precision]
        self.in_parts = GradientParts(config.batch_memory_mb)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, batch: PairBatch) -> tuple[Float[Tensor, "pair dimension"], Float[Tensor, "pair dimension"]]:
        """Outputs at t and at t + lag."""
        if self.lobe_lag is not None:
            return self.apply_lobe(self.lobe, batch.at_start()), self.apply_lobe(self.lobe_lag, batch.at_lag())
        return self.apply_lobe(self.lobe, batch.both()).chunk(2)

    def apply_lobe(self, lobe: nn.Module, tokens: Tokens) -> Float[Tensor, "frame dimension"]:
        """Outputs of frames. They return to the processor, where the algebra of small matrices in float64 is faster."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            outputs = self.in_parts(lobe, tokens.to(self.device))
        return outputs.float().to("cpu")

    @torch.inference_mode()
    def outputs(self, chunks: Iterable[Tokens]) -> list[Float[Tensor, "frame dimension"]]:
        """Outputs of all frames, by each lobe: without dropout and without gradients."""
        self.eval()
        lobes = [lobe for lobe in (self.lobe, self.lobe_lag) if lobe is not None]
        found = [[self.apply_lobe(lobe, chunk) for lobe in lobes] for chunk in chunks]
        return [torch.cat(parts) for parts in zip(*found, strict=True)]

    def paired_outputs(self, pairs: TokenPairs) -> PairedValues:
        """Outputs of every frame, each computed once, with the same pairs."""
        values, *lagged = self.outputs(pairs.chunks())
        return PairedValues(
            values, pairs.starts, pairs.lag_frames, values_lag=lagged[0] if lagged else None,
            log_weights=pairs.log_weights,
        )  # fmt: skip


def new_lobes(training: TokenPairs, *, config: VampnetConfig, seed: int) -> Lobes:
    """Lobes with random weights that standardize tokens as these training frames ask for."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lobes = Lobes(config, training.layout)
    lobes.lobe.standardize((chunk.scalars, chunk.vectors) for chunk in training.chunks())
    if lobes.lobe_lag is not None:
        lobes.lobe_lag.standardization.load_state_dict(lobes.lobe.standardization.state_dict())
    return lobes


@dataclass(frozen=True)
class Vampnet:
    """Trained lobes and the singular functions within their outputs, fixed on the training pairs."""

    lobes: Lobes
    functions: SingularFunctions

    def __call__(self, tokens: Tokens) -> Float64[Tensor, "frame dimension"]:
        """Collective variables of frames."""
        return self.functions(self.lobes.outputs([tokens])[0])

    def tensors(self) -> dict[str, Tensor]:
        """Named tensors for a weights file."""
        weights = {name: tensor.cpu().contiguous() for name, tensor in self.lobes.state_dict().items()}
        return weights | self.functions.tensors()

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], *, config: VampnetConfig) -> "Vampnet":
        """The inverse of `tensors`."""
        weights = {name: tensor for name, tensor in tensors.items() if name.startswith(("lobe.", "lobe_lag."))}
        layout = TokenLayout.of_weights(
            {name.removeprefix("lobe."): tensor for name, tensor in weights.items() if name.startswith("lobe.")}
        )
        lobes = Lobes(config, layout)
        lobes.load_state_dict(weights)
        return cls(lobes, SingularFunctions.from_tensors(tensors))
