"""What every fitted model leaves behind beside its weights: its learning curve and its scores."""

import csv
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from geom2msm.peak_memory import peak_memory_mib
from geom2msm.spib_state import EpochLosses
from geom2msm.training_state import EpochScores


@dataclass(frozen=True)
class LinearScores:
    """VAMP-2 of a linear model, which is fitted at once; no epoch is chosen, so no data are held out for that."""

    epoch: int
    training_score: float
    validation_score: float
    validation_score_batch_mean: float


def write_history(path: Path, history: Sequence[EpochScores] | Sequence[EpochLosses] | Sequence[LinearScores]) -> None:
    """The learning curve as a CSV file, one row per epoch."""
    rows = [asdict(row) for row in history]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_scores(path: Path, scores: dict[str, object]) -> None:
    """Scores as JSON, every number finite."""
    path.write_text(json.dumps(scores, indent=2, allow_nan=False) + "\n")


def write_costs(path: Path, *, started: float) -> None:
    """Seconds since the monotonic clock showed `started`; the most memory so far, of the process and on a GPU.

    A file of their own, for no two runs have them in common, and the scores are the same byte by byte.
    """
    on_gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    found = {"seconds": time.monotonic() - started, "peak_memory_mib": peak_memory_mib()}
    path.write_text(json.dumps(found | {"peak_gpu_memory_mib": on_gpu / 2**20}, indent=2) + "\n")
