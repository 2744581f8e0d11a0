"""The whole way on a short system, as a user goes it: run.py, Snakemake, per-rule environments."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from geom2msm.provenance import sha256_file

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
COPIED = ("Snakefile", "run.py", "config", "envs", "requirements", "resources", "scripts", "workflow")
SHARED = (".envs",)
DETERMINISTIC = ("*.csv", "*.xtc", "*.safetensors", "*.pdf", "*.pdb", "*.zarr.zip")


def checkout(folder: Path) -> Path:
    """A working folder with the repository's files, its environments shared, and the short system configured."""
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder / name)
    for name in SHARED:
        (ROOT / name).mkdir(exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(Path(__file__).parent / "short.yaml", folder / "config" / "systems" / "short.yaml")
    (folder / "config" / "config.yaml").write_text("systems: [short]\n")
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "run.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def results(folder: Path) -> dict[str, str]:
    """Checksums of everything that must not depend on how often a run was interrupted."""
    base = folder / "results"
    return {str(p.relative_to(base)): sha256_file(p) for pattern in DETERMINISTIC for p in sorted(base.rglob(pattern))}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = checkout(tmp_path_factory.mktemp("whole") / "geom2msm")
    result = run(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_every_promised_artefact_is_there(finished):
    base = finished / "results" / "short"
    for path in ("split.json", "tokens.csv", "trajectories/run-0.json", "tokens/visnet_l6_h64/run-1.zarr.zip",
                 "models/vampnet/ensemble.json", "msm/vampnet/timescales.csv", "msm/vampnet/ck_test.json",
                 "msm/tica_torsions/summary.json", "msm/vampnet/structures/state-2.pdb",
                 "figures/ramachandran.pdf", "figures/rates_network.csv"):  # fmt: skip
        assert (base / path).stat().st_size > 0, path
    assert (finished / "results" / "report.zip").stat().st_size > 100_000
    assert not list((finished / "results").rglob("*.part"))


def test_the_second_run_has_nothing_to_do(finished):
    result = run(finished)
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout + result.stderr


def test_the_model_is_one_of_the_trajectories_that_were_simulated(finished):
    summary = json.loads((finished / "results/short/msm/vampnet/summary.json").read_text())
    inventory = json.loads((finished / "results/short/trajectories/run-0.json").read_text())
    assert inventory["n_frames"] == 500
    assert summary["lag_ps"] == 2.0


def test_editing_a_module_reruns_just_the_rules_that_use_it(finished):
    module = finished / "scripts" / "geom2msm" / "kinetics.py"
    text = module.read_text()
    try:
        module.write_text(text + "\n# A comment more.\n")
        planned = run(finished, "--dry-run", "--quiet", "rules").stdout
    finally:
        module.write_text(text)
    assert "estimate_msm" in planned
    assert "embed_tokens" not in planned
    assert "train_vampnet" not in planned


def test_a_run_killed_again_and_again_ends_with_the_same_results(finished, tmp_path):
    folder = checkout(tmp_path / "geom2msm")
    for seconds in (12, 25, 40):
        process = subprocess.Popen(
            [sys.executable, "run.py"],
            cwd=folder,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        run(folder, "--unlock")
    result = run(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert results(folder) == results(finished)
