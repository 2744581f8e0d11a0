"""Config mistakes: each is one sentence with the file, the key, what was found and what to do."""

import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from geom2msm.config_reference import config_reference, schema_names
from geom2msm.schema import (
    SCHEMAS,
    ConfigError,
    load_encoders,
    load_system,
    longest_lag_ps,
    read_schema,
    trajectories_to_split,
    trajectory_files,
)
from geom2msm.schema_checks import PATTERN_WORDS

ROOT = Path(__file__).parents[2]
SYSTEMS = [ROOT / "config" / "template.yaml", *sorted((ROOT / "config" / "systems").glob("*.yaml"))]
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
    assert filled["trajectories"]["selection"] == "not water and not element H"
    assert filled["models"]["vampnet"]["hidden_channels"] == 64
    # A whole section that is absent, too.
    assert filled["tokens"]["rules"] == [{"selection": "all", "per": "residue"}]


def test_a_fragment_needs_a_name_and_nothing_else_has_one(system, tmp_path):
    for rule in ({"selection": "resname LIG", "per": "fragment"}, {"selection": "all", "per": "residue", "name": "a"}):
        system["tokens"] = {"rules": [rule]}
        assert "a rule needs a name if, and only if, it is per: fragment" in refusal(tmp_path, system)


def test_an_unknown_key_is_named_with_the_nearest_known_one(system, tmp_path):
    system["msm"]["lag_p"] = system["msm"].pop("lag_ps")
    assert refusal(tmp_path, system) == "msm.lag_p is no key of this file; did you mean lag_ps?"


def test_an_unknown_key_of_a_model_is_named_with_its_model(system, tmp_path):
    system["models"]["vampnet"]["mixr"] = "sum"
    assert refusal(tmp_path, system) == "models.vampnet.mixr is no key of this file; did you mean mixer?"


def test_the_keys_of_a_mixer_stand_among_those_of_its_model(system, tmp_path):
    system["models"]["vampnet"] |= {"mixer": "transformer", "n_layers": 2}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(system))
    filled = load_system(str(file), encoders=ENCODERS)["models"]["vampnet"]
    defaults = {key: part["default"] for key, part in read_schema("mixer_transformer")["properties"].items()}
    assert filled.items() >= (defaults | {"n_layers": 2}).items()
    assert filled["score"] == "vamp2"


def test_a_mistake_in_a_key_of_a_mixer_is_named_with_its_model(system, tmp_path):
    model = system["models"]["vampnet"] = system["models"]["vampnet"] | {"mixer": "transformer", "n_layer": 2}
    assert refusal(tmp_path, system) == "models.vampnet.n_layer is no key of this file; did you mean n_layers?"
    model["n_layers"] = model.pop("n_layer") - 2
    assert refusal(tmp_path, system) == "models.vampnet.n_layers is 0, but must be at least 1"
    model |= {"n_layers": 2, "mixer": "transfomer"}
    assert refusal(tmp_path, system).startswith(
        "models.vampnet.mixer is 'transfomer', but must be one of 'equivariant'"
    )


def test_features_and_tokens_have_their_own_mixers(system, tmp_path):
    system["models"]["vampnet"]["feature"] = "residue_distances"
    message = "models.vampnet: mixer: mlp works on a feature"
    assert refusal(tmp_path, system).startswith(message)


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
def test_numbers_are_finite(system, tmp_path, value):
    system["msm"]["lag_ps"] = "LAG"
    document = yaml.safe_dump(system).replace("LAG", value)
    assert refusal(tmp_path, document).startswith(f"msm.lag_ps is {float(value.replace('.', ''))}, but must be finite")


def test_keys_are_text(system, tmp_path):
    assert "key 1 is no text" in refusal(tmp_path, yaml.safe_dump(system).replace("vampnet:", "1:"))


def test_a_name_that_cannot_be_one_is_said_to_be_a_name(system, tmp_path):
    system["models"]["VampNet"] = system["models"].pop("vampnet")
    assert refusal(tmp_path, system).startswith("models has the name 'VampNet', but names must be made of a-z")


def test_all_mistakes_that_no_schema_sees_are_named_at_once(system, tmp_path):
    system["msm"]["scan_lags_ps"] = [1.0, 3.0]
    system["models"]["vampnet"] |= {"mixer": "transformer", "hidden_channels": 30, "n_heads": 4, "lag_ps": 2.5}
    message = refusal(tmp_path, system)
    for part in (
        "scan_lags_ps does not contain",
        "hidden_channels = 30 is not a multiple of n_heads = 4",
        "lag_ps = 2.5",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"mixer": "mlp", "feature": "torsions", "token_merging": {"window": 2}}, "has no tokens to merge"),
        ({"mixer": "equivariant", "token_merging": {"window": 2, "merger": "scalar"}}, "leaves no vectors to mixer"),
        ({"mixer": "equivariant", "chiral": True}, "needs qk_convolution of 1 or more"),
        ({"mixer": "equivariant", "chiral": True, "qk_convolution": 1}, ""),
    ],
)  # fmt: skip
def test_keys_of_a_mixer_that_contradict_each_other_are_refused_before_a_run(system, tmp_path, model, words):
    system["models"]["vampnet"] |= model
    if words:
        assert words in refusal(tmp_path, system)
    else:
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(system))
        load_system(str(tmp_path / "mine.yaml"), encoders=ENCODERS)


def test_atoms_without_a_token_and_no_atoms_at_all_are_refused(system, tmp_path):
    system["trajectories"]["selection"] = " "
    system["tokens"] = {"rules": [{"selection": "all", "per": "context"}]}
    message = refusal(tmp_path, system)
    assert "trajectories.selection is empty" in message
    assert "which makes no token" in message


def test_there_are_at_least_as_many_microstates_as_macrostates(system, tmp_path):
    system["msm"] |= {"n_macrostates": 5, "n_microstates": 4}
    assert refusal(tmp_path, system).startswith("msm.n_macrostates is 5, but msm.n_microstates = 4")


@pytest.mark.parametrize("n_runs", [1, 3])
def test_whole_trajectories_are_at_least_as_many_as_folds(system, n_runs):
    system["trajectories"]["simulate"]["n_runs"] = n_runs
    system["split"] = {"scheme": "trajectories", "n_folds": n_runs}
    assert len(trajectories_to_split(system, file="mine.yaml")) == n_runs
    system["split"]["n_folds"] += 1
    with pytest.raises(ConfigError, match=f"n_folds is {n_runs + 1}, but the number of trajectories is {n_runs}"):
        trajectories_to_split(system, file="mine.yaml")
    system["split"]["scheme"] = "blocks"
    assert len(trajectories_to_split(system, file="mine.yaml")) == n_runs


def test_a_reversible_model_has_one_lobe(system, tmp_path):
    system["models"]["vampnet"] |= {"reversible": True, "lobes": 2}
    assert refusal(tmp_path, system).startswith("models.vampnet: reversible: true needs lobes: 1")


def test_log_weights_are_one_file_per_trajectory(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrong in ("weights.npy", "{trajectory}.dat"):
        system["trajectories"]["log_weights"] = wrong
        words = "a path with {trajectory} in it, for each has a file of its own, that ends in .npy or .csv"
        assert refusal(tmp_path, system) == f"trajectories.log_weights is '{wrong}', but must be {words}"
    system["trajectories"]["log_weights"] = "{trajectory}.npy"
    with pytest.raises(ConfigError, match=r"trajectories.log_weights is for biased trajectories, but these are simul"):
        trajectory_files(system, file="mine.yaml")
    system = brought(system, ["run-1.xtc"])
    system["trajectories"]["log_weights"] = "{trajectory}.npy"
    with pytest.raises(ConfigError, match=r"trajectories.log_weights: there is no file run-1.npy for run-1.xtc"):
        trajectory_files(system, file="mine.yaml")
    (tmp_path / "run-1.npy").touch()
    assert trajectory_files(system, file="mine.yaml") == {"run-1": "run-1.xtc"}


def test_every_pattern_of_the_schemas_is_said_in_words(system, tmp_path):
    def patterns(part):
        if isinstance(part, dict):
            yield from [part["pattern"]] if isinstance(part.get("pattern"), str) else []
            part = list(part.values())
        for item in part if isinstance(part, list) else []:
            yield from patterns(item)

    found = {pattern for path in SCHEMAS.glob("*.yaml") for pattern in patterns(yaml.safe_load(path.read_text()))}
    assert found == set(PATTERN_WORDS)
    system["observables"] = {"table": "data/energies.csv"}
    assert refusal(tmp_path, system) == (
        "observables.table is 'data/energies.csv', but must be a path with {trajectory} in it, for each has a file of "
        "its own, that ends in .csv"
    )


def test_files_that_observables_need_are_looked_for_before_a_run(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    system = brought(system, ["run-1.xtc"])
    system["observables"] = {"table": "{trajectory}.csv", "reference": "native.pdb"}
    with pytest.raises(ConfigError, match=r"observables.reference is 'native.pdb', but there is no such file"):
        trajectory_files(system, file="mine.yaml")
    (tmp_path / "native.pdb").touch()
    with pytest.raises(ConfigError, match=r"mine.yaml: observables.table: there is no file run-1.csv for run-1.xtc"):
        trajectory_files(system, file="mine.yaml")
    (tmp_path / "run-1.csv").touch()
    assert trajectory_files(system, file="mine.yaml") == {"run-1": "run-1.xtc"}


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
        (
            lambda s: s["msm"].update(model="tica_torsions"),
            "msm.model and msm.baseline are both 'tica_torsions', which leaves nothing to compare; name two models",
        ),
        (lambda s: s["msm"].update(lag_ps=7.0), "msm.scan_lags_ps does not contain msm.lag_ps = 7; add it"),
        (
            lambda s: s["trajectories"].pop("simulate"),
            "trajectories needs either simulate, or both topology and files; "
            "found continuous, frame_interval_ps, make_whole, selection, stride, temperature_K",
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


def brought(system, files):
    """The system with files in place of the simulation; the files exist, empty."""
    for path in ["top.pdb", *files]:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    system["trajectories"] = {"topology": "top.pdb", "files": files}
    return system


def test_files_of_one_name_are_told_apart_by_their_folders(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = ["run-10/a/prod.xtc", "run-2/a/prod.xtc", "run-2/b/prod.xtc", "extra/eq.1.xtc", "extra/eq.2.dcd"]
    assert trajectory_files(brought(system, files), file="mine.yaml") == {
        "eq.1": "extra/eq.1.xtc",
        "eq.2": "extra/eq.2.dcd",
        "run-2-a-prod": "run-2/a/prod.xtc",
        "run-2-b-prod": "run-2/b/prod.xtc",
        "run-10-a-prod": "run-10/a/prod.xtc",
    }


@pytest.mark.parametrize("files", [["run.xtc", "run.dcd"], ["a/run.xtc", "b/run.xtc", "a-run.xtc"]])
def test_files_that_nothing_tells_apart_are_refused(system, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"mine.yaml: trajectories.files: .* and .* share the name .*; rename one"):
        trajectory_files(brought(system, files), file="mine.yaml")


def test_patterns_find_each_file_once_and_count(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    system = brought(system, [f"data/run-{i}.xtc" for i in range(12)])
    expected = [f"run-{i}" for i in range(12)]
    for patterns in ("data/*.xtc", ["data/run-1*.xtc", "./data/*.xtc", "**/run-*.xtc"]):
        system["trajectories"]["files"] = patterns
        assert list(trajectory_files(system, file="mine.yaml")) == expected


def test_a_file_that_is_named_twice_is_refused_but_may_match_two_patterns(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"mine.yaml: trajectories.files names data/run-1.xtc twice; .*: remove one"):
        trajectory_files(brought(system, ["data/run-1.xtc", "data/run-2.xtc", "./data/run-1.xtc"]), file="mine.yaml")
    system["trajectories"]["files"] = ["data/run-1.xtc", "data/*.xtc"]
    assert list(trajectory_files(system, file="mine.yaml")) == ["run-1", "run-2"]


def test_a_file_that_is_no_trajectory_is_refused(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"notes.txt is no trajectory; known endings are .xtc"):
        trajectory_files(brought(system, ["run.xtc", "notes.txt"]), file="mine.yaml")


def test_lags_are_multiples_of_the_strided_interval(system, tmp_path):
    system["trajectories"]["stride"] = 2
    system["msm"]["scan_lags_ps"].append(7.0)
    assert refusal(tmp_path, system).endswith(
        "is not a positive multiple of frame_interval_ps = 2, that is trajectories.frame_interval_ps times stride"
    )
    system["trajectories"]["stride"] = 0
    assert refusal(tmp_path, system) == "trajectories.stride is 0, but must be at least 1"


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

    for name in schema_names():
        for part in defaults(read_schema(name)):
            Draft202012Validator(part).validate(part["default"])


def test_every_key_has_a_description_and_no_level_takes_unknown_keys():
    def check(schema, where):
        # The keys of a mixer stand among those of its model, whose schema knows all of them.
        if schema.get("type") == "object" and "properties" in schema and not where.startswith("mixer_"):
            assert schema.get("additionalProperties") is False or isinstance(schema["additionalProperties"], dict), (
                where
            )
        for name, part in schema.get("properties", {}).items():
            assert part.get("description"), f"{where}.{name}"
            check(part, f"{where}.{name}")

    for name in schema_names():
        check(read_schema(name), name)


def test_the_config_page_is_the_one_that_the_schemas_give():
    page = (ROOT / "config" / "README.md").read_text()
    assert page == config_reference(), "run: PYTHONPATH=scripts python3 -m geom2msm.config_reference > config/README.md"


def test_blocks_need_their_length_and_nothing_else_has_one(system, tmp_path):
    for split in ({"scheme": "blocks"}, {"block_ns": 1.0}):
        document = system | {"split": system["split"] | split}
        assert refusal(tmp_path, document) == "split: block_ns goes with scheme: blocks, and that needs it"


def test_blocks_shorter_than_ten_lags_are_refused(system, tmp_path):
    system["split"] |= {"scheme": "blocks", "block_ns": 0.019}
    assert "split.block_ns = 0.019 is less than ten times the longest lag of a model, 2 ps" in refusal(tmp_path, system)


def test_a_negative_control_is_no_basis_of_a_markov_model(system, tmp_path):
    system["models"]["vampnet"]["control"] = "time_shuffled"
    assert "msm.model is 'vampnet', a negative control" in refusal(tmp_path, system)


@pytest.mark.parametrize(
    ("ends", "complaint"),
    [
        ({"source": [4]}, "msm.transition_paths.source is [4], but msm.n_macrostates = 3"),
        ({"source": "slowest_process"}, "cannot both be slowest_process"),
        ({"source": [1, 2], "target": [2]}, "they must differ"),
        ({"source": "least_probable", "target": [3]}, "they must differ"),
        ({"source": [1, 2, 3]}, "no state is left"),
        ({"source": "fastest"}, "must be"),
    ],
)
def test_transition_paths_lead_from_some_states_to_others(ends, complaint, tmp_path):
    system = yaml.safe_load((ROOT / "config/systems/alanine_dipeptide.yaml").read_text())
    system["msm"]["transition_paths"] = ends
    file = tmp_path / "system.yaml"
    file.write_text(yaml.safe_dump(system))
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        load_system(str(file), encoders={system["encoder"]: {}})
