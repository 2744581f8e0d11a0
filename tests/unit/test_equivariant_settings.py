import pytest

from geom2msm.mixers.equivariant import EquivariantSettings
from geom2msm.mixers.gvp import GvpSettings
from geom2msm.schema import read_schema


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_channels": 30, "n_heads": 4}, "hidden_channels = 30 is not a multiple of n_heads = 4"),
        ({"pooling": "cls"}, "pooling: cls is unknown; choose one of class_token, mean"),
        ({"chiral": True}, "set qk_convolution to 1 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        EquivariantSettings(**settings)


@pytest.mark.parametrize(("name", "settings"), [("gvp", GvpSettings()), ("equivariant", EquivariantSettings())])
def test_schema_and_dataclass_have_the_same_keys_and_defaults(name, settings):
    properties = read_schema(f"mixer_{name}")["properties"]
    assert {key: part["default"] for key, part in properties.items()} == vars(settings)
