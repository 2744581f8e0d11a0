"""No value of the config, and no name of a file, leaves results/ or reaches a shell; nothing is ever unpickled."""

import ast
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from geom2msm.encoder.checkpoints import read_geom2vec
from geom2msm.log_weights import read_log_weights
from geom2msm.schema import ConfigError, load_encoders, load_system, read_schema, trajectory_files, validated

HOSTILE = [
    "../up", "/etc/passwd", "a/b", "..", ".hidden", "a b", "a;touch b", "$(touch b)", "`touch b`", "a\nb", "a\n",
    "a\0b", "-rf", "{a}", "a'b", 'a"b', "a|b", "a&b", "a>b", "a*",
]  # fmt: skip
SOURCES = [path for folder in ("scripts", "workflow") for path in (Path(__file__).parents[2] / folder).rglob("*.py")]


@pytest.fixture
def system(repository):
    return yaml.safe_load((repository / "config/systems/alanine_dipeptide.yaml").read_text())


@pytest.fixture(scope="session")
def encoders(repository):
    return load_encoders(str(repository / "config/encoders.yaml"))["encoders"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_systems_models_and_encoders_are_plain_words(tmp_path, repository, system, encoders, name):
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        validated({"systems": [name]}, read_schema("config"), file="config/config.yaml")
    path = tmp_path / "s.yaml"
    system["models"] = {name: next(iter(system["models"].values()))}
    path.write_text(yaml.safe_dump(system))
    with pytest.raises(ConfigError, match=r"s\.yaml: "):
        load_system(str(path), encoders=encoders)
    document = yaml.safe_load((repository / "config/encoders.yaml").read_text())
    for key in ("geometries", "encoders"):
        changed = document | {key: {name: next(iter(document[key].values()))}}
        path.write_text(yaml.safe_dump(changed))
        with pytest.raises(ConfigError, match=r"s\.yaml: "):
            load_encoders(str(path))


@pytest.mark.parametrize("name", [name for name in HOSTILE if "/" not in name and "\0" not in name and name != ".."])
def test_a_trajectory_with_a_name_that_is_not_safe_is_refused(tmp_path, repository, name):
    (tmp_path / f"{name}.xtc").touch()
    trajectories = {"files": f"{tmp_path}/*.xtc", "topology": str(repository / "README.md")}
    (tmp_path / f"{'.xtc' if name.startswith('.') else 'other.xtc'}").touch()
    if name.startswith("."):
        trajectories["files"] = f"{tmp_path}/.*.xtc"
    with pytest.raises(ConfigError, match=r"trajectories\.files: .* rename it"):
        trajectory_files({"trajectories": trajectories}, file="s.yaml")


@pytest.mark.parametrize("name", ["run-1", "ala2_300K.prod", "a+b=c@d,e", "Größe", "0"])
def test_usual_names_of_trajectories_pass(tmp_path, repository, name):
    (tmp_path / f"{name}.xtc").touch()
    trajectories = {"files": f"{tmp_path}/*.xtc", "topology": str(repository / "README.md")}
    assert list(trajectory_files({"trajectories": trajectories}, file="s.yaml")) == [name]


@pytest.mark.parametrize("pattern", ["{trajectory}-{x}.npy", "{trajectory.__class__}{trajectory}.npy"])
def test_a_pattern_of_log_weights_is_no_format_string(tmp_path, repository, pattern):
    (tmp_path / "a.xtc").touch()
    trajectories = {"files": f"{tmp_path}/*.xtc", "topology": str(repository / "README.md"), "log_weights": pattern}
    with pytest.raises(ConfigError, match=r"log_weights: there is no file .*a.*\.npy"):
        trajectory_files({"trajectories": trajectories}, file="s.yaml")


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['touch pwned']", "a: !!python/name:os.system"])
def test_a_config_file_cannot_call_python(tmp_path, encoders, text):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"s\.yaml: not valid YAML"):
        load_system(str(tmp_path / "s.yaml"), encoders=encoders)


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_checkpoints_and_arrays_with_pickled_objects_are_refused(tmp_path):
    import torch

    torch.save({"weight": Harmful(tmp_path / "pwned")}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth: not a readable PyTorch state dict"):
        read_geom2vec(str(tmp_path / "a.pth"), "visnet")
    np.save(tmp_path / "a.npy", np.array([Harmful(tmp_path / "pwned")], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy: no array of numbers"):
        read_log_weights(str(tmp_path / "a.npy"), n_saved_frames=1, stride=1)
    assert not (tmp_path / "pwned").exists()


def calls(path):
    """Every call in a file: what is called, and its keywords with their values as source."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_unpickles_evaluates_or_starts_a_shell(path):
    for function, keywords in calls(path):
        assert function not in ("eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads"), path
        assert keywords.get("shell", "False") == "False", path
        assert keywords.get("allow_pickle", "False") == "False", path
        if function == "torch.load":
            assert keywords.get("weights_only") == "True", path
        if function == "yaml.load":
            assert keywords.get("Loader") == "_UniqueKeyLoader", path


def test_no_rule_has_a_shell_command(repository):
    for path in (repository / "workflow/rules").glob("*.smk"):
        assert not re.search(r"^\s+(shell|run):", path.read_text(), re.MULTILINE), path.name


@pytest.mark.slow
def test_snakemake_refuses_a_hostile_system_in_one_line(snakemake, repository):
    command = [str(snakemake), "--dry-run", "--quiet", "all", "--config", "systems=['../../etc']"]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert result.returncode != 0
    assert "systems.0 is '../../etc', but must be made of a-z, 0-9 and _ only" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
