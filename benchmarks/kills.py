"""kill -9 at random moments of every rule, of Snakemake, and of both; in the end, are the results those of a run that
nobody disturbed?

    python3 benchmarks/kills.py FOLDER --kills-per-rule 2
    python3 benchmarks/kills.py FOLDER --kills-per-rule 1 --targets \\
        results/short/states/tica_torsions.zarr.zip results/short/msm/tica_torsions/summary.json

Makes two checkouts in FOLDER, which share the environments of this one, and runs the short system of the end-to-end
test in them: undisturbed in the first, and in the second until every rule has been killed so often and a last run ends
well. Prints a table and the differences, of which there must be none. Linux only. The targets of the second line, with
eleven rules that train no network, take five minutes on two cores.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from checkouts import checkout, contents  # noqa: E402 (after the path)

SCRIPT = re.compile(rb"/\.snakemake/scripts/tmp[^./]*\.(\w+)\.py")
LONGEST_WAIT_S = 4.0
MOST_RUNS = 200


@dataclass
class Tally:
    """Kills so far, by rule and by what was killed; how long to wait with the kill of a job at most, by rule."""

    by_rule: Counter = field(default_factory=Counter)
    by_way: Counter = field(default_factory=Counter)
    longest_wait_s: dict[str, float] = field(default_factory=dict)
    runs: int = 0

    def missing(self, per_rule: int) -> list[str]:
        """Rules of which more jobs are to be killed."""
        return [rule for rule in self.longest_wait_s if self.by_rule[rule] < per_rule]


@dataclass(frozen=True)
class Doomed:
    """A job that is to be killed, if it lives that long; times as of time.monotonic."""

    rule: str
    begun: float
    due: float


def jobs(folder: Path) -> dict[int, str]:
    """Process -> rule of the jobs that are running in a folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            if str(folder).encode() in command and (match := SCRIPT.search(command)) and b"sh\0" not in command[:12]:
                found[int(entry.name)] = match[1].decode()
        except OSError:
            continue
    return found


def end(process: int) -> None:
    """kill -9, if it still is there."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def disturbed_run(folder: Path, arguments: list[str], tally: Tally, *, per_rule: int, rng: random.Random) -> int:
    """One run of the workflow, in which jobs are killed; its exit code, or -9 where Snakemake itself was."""
    command = [sys.executable, "run.py", *arguments, "--cores", "2", "--retries", "3"]
    with open(folder / f"run-{tally.runs}.out", "w") as said:
        run = subprocess.Popen(command, cwd=folder, start_new_session=True, stdout=said, stderr=subprocess.STDOUT)
    tally.runs += 1
    doomed: dict[int, Doomed] = {}
    while run.poll() is None:
        watch(jobs(folder), doomed, tally, per_rule=per_rule, rng=rng)
        for process in [process for process, job in doomed.items() if time.monotonic() > job.due]:
            tally.by_rule[doomed.pop(process).rule] += 1
            way = rng.choices(["job", "all", "driver"], [8, 1, 1])[0]
            tally.by_way[way] += 1
            if way == "job":
                end(process)
                continue
            os.killpg(run.pid, signal.SIGKILL) if way == "all" else end_drivers(folder, run.pid)
            run.wait()
            return -9
        time.sleep(0.02)
    return run.returncode


def watch(alive: dict[int, str], doomed: dict[int, Doomed], tally: Tally, *, per_rule: int, rng: random.Random) -> None:
    """Draw when new jobs are killed; where one has ended before, the next of its rule gets less time."""
    now = time.monotonic()
    for process, rule in alive.items():
        waiting = sum(job.rule == rule for job in doomed.values())
        longest = tally.longest_wait_s.setdefault(rule, LONGEST_WAIT_S)
        if process not in doomed and tally.by_rule[rule] + waiting < per_rule:
            doomed[process] = Doomed(rule, now, now + rng.uniform(0, longest))
    for process in doomed.keys() - alive.keys():
        job = doomed.pop(process)
        tally.longest_wait_s[job.rule] = min(tally.longest_wait_s[job.rule], now - job.begun)


def end_drivers(folder: Path, run: int) -> None:
    """Kill run.py and Snakemake and let the jobs live on, as orphans."""
    alive = jobs(folder)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in alive:
            try:
                if os.getsid(int(entry.name)) == run and b"snakemake" in (entry / "cmdline").read_bytes():
                    end(int(entry.name))
            except OSError:
                continue
    end(run)


def disturb(folder: Path, targets: list[str], tally: Tally, *, per_rule: int, rng: random.Random) -> int:
    """Runs until all kills are done and one has ended well; what ends too early to be killed is made again."""
    again: list[str] = []
    while tally.runs < MOST_RUNS:
        code = disturbed_run(folder, [*targets, *again], tally, per_rule=per_rule, rng=rng)
        print(f"run {tally.runs} ended with {code} after {sum(tally.by_rule.values())} kills", flush=True)
        if code != 0:
            # The same command again: that a rule was to be forced, Snakemake forgets when it is killed.
            subprocess.run([sys.executable, "run.py", "--unlock"], cwd=folder, capture_output=True, check=True)
        elif missing := tally.missing(per_rule):
            again = ["--forcerun", *missing]
        else:
            return 0
    return 1


def main(folder: str, targets: list[str], kills_per_rule: int, seed: int) -> int:
    text = (ROOT / "tests/end_to_end/short.yaml").read_text()
    whole, killed = Path(folder).resolve() / "undisturbed", Path(folder).resolve() / "killed"
    whole.parent.mkdir(parents=True, exist_ok=True)
    if not whole.exists():
        checkout(whole, system="short", text=text)
        subprocess.run([sys.executable, "run.py", *targets, "--cores", "2"], cwd=whole, check=True)
    shutil.rmtree(killed, ignore_errors=True)
    checkout(killed, system="short", text=text)
    tally = Tally()
    code = disturb(killed, targets, tally, per_rule=kills_per_rule, rng=random.Random(seed))
    for rule, number in sorted(tally.by_rule.items()):
        print(f"{rule:32} {number}")
    print(
        f"{sum(tally.by_rule.values())} kills of {len(tally.by_rule)} rules in {tally.runs} runs: {dict(tally.by_way)}"
    )
    before, after = contents(whole), contents(killed)
    different = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    print(f"{len(before)} artefacts undisturbed, {len(after)} after the kills, {len(different)} different", *different)
    verified = subprocess.run([sys.executable, "run.py", "verify"], cwd=killed, check=False)
    return int(bool(different) or code != 0 or verified.returncode != 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--targets", nargs="*", default=[], help="files to make; without, everything")
    parser.add_argument("--kills-per-rule", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    sys.exit(main(chosen.folder, chosen.targets, chosen.kills_per_rule, chosen.seed))
