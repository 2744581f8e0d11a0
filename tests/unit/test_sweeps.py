"""A sweep is all combinations of its axes, each checked as a model of its system; a mistake names file and key."""

from itertools import product
from pathlib import Path

import pytest
import yaml

from geom2msm.schema import ConfigError, load_encoders, load_system, model_schema, validated
from geom2msm.sweeps import expand_sweep, read_sweep

ROOT = Path(__file__).parents[2]
SYSTEM = {
    "trajectories": {
        "simulate": {"structure": "a.pdb", "n_runs": 4, "run_ns": 1, "friction_per_ps": 10},
        "frame_interval_ps": 1.0, "temperature_K": 300,
    },
    "encoder": "visnet_l6_h64",
    "split": {"n_folds": 2, "seeds": [0, 1, 2]},
    "models": {
        "tica_torsions": {"kind": "tica", "feature": "torsions", "lag_ps": 2.0, "dimensions": 2},
        "vampnet": {"kind": "vampnet", "mixer": "sum", "lag_ps": 2.0, "dimensions": 2, "max_epochs": 7},
        "spib": {"kind": "spib", "mixer": "sum", "lag_ps": 2.0, "initial_labels": "vampnet"},
    },
    "msm": {
        "model": "vampnet", "baseline": "tica_torsions", "lag_ps": 2.0, "scan_lags_ps": [1.0, 2.0], "n_macrostates": 2,
    },
}  # fmt: skip
SWEEP = {
    "system": "toy",
    "model": "vampnet",
    "axes": {"mixer": ["sum", "transformer"], "hidden_channels": [16, 32, 64]},
    "figure": {"kind": "grid", "x": "mixer", "series": "hidden_channels"},
}
FILE = "config/sweeps/mine.yaml"


@pytest.fixture
def expand(tmp_path, monkeypatch):
    """A function that writes both files, with other keys where they are given, and expands the sweep."""
    monkeypatch.chdir(tmp_path)
    for folder in ("systems", "sweeps"):
        (tmp_path / "config" / folder).mkdir(parents=True)

    def run(system=None, **keys):
        (tmp_path / "config/systems/toy.yaml").write_text(dumped(SYSTEM | (system or {})))
        (tmp_path / FILE).write_text(dumped(SWEEP | keys))
        encoders = load_encoders(str(ROOT / "config/encoders.yaml"))["encoders"]
        systems = {"toy": load_system("config/systems/toy.yaml", encoders=encoders)}
        return expand_sweep(FILE, systems=systems, encoders=encoders)

    return run


def dumped(content: dict) -> str:
    return yaml.safe_dump(content, sort_keys=False)


def refused(expand, **keys) -> str:
    with pytest.raises(ConfigError) as error:
        expand(**keys)
    message = str(error.value)
    assert message.startswith(f"{FILE}: ")
    assert "\n" not in message
    return message.removeprefix(f"{FILE}: ")


def test_points_are_all_combinations_in_the_order_of_the_file(expand):
    sweep = expand()
    expected = [f"mixer~{mixer}/hidden_channels~{width}" for mixer, width in product(*SWEEP["axes"].values())]
    assert list(sweep.points) == expected
    assert [dict(point.values) for point in sweep.points.values()] == [
        dict(zip(SWEEP["axes"], values, strict=True)) for values in product(*SWEEP["axes"].values())
    ]


def test_a_point_is_the_model_that_the_system_would_have_with_these_keys(expand):
    for point in expand().points.values():
        written = SYSTEM["models"]["vampnet"] | point.values
        assert point.settings == validated(written, model_schema(written), file="")
        assert point.encoder == SYSTEM["encoder"]


def test_members_are_folds_and_seeds_of_the_system_or_those_of_the_sweep(expand):
    members = expand().members()
    assert len(members) == 6 * 2 * 3
    assert len({tuple(member.values()) for member in members}) == len(members)
    chosen = expand(folds=[1], seeds=[5, 7]).members()
    assert {(member["fold"], member["seed"]) for member in chosen} == {(1, 5), (1, 7)}


def test_rows_have_the_values_of_the_axes_in_the_order_of_the_members(expand):
    sweep = expand(baselines=["tica_torsions"])
    for member, row in zip(sweep.members(), sweep.rows(), strict=True):
        assert row == {**sweep.points[member["point"]].values, **{key: member[key] for key in ("kind", "fold", "seed")}}


def test_a_baseline_is_the_model_of_the_system_and_a_linear_one_is_fitted_once_per_fold(expand):
    sweep = expand(baselines=["tica_torsions"])
    point = sweep.points["baseline~tica_torsions"]
    assert point.settings == SYSTEM["models"]["tica_torsions"] | {"epsilon": 1e-6, "reversible": True, "rank": 500}
    fits = [member for member in sweep.members() if member["kind"] == "tica"]
    assert [(member["fold"], member["seed"]) for member in fits] == [(0, 0), (1, 0)]


def test_keys_with_a_point_change_a_section_and_leave_the_rest_of_it(expand):
    axes = {"token_merging.window": [1, 2], "token_merging.operator": ["none", "rggc"]}
    figure = {"kind": "bars", "x": "token_merging.window", "series": "token_merging.operator"}
    sweep = expand(axes=axes, figure=figure, settings={"token_merging": {"radius_nm": 1.5}})
    merging = [point.settings["token_merging"] for point in sweep.points.values()]
    assert [(each["window"], each["operator"]) for each in merging] == list(product(*axes.values()))
    assert {each["radius_nm"] for each in merging} == {1.5}


def test_settings_replace_those_of_the_model_but_not_for_baselines(expand):
    sweep = expand(settings={"max_epochs": 3}, baselines=["vampnet"])
    assert {point.settings["max_epochs"] for point in sweep.points.values() if "mixer" in point.values} == {3}
    assert sweep.points["baseline~vampnet"].settings["max_epochs"] == 7


def test_an_axis_of_encoders_changes_the_tokens_and_no_setting(expand):
    axes = {"encoder": ["visnet_l6_h64", "geom2vec_visnet_l6_h64"]}
    sweep = expand(axes=axes, figure={"kind": "bars", "x": "encoder"})
    assert [point.encoder for point in sweep.points.values()] == axes["encoder"]
    assert len({str(point.settings) for point in sweep.points.values()}) == 1


def test_the_gap_of_the_split_is_as_long_as_the_longest_lag(expand):
    axes = {"lag_ps": [2.0, 50.0, 10.0]}
    assert expand(axes=axes, figure={"kind": "curves", "x": "lag_ps"}).longest_lag_ps == 50.0


@pytest.mark.parametrize(("axes", "words"), [
    ({"hidden_chanels": [8, 16]}, ["model (hidden_chanels = 8).hidden_chanels is no key", "hidden_channels?"]),
    ({"hidden_channels": [64, 2]}, ["model (hidden_channels = 2).hidden_channels is 2", "at least 4"]),
    ({"mixer": ["sum", "former"]}, ["model (mixer = former).mixer is 'former'", "transformer"]),
    ({"mixer": ["mlp"]}, ["model (mixer = mlp): mixer: mlp works on a feature"]),
    ({"lag_ps": [2.0, 2.5]}, ["model (lag_ps = 2.5).lag_ps: ", "multiple of frame_interval_ps = 1"]),
    ({"learning_rate": ["5e-4"]}, ["(learning_rate = 5e-4).learning_rate is '5e-4'", "write 5.0e-4"]),
    ({"token_merging.operator": ["none"]}, ["model (token_merging.operator = none).token_merging.window is missing"]),
    ({"encoder": ["visnet"]}, ["axes.encoder has 'visnet'", "visnet_l6_h64"]),
    ({"mixer": ["a/b"]}, ["axes.mixer.0 is 'a/b'"]),
    ({"seed": [0, 1]}, ["model (seed = 0).seed is no key"]),
    ({"mixer": ["sum", "sum"]}, ["axes.mixer is ['sum', 'sum']", "without repeats"]),
    ({"mixer": []}, ["axes.mixer is []", "at least 1"]),
])  # fmt: skip
def test_a_wrong_value_of_an_axis_names_point_and_key(axes, words, expand):
    message = refused(expand, axes=axes, figure={"kind": "grid", "x": next(iter(axes))})
    assert all(word in message for word in words), message


@pytest.mark.parametrize(("keys", "words"), [
    ({"model": "vampnets"}, ["model names 'vampnets'", "config/systems/toy.yaml has tica_torsions, vampnet"]),
    ({"baselines": ["tica"]}, ["baselines names 'tica'"]),
    ({"folds": [0, 2]}, ["folds has 2", "0 to 1"]),
    ({"sseeds": [0]}, ["sseeds is no key of this file; did you mean seeds?"]),
    ({"figure": {"kind": "grid", "x": "mixer"}}, ["figure shows mixer, but the axes are mixer, hidden_channels"]),
    ({"figure": {"kind": "grid", "x": "mixer", "series": "mixer"}}, ["show each once"]),
    ({"figure": {"kind": "curves", "x": "mixer", "series": "hidden_channels"}}, ["figure.x: curves need numbers"]),
    ({"figure": {"kind": "lines", "x": "mixer"}}, ["figure.kind is 'lines'", "'curves'"]),
    ({"settings": {"epochs": 3}}, ["epochs is no key"]),
    ({"settings": {"mixer": "gvp"}}, ["settings has mixer, which is an axis"]),
    ({"axes": {"kind": ["tica"]}, "figure": {"kind": "grid", "x": "kind"}}, ["baselines"]),
    ({"axes": {"dimensions": [1, 2], "lag_ps": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]},
      "figure": {"kind": "curves", "x": "dimensions", "series": "lag_ps"}}, ["lag_ps has 6 values", "5 apart"]),
    ({"model": "spib", "settings": {"initial_labels": "no_model"}},
     ["model (mixer = sum, hidden_channels = 16).initial_labels is 'no_model'"]),
])  # fmt: skip
def test_a_mistake_is_one_sentence_with_the_key(keys, words, expand):
    message = refused(expand, **keys)
    assert all(word in message for word in words), message


def test_blocks_are_long_enough_for_the_longest_lag_of_the_sweep(expand):
    split = {"split": SYSTEM["split"] | {"scheme": "blocks", "block_ns": 0.1}}
    keys = {"axes": {"lag_ps": [2.0, 20.0]}, "figure": {"kind": "curves", "x": "lag_ps"}}
    assert "split.block_ns = 0.1 is less than ten times the longest lag of a model, 20 ps" in refused(
        expand, system=split, **keys
    )


@pytest.mark.parametrize("file", sorted((ROOT / "config/sweeps").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_sweep_in_the_repository_is_valid(file, monkeypatch):
    monkeypatch.chdir(ROOT)
    encoders = load_encoders("config/encoders.yaml")["encoders"]
    name = read_sweep(str(file))["system"]
    systems = {name: load_system(f"config/systems/{name}.yaml", encoders=encoders)}
    sweep = expand_sweep(str(file), systems=systems, encoders=encoders)
    assert len(sweep.members()) >= 10
