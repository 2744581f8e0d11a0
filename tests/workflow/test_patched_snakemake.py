"""The driver's Snakemake: how often it looks for new jobs does not grow with the number of jobs that have ended."""

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
