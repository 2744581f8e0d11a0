"""The last lines of a run that failed: a sentence for each job that failed, or why none could begin.

run.py calls it with the time of its start, the file that every run.py at work in the folder holds a lock on, and the
logs that Snakemake has written of the run: these name every failed job, one that was killed and said nothing, too.
"""

import difflib
import fcntl
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from geom2msm.papers import load_papers
from geom2msm.status import FAILURE, last_lines

ERROR = re.compile(r"^Error in rule (\w+):\n((?:    .*\n)+)", re.MULTILINE)
FIELD = re.compile(r"^    (jobid|log): (\S+)", re.MULTILINE)
FINISHED = re.compile(r"^Finished jobid: (\d+)", re.MULTILINE)
NO_RULE = re.compile(r"^No rule to produce (\S+) \(if", re.MULTILINE)
LOCKED = re.compile(r"^LockException:", re.MULTILINE)
STOPPED = re.compile(r"^Terminating processes on user request", re.MULTILINE)
PAPERS = Path(__file__).parents[2] / "config/papers.yaml"
TRACEBACK = "Traceback"
# Commands of run.py and rules that collect files: words that are written after it.
COMMANDS = ("status", "verify", "test", "slurm")
TARGETS = ("all", "figures", "sweeps")
MOST_JOBS = 20


@dataclass(frozen=True)
class FailedJob:
    """A job as Snakemake names it: its rule and its log, empty if it has none."""

    rule: str
    log: str


def failed_jobs(text: str) -> list[FailedJob]:
    """Jobs that failed by Snakemake's own log, each once, without those that a later attempt has finished."""
    found: dict[FailedJob, None] = {}
    for error in ERROR.finditer(text):
        fields = dict(FIELD.findall(error[2]))
        if fields.get("jobid") not in FINISHED.findall(text, error.end()):
            found[FailedJob(error[1], fields.get("log", "").rstrip(","))] = None
    return list(found)


def sentence(job: FailedJob, *, started: float) -> str:
    """What the log of a failed job ends with; a log from before `started` (seconds of the epoch) is another run's."""
    log = Path(job.log)
    if not (job.log and log.is_file() and log.stat().st_mtime >= started and last_lines(log, 1)):
        return f"{job.rule} failed before it wrote into its log ({job.log or 'none'}); its message stands further up"
    lines = last_lines(log, 200)
    errors = [line for line in lines if FAILURE.match(line)]
    if not errors:
        return (
            f"{job.rule} was ended before it could say why (killed? out of memory or of time?); "
            f"its log {log} ends with: {lines[-1].strip()}"
        )
    words = lines[-1] if errors[-1].startswith(TRACEBACK) else errors[-1]
    return f"{job.rule} failed ({log}): {words.removeprefix('ValueError: ').strip()}"


def about_unknown(word: str, *, papers: Sequence[str]) -> Iterator[str]:
    """The known word that is nearest to one that is neither a target nor a file that a rule makes."""
    close = difflib.get_close_matches(word, [*COMMANDS, *TARGETS, *papers], n=1)
    if close:
        yield f"{word} is no target; did you mean: python3 run.py {close[0]}"
    elif "/" not in word:
        yield f"{word} is no target; there are {', '.join([*TARGETS, *COMMANDS])}, and every file that -n lists"


def about_lock(lock: Path) -> str:
    """Whether to wait or to unlock: a lock on the file ends with the process that held it, Snakemake's own does not."""
    with open(lock, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "another run is going on in this folder: wait until it has ended, then type the command again"
    return (
        "a killed run has left this folder locked, and no other run.py is at work in it on this machine: "
        "python3 run.py --unlock, then the command again"
    )


def last_words(text: str, *, started: float, lock: Path, papers: Sequence[str]) -> Iterator[str]:
    """All there is to say of one log of Snakemake's."""
    if LOCKED.search(text):
        yield about_lock(lock)
    for word in NO_RULE.findall(text):
        yield from about_unknown(word, papers=papers)
    jobs = [] if STOPPED.search(text) else failed_jobs(text)
    for job in jobs[:MOST_JOBS]:
        yield sentence(job, started=started)
    if len(jobs) > MOST_JOBS:
        yield f"{len(jobs) - MOST_JOBS} more jobs failed: python3 run.py status"


def main(started: str, lock: str, *logs: str) -> None:
    """Print the last words of every log that Snakemake has written of the run."""
    for log in logs:
        text = Path(log).read_text(encoding="utf-8", errors="replace")
        papers = list(load_papers(str(PAPERS))) if NO_RULE.search(text) else []
        for words in last_words(text, started=float(started), lock=Path(lock), papers=papers):
            print(words)


if __name__ == "__main__":
    main(*sys.argv[1:])
