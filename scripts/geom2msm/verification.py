"""python3 run.py verify: whether every artefact still is what its job wrote, from what the job read.

The jobs' logs say what was read and written, with SHA-256 (geom2msm/provenance.py). All of it is read again here.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from geom2msm.plain_zip import check_contents
from geom2msm.provenance import sha256_file

# Written by Snakemake or by run.py itself, not by a job.
UNRECORDED = ("logs", "benchmarks", "report.zip", "report.html")
ADVICE = """To make a file anew that is lost or has changed: python3 run.py --force FILE, named as above, then
python3 run.py for all that is made from it. Bring back input that is lost or has changed; delete what no log knows."""
LINE = re.compile(r"\b(read|wrote|removed) (?:([0-9a-f]{64})  )?(\S.*)")


@dataclass
class JobRecord:
    """What the log of a job says: SHA-256 of the files it read and of those it wrote."""

    log: Path
    read: dict[str, str] = field(default_factory=dict)
    wrote: dict[str, str] = field(default_factory=dict)


def read_record(log: Path) -> JobRecord:
    """The lines about files in a log, in their order."""
    record = JobRecord(log)
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        found = LINE.search(line)
        if found is None:
            continue
        verb, digest, path = found.groups()
        if verb == "removed":
            record.wrote.pop(path, None)
        elif digest:
            (record.read if verb == "read" else record.wrote)[path] = digest
    return record


def job_records(results: Path) -> list[JobRecord]:
    """Of every job, the earliest first: where two logs name one file, the later one counts."""
    logs = sorted(results.glob("logs/**/*.log"), key=lambda path: (path.stat().st_mtime_ns, str(path)))
    return [read_record(log) for log in logs]


def artefacts(results: Path) -> list[Path]:
    """Every finished file that a job has written."""
    found = (path for path in results.rglob("*") if path.is_file() and path.suffix not in (".part", ".lock"))
    return sorted(path for path in found if path.relative_to(results).parts[0] not in UNRECORDED)


def problems(results: Path, *, checksum: Callable[[str], str] = sha256_file) -> Iterator[str]:
    """One sentence per artefact and reason why it does not match its record."""
    records, checksum = job_records(results), cache(checksum)
    writer = {path: record for record in records for path in record.wrote}
    for path, record in sorted(writer.items()):
        yield from _changed(path, record, checksum)
    present = {path for path in writer if Path(path).is_file()}
    for path in sorted(present):
        yield from _made_from_others(path, writer[path].read, checksum)
    for artefact in artefacts(results):
        if str(artefact) not in writer:
            yield f"{artefact}: no log says with which checksum it was written{_damage(artefact)}"


def _changed(path: str, record: JobRecord, checksum: Callable[[str], str]) -> Iterator[str]:
    expected = record.wrote[path]
    if not Path(path).is_file():
        yield f"{path}: is missing; {record.log} says that it was written"
    elif (found := checksum(path)) != expected:
        yield (
            f"{path}: has changed since it was written: its sha256 is {found[:12]}…, not {expected[:12]}…"
            f"{_damage(Path(path))}"
        )


def _made_from_others(path: str, read: Mapping[str, str], checksum: Callable[[str], str]) -> Iterator[str]:
    for source, expected in sorted(read.items()):
        if not Path(source).is_file():
            yield f"{path}: was made from {source}, which is not there any more"
        elif (found := checksum(source)) != expected:
            yield f"{path}: was made from another {source}: that had sha256 {expected[:12]}…, it now has {found[:12]}…"


def _damage(path: Path) -> str:
    """What is wrong inside a store, as far as its own checksums tell."""
    if not path.name.endswith(".zarr.zip"):
        return ""
    try:
        check_contents(str(path))
    except ValueError as error:
        return "; " + str(error).removeprefix(f"{path}: ")
    return "; it is a sound store"


def counted(sentences: Iterable[str]) -> int:
    """Print them as they come; how many there were."""
    number = 0
    for number, sentence in enumerate(sentences, start=1):  # noqa: B007
        print(sentence, flush=True)
    return number


def main(results: str = "results") -> int:
    """Print what no longer matches; 1 if there is anything."""
    if not Path(results).is_dir():
        print(f"{results}: there is no such folder; python3 run.py makes the results")
        return 1
    n_artefacts = len(artefacts(Path(results)))
    n_problems = counted(problems(Path(results)))
    sources = {path for record in job_records(Path(results)) for path in record.read}
    end = "all match what was recorded" if not n_problems else f"{n_problems} of their records do not match"
    print(f"{n_artefacts} artefacts in {results} and {len(sources)} files they were made from: {end}")
    if n_problems:
        print(ADVICE)
    return min(n_problems, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
