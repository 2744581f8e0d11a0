"""What every fitted model leaves behind beside its weights: its learning curve and its scores."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from geom2msm.spib_state import EpochLosses
from geom2msm.training_state import EpochScores


def write_history(path: Path, history: Sequence[EpochScores] | Sequence[EpochLosses]) -> None:
    """The learning curve as a CSV file, one row per epoch."""
    rows = [asdict(row) for row in history]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_scores(path: Path, scores: dict[str, object]) -> None:
    """Scores as JSON, every number finite."""
    path.write_text(json.dumps(scores, indent=2, allow_nan=False) + "\n")
