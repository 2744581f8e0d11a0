"""kill -9 at random moments of every rule, of Snakemake, and of both; in the end, are the results those of a run that
nobody disturbed?

    python3 benchmarks/kills.py FOLDER --kills-per-rule 2

Makes two checkouts in FOLDER, which share the environments of this one, and runs the short system of the end-to-end
test in them: undisturbed in the first, and in the second until every rule has been killed so often and a last run ends
well. Prints a table and the differences, of which there must be none. Linux only; takes ten minutes or two.
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


@dataclass
class Tally:
    """Kills so far, by rule and by what was killed."""

    by_rule: Counter = field(default_factory=Counter)
    by_way: Counter = field(default_factory=Counter)
    runs: int = 0


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


def disturbed_run(folder: Path, tally: Tally, *, per_rule: int, rng: random.Random) -> int:
    """One run of the workflow, in which jobs are killed; its exit code, or -9 where Snakemake itself was."""
    command = [sys.executable, "run.py", "--cores", "2", "--retries", "3"]
    with open(folder / f"run-{tally.runs}.out", "w") as said:
        run = subprocess.Popen(command, cwd=folder, start_new_session=True, stdout=said, stderr=subprocess.STDOUT)
    tally.runs += 1
    due: dict[int, tuple[float, str]] = {}
    while run.poll() is None:
        for process, rule in jobs(folder).items():
            waiting = sum(other == rule for _, other in due.values())
            if process not in due and tally.by_rule[rule] + waiting < per_rule:
                due[process] = (time.monotonic() + rng.uniform(0, LONGEST_WAIT_S), rule)
        alive = jobs(folder)
        for process, (when, rule) in list(due.items()):
            if process not in alive:
                del due[process]
            elif time.monotonic() > when:
                tally.by_rule[rule] += 1
                way = rng.choices(["job", "all", "driver"], [8, 1, 1])[0]
                tally.by_way[way] += 1
                if way == "job":
                    end(process)
                    del due[process]
                    continue
                os.killpg(run.pid, signal.SIGKILL) if way == "all" else end_drivers(folder, run.pid)
                run.wait()
                return -9
        time.sleep(0.02)
    return run.returncode


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


def main(folder: str, kills_per_rule: int, seed: int) -> int:
    text = (ROOT / "tests/end_to_end/short.yaml").read_text()
    whole, killed = Path(folder).resolve() / "undisturbed", Path(folder).resolve() / "killed"
    if not whole.exists():
        checkout(whole, system="short", text=text)
        subprocess.run([sys.executable, "run.py", "--cores", "2"], cwd=whole, check=True)
    shutil.rmtree(killed, ignore_errors=True)
    checkout(killed, system="short", text=text)
    tally, rng, code = Tally(), random.Random(seed), -9
    while code != 0 and tally.runs < 200:
        code = disturbed_run(killed, tally, per_rule=kills_per_rule, rng=rng)
        print(f"run {tally.runs} ended with {code} after {sum(tally.by_rule.values())} kills", flush=True)
        if code != 0:
            subprocess.run([sys.executable, "run.py", "--unlock"], cwd=killed, capture_output=True, check=True)
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
    parser.add_argument("--kills-per-rule", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    sys.exit(main(chosen.folder, chosen.kills_per_rule, chosen.seed))
