"""VAMPnets: training of a lobe on token pairs, and what every trained model leaves behind."""

import copy
import csv
import json
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from geom2msm.mixers import SumMixer, SumMixerConfig
from geom2msm.pairs import read_chunks, read_frames, read_pair_starts
from geom2msm.vamp import (
    Covariances,
    PairedValues,
    SingularFunctions,
    model_scores,
    read_weights,
    shuffled_batches,
    vamp2_score,
    vamp2_score_batch_mean,
)

CHUNK_FRAMES = 4096
LARGEST_GRADIENT = 10.0
MIXERS = {"sum": SumMixer}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VampnetConfig:
    """Settings of a model of `kind: vampnet`, as in the config of a system."""

    kind: str
    mixer: str
    lag_ps: float
    dimensions: int
    hidden_channels: int
    learning_rate: float
    batch_pairs: int
    max_epochs: int
    patience: int
    epsilon: float


@dataclass(frozen=True)
class TokenPairs:
    """Tokens of trajectories laid end to end, in memory as they are stored, and the start frames of their pairs."""

    scalars: Float[Tensor, "frame token channel"]
    vectors: Float[Tensor, "frame token 3 channel"]
    starts: Int64[Tensor, " pair"]
    lag_frames: int

    @classmethod
    def read(cls, paths: list[str], *, lag_ps: float) -> "TokenPairs":
        """All frames of these token stores."""
        starts, lag_frames = read_pair_starts(paths, lag_ps=lag_ps)
        scalars, vectors = (torch.from_numpy(read_frames(paths, name)) for name in ("scalars", "vectors"))
        return cls(scalars, vectors, torch.from_numpy(starts), lag_frames)


@dataclass(frozen=True)
class EpochScores:
    """One row of the history: VAMP-2 after an epoch, on training pairs and on validation pairs."""

    epoch: int
    training_score: float
    validation_score: float
    validation_score_batch_mean: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: VAMP-2 training {self.training_score:.4f}, validation {self.validation_score:.4f} "
            f"(mean of batches {self.validation_score_batch_mean:.4f})"
        )


def build_lobe(config: VampnetConfig, *, channels: int) -> SumMixer:
    """The network that the settings describe, for tokens of so many channels."""
    if config.mixer not in MIXERS:
        raise ValueError(f"mixer: {config.mixer} is unknown; choose one of {', '.join(MIXERS)}.")
    return MIXERS[config.mixer](SumMixerConfig(channels, config.hidden_channels, config.dimensions))


def new_lobe(training: TokenPairs, *, config: VampnetConfig, seed: int) -> SumMixer:
    """A lobe with random weights that standardizes tokens as these training frames ask for."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lobe = build_lobe(config, channels=training.scalars.shape[-1])
    lobe.standardize(training.scalars, training.vectors)
    return lobe


def lobe_outputs(
    lobe: SumMixer, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
) -> Float[Tensor, "frame dimension"]:
    """Outputs of all frames, in chunks and without gradients."""
    with torch.inference_mode():
        chunks = zip(scalars.split(CHUNK_FRAMES), vectors.split(CHUNK_FRAMES), strict=True)
        return torch.cat([lobe(*chunk) for chunk in chunks])


def paired_outputs(lobe: SumMixer, pairs: TokenPairs) -> PairedValues:
    """Outputs of every frame, each computed once, with the same pairs."""
    return PairedValues(lobe_outputs(lobe, pairs.scalars, pairs.vectors), pairs.starts, pairs.lag_frames)


def train(
    lobe: SumMixer, training: TokenPairs, validation: TokenPairs, *, config: VampnetConfig, seed: int
) -> list[EpochScores]:
    """Maximize the VAMP-2 of batches; the lobe ends with the weights of the epoch that validated best.

    Mardt, Pasquali, Wu & Noe 2018, with one lobe for both frames of a pair. The validation score comes from
    covariances pooled over all validation pairs, not from batches.
    """
    warn_of_small_batches(config, n_pairs=len(training.starts))
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(lobe.parameters(), lr=config.learning_rate)
    history: list[EpochScores] = []
    best, best_weights = None, {}
    for epoch in range(1, config.max_epochs + 1):
        for starts in shuffled_batches(training.starts, config.batch_pairs, generator):
            optimizer.zero_grad()
            (-batch_score(lobe, training, starts, config, epoch)).backward()
            torch.nn.utils.clip_grad_norm_(lobe.parameters(), LARGEST_GRADIENT)
            optimizer.step()
        history.append(evaluate(lobe, training, validation, config=config, epoch=epoch))
        if best is None or history[-1].validation_score > best.validation_score:
            # A state dict aliases the live weights: without the copy the last weights would be "restored".
            best, best_weights = history[-1], copy.deepcopy(lobe.state_dict())
        logger.info("%s; best: epoch %d", history[-1], best.epoch)
        if epoch - best.epoch >= config.patience:
            break
    lobe.load_state_dict(best_weights)
    return history


def warn_of_small_batches(config: VampnetConfig, *, n_pairs: int) -> None:
    """Say so when the score of a batch is mostly the bias of few samples."""
    needed, batch = 20 * config.dimensions**2, min(config.batch_pairs, n_pairs)
    if batch < needed:
        logger.warning("batches of %d pairs; at least 20 d^2 = %d keep the bias of the score low", batch, needed)


def batch_score(
    lobe: SumMixer, pairs: TokenPairs, starts: Int64[Tensor, " pair"], config: VampnetConfig, epoch: int
) -> Tensor:
    """VAMP-2 of one batch, with gradients."""
    frames = torch.cat([starts, starts + pairs.lag_frames])
    outputs = lobe(pairs.scalars[frames], pairs.vectors[frames])
    if not torch.isfinite(outputs).all():
        raise ValueError(
            f"the outputs of the network became infinite or not a number in epoch {epoch}; "
            f"lower learning_rate (now {config.learning_rate:g}) or raise epsilon (now {config.epsilon:g})."
        )
    return vamp2_score(Covariances.of_pairs(*outputs.chunk(2)), epsilon=config.epsilon)


def evaluate(
    lobe: SumMixer, training: TokenPairs, validation: TokenPairs, *, config: VampnetConfig, epoch: int
) -> EpochScores:
    """Scores of the lobe as it is now, on all pairs."""
    validated = paired_outputs(lobe, validation)
    batches = validated.batch_covariances(config.batch_pairs)
    return EpochScores(
        epoch=epoch,
        training_score=float(vamp2_score(paired_outputs(lobe, training).covariances(), epsilon=config.epsilon)),
        validation_score=float(vamp2_score(validated.covariances(), epsilon=config.epsilon)),
        validation_score_batch_mean=vamp2_score_batch_mean(batches, epsilon=config.epsilon),
    )


@dataclass(frozen=True)
class Vampnet:
    """A trained lobe and the singular functions within its outputs, fixed on the training pairs."""

    lobe: SumMixer
    functions: SingularFunctions

    def __call__(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> Float64[Tensor, "frame dimension"]:
        """Collective variables of frames."""
        return self.functions(lobe_outputs(self.lobe, scalars, vectors))

    def tensors(self) -> dict[str, Tensor]:
        """Named tensors for a weights file."""
        return {f"lobe.{name}": tensor for name, tensor in self.lobe.state_dict().items()} | self.functions.tensors()

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], *, config: VampnetConfig) -> "Vampnet":
        """The inverse of `tensors`."""
        weights = {name.removeprefix("lobe."): tensor for name, tensor in tensors.items() if name.startswith("lobe.")}
        lobe = build_lobe(config, channels=len(weights["scalar_mean"]))
        lobe.load_state_dict(weights)
        return cls(lobe, SingularFunctions.from_tensors(tensors))


def fit_vampnet(
    training: TokenPairs, validation: TokenPairs, *, config: VampnetConfig, seed: int
) -> tuple[Vampnet, list[EpochScores], dict[str, object]]:
    """Train from random weights; the model, its learning curve, and its scores."""
    lobe = new_lobe(training, config=config, seed=seed)
    history = train(lobe, training, validation, config=config, seed=seed)
    trained, validated = paired_outputs(lobe, training), paired_outputs(lobe, validation)
    functions = SingularFunctions.fit(trained.covariances(), dimensions=config.dimensions, epsilon=config.epsilon)
    functions = functions.oriented(trained.values[trained.starts])
    scores = model_scores(
        functions, trained, validated, lag_ps=config.lag_ps, batch_pairs=config.batch_pairs, epsilon=config.epsilon
    )
    best = max(history, key=lambda row: row.validation_score)
    return Vampnet(lobe, functions), history, scores | {"best_epoch": best.epoch}


def project_store(source: str, weights: str) -> Float[np.ndarray, "frame dimension"]:
    """Collective variables of all frames of a store, read in chunks; the weights say which kind of model they are."""
    tensors, description = read_weights(weights)
    if description["kind"] == "vampnet":
        model = Vampnet.from_tensors(tensors, config=VampnetConfig(**description["settings"]))
        names, needed = ("scalars", "vectors"), model.lobe.config.channels
    else:
        model = SingularFunctions.from_tensors(tensors)
        names, needed = ("features",), len(model.mean_t)
    projected = []
    for chunk in read_chunks(source, names):
        if chunk[0].shape[-1] != needed:
            raise ValueError(
                f"{source}: {names[0]} have {chunk[0].shape[-1]} channels, but {weights} was trained on {needed}; "
                "use the encoder or feature that the model was trained with."
            )
        projected.append(model(*(torch.from_numpy(array) for array in chunk)).numpy())
    return np.concatenate(projected)


def write_history(path: Path, history: list[EpochScores]) -> None:
    """The learning curve as a CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(EpochScores)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in history)


def write_scores(path: Path, scores: dict[str, object]) -> None:
    """Scores as JSON, every number finite."""
    path.write_text(json.dumps(scores, indent=2, allow_nan=False) + "\n")
