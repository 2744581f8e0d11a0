"""What a training needs to go on after it was killed, in one file that is replaced after every epoch."""

import copy
import json
import logging
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)
# A row of a history.
Row = TypeVar("Row")


@dataclass(frozen=True)
class EpochScores:
    """One row of the history: VAMP-2 after an epoch, on training pairs and on the pairs that choose the epoch."""

    epoch: int
    training_score: float
    selection_score: float
    selection_score_batch_mean: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: VAMP-2 training {self.training_score:.4f}, selection {self.selection_score:.4f} "
            f"(mean of batches {self.selection_score_batch_mean:.4f})"
        )


class TrainingState:
    """A network in training, its optimizer, its history, and the weights of its best epoch.

    All randomness of an epoch follows from the seed and the epoch, so that no generator has to be saved.
    """

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.network, self.optimizer = network, optimizer
        self.history: list[EpochScores] = []
        self.best_weights: dict[str, Tensor] = {}

    @property
    def best(self) -> EpochScores:
        """The epoch with the highest selection score, the first of equals."""
        return max(self.history, key=lambda row: row.selection_score)

    def add(self, row: EpochScores) -> None:
        """Take note of an epoch, and of its weights if it is the best."""
        self.history.append(row)
        if self.best is row:
            # A state dict aliases the live weights: without the copy the last weights would be "restored".
            self.best_weights = copy.deepcopy(self.network.state_dict())


@dataclass(frozen=True)
class Checkpoint:
    """The file of a training's state, and of which training it is: settings, inputs, seed and code."""

    path: Path
    identity: Mapping[str, object]

    def save(self, state: TrainingState) -> None:
        """Replace the file at once or not at all."""
        self.write(
            {
                "network": state.network.state_dict(),
                "optimizer": state.optimizer.state_dict(),
                "history": [asdict(row) for row in state.history],
                "best_weights": state.best_weights,
            }
        )

    def restore(self, state: TrainingState) -> None:
        """Put the saved state, if there is one of this very training, in place of the fresh one."""
        content = self.read()
        if content is None:
            return
        state.network.load_state_dict(content["network"])
        state.optimizer.load_state_dict(content["optimizer"])
        state.best_weights = content["best_weights"]
        state.history = [EpochScores(**row) for row in content["history"]]
        logger.info("continuing after epoch %d", len(state.history))

    def write(self, content: dict[str, object]) -> None:
        """Save tensors, numbers and text."""
        new = Path(f"{self.path}.new")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content | {"identity": json.dumps(self.identity, sort_keys=True)}, new)
        os.replace(new, self.path)

    def read(self) -> dict[str, object] | None:
        """What `write` saved, if it is of this very training."""
        if not self.path.exists():
            return None
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, KeyError, ValueError, pickle.UnpicklingError) as error:
            logger.info("%s cannot be read (%s); training starts anew", self.path, error)
            return None
        if content.get("identity") != json.dumps(self.identity, sort_keys=True):
            logger.info("%s is of another training; training starts anew", self.path)
            return None
        return content


@dataclass(frozen=True)
class Member(Generic[Row]):
    """Which of several equal trainings this is: its seed, where it keeps its state, and whom it tells each epoch."""

    seed: int
    checkpoint: Checkpoint | None = None
    report: Callable[[list[Row]], None] = lambda history: None
