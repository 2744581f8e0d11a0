"""The driver's Snakemake: its work does not grow with the jobs that have ended, nor with how many jobs read a file."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".driver" / "bin" / "python"
# A scheduler that looks when it is told to, as Snakemake's does while jobs wait, and 100 jobs that end at once.
SCRIPT = """
import sys, threading, time
sys.path.insert(0, "workflow")
import patched_snakemake

class Scheduler:
    _open_jobs = threading.Semaphore(0)

scheduler, looks, end = Scheduler(), 0, time.monotonic() + 2.0
for _ in range(100):
    scheduler._open_jobs.release()
while (left := end - time.monotonic()) > 0:
    if scheduler._open_jobs.acquire(timeout=left):
        looks += 1
        patched_snakemake.plan_one_look(scheduler, 0.25)
print(looks)
"""

# Twenty files that ten jobs read each: how often is the rule of a file looked for, and are scripts and functions read?
SNAKEFILE = """
rule all:
    input: expand("read/{i}", i=range(10))
rule read:
    input: "source", expand("made/{i}", i=range(20))
    output: "read/{i}"
    shell: "touch {output}"
rule make:
    input: "source"
    output: "made/{i}"
    params: settings=lambda wildcards: wildcards.i
    script: "make.py"
"""
PLANNING = """
import inspect, sys
sys.path.insert(0, sys.argv.pop(1))
import patched_snakemake
from snakemake import script
from snakemake.cli import main
from snakemake.output_index import OutputIndex

calls = []

def counted(owner, name, key):
    function = getattr(owner, name)
    setattr(owner, name, lambda *given, **named: calls.append(key) or function(*given, **named))

counted(OutputIndex, "match_producers", "rules")
counted(script, "get_source", "scripts")
if sys.argv.pop(1) == "patched":
    patched_snakemake.patch_snakemake()
counted(inspect, "signature", "signatures")
try:
    main(["--dry-run", "--cores", "1"])
finally:
    print("calls", *(calls.count(key) for key in ("rules", "scripts", "signatures")))
"""


@pytest.fixture
def driver():
    if not PYTHON.exists():
        pytest.skip("no .driver: python3 run.py makes it")


def test_every_job_that_ends_is_looked_after_once_and_then_there_is_one_look_at_a_time(driver):
    found = subprocess.run([PYTHON, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    # 100 for the jobs, and one each quarter of a second at most.
    assert 102 <= int(found.stdout) <= 108


def test_the_method_that_is_replaced_is_there(driver):
    # Its name, with the missing letter, is Snakemake's.
    code = "from snakemake.scheduling.job_scheduler import JobScheduler; JobScheduler._schedule_reevalutation"
    subprocess.run([PYTHON, "-c", code], check=True)


def plan(folder: Path, way: str) -> tuple[list[str], list[int]]:
    """The table of jobs of a dry run, and how often rules, scripts and parameters of functions were looked for."""
    command = [PYTHON, "-c", PLANNING, ROOT / "workflow", way]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()
    table = [line for line in found if line.split()[:1] in (["all"], ["read"], ["make"], ["total"])]
    return table, [int(each) for each in found[-1].split()[1:]]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "make.py").touch()
    (tmp_path / "source").touch()
    return tmp_path


def test_what_is_the_same_for_many_jobs_is_looked_for_once_and_the_plan_is_the_same(driver, folder):
    as_it_is, (rules, scripts, signatures) = plan(folder, "as it is")
    patched, (rules_once, scripts_once, signatures_once) = plan(folder, "patched")
    assert patched == as_it_is
    assert patched[-1].split() == ["total", "31"]
    assert rules_once <= 32 < 200 < rules
    # Twice, for a plan has two of the processors that look at scripts.
    assert scripts_once <= 2 < 20 <= scripts
    assert signatures_once <= signatures - 20


def test_a_script_that_cannot_be_read_is_still_found(driver, folder):
    (folder / "make.py").unlink()
    command = [PYTHON, ROOT / "workflow/patched_snakemake.py", "--dry-run", "--cores", "1"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode
    assert "make.py" in found.stdout + found.stderr


def test_a_cycle_is_still_found(driver, folder):
    (folder / "Snakefile").write_text(SNAKEFILE.replace('input: "source"\n', 'input: "source", "read/0"\n'))
    command = [PYTHON, ROOT / "workflow/patched_snakemake.py", "--dry-run", "--cores", "1"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode
    assert "Cyclic" in found.stdout
