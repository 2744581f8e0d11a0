"""What a training of SPIB is about: pairs whose frames have labels, the state of the training, and its history."""

from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from geom2msm.pairs import FrameSet
from geom2msm.spib import Projection, Spib, SpibConfig
from geom2msm.stored_tokens import Tokens
from geom2msm.token_pairs import TokenPairs

# The share of the entropy of the states, one lag later, that a network must have learned to predict.
LEARNED_SHARE = 0.05


@dataclass(frozen=True)
class LabeledPairs:
    """Pairs of token frames, and the state of every frame."""

    pairs: TokenPairs
    states: Int64[Tensor, " frame"]

    @classmethod
    def open(
        cls,
        frames: FrameSet,
        states: Int64[Tensor, " frame"],
        log_weights: Float64[np.ndarray, " frame"] | None,
        *,
        config: SpibConfig,
        seed: int,
    ) -> "LabeledPairs":
        """Pairs of stored tokens with these labels."""
        pairs = TokenPairs.open(
            frames, memory_mb=config.memory_mb, control=config.control, seed=seed, log_weights=log_weights
        )
        return cls(pairs, states)

    def __post_init__(self) -> None:
        if len(self.states) != self.pairs.n_frames:
            raise ValueError(
                f"the initial labels are of {len(self.states)} frames, the tokens of {self.pairs.n_frames}; "
                "every frame needs one."
            )

    @property
    def targets(self) -> Int64[Tensor, " pair"]:
        """State of the lagged frame of every pair."""
        return self.targets_of(self.pairs.starts)

    @cached_property
    def weights(self) -> Float64[Tensor, " pair"]:
        """Weight of every pair, that of its first frame; their mean is one."""
        if self.pairs.log_weights is None:
            return torch.ones(len(self.pairs.starts), dtype=torch.float64)
        return self.pairs.log_weights[self.pairs.starts].softmax(dim=0) * len(self.pairs.starts)

    def weights_of(self, starts: Int64[Tensor, " pair"]) -> Float64[Tensor, " pair"]:
        """Weights of some pairs."""
        return self.weights[torch.searchsorted(self.pairs.starts, starts)]

    def targets_of(self, starts: Int64[Tensor, " pair"]) -> Int64[Tensor, " pair"]:
        """State of the lagged frame of some pairs."""
        return self.states[starts + self.pairs.lag_frames]

    def tokens(self, frames: Int64[Tensor, " chosen"]) -> Tokens:
        """Tokens of a few frames, in this order; one pass through the data."""
        found, first = [], 0
        for chunk in self.pairs.chunks():
            inside = (frames >= first) & (frames < first + len(chunk.scalars))
            found.append((inside.nonzero().flatten(), chunk.take(frames[inside] - first)))
            first += len(chunk.scalars)
        order = torch.cat([places for places, _ in found]).argsort()
        return Tokens(*(torch.cat(arrays)[order] for arrays in zip(*(tokens for _, tokens in found), strict=True)))

    def project(self, model: Spib) -> Projection:
        """What the model says of all frames, each computed once."""
        return model.decode(model.means(self.pairs.chunks()))

    def relabeled(self, states: Int64[Tensor, " frame"]) -> "LabeledPairs":
        """The same pairs with other states."""
        return replace(self, states=states)

    def populations(self, *, n_states: int) -> Float64[Tensor, " state"]:
        """Share of each state among the lagged frames, the ones that are predicted."""
        return torch.bincount(self.targets, self.weights, minlength=n_states) / len(self.pairs.starts)

    def counts(self, starts: Int64[Tensor, " pair"], *, n_states: int) -> Float64[Tensor, "state state"]:
        """Weight of the pairs, of these, that begin in one state and end in another; their number without weights."""
        transitions = self.states[starts] * n_states + self.targets_of(starts)
        return torch.bincount(transitions, self.weights_of(starts), minlength=n_states**2).reshape(n_states, n_states)


@dataclass(frozen=True)
class EpochLosses:
    """One row of the history: the loss after an epoch, on training pairs and on validation pairs.

    `population_change` is the distance (L2) between the populations that the decoder gives now and those of the epoch
    before; `n_states` counts the states that the decoder is asked to tell apart in this round.
    """

    epoch: int
    refinement: int
    n_states: int
    population_change: float
    training_loss: float
    training_reconstruction: float
    training_divergence: float
    validation_loss: float
    validation_reconstruction: float
    validation_divergence: float

    def __str__(self) -> str:
        return (
            f"refinement {self.refinement}, epoch {self.epoch}: {self.n_states} states, "
            f"loss training {self.training_loss:.4f}, validation {self.validation_loss:.4f}, "
            f"populations changed by {self.population_change:.4f}"
        )


class SpibState:
    """A model in training, its optimizer, the labels of all frames, and the populations of the last epoch.

    All randomness of an epoch follows from the seed and the epoch, so that no generator has to be saved.
    """

    def __init__(self, model: Spib, training: LabeledPairs, validation: LabeledPairs, *, learning_rate: float) -> None:
        self.model, self.learning_rate = model, learning_rate
        self.history: list[EpochLosses] = []
        self.refinement, self.finished = 0, False
        self.start_round(training, validation)

    def start_round(self, training: LabeledPairs, validation: LabeledPairs) -> None:
        """New labels, and a new optimizer for what may be another number of states."""
        self.training, self.validation = training, validation
        self.refinement += 1
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.learning_rate)
        self.populations = training.populations(n_states=self.model.n_states)
        self.unchanged = 0

    @property
    def learned(self) -> bool:
        """Whether the last epoch predicts states better than their populations alone, which any decoder soon does.

        Without weights worth anything every frame is in one state, which then does not change.
        """
        populations = self.training.populations(n_states=self.model.n_states)
        guessed = float(torch.special.entr(populations).sum())
        return self.history[-1].training_reconstruction < (1 - LEARNED_SHARE) * guessed

    @property
    def epochs_of_round(self) -> int:
        """Epochs since the labels were last changed."""
        return sum(row.refinement == self.refinement for row in self.history)

    def content(self) -> dict[str, object]:
        """Everything, for a checkpoint."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "training": self.training.states,
            "validation": self.validation.states,
            "history": [asdict(row) for row in self.history],
            "populations": self.populations,
            "refinement": self.refinement,
            "unchanged": self.unchanged,
            "finished": self.finished,
        }

    def restore(self, content: dict[str, object]) -> None:
        """The inverse of `content`."""
        # Any states will do: what counts is that there are as many as saved.
        self.model.keep_states(torch.zeros(len(content["model"]["populations"]), dtype=torch.long))
        self.model.load_state_dict(content["model"])
        self.start_round(self.training.relabeled(content["training"]), self.validation.relabeled(content["validation"]))
        self.optimizer.load_state_dict(content["optimizer"])
        self.history = [EpochLosses(**row) for row in content["history"]]
        self.populations = content["populations"]
        self.refinement, self.unchanged, self.finished = (
            content[name] for name in ("refinement", "unchanged", "finished")
        )
