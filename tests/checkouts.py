"""Working folders with the repository's files, for tests that go the whole way: run.py, Snakemake, environments."""

import shutil
import subprocess
import sys
from pathlib import Path

from geom2msm.provenance import sha256_file
from geom2msm.verification import artefacts

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("CITATION.cff", "Snakefile", "run.py", "config", "envs", "requirements", "resources", "scripts", "workflow")


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
    """Checksums of all finished artefacts; what jobs have cost is left out, which differs between runs."""
    base = folder / "results"
    return {str(path.relative_to(base)): sha256_file(path) for path in artefacts(base) if path.name != "costs.json"}
