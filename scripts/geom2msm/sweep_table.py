"""One row per member of a sweep: what was varied, how it scored, and what it cost."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# Both estimators of VAMP-2 on both sets; `batch_mean` is the one that the papers report.
SCORES = (
    "score_training",
    "score_training_batch_mean",
    "score_validation",
    "score_validation_batch_mean",
)
SIZES = ("lag_ps", "dimensions", "n_training_pairs", "n_validation_pairs", "best_epoch")
# The training as a whole, from Snakemake's benchmark file: column -> name there.
COSTS = {"wall_s": "s", "sampled_memory_mib": "max_rss"}
# What the process itself knows: Snakemake samples memory only now and then and misses short peaks.
PEAKS = ("peak_memory_mib", "peak_gpu_memory_mib")


def member_rows(
    rows: Sequence[Mapping[str, object]], scores: Sequence[str], costs: Sequence[str], benchmarks: Sequence[str]
) -> Iterator[dict[str, object]]:
    """Every member's axes, fold, seed, scores, and costs; files in another order are an error."""
    for row, score, cost, benchmark in zip(rows, scores, costs, benchmarks, strict=True):
        found = json.loads(Path(score).read_text())
        for name in ("fold", "seed"):
            if found[name] != row[name]:
                raise ValueError(f"{score} is of {name} {found[name]}, but {name} {row[name]} was expected.")
        peaks = json.loads(Path(cost).read_text())
        known = {name: found[name] for name in (*SIZES, *SCORES)} | {name: peaks[name] for name in PEAKS}
        yield dict(row) | known | read_costs(benchmark)


def read_costs(benchmark: str) -> dict[str, float | None]:
    """Wall time and sampled memory of a job; None if it ended before the first sample was taken."""
    # A job that was run again adds no line: the file is replaced.
    found = json.loads(Path(benchmark).read_text().splitlines()[-1])
    return {name: None if isinstance(found[key], str) else found[key] for name, key in COSTS.items()}


def write_members(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """A CSV file; cells of what a row does not have are empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
