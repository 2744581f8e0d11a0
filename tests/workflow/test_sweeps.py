"""Sweeps expand into jobs only where they are asked for, and a mistake in one is a single line."""

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

from geom2msm.schema import load_encoders, load_system
from geom2msm.sweeps import expand_sweep

ROOT = Path(__file__).resolve().parents[2]
SWEEPS = sorted((ROOT / "config/sweeps").glob("*.yaml"))
every_sweep = pytest.mark.parametrize("file", SWEEPS, ids=lambda path: path.stem)
# Snakemake's own class, in the interpreter that has Snakemake, with the pandas of the one that runs the tests.
PARAMSPACE = """
import json, sys
sys.path.append(sys.argv[1])
import pandas
from snakemake.utils import Paramspace
rows = pandas.DataFrame(json.loads(sys.argv[2]), dtype=object)
print(json.dumps(list(Paramspace(rows).instance_patterns)))
"""


def run(snakemake, *arguments, cwd=ROOT):
    return subprocess.run([snakemake, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def expanded(file: Path):
    encoders = load_encoders("config/encoders.yaml")["encoders"]
    name = yaml.safe_load(file.read_text())["system"]
    return expand_sweep(str(file), systems={name: load_system(f"config/systems/{name}.yaml", encoders=encoders)},
                        encoders=encoders)  # fmt: skip


def planned_jobs(snakemake, *settings, target=()) -> dict[str, str]:
    """Number of jobs by rule if everything is made anew."""
    result = run(snakemake, *target, "--dry-run", "--forceall", "--quiet", "rules", "--config", *settings)
    assert result.returncode == 0, result.stdout + result.stderr
    table = result.stdout.partition("count\n")[2].partition("\n\n")[0]
    return dict(line.split() for line in table.splitlines()[1:])


@every_sweep
def test_every_sweep_gives_a_complete_graph_of_jobs(file, snakemake, monkeypatch):
    monkeypatch.chdir(ROOT)
    sweep = expanded(file)
    topology = yaml.safe_load(Path(f"config/systems/{sweep.system}.yaml").read_text())["trajectories"].get("topology")
    if topology and not Path(topology).exists():
        pytest.skip(f"{topology} is not here; see docs/data.md for where the data comes from")
    jobs = planned_jobs(snakemake, "systems=[alanine_dipeptide]", f"sweeps=[{file.stem}]", target=["sweeps"])
    trained = sum(int(number) for name, number in jobs.items() if name.endswith("_of_sweep"))
    assert trained == len(sweep.members()) + 1  # the split
    assert jobs[f"figure_sweep_{sweep.figure['kind']}"] == "1"
    assert "train_vampnet" not in jobs
    assert "estimate_msm" not in jobs


def test_a_plain_run_does_nothing_for_a_sweep(snakemake):
    if not (ROOT / "data/pentapeptide").exists():
        pytest.skip("data/pentapeptide is not here; see docs/data.md for where the data comes from")
    with_sweep, without = (planned_jobs(snakemake, f"sweeps=[{name}]") for name in ("pentapeptide_widths", ""))
    assert without["train_vampnet"] == "4"
    assert with_sweep == without


def test_sweeps_without_any_says_where_to_name_them(snakemake):
    result = run(snakemake, "sweeps", "--dry-run")
    assert result.returncode != 0
    assert "config/config.yaml: sweeps is empty; name files of config/sweeps/ there" in result.stdout + result.stderr


def test_paths_have_the_form_of_paramspace(snakemake, monkeypatch):
    """Of those sweeps whose keys have no point, which Paramspace would lose."""
    monkeypatch.chdir(ROOT)
    pytest.importorskip("pandas")
    sweeps = [expanded(file) for file in SWEEPS if "token_merging." not in file.read_text()]
    assert sweeps
    for sweep in sweeps:
        points = {path: dict(point.values) for path, point in sweep.points.items() if "baseline" not in point.values}
        command = [Path(snakemake).with_name("python"), "-c", PARAMSPACE, sysconfig.get_paths()["purelib"]]
        rows = json.dumps(list(points.values()))
        found = subprocess.run([*command, rows], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        assert json.loads(found.stdout) == list(points)


def test_a_mistake_in_a_sweep_is_one_line_without_traceback(snakemake, tmp_path):
    for name in ("Snakefile", "workflow", "scripts", "envs", "resources"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    axes = {"hidden_channels": [64, 2]}
    sweep = {
        "system": "alanine_dipeptide",
        "model": "vampnet",
        "axes": axes,
        "figure": {"kind": "bars", "x": "hidden_channels"},
    }
    (tmp_path / "config/sweeps/wrong.yaml").write_text(yaml.safe_dump(sweep))
    result = run(snakemake, "sweeps", "--dry-run", "--config", "sweeps=[wrong]", cwd=tmp_path)
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert (
        "config/sweeps/wrong.yaml: model (hidden_channels = 2).hidden_channels is 2, but must be at least 4" in output
    )
    assert "Traceback" not in output
    result = run(snakemake, "sweeps", "--dry-run", "--config", "sweeps=[nothing]", cwd=tmp_path)
    assert "config/sweeps/nothing.yaml: there is no such file" in result.stdout + result.stderr
