"""Targets of the papers' figures: jobs where the data is at hand, one sentence where it is not."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def dry_run(snakemake: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [snakemake, *arguments, "--dry-run", "--forceall", "--quiet", "rules"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_figure_whose_data_is_at_hand_is_made_without_editing_the_config(snakemake):
    if not (ROOT / "data/ala2_implicit").exists():
        pytest.skip("data/ala2_implicit is not here; see docs/data.md for where it comes from")
    result = dry_run(snakemake, "paper_s2_fig2")
    assert result.returncode == 0, result.stdout + result.stderr
    # Nothing of the systems that config.yaml names, and no other figure.
    assert set(re.findall(r"\bfigure_\w+", result.stdout)) == {"figure_singular_functions"}
    assert "simulate_trajectories" not in result.stdout


def test_a_figure_whose_data_is_missing_is_refused_in_one_sentence(snakemake):
    result = dry_run(snakemake, "paper_s2_fig4")
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert "paper_s2_fig4 cannot be made (pretraining against the depth of ViSNet): The collections PCQM4Mv2" in said
    assert "Traceback" not in said


def test_the_default_run_makes_nothing_for_papers(snakemake):
    result = dry_run(snakemake)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "write_report" in result.stdout
    assert "paper_" not in result.stdout
