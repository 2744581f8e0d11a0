"""The stand-in answers Snakemake's questions and makes whole environments or none."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

CONDA = Path(__file__).resolve().parents[2] / "workflow/conda_standin/bin/conda"


@pytest.fixture(scope="module")
def standin():
    loader = SourceFileLoader("conda_standin", str(CONDA))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("conda_standin", loader))
    loader.exec_module(module)
    return module


def conda(*arguments: object, path: Path | None = None) -> subprocess.CompletedProcess:
    """Run the stand-in; `path` is searched first, for a pretended uv."""
    environment = os.environ | {"PATH": f"{path}:{os.environ['PATH']}"}
    return subprocess.run(
        [sys.executable, CONDA, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=60
    )


def create(prefix: Path, file: Path) -> list[object]:
    return ["env", "create", "--quiet", "--no-default-packages", "--file", file, "--prefix", prefix]


@pytest.fixture
def env_file(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("channels: [conda-forge, nodefaults]\ndependencies:\n  - python >=3.11\n  - zarr 3.1.*\n")
    return file


@pytest.fixture
def pretended_uv(tmp_path):
    """A uv that notes how it was called, and makes the folder that it is asked for."""

    def write(*, then: str = "") -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        script = folder / "uv"
        script.write_text(
            f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n'
            f'if [ "$1" = venv ]; then for last; do :; done; mkdir -p "$last"; fi\n{then}\n'
        )
        script.chmod(0o755)
        return folder

    return write


@pytest.mark.parametrize(
    ("dependency", "expected"),
    [
        ("numpy", ("numpy", "")),
        ("zarr 3.1.*", ("zarr", "==3.1.*")),
        ("zarr=3.1", ("zarr", "==3.1.*")),
        ("zarr =3.1", ("zarr", "==3.1.*")),
        ("zarr ==3.1.6", ("zarr", "==3.1.6")),
        ("pytorch >=2.6,<3", ("torch", ">=2.6,<3")),
        ("pytorch_geometric>=2.6, <3", ("torch-geometric", ">=2.6,<3")),
        ("matplotlib-base !=3.10", ("matplotlib", "!=3.10")),
        ("jinja2", ("jinja2", "")),
        ("jinja2 >=3.1,<4", ("jinja2", ">=3.1,<4")),
        ("python >=3.11,<3.13", ("python", ">=3.11,<3.13")),
    ],
)
def test_conda_pins_are_translated_to_pypi(standin, dependency, expected):
    assert standin.requirement(dependency) == expected


@pytest.mark.parametrize("dependency", ["pip:", "pytorch 2.9.* *cuda*", "conda-forge::zarr 3.1.*", "zarr 3.1.*|3.2.*"])
def test_what_cannot_be_translated_is_refused(standin, dependency):
    with pytest.raises(standin.EnvironmentFileError, match="cannot read the dependency"):
        standin.requirement(dependency)


def test_dependencies_are_read_past_comments_and_empty_lines(standin):
    text = "# a\nchannels:\n  - conda-forge\ndependencies:\n  # why\n  - numpy  # arrays\n\n  - zarr 3.1.*\nname: x\n"
    assert standin.dependencies(text) == ["numpy", "zarr 3.1.*"]


def test_the_file_is_named_when_it_cannot_be_read(tmp_path, env_file):
    env_file.write_text("dependencies:\n  - python\n  - pip:\n    - zarr\n")
    result = conda(*create(tmp_path / "prefix", env_file))
    assert result.returncode == 1
    assert "a.yaml: cannot read the dependency 'pip:'" in result.stderr


def test_snakemake_gets_the_answers_that_it_asks_for():
    assert conda("--version").stdout.split()[1] >= "24.7.1"
    info = json.loads(conda("info", "--json").stdout)
    assert (Path(info["conda_prefix"]) / "bin/activate").exists()
    assert info["platform"] == "pypi"
    answer = json.loads(conda("config", "--get", "channel_priority", "--json").stdout)
    assert answer["get"]["channel_priority"] == "strict"
    assert conda("clean", "-y", "--tarballs").returncode == 0


def test_other_questions_are_refused():
    result = conda("list", "--explicit")
    assert result.returncode == 1
    assert "no answer to 'conda list --explicit'" in result.stderr


def test_the_tested_versions_bind(tmp_path, env_file, pretended_uv):
    assert conda(*create(tmp_path / "prefix", env_file), path=pretended_uv()).returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert "--python >=3.11" in calls[0]
    assert f"--constraints {CONDA.parents[3] / 'requirements/constraints.txt'}" in calls[1]
    assert calls[1].endswith("zarr==3.1.*")


def test_a_failed_installation_leaves_no_environment(tmp_path, env_file, pretended_uv):
    result = conda(*create(tmp_path / "prefix", env_file), path=pretended_uv(then='[ "$1" = venv ] || exit 2'))
    assert result.returncode == 1
    assert "uv failed with exit code 2" in result.stderr
    assert not (tmp_path / "prefix").exists()


def test_a_killed_creation_leaves_no_environment_and_the_next_one_starts_clean(tmp_path, env_file, pretended_uv):
    path = pretended_uv(then='[ "$1" = venv ] || exec sleep 60')
    process = subprocess.Popen(
        [sys.executable, CONDA, *map(str, create(tmp_path / "prefix", env_file))],
        env=os.environ | {"PATH": f"{path}:{os.environ['PATH']}"},
        start_new_session=True,
    )
    while not (tmp_path / "calls").exists() or (tmp_path / "calls").read_text().count("\n") < 2:
        time.sleep(0.02)
    (tmp_path / "prefix.part/half").touch()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "prefix").exists()
    assert conda(*create(tmp_path / "prefix", env_file), path=pretended_uv()).returncode == 0
    assert list((tmp_path / "prefix").iterdir()) == []


def test_two_creations_at_once_make_one_environment(tmp_path, env_file, pretended_uv):
    environment = os.environ | {"PATH": f"{pretended_uv(then='sleep 0.3')}:{os.environ['PATH']}"}
    command = [sys.executable, CONDA, *map(str, create(tmp_path / "prefix", env_file))]
    processes = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait(timeout=30) for process in processes] == [0, 0]
    assert len((tmp_path / "calls").read_text().splitlines()) == 2


def test_a_made_environment_works_where_it_was_asked_for(tmp_path, env_file, uv):
    env_file.write_text("dependencies:\n  - python >=3.11\n")
    prefix = tmp_path / "pre fix"
    result = conda(*create(prefix, env_file), path=uv.parent)
    assert result.returncode == 0, result.stderr
    activate = CONDA.parent / "activate"
    script = f"set -euo pipefail; source {activate} '{prefix}'; python -c 'import sys; print(sys.prefix)'"
    activated = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert activated.stdout.strip() == str(prefix)
    # It was built under another name: installed commands must not remember that.
    assert "relocatable = true" in (prefix / "pyvenv.cfg").read_text()


def test_without_uv_the_way_out_is_named(tmp_path, env_file):
    environment = os.environ | {"PATH": str(tmp_path)}
    command = [sys.executable, CONDA, *map(str, create(tmp_path / "prefix", env_file))]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert "python3 run.py" in result.stderr
