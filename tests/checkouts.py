"""Working folders with the repository's files, for tests that go the whole way: run.py, Snakemake, environments."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from geom2msm.provenance import sha256_file
from geom2msm.verification import artefacts

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("CITATION.cff", "Snakefile", "run.py", "config", "envs", "requirements", "resources", "scripts", "workflow")

# In JSON, what a job has cost: it differs between runs, and nothing else may.
COSTS = {"seconds", "peak_memory_mib", "peak_gpu_memory_mib"}


def checkout(folder: Path, *, system: str, text: str) -> Path:
    """A copy of the repository that shares its environments, with one system, described by this text."""
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder / name)
    (ROOT / ".envs").mkdir(exist_ok=True)
    (folder / ".envs").symlink_to(ROOT / ".envs")
    (folder / "config" / "systems" / f"{system}.yaml").write_text(text)
    (folder / "config" / "config.yaml").write_text(f"systems: [{system}]\n")
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """python3 run.py ARGUMENTS, to its end."""
    command = [sys.executable, "run.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, str]:
    """What every finished artefact holds that must not depend on how, where and how often it was made."""
    base = folder / "results"
    return {str(path.relative_to(base)): comparable(path) for path in artefacts(base)}


def comparable(path: Path) -> str:
    """A checksum; of JSON, the text without what the job has cost."""
    if path.suffix != ".json":
        return sha256_file(path)
    return json.dumps(json.loads(path.read_text(), object_hook=without_costs))


def without_costs(part: dict) -> dict:
    return {key: value for key, value in part.items() if key not in COSTS}
