"""Config mistakes: each is one sentence with the file, the key, what was found and what to do."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from geom2msm.config_reference import config_reference
from geom2msm.schema import ConfigError, load_encoders, load_system, longest_lag_ps, read_schema, trajectory_files

ROOT = Path(__file__).parents[2]
SYSTEMS = sorted((ROOT / "config" / "systems").glob("*.yaml"))
ENCODERS = {"visnet_l6_h64": {}}


@pytest.fixture
def system():
    return yaml.safe_load((ROOT / "config" / "systems" / "alanine_dipeptide.yaml").read_text())


def refusal(tmp_path, document) -> str:
    """The message with which a system is refused."""
    file = tmp_path / "mine.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    with pytest.raises(ConfigError) as error:
        load_system(str(file), encoders=ENCODERS)
    message = str(error.value)
    assert message.startswith(str(file))
    assert "\n" not in message
    return message.removeprefix(f"{file}: ")


@pytest.mark.parametrize("file", SYSTEMS, ids=lambda path: path.stem)
def test_every_system_in_the_repository_is_valid(file):
    load_system(str(file), encoders=load_encoders(str(ROOT / "config" / "encoders.yaml"))["encoders"])


def test_defaults_are_filled_in_at_every_level(system, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(system))
    filled = load_system(str(file), encoders=ENCODERS)
    assert filled["neighbor_rule"] == "nearest32"
    assert filled["trajectories"]["selection"] == "not element H"
    assert filled["models"]["vampnet"]["hidden_channels"] == 64


def test_an_unknown_key_is_named_with_the_nearest_known_one(system, tmp_path):
    system["msm"]["lag_p"] = system["msm"].pop("lag_ps")
    assert refusal(tmp_path, system) == "msm.lag_p is no key of this file; did you mean lag_ps?"


def test_an_unknown_key_of_a_model_is_named_with_its_model(system, tmp_path):
    system["models"]["vampnet"]["mixr"] = "sum"
    assert refusal(tmp_path, system) == "models.vampnet.mixr is no key of this file; did you mean mixer?"


def test_a_missing_key_is_named_with_its_meaning(system, tmp_path):
    del system["trajectories"]["frame_interval_ps"]
    assert refusal(tmp_path, system).startswith(
        "trajectories.frame_interval_ps is missing: Time between two saved frames in ps."
    )


def test_a_number_that_yaml_reads_as_text_is_explained(system, tmp_path):
    system["models"]["vampnet"]["learning_rate"] = "5e-4"
    assert refusal(tmp_path, system) == (
        "models.vampnet.learning_rate is '5e-4', but must be of type number"
        " (YAML reads numbers like 5e-4 as text: write 5.0e-4)"
    )


def test_a_lag_between_two_frames_is_refused(system, tmp_path):
    system["msm"]["scan_lags_ps"][0] = 1.5
    assert refusal(tmp_path, system) == (
        "msm.scan_lags_ps[0]: lag_ps = 1.5 is not a positive multiple of frame_interval_ps = 1"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(encoder="visnet"), "encoder is 'visnet'; config/encoders.yaml has visnet_l6_h64"),
        (lambda s: s["msm"].update(model="spib"), "msm.model is 'spib', but models has tica_torsions, vampnet"),
        (lambda s: s["msm"].update(lag_ps=7.0), "msm.scan_lags_ps does not contain msm.lag_ps = 7; add it"),
        (
            lambda s: s["trajectories"].pop("simulate"),
            "trajectories needs either simulate, or both topology and files; "
            "found frame_interval_ps, selection, temperature_K",
        ),
        (lambda s: s["split"].update(n_folds=1), "split.n_folds is 1, but must be at least 2"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(system, tmp_path, change, message):
    change(system)
    assert refusal(tmp_path, system) == message


def test_a_key_written_twice_is_refused(tmp_path):
    assert "key 'encoder' stands there twice" in refusal(tmp_path, "encoder: a\nsplit: {}\nencoder: b\n")


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("- 1", "holds list"), ("", "holds NoneType")]
)
def test_what_is_no_mapping_is_refused(tmp_path, text, message):
    assert message in refusal(tmp_path, text)


def test_missing_files_are_refused_before_anything_runs(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    system["trajectories"] |= {"topology": "top.pdb", "files": "data/*.xtc"}
    del system["trajectories"]["simulate"]
    with pytest.raises(ConfigError, match=r"mine.yaml: trajectories.files: no file matches 'data/\*.xtc'"):
        trajectory_files(system, file="mine.yaml")
    Path("data").mkdir()
    Path("data/a.xtc").touch()
    with pytest.raises(ConfigError, match=r"trajectories.topology is 'top.pdb', but there is no such file"):
        trajectory_files(system, file="mine.yaml")
    Path("top.pdb").touch()
    assert trajectory_files(system, file="mine.yaml") == {"a": "data/a.xtc"}


def test_two_files_of_one_name_are_refused(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "run.xtc").touch()
    Path("top.pdb").touch()
    system["trajectories"] = {"topology": "top.pdb", "files": ["a/run.xtc", "b/run.xtc"]}
    with pytest.raises(ConfigError, match=r"a/run.xtc and b/run.xtc share the name 'run'; rename one"):
        trajectory_files(system, file="mine.yaml")


def test_the_longest_lag_is_found_wherever_it_stands(system):
    assert longest_lag_ps(system) == 10.0
    system["models"]["vampnet"]["lag_ps"] = 50.0
    assert longest_lag_ps(system) == 50.0


def test_every_default_is_itself_valid():
    def defaults(schema):
        for part in schema.get("properties", {}).values():
            if "default" in part:
                yield part
            yield from defaults(part)

    for name in ("config", "system", "model_tica", "model_vampnet", "encoders"):
        for part in defaults(read_schema(name)):
            Draft202012Validator(part).validate(part["default"])


def test_every_key_has_a_description_and_no_level_takes_unknown_keys():
    def check(schema, where):
        if schema.get("type") == "object" and "properties" in schema and where != "models.<name>":
            assert schema.get("additionalProperties") is False or isinstance(schema["additionalProperties"], dict), (
                where
            )
        for name, part in schema.get("properties", {}).items():
            assert part.get("description"), f"{where}.{name}"
            check(part, f"{where}.{name}")

    for name in ("config", "system", "model_tica", "model_vampnet", "encoders"):
        check(read_schema(name), name)


def test_the_config_page_is_the_one_that_the_schemas_give():
    page = (ROOT / "config" / "README.md").read_text()
    assert page == config_reference(), "run: PYTHONPATH=scripts python3 -m geom2msm.config_reference > config/README.md"
