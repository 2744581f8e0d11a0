"""What all tests share: reproducible randomness, one thread, and the driver's commands."""

import os
import random
import shutil
import sys
from pathlib import Path

import pytest

# Before numpy or torch is imported: the arrays are tiny, threads only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parents[1]

settings.register_profile("default", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def _seeds():
    """Every test starts from the same state of the global generators."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def snakemake() -> Path:
    """The driver's snakemake command."""
    return driver_command("snakemake")


@pytest.fixture(scope="session")
def uv() -> Path:
    """The driver's uv command."""
    return driver_command("uv")


def driver_command(name: str) -> Path:
    path = os.pathsep.join([str(REPOSITORY / ".driver/bin"), os.environ["PATH"]])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not installed: run the tests with 'python3 run.py test'")
    return Path(found)
