"""Training of VAMPnets, and what every trained model leaves behind."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from geom2msm.log import progress
from geom2msm.pairs import FrameSet
from geom2msm.splits import ROLES
from geom2msm.token_pairs import PairBatch, TokenPairs
from geom2msm.training_state import EpochScores, Member, TrainingState
from geom2msm.vamp import (
    PairedValues,
    fit_functions,
    model_scores,
    score_of,
    training_loss,
    vamp2_score_batch_mean,
    without_constant,
)
from geom2msm.vampnet import Lobes, Vampnet, VampnetConfig, new_lobes

LARGEST_GRADIENT = 10.0
# Seeds of two epochs never meet, however many seeds are tried.
SEEDS_PER_EPOCH = 1_000_003
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldPairs:
    """Pairs to train on, to choose the epoch by, and to report the score of; the last two may be the same."""

    training: TokenPairs
    selection: TokenPairs
    validation: TokenPairs

    @classmethod
    def open(
        cls,
        frames: Mapping[str, FrameSet],
        log_weights: Mapping[str, Float64[np.ndarray, " frame"] | None],
        *,
        config: VampnetConfig,
        seed: int,
    ) -> "FoldPairs":
        """The sets of a fold. Only training looks at frames in random order; the others are read as they are needed."""
        training, selection, validation = (
            TokenPairs.open(
                frames[role],
                memory_mb=config.memory_mb * (role == "training"),
                control=config.control,
                seed=3 * seed + i,
                log_weights=log_weights[role],
            )
            for i, role in enumerate(ROLES)
        )
        if frames["selection"].ranges == frames["validation"].ranges:
            selection = validation
        return cls(training, selection, validation)


def train(lobes: Lobes, pairs: FoldPairs, *, config: VampnetConfig, member: Member[EpochScores]) -> list[EpochScores]:
    """Maximize the score of batches; the lobes end with the weights of the epoch that is best on selection pairs.

    Mardt, Pasquali, Wu & Noe 2018. The score that chooses comes from covariances pooled over all selection pairs,
    not from batches. A training that was killed continues after its last whole epoch, with identical results.
    """
    warn_of_small_batches(config, n_pairs=len(pairs.training.starts))
    state = TrainingState(lobes, torch.optim.Adam(lobes.parameters(), lr=config.learning_rate))
    if member.checkpoint:
        member.checkpoint.restore(state)
    while not is_finished(state.history, config):
        epoch = len(state.history) + 1
        train_epoch(state, pairs.training, config=config, seed=member.seed, epoch=epoch)
        state.add(evaluate(lobes, pairs, config=config, epoch=epoch))
        logger.info("%s; best: epoch %d", state.history[-1], state.best.epoch)
        member.report(state.history)
        if member.checkpoint:
            member.checkpoint.save(state)
    lobes.load_state_dict(state.best_weights)
    return state.history


def is_finished(history: list[EpochScores], config: VampnetConfig) -> bool:
    """Whether all epochs are done, or the last of them brought nothing better."""
    if not history:
        return False
    best = max(history, key=lambda row: row.selection_score)
    return len(history) >= config.max_epochs or len(history) - best.epoch >= config.patience


def train_epoch(state: TrainingState, training: TokenPairs, *, config: VampnetConfig, seed: int, epoch: int) -> None:
    """One pass over the training pairs; all that is random in it depends on the seed and the epoch only."""
    lobes, optimizer = state.network.train(), state.optimizer
    generator = torch.Generator().manual_seed(seed + SEEDS_PER_EPOCH * epoch)
    batches = progress(
        training.batches(config.batch_pairs, generator),
        total=len(training.starts),
        description=f"epoch {epoch}",
        unit="pairs",
        size=lambda batch: len(batch.starts),
        note=lambda: f"batch scores {-float(loss.detach()):.3f}",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed + SEEDS_PER_EPOCH * epoch)
        for batch in batches:
            optimizer.zero_grad()
            loss = batch_loss(lobes, batch, training, config=config, epoch=epoch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(lobes.parameters(), LARGEST_GRADIENT, error_if_nonfinite=True)
            optimizer.step()


def warn_of_small_batches(config: VampnetConfig, *, n_pairs: int) -> None:
    """Say so when the score of a batch is mostly the bias of few samples."""
    needed, batch = 20 * config.dimensions**2, min(config.batch_pairs, n_pairs)
    if batch < needed:
        logger.warning("batches of %d pairs; at least 20 d^2 = %d keep the bias of the score low", batch, needed)


def batch_loss(lobes: Lobes, batch: PairBatch, pairs: TokenPairs, *, config: VampnetConfig, epoch: int) -> Tensor:
    """Minus the score of one batch, with gradients."""
    outputs = lobes(batch)
    if not all(torch.isfinite(values).all() for values in outputs):
        raise ValueError(
            f"the outputs of the network became infinite or not a number in epoch {epoch}; "
            f"lower learning_rate (now {config.learning_rate:g}) or raise epsilon (now {config.epsilon:g})."
        )
    if pairs.log_weights is None:
        return training_loss(*outputs, config.scoring)
    weights = [pairs.log_weights[batch.starts + lag] for lag in (0, pairs.lag_frames)]
    return training_loss(*outputs, config.scoring, *weights)


def pooled_vamp2(values: PairedValues, *, config: VampnetConfig) -> float:
    """VAMP-2 of all pairs together."""
    return float(score_of(values.covariances(), replace(config.scoring, score="vamp2")))


def evaluate(lobes: Lobes, pairs: FoldPairs, *, config: VampnetConfig, epoch: int) -> EpochScores:
    """Scores of the lobes as they are now, on all training and selection pairs."""
    selected = lobes.paired_outputs(pairs.selection)
    batches = (
        without_constant(batch, output=config.lobe.output) for batch in selected.batch_covariances(config.batch_pairs)
    )
    return EpochScores(
        epoch=epoch,
        training_score=pooled_vamp2(lobes.paired_outputs(pairs.training), config=config),
        selection_score=pooled_vamp2(selected, config=config),
        selection_score_batch_mean=vamp2_score_batch_mean(batches, epsilon=config.epsilon),
    )


def best_device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fit_vampnet(
    pairs: FoldPairs, *, config: VampnetConfig, member: Member
) -> tuple[Vampnet, list[EpochScores], dict[str, object]]:
    """Train from random weights; the model, its learning curve, and its scores."""
    lobes = new_lobes(pairs.training, config=config, seed=member.seed).to(best_device())
    history = train(lobes, pairs, config=config, member=member)
    trained, validated = lobes.paired_outputs(pairs.training), lobes.paired_outputs(pairs.validation)
    functions = fit_functions(trained, dimensions=config.dimensions, config=config.scoring)
    scores = model_scores(
        functions, trained, validated, lag_ps=config.lag_ps, batch_pairs=config.batch_pairs, epsilon=config.epsilon,
        reversible=config.reversible,
    )  # fmt: skip
    best = max(history, key=lambda row: row.selection_score)
    scores |= {"best_epoch": best.epoch, "stopped_early": history[-1].epoch - best.epoch >= config.patience}
    # Without nesting it would be a score on validation data.
    if pairs.selection is not pairs.validation:
        scores["score_selection"] = best.selection_score
    return Vampnet(lobes, functions), history, scores
