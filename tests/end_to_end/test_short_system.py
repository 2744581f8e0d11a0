"""The whole way on a short system, as a user goes it: run.py, Snakemake, per-rule environments."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from checkouts import checkout, contents, run

pytestmark = pytest.mark.slow


def short_checkout(folder: Path) -> Path:
    """A working folder with the short system, and a sweep of it."""
    here = Path(__file__).parent
    checkout(folder, system="short", text=(here / "short.yaml").read_text())
    shutil.copy(here / "tiny_sweep.yaml", folder / "config" / "sweeps" / "tiny_sweep.yaml")
    return folder


def results(folder: Path) -> dict[str, str]:
    """Everything that both runs have made; the sweep is of another test."""
    return {name: content for name, content in contents(folder).items() if "/sweeps/" not in name}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = short_checkout(tmp_path_factory.mktemp("whole") / "geom2msm")
    result = run(folder, "--cores", "2")
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


def test_a_sweep_trains_every_point_and_draws_all(finished):
    result = run(finished, "sweeps", "--config", "sweeps=[tiny_sweep]")
    assert result.returncode == 0, result.stdout + result.stderr
    folder = finished / "results/short/sweeps/tiny_sweep"
    with (folder / "members.csv").open(newline="") as file:
        members = list(csv.DictReader(file))
    axes = sorted((row["hidden_channels"], row["lag_ps"], row["fold"]) for row in members if not row["baseline"])
    assert axes == sorted(product(("8", "16"), ("1.0", "4.0"), ("0", "1")))
    assert [row["baseline"] for row in members[8:]] == ["tica_torsions"] * 2
    for row in members:
        assert 1 <= float(row["score_validation"]) <= int(row["dimensions"]) + 1
        assert float(row["wall_s"]) > 0
        assert float(row["peak_memory_mib"]) > 50
    # One gap, that of the longest lag, for all lags: a score at another lag is of the same frames.
    pairs = {(row["lag_ps"], int(row["n_validation_pairs"])) for row in members if row["fold"] == "0"}
    assert pairs == {("1.0", 499), ("2.0", 498), ("4.0", 496)}
    assert (folder / "sweep_bars.pdf").stat().st_size > 0
    again = run(finished, "sweeps", "--config", "sweeps=[tiny_sweep]")
    assert "Nothing to be done" in again.stdout + again.stderr


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


def test_nothing_has_changed_since_it_was_written(finished):
    result = run(finished, "verify")
    assert result.returncode == 0, result.stdout


def test_all_stages_of_the_system_are_done(finished):
    result = run(finished, "status")
    assert result.returncode == 0, result.stdout + result.stderr
    _, *rows = [line.split("  ") for line in result.stdout.splitlines()]
    assert {row[0] for row in rows} == {"short", "shared"}
    for number in (cell.strip() for row in rows for cell in row[1:] if cell.strip() not in ("", "-")):
        assert len(set(number.split("/"))) == 1, result.stdout


def test_on_one_core_and_killed_again_and_again_a_run_ends_with_the_same_bytes(finished, tmp_path):
    folder = short_checkout(tmp_path / "geom2msm")
    for seconds in (12, 25, 40):
        process = subprocess.Popen(
            [sys.executable, "run.py", "--cores", "1"],
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
    result = run(folder, "--cores", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert results(folder) == results(finished)
