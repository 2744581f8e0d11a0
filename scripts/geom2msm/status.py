"""python3 run.py status: systems x stages, and the last lines of what failed.

Reads what `snakemake --summary` prints: one line per file with its rule, log and state. A stage is a file of rules.
"""

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SNAKEFILE = Path(__file__).parents[2] / "Snakefile"
DONE, OUTDATED, MISSING, UNFINISHED, FAILED = "done", "outdated", "missing", "unfinished", "failed"
SHARED = "shared"
LOG_LINES = 5
# How Python, a compiled library or the system ends a job that fails.
FAILURE = re.compile(
    r"^(Traceback \(most recent call last\)|\w*(Error|Exception|Interrupt)\b|Killed|Segmentation fault)"
)


@dataclass(frozen=True)
class Job:
    """One job: the system and the stage that it belongs to, its log, and what became of it."""

    rule: str
    system: str
    stage: str
    log: str
    state: str


def stages() -> dict[str, str]:
    """Rule -> stage, in the order of the workflow; all figures are one stage."""
    found = {}
    for name in re.findall(r'^include: "(.+)"', SNAKEFILE.read_text(encoding="utf-8"), re.MULTILINE):
        path = SNAKEFILE.parent / name
        for rule in re.findall(r"^rule (\w+):", path.read_text(encoding="utf-8"), re.MULTILINE):
            found[rule] = "figures" if rule.startswith("figure_") else path.stem
    return found


def read_jobs(summary: Iterable[str], *, stage: Mapping[str, str], results: str = "results") -> list[Job]:
    """Group the files of a summary by the job that makes them."""
    files: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in csv.DictReader(summary, delimiter="\t", quoting=csv.QUOTE_NONE):
        files.setdefault((row["rule"], row["log-file(s)"]), []).append(row)
    return [
        Job(rule, _system(made[0]["output_file"], results), stage.get(rule, "others"), log, _state(made, Path(log)))
        for (rule, log), made in files.items()
    ]


def _system(path: str, results: str) -> str:
    """The folder right below the results, or `shared` for what belongs to no system."""
    parts = Path(path).relative_to(results).parts if Path(path).is_relative_to(results) else Path(path).parts
    return parts[0] if len(parts) > 1 and parts[0] not in ("encoders", "geometries") else SHARED


def _state(made: list[dict[str, str]], log: Path) -> str:
    if all(row["status"] != "missing" for row in made):
        return DONE if all(row["plan"] == "no update" for row in made) else OUTDATED
    if not log.is_file():
        return MISSING
    return FAILED if any(FAILURE.match(line) for line in last_lines(log, 200)) else UNFINISHED


def last_lines(log: Path, number: int) -> list[str]:
    """The last lines of a log that are not empty."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.strip()][-number:]


def table(jobs: list[Job], *, columns: list[str]) -> str:
    """Systems downwards, stages to the right."""
    columns = [stage for stage in columns if any(job.stage == stage for job in jobs)]
    systems = sorted({job.system for job in jobs}, key=lambda name: (name != SHARED, name))
    rows = [["system", *columns]]
    for system in systems:
        rows.append([system, *(_cell([j for j in jobs if (j.system, j.stage) == (system, c)]) for c in columns)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cell(jobs: list[Job]) -> str:
    """`7/12, 1 failed`: jobs done of all, and what became of others."""
    if not jobs:
        return "-"
    number = Counter(job.state for job in jobs)
    others = [f"{number[state]} {state}" for state in (FAILED, UNFINISHED, OUTDATED) if number[state]]
    return ", ".join([f"{number[DONE]}/{len(jobs)}", *others])


def failures(jobs: list[Job]) -> str:
    """The last lines of the log of every job that failed or was ended before its time."""
    parts = []
    for job in jobs:
        if job.state in (FAILED, UNFINISHED):
            what = "failed" if job.state == FAILED else "has begun and not ended: it is running or was killed"
            parts += [f"\n{job.rule} {what}; the end of {job.log}:", *_indented(Path(job.log))]
    return "\n".join(parts)


def _indented(log: Path) -> list[str]:
    return [f"    {line[:300]}" for line in last_lines(log, LOG_LINES)]


def main() -> int:
    """Print the table and what failed; 1 if anything did."""
    jobs = read_jobs(sys.stdin, stage=stages())
    if not jobs:
        print("no job is planned; is a target given that needs none?")
        return 0
    print(table(jobs, columns=[*dict.fromkeys(stages().values()), "others"]))
    print(failures(jobs), end="\n" if failures(jobs) else "")
    return int(any(job.state == FAILED for job in jobs))


if __name__ == "__main__":
    sys.exit(main())
