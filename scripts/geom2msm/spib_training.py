"""Training of SPIB: rounds of learning, after each of which the decoder says anew which state a frame is in.

A round ends when the populations of the states stay the same (Wang & Tiwary 2021), not when the loss does: the loss
of a good model still falls while its states have long been settled.
"""

import logging
from dataclasses import asdict, fields

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from geom2msm.covariances import shuffled_batches
from geom2msm.log import progress
from geom2msm.mixers.build import build_lobe
from geom2msm.spib import LossTerms, Spib, SpibConfig
from geom2msm.spib_state import EpochLosses, LabeledPairs, SpibState
from geom2msm.token_pairs import PairBatch
from geom2msm.training import LARGEST_GRADIENT, SEEDS_PER_EPOCH, best_device
from geom2msm.training_state import Member

CHUNK_PAIRS = 50_000
NOT_LEARNED = (
    "after %d epochs the network predicts states hardly better (reconstruction loss %.3f) than their populations do: "
    "it may need more steps (lower batch_pairs, raise max_epochs_per_refinement) or a higher learning_rate."
)
logger = logging.getLogger(__name__)


def fit_spib(
    training: LabeledPairs, validation: LabeledPairs, *, config: SpibConfig, member: Member[EpochLosses]
) -> tuple[Spib, list[EpochLosses], dict[str, object]]:
    """Train from random weights and the states given; the model, its learning curve, and its scores.

    A training that was killed continues after its last whole epoch, with identical results.
    """
    model = new_spib(training, config=config, seed=member.seed)
    state = SpibState(model, training, validation, learning_rate=config.learning_rate)
    saved = member.checkpoint.read() if member.checkpoint else None
    if saved:
        state.restore(saved)
        logger.info("continuing after epoch %d", len(state.history))
    while not state.finished:
        train_epoch(state, config=config, seed=member.seed)
        add_row(state, config=config)
        logger.info("%s", state.history[-1])
        if state.unchanged >= config.patience or state.epochs_of_round >= config.max_epochs_per_refinement:
            finish_round(state, config=config)
        member.report(state.history)
        if member.checkpoint:
            member.checkpoint.write(state.content())
    return model, state.history, state_scores(state.training, state.validation, state.history, config=config)


def new_spib(training: LabeledPairs, *, config: SpibConfig, seed: int) -> Spib:
    """A model with random weights for the states of these pairs, which standardizes tokens as their frames ask for."""
    n_states = int(training.states.max()) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lobe = build_lobe(config.lobe, training.pairs.layout)
        model = Spib(lobe, config, training.tokens(torch.zeros(1, dtype=torch.long)).take(torch.zeros(n_states).long()))
    lobe.standardize((chunk.scalars, chunk.vectors) for chunk in training.pairs.chunks())
    model.to(best_device())
    represent_states(model, training, training.project(model).means)
    return model


def train_epoch(state: SpibState, *, config: SpibConfig, seed: int) -> None:
    """One pass over the training pairs; all that is random in it depends on the seed and the epoch only."""
    model, epoch = state.model.train(), len(state.history) + 1
    generator = torch.Generator().manual_seed(seed + SEEDS_PER_EPOCH * epoch)
    batches = progress(
        state.training.pairs.batches(config.batch_pairs, generator),
        total=len(state.training.pairs.starts),
        description=f"epoch {epoch}",
        unit="pairs",
        size=lambda batch: len(batch.starts),
        note=lambda: f"batch loss {float(loss.detach()):.3f}",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed + SEEDS_PER_EPOCH * epoch)
        for batch in batches:
            state.optimizer.zero_grad()
            loss = batch_loss(model, state.training, batch, config=config, epoch=epoch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
            state.optimizer.step()


def add_row(state: SpibState, *, config: SpibConfig) -> None:
    """Take note of the losses after an epoch, and of how far the populations moved in it."""
    model, projected = state.model, state.training.project(state.model)
    populations = state.training.relabeled(projected.states).populations(n_states=model.n_states)
    change = float(torch.linalg.vector_norm(populations - state.populations))
    trained = evaluate(model, state.training, projected.means, beta=config.beta)
    validated = evaluate(model, state.validation, model.means(state.validation.pairs.chunks()), beta=config.beta)
    epoch = len(state.history) + 1
    state.history.append(EpochLosses(epoch, state.refinement, model.n_states, change, *trained, *validated))
    state.populations = populations
    state.unchanged = state.unchanged + 1 if change < config.population_tolerance and state.learned else 0


def finish_round(state: SpibState, *, config: SpibConfig) -> None:
    """Label anew; finished after `n_refinements`, or when all states and nearly all labels stay as they were."""
    if not state.learned:
        logger.warning(NOT_LEARNED, state.epochs_of_round, state.history[-1].training_reconstruction)
    elif state.unchanged < config.patience:
        logger.info("the populations did not settle within %d epochs", config.max_epochs_per_refinement)
    n_states = state.model.n_states
    training, validation, changed = refine(state.model, state.training, state.validation, config=config)
    n_left, last = state.model.n_states, state.refinement >= config.n_refinements
    logger.info("refinement %d: %d of %d states survive", state.refinement, n_left, n_states)
    if n_left == 1:
        logger.warning(
            "all states merged into one: there is nothing left to predict, and no Markov model can be made of it. "
            "Lower beta (now %g) or minimum_population (now %g), give more data, or choose another lag_ps.",
            config.beta,
            config.minimum_population,
        )
    state.finished = last or n_left == 1 or (n_left == n_states and changed < config.population_tolerance)
    state.start_round(training, validation)


def batch_loss(
    model: Spib,
    data: LabeledPairs,
    batch: PairBatch,
    *,
    config: SpibConfig,
    epoch: int,
) -> Float[Tensor, ""]:
    """The loss of one batch, with gradients; the frames that stand for the states learn with the others."""
    means, prior_means = model(*batch.at_start().to(model.device)), model(*model.representatives)
    targets = data.targets_of(batch.starts).to(model.device)
    weights = data.weights_of(batch.starts).to(means)
    total = model.loss_terms(means, targets, torch.randn_like(means), prior_means).total(weights, beta=config.beta)
    if not torch.isfinite(total):
        raise ValueError(
            f"the loss became infinite or not a number in epoch {epoch}; "
            f"lower learning_rate (now {config.learning_rate:g})."
        )
    return total


@torch.inference_mode()
def evaluate(
    model: Spib, data: LabeledPairs, means: Float[Tensor, "frame latent"], *, beta: float
) -> tuple[float, float, float]:
    """Loss, reconstruction and divergence over all pairs, with the same noise each time."""
    starts = data.pairs.starts
    noise = torch.randn((len(starts), means.shape[1]), generator=torch.Generator().manual_seed(0))
    model.eval()
    prior_means = model(*model.representatives)
    chunks = zip(*(array.split(CHUNK_PAIRS) for array in (means[starts], data.targets, noise)), strict=True)
    terms = [model.loss_terms(*(array.to(model.device) for array in chunk), prior_means) for chunk in chunks]
    pooled = LossTerms(*(torch.cat([getattr(each, part.name) for each in terms]) for part in fields(LossTerms)))
    weights = data.weights.to(pooled.divergence)
    parts = (pooled.reconstruction, pooled.divergence)
    return float(pooled.total(weights, beta=beta)), *(float((part * weights).mean()) for part in parts)


def refine(
    model: Spib, training: LabeledPairs, validation: LabeledPairs, *, config: SpibConfig
) -> tuple[LabeledPairs, LabeledPairs, float]:
    """Label all frames by the decoder, drop the states that vanished, and choose new frames for the others.

    Survivors are ordered by population; frames of a dropped state go to the most likely survivor. The number is the
    share of training frames whose state is another one than before.
    """
    predicted = training.project(model).states
    changed = float((predicted != training.states).double().mean())
    populations = training.relabeled(predicted).populations(n_states=model.n_states)
    order = populations.argsort(descending=True, stable=True)
    kept = order[populations[order] > config.minimum_population]
    if not len(kept):
        raise ValueError(
            f"minimum_population = {config.minimum_population:g}, but the largest of {model.n_states} states holds "
            f"{float(populations.max()):.3g} of the frames; lower it."
        )
    model.keep_states(kept)
    projected = training.project(model)
    training = training.relabeled(projected.states)
    represent_states(model, training, projected.means)
    return training, validation.relabeled(validation.project(model).states), changed


def represent_states(model: Spib, training: LabeledPairs, means: Float[Tensor, "frame latent"]) -> None:
    """Let each state be represented by the frame of it that is closest, in z, to the mean of the state."""
    frames = torch.empty(model.n_states, dtype=torch.long)
    for state in range(model.n_states):
        members = (training.states == state).nonzero().flatten()
        distances = (means[members] - means[members].mean(dim=0)).square().sum(dim=1)
        frames[state] = members[distances.argmin()]
    model.represent(training.tokens(frames), training.populations(n_states=model.n_states))


def state_scores(
    training: LabeledPairs, validation: LabeledPairs, history: list[EpochLosses], *, config: SpibConfig
) -> dict[str, object]:
    """Populations, VAMP-2 and timescales of the states, and the losses of the last epoch.

    The VAMP-2 of the states' indicator functions is what ranks models: the loss falls when states merge, so that it
    says nothing about models with different numbers of states.
    """
    n_states = int(training.states.max()) + 1
    found: dict[str, object] = {"n_states": n_states, "dimensions": n_states - 1, "lag_ps": config.lag_ps}
    for name, data in (("training", training), ("validation", validation)):
        counts = data.counts(data.pairs.starts, n_states=n_states)
        singular_values = indicator_singular_values(counts)
        found |= {
            f"populations_{name}": data.populations(n_states=n_states).tolist(),
            f"score_{name}": float(singular_values.square().sum()),
            f"timescales_{name}_ps": (-config.lag_ps / singular_values[1:].clamp(1e-12, 1 - 1e-12).log()).tolist(),
            f"n_{name}_pairs": len(data.pairs.starts),
            f"score_{name}_batch_mean": score_batch_mean(data, batch_pairs=config.batch_pairs, n_states=n_states),
        }
    losses = {key: value for key, value in asdict(history[-1]).items() if key.startswith(("training", "validation"))}
    found["batch_pairs"] = min(config.batch_pairs, len(validation.pairs.starts))
    return found | losses | {"best_epoch": history[-1].epoch, "n_refinements": history[-1].refinement}


def score_batch_mean(data: LabeledPairs, *, batch_pairs: int, n_states: int) -> float:
    """Mean VAMP-2 of batches of pairs, as published numbers are computed; too high by about n_states² / batch_pairs."""
    batches = shuffled_batches(data.pairs.starts, batch_pairs, torch.Generator().manual_seed(0))
    counts = [data.counts(starts, n_states=n_states) for starts in batches]
    return float(torch.stack([indicator_singular_values(each).square().sum() for each in counts]).mean())


def indicator_singular_values(counts: Float64[Tensor, "state state"]) -> Float64[Tensor, " state"]:
    """Singular values of the Koopman operator between the indicator functions of states, that of the constant first.

    The covariances of indicators are counts: C00^-1/2 C0t Ctt^-1/2 = c_ij / sqrt(c_i. c_.j), in which states that are
    never visited have zeros.
    """
    norms = counts.sum(dim=1)[:, None].sqrt() * counts.sum(dim=0).sqrt()
    return torch.linalg.svdvals(counts / torch.where(norms > 0, norms, 1.0))
