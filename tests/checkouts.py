"""Working folders with the repository's files, for tests that go the whole way: run.py, Snakemake, environments."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from geom2msm.provenance import sha256_file
from geom2msm.verification import artefacts

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("CITATION.cff", "Snakefile", "run.py", "config", "envs", "requirements", "resources", "scripts", "workflow")
# Trajectories of the user's and two linear models: jobs of a few seconds.
TINY_SYSTEM = """
trajectories:
  topology: in/top.pdb
  files: in/*.xtc
  frame_interval_ps: 1.0
  temperature_K: 300
encoder: visnet_l6_h64
split: {n_folds: 2, seeds: [0]}
models:
  tica: {kind: tica, feature: torsions, lag_ps: 2.0, dimensions: 1}
  plane: {kind: tica, feature: torsions, lag_ps: 2.0, dimensions: 2}
msm: {model: tica, baseline: plane, lag_ps: 2.0, scan_lags_ps: [1.0, 2.0], n_macrostates: 2}
"""


def copy_repository(folder: Path) -> None:
    """All that the workflow consists of, in a new folder."""
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder / name)


def checkout(folder: Path, *, system: str, text: str) -> Path:
    """A copy of the repository that shares its environments, with one system, described by this text."""
    copy_repository(folder)
    (ROOT / ".envs").mkdir(exist_ok=True)
    (folder / ".envs").symlink_to(ROOT / ".envs")
    (folder / "config" / "systems" / f"{system}.yaml").write_text(text)
    (folder / "config" / "config.yaml").write_text(f"systems: [{system}]\n")
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """python3 run.py ARGUMENTS, to its end."""
    command = [sys.executable, "run.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def snakemake_command(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """Snakemake for any folder, with the driver and the environments of this checkout: command and variables."""
    spec = importlib.util.spec_from_file_location("geom2msm_run", ROOT / "run.py")
    run_py = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run_py)
    variables, environments = run_py.deployment()
    options = ["--sdm", "conda", "--conda-prefix", str(environments)]
    return [str(run_py.DRIVER / "bin/snakemake"), *options, *arguments], variables


def contents(folder: Path, *, results: str = "results") -> dict[str, str]:
    """Checksums of all finished artefacts; what jobs have cost is left out, which differs between runs."""
    base = folder / results
    return {str(path.relative_to(base)): sha256_file(path) for path in artefacts(base) if path.name != "costs.json"}
