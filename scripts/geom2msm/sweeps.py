"""Sweeps: one model of a system with some settings varied, expanded into points that are checked as any model is.

A point is one combination of the values of all axes. Its path has the form of Snakemake's Paramspace,
mixer~sum/hidden_channels~64, but nothing is ever read from it: the path is the key of a mapping to the settings.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from geom2msm.schema import ConfigError, model_schema, read_schema, read_yaml, validated
from geom2msm.schema_checks import model_problems, split_problems

# The axis that is no key of a model; it says which tokens the model reads.
ENCODER = "encoder"
BASELINE = "baseline"
# The kind of model that has no randomness.
LINEAR = "tica"
NUMERIC_FIGURES = ("curves", "costs")
# As many as there are grays and markers in style.py.
LARGEST_SERIES = 5


@dataclass(frozen=True)
class Point:
    """A model's settings, complete, with the values of the axes that led to them and the encoder of its tokens."""

    values: Mapping[str, object]
    settings: Mapping[str, object]
    encoder: str


@dataclass(frozen=True)
class Sweep:
    """All points by path, and what is trained of each; `figure` is that section of the file."""

    system: str
    points: Mapping[str, Point]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    figure: Mapping[str, str | None]

    @property
    def longest_lag_ps(self) -> float:
        """The longest lag of any point; one split with this gap serves all, so that all see the same frames."""
        return max(point.settings["lag_ps"] for point in self.points.values())

    def members(self) -> list[dict[str, object]]:
        """Kind of model, point, fold and seed of every training, in the order of the table."""
        return [
            {"kind": point.settings["kind"], "point": path, "fold": fold, "seed": seed}
            for path, point in self.points.items()
            for fold in self.folds
            for seed in ((0,) if point.settings["kind"] == LINEAR else self.seeds)
        ]

    def rows(self) -> list[dict[str, object]]:
        """Of every training, in the same order: the values of its axes, its kind of model, its fold and its seed."""
        return [{**self.points[member.pop("point")].values, **member} for member in self.members()]


def read_sweep(file: str) -> dict:
    """The content of a sweep file, valid as far as can be said without its system."""
    return validated(read_yaml(file), read_schema("sweep"), file=file)


def expand_sweep(file: str, *, systems: Mapping[str, Mapping], encoders: Mapping) -> Sweep:
    """The sweep of a file; the first mistake of any point is an error that names the file, the point and the key."""
    sweep = read_sweep(file)
    system = systems[sweep["system"]]
    system_file = str(Path(file).parents[1] / "systems" / f"{sweep['system']}.yaml")
    _check(sweep, system, file=file, system_file=system_file)
    base = _merged(read_yaml(system_file)["models"][sweep["model"]], sweep["settings"])
    points: dict[str, Point] = {}
    for values in (dict(zip(sweep["axes"], row, strict=True)) for row in product(*sweep["axes"].values())):
        path = "/".join(f"{axis}~{value}" for axis, value in values.items())
        points[path] = _point(values, base, system, encoders, file=file)
    for name in sweep["baselines"]:
        points[f"{BASELINE}~{name}"] = Point({BASELINE: name}, system["models"][name], system["encoder"])
    models = {path: point.settings for path, point in points.items()}
    for problem in split_problems({**system, "models": models}):
        raise ConfigError(f"{file}: {problem}")
    folds = sweep["folds"] or range(system["split"]["n_folds"])
    return Sweep(
        sweep["system"], points, tuple(folds), tuple(sweep["seeds"] or system["split"]["seeds"]), sweep["figure"]
    )


def _check(sweep: Mapping, system: Mapping, *, file: str, system_file: str) -> None:
    """Names of models, folds and axes; what is wrong with a value shows when its point is made."""
    for key, names in {"model": [sweep["model"]], "baselines": sweep["baselines"]}.items():
        for name in names:
            if name not in system["models"]:
                raise ConfigError(f"{file}: {key} names {name!r}, but {system_file} has {', '.join(system['models'])}")
    for fold in sweep["folds"] or []:
        if fold >= system["split"]["n_folds"]:
            raise ConfigError(
                f"{file}: folds has {fold}, but {system_file} has the folds 0 to {system['split']['n_folds'] - 1}"
            )
    if BASELINE in sweep["axes"] or "kind" in sweep["axes"]:
        raise ConfigError(f"{file}: axes has {BASELINE} or kind, but other models are compared with baselines")
    for axis in sweep["axes"]:
        if _has(sweep["settings"], axis.split(".")):
            raise ConfigError(f"{file}: settings has {axis}, which is an axis; remove it from one of them")
    _check_figure(sweep["figure"], sweep["axes"], file=file)


def _has(settings: object, keys: Sequence[str]) -> bool:
    """Whether these keys, one within the other, lead to a value."""
    for key in keys:
        if not isinstance(settings, Mapping) or key not in settings:
            return False
        settings = settings[key]
    return True


def _check_figure(figure: Mapping, axes: Mapping, *, file: str) -> None:
    shown = [figure[key] for key in ("x", "series") if figure[key] is not None]
    if sorted(shown) != sorted(axes):
        raise ConfigError(
            f"{file}: figure shows {', '.join(shown)}, but the axes are {', '.join(axes)}; show each once"
        )
    series = axes.get(figure["series"], [])
    if figure["kind"] != "grid" and len(series) > LARGEST_SERIES:
        raise ConfigError(
            f"{file}: figure.series: {figure['series']} has {len(series)} values, but {figure['kind']} can tell "
            f"{LARGEST_SERIES} apart; exchange x and series, or draw a grid"
        )
    texts = [value for value in axes[figure["x"]] if isinstance(value, str | bool)]
    if figure["kind"] in NUMERIC_FIGURES and texts:
        raise ConfigError(
            f"{file}: figure.x: {figure['kind']} need numbers along x, but {figure['x']} has {texts[0]!r}"
        )


def _point(values: Mapping, base: Mapping, system: Mapping, encoders: Mapping, *, file: str) -> Point:
    """One point, through the checks that a model of the system goes through."""
    key = f"model ({', '.join(f'{axis} = {value}' for axis, value in values.items())})"
    encoder = values.get(ENCODER, system["encoder"])
    if encoder not in encoders:
        raise ConfigError(f"{file}: axes.{ENCODER} has {encoder!r}; config/encoders.yaml has {', '.join(encoders)}")
    changed = _merged(base, _nested({axis: value for axis, value in values.items() if axis != ENCODER}))
    settings = validated(changed, model_schema(changed), file=file, key=key)
    for problem in model_problems(settings, system, key=key):
        raise ConfigError(f"{file}: {problem}")
    return Point(values, settings, encoder)


def _nested(values: Mapping[str, object]) -> dict[str, object]:
    """Sections of keys written with a point."""
    found: dict[str, object] = {}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (found.setdefault(section, {}) if section else found)[name] = value
    return found


def _merged(base: Mapping, changes: Mapping) -> dict:
    """A copy of the base with other values, section by section."""
    found = copy.deepcopy(dict(base))
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = _merged(found[key], value) if both else value
    return found
