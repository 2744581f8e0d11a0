import pytest
import torch

from geom2msm.mixers.build import build_lobe, split_settings
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.merging import MergingSettings
from geom2msm.schema import ConfigError, model_schema, read_schema, validated

LAYOUT = TokenLayout(channels=4, chain=(0, 0, 0, 0, 0, 1, 1, 2))
MODEL = {"kind": "vampnet", "mixer": "transformer", "lag_ps": 10.0, "dimensions": 2}


def test_schema_and_dataclass_have_the_same_keys_and_defaults():
    schema = read_schema("token_merging")
    defaults = {key: part["default"] for key, part in schema["properties"].items() if "default" in part}
    assert defaults | {"window": 3} == vars(MergingSettings(window=3))
    assert schema["required"] == ["window"]


@pytest.mark.parametrize("mixer", ["sum", "mixer", "transformer", "gvp", "equivariant"])
def test_any_mixer_works_on_merged_tokens(mixer):
    section = MODEL | {"mixer": mixer, "token_merging": {"window": 3, "operator": "graphconv"}}
    config, rest = split_settings(validated(section, model_schema(section), file="system.yaml"))
    assert "token_merging" not in rest
    lobe = build_lobe(config, LAYOUT).eval()
    assert lobe.merging.layout.n_tokens == 4
    tokens = torch.randn(3, 8, 4), torch.randn(3, 8, 3, 4), torch.rand(3, 8, 3)
    outputs = lobe(*tokens)
    assert outputs.shape == (3, 2)
    outputs.square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in lobe.parameters())
    # The weights alone rebuild the lobe.
    again = build_lobe(config, TokenLayout.of_weights(lobe.state_dict())).eval()
    again.load_state_dict(lobe.state_dict())
    torch.testing.assert_close(again(*tokens), outputs, rtol=0, atol=0)


def test_without_the_section_nothing_is_merged():
    section = validated(MODEL, model_schema(MODEL), file="system.yaml")
    assert build_lobe(split_settings(section)[0], LAYOUT).merging is None


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "token_merging.window is missing"),
        ({"window": 0}, "token_merging.window is 0, but must be at least 1"),
        ({"window": 2, "operater": "rggc"}, "token_merging.operater is no key of this file; did you mean operator?"),
    ],
)
def test_mistakes_in_the_section_are_named(section, message):
    model = MODEL | {"token_merging": section}
    with pytest.raises(ConfigError, match=message):
        validated(model, model_schema(model), file="system.yaml")


def test_an_equivariant_mixer_refuses_tokens_without_vectors():
    section = MODEL | {"mixer": "equivariant", "token_merging": {"window": 2, "merger": "scalar"}}
    with pytest.raises(ValueError, match="merger: scalar leaves no vectors to mixer: equivariant"):
        build_lobe(split_settings(section)[0], LAYOUT)
