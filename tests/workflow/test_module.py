"""Another workflow uses this one as a module, with its own config and its own folder for results."""

import functools
import http.server
import shutil
import subprocess
import threading

import pytest

from checkouts import TINY_SYSTEM, contents, snakemake_command
from molecules import trembling

SNAKEFILE = """
module geom2msm:
    snakefile:
        "{repository}/Snakefile"
    config:
        {{"systems": ["{system}"], "folder": "settings"}}
    pathvars:
        results="kinetics",


use rule * from geom2msm as geom2msm_*


rule summarize:
    default_target: True
    input:
        "kinetics/{system}/{target}",
    output:
        "summary.txt",
    shell:
        "cp {{input}} {{output}}"
"""


TARGETS = ["tiny/tokens.csv", *(f"tiny/models/tica/fold{fold}-seed0/weights.safetensors" for fold in (0, 1))]


def snakefile(repository, *, system, target):
    return SNAKEFILE.format(repository=repository, system=system, target=target)


@pytest.fixture
def project(repository, tmp_path):
    """A folder of another project: a Snakefile, a system, a structure."""
    text = snakefile(repository, system="short", target="msm/vampnet/summary.json")
    (tmp_path / "Snakefile").write_text(text)
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


class SilentHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line per request."""

    def log_message(self, *_):
        pass


@pytest.fixture
def server(repository):
    """The repository as a hosting service shows it: single files with addresses."""
    handler = functools.partial(SilentHandler, directory=str(repository))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_snakefile_on_a_server_is_refused_with_what_to_do(snakemake, server, project, monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = snakefile(server, system="short", target="split.json")
    (project / "Snakefile").write_text(text)
    result = subprocess.run([str(snakemake), "--dry-run"], cwd=project, capture_output=True, text=True)
    assert result.returncode != 0
    assert "clone geom2msm and name the clone's Snakefile" in result.stdout + result.stderr


def tiny_folder(folder, repository, *, config):
    """A folder with two trajectories and a description of them."""
    (folder / "in").mkdir(parents=True)
    shutil.copy(repository / "resources/structures/alanine_dipeptide.pdb", folder / "in/top.pdb")
    for seed in range(2):
        trembling(seed=seed).save(str(folder / f"in/run-{seed}.xtc"))
    (folder / config / "systems").mkdir(parents=True)
    (folder / config / "systems/tiny.yaml").write_text(TINY_SYSTEM)
    return folder


def really_run(folder, *arguments):
    command, variables = snakemake_command("--cores", "2", *arguments)
    result = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("snakemake")
def test_jobs_of_the_module_write_the_same_bytes_into_the_folder_of_the_other_workflow(repository, tmp_path):
    theirs = tiny_folder(tmp_path / "theirs", repository, config="settings")
    (theirs / "Snakefile").write_text(snakefile(repository, system="tiny", target="split.json"))
    really_run(theirs, "summarize", *(f"kinetics/{path}" for path in TARGETS))
    ours = tiny_folder(tmp_path / "ours", repository, config="config")
    (ours / "config/config.yaml").write_text("systems: [tiny]\n")
    really_run(ours, "--snakefile", f"{repository}/Snakefile", *(f"results/{path}" for path in TARGETS))
    made = contents(theirs, results="kinetics")
    assert {*TARGETS, "tiny/trajectories/run-0.json", "tiny/features/torsions/run-1.zarr.zip"} <= made.keys()
    assert made == contents(ours)
    assert (theirs / "summary.txt").read_bytes() == (ours / "results/tiny/split.json").read_bytes()
    assert not (theirs / "results").exists()
    assert list((theirs / "kinetics/logs/tiny/fit_tica").rglob("*.log"))
