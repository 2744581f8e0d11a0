"""Another workflow uses this one as a module, with its own config and its own folder for results."""

import shutil
import subprocess

import pytest

SNAKEFILE = """
module geom2msm:
    snakefile:
        "{repository}/Snakefile"
    config:
        {{"systems": ["short"], "folder": "settings"}}
    pathvars:
        results="kinetics",


use rule * from geom2msm as geom2msm_*


rule summarize:
    default_target: True
    input:
        "kinetics/short/msm/vampnet/summary.json",
    output:
        "summary.txt",
    shell:
        "cp {{input}} {{output}}"
"""


@pytest.fixture
def project(repository, tmp_path):
    """A folder of another project: a Snakefile, a system, a structure."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(repository=repository))
    (tmp_path / "settings/systems").mkdir(parents=True)
    text = (repository / "tests/end_to_end/short.yaml").read_text()
    (tmp_path / "settings/systems/short.yaml").write_text(text.replace("resources/structures", "structures"))
    (tmp_path / "structures").mkdir()
    shutil.copy(repository / "resources/structures/alanine_dipeptide.pdb", tmp_path / "structures")
    return tmp_path


def dry_run(snakemake, folder, *arguments):
    command = [str(snakemake), "--dry-run", *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_results_are_where_the_other_workflow_wants_them(snakemake, repository, project):
    said = dry_run(snakemake, project)
    assert "geom2msm_train_vampnet" in said
    assert "log: kinetics/logs/short/train_vampnet/vampnet/fold0-seed0.log" in said
    assert f"{repository}/resources/encoders/visnet_l6_h64.safetensors" not in said
    assert "results/" not in said.replace(f"{repository}/", "")


def test_every_target_of_ours_can_be_asked_for(snakemake, project):
    said = dry_run(snakemake, project, "geom2msm_all")
    assert "geom2msm_figure_implied_timescales" in said
    assert "figures.mplstyle" in said


def test_nothing_is_written_while_the_workflow_is_read(snakemake, project):
    before = {path for path in project.rglob("*") if ".snakemake" not in path.parts}
    dry_run(snakemake, project)
    assert {path for path in project.rglob("*") if ".snakemake" not in path.parts} == before


def test_a_mistake_in_the_other_folder_is_named_there(snakemake, project):
    system = project / "settings/systems/short.yaml"
    system.write_text(system.read_text().replace("n_folds: 2", "n_fold: 2"))
    result = subprocess.run([str(snakemake), "--dry-run"], cwd=project, capture_output=True, text=True)
    assert "settings/systems/short.yaml: split.n_fold" in result.stdout + result.stderr
