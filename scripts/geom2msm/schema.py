"""The configuration: read, filled with defaults, checked, and refused in one clear sentence.

Used while Snakemake reads the workflow, in the driver environment: standard library, PyYAML and
jsonschema only (both come with Snakemake).
"""

import difflib
import glob
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, ValidationError, validators

from geom2msm.formats import TRAJECTORY_FORMATS, extension, natural_order, trajectory_names
from geom2msm.schema_checks import PATTERN_WORDS, system_problems

# Names of trajectories become names of files and parts of commands.
TRAJECTORY_NAME = re.compile(r"\w[\w.+=@,-]*")
SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"
# Mixers with attention weights; the driver's environment cannot import them and look.
ATTENDING_MIXERS = ("equivariant", "transformer")


class ConfigError(ValueError):
    """A mistake in a config file, in one sentence for the user."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML loader that refuses keys that are no text, and a key written twice, of which plain YAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if not isinstance(key, str):
                raise ConfigError(
                    f"key {key!r} is no text (line {node.start_mark.line + 1} and below); put it in quotes"
                )
            if keys.count(key) > 1:
                raise ConfigError(f"key {key!r} stands there twice (line {node.start_mark.line + 1} and below)")
        return super().construct_mapping(node, deep=deep)


def read_yaml(file: str) -> dict:
    """The mapping in a YAML file."""
    try:
        document = yaml.load(Path(file).read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not text in UTF-8 ({error})") from None
    except RecursionError:
        raise ConfigError(f"{file}: nested too deeply") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{file}: holds {type(document).__name__}, but a mapping of keys to values is expected")
    return document


def read_schema(name: str) -> dict:
    """The JSON schema workflow/schemas/<name>.schema.yaml."""
    return yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text(encoding="utf-8"))


def known_mixers() -> list[str]:
    """Names of all mixers: each has a schema of its keys, workflow/schemas/mixer_<name>.schema.yaml."""
    return sorted(path.name.removeprefix("mixer_").split(".")[0] for path in SCHEMAS.glob("mixer_*.schema.yaml"))


def model_schema(model: Mapping) -> dict:
    """The schema of a model's section: the keys of its kind and, for a network, those of its mixer."""
    schema = read_schema(f"model_{model['kind']}")
    properties, mixer = schema["properties"], model.get("mixer")
    if "mixer" not in properties:
        return schema
    mixers = known_mixers()
    properties["mixer"]["enum"] = mixers
    if mixer not in mixers:
        # Nobody knows the keys of an unknown mixer: the mistake to name is the mixer.
        return schema | {"additionalProperties": True}
    if mixer != "mlp":
        properties["token_merging"] = read_schema("token_merging")
    return schema | {"properties": properties | read_schema(f"mixer_{mixer}")["properties"]}


def _type(validator: object, kind: str | list[str], value: object, schema: dict) -> Iterator[ValidationError]:
    """A number is a finite one: YAML knows .inf and .nan, too."""
    if isinstance(value, float) and not math.isfinite(value):
        yield ValidationError(f"{value!r} is not finite")
    else:
        yield from Draft202012Validator.VALIDATORS["type"](validator, kind, value, schema)


def _pattern(_: object, pattern: str, value: object, __: object) -> Iterator[ValidationError]:
    """In JSON Schema `$` is the very end of a text; Python's matches before a last newline, too."""
    if isinstance(value, str) and not re.search(re.sub(r"[$]$", r"\\Z", pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


Validator = validators.extend(Draft202012Validator, {"pattern": _pattern, "type": _type})


def validated(document: dict, schema: dict, *, file: str, key: str = "") -> dict:
    """The document with defaults filled in; the first mistake, nearest to the root, is raised as ConfigError."""
    filled = _with_defaults(document, schema)
    errors = sorted(
        Validator(schema).iter_errors(filled), key=lambda error: (len(error.absolute_path), str(error.path))
    )
    if errors:
        raise ConfigError(f"{file}: {_sentence(errors[0], prefix=key)}")
    return filled


def _with_defaults(value: object, schema: dict) -> object:
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties")
    defaults = {
        name: _with_defaults(part["default"], part)
        for name, part in properties.items()
        if "default" in part and name not in value
    }
    parts = {name: properties.get(name, rest if isinstance(rest, dict) else {}) for name in value}
    return {name: _with_defaults(item, parts[name]) for name, item in value.items()} | defaults


def _sentence(error: ValidationError, *, prefix: str) -> str:
    """Name the key, what was found and what is expected."""
    path = [part for part in (prefix, *map(str, error.absolute_path)) if part]
    where = ".".join(path) or "the file"
    if "propertyNames" in error.absolute_schema_path:
        return f"{where} has the name {error.instance!r}, but names must be {_in_words(error)}"
    if error.validator == "additionalProperties":
        return _unknown_key(error, path)
    if error.validator == "required":
        missing = error.message.split("'")[1]
        return f"{'.'.join([*path, missing])} is missing: {_description(error.schema, missing)}"
    expected = {
        "type": lambda: "finite" if isinstance(error.instance, float) else f"of type {error.validator_value}",
        "not": lambda: "left out",
        "enum": lambda: "one of " + ", ".join(map(repr, error.validator_value)),
        "const": lambda: repr(error.validator_value),
        "minimum": lambda: f"at least {error.validator_value}",
        "maximum": lambda: f"at most {error.validator_value}",
        "exclusiveMinimum": lambda: f"greater than {error.validator_value}",
        "exclusiveMaximum": lambda: f"less than {error.validator_value}",
        "minItems": lambda: f"a list of at least {error.validator_value} entries",
        "uniqueItems": lambda: "a list without repeats",
        "pattern": lambda: _in_words(error),
    }.get(error.validator, lambda: error.message)()
    return f"{where} is {error.instance!r}, but must be {expected}{_hint(error)}"


def _in_words(error: ValidationError) -> str:
    """What a pattern asks for, in words where there are any."""
    return PATTERN_WORDS.get(error.validator_value, f"text that matches {error.validator_value}")


def _unknown_key(error: ValidationError, path: list[str]) -> str:
    known = list(error.schema.get("properties", {}))
    unknown = next(name for name in error.instance if name not in known)
    close = difflib.get_close_matches(unknown, known, n=1)
    suggestion = f"did you mean {close[0]}?" if close else f"the keys here are {', '.join(known)}"
    return f"{'.'.join([*path, unknown])} is no key of this file; {suggestion}"


def _description(schema: dict, name: str) -> str:
    return schema.get("properties", {}).get(name, {}).get("description", "a required key")


def _hint(error: ValidationError) -> str:
    if error.validator == "type" and isinstance(error.instance, str) and error.validator_value in ("number", "integer"):
        return " (YAML reads numbers like 5e-4 as text: write 5.0e-4)"
    return ""


def load_encoders(file: str) -> dict:
    """Encoders and geometry collections of config/encoders.yaml."""
    encoders = validated(read_yaml(file), read_schema("encoders"), file=file)
    for name, encoder in encoders["encoders"].items():
        for collection in encoder.get("pretraining", {}).get("geometries", []):
            if collection not in encoders["geometries"]:
                known = ", ".join(encoders["geometries"])
                raise ConfigError(
                    f"{file}: encoders.{name}.pretraining.geometries names {collection!r}; known are {known}"
                )
    return encoders


def load_system(file: str, *, encoders: Mapping) -> dict:
    """One system, validated against the schemas and against what schemas cannot say."""
    system = validated(read_yaml(file), read_schema("system"), file=file)
    for name, model in system["models"].items():
        system["models"][name] = validated(model, model_schema(model), file=file, key=f"models.{name}")
    if problems := list(system_problems(system, encoders)):
        raise ConfigError(f"{file}: {'; '.join(problems)}")
    return system


def longest_lag_ps(system: Mapping) -> float:
    """The longest lag anywhere in a system's config, in ps; every trajectory must be longer."""
    return max([model["lag_ps"] for model in system["models"].values()] + system["msm"]["scan_lags_ps"])


def trajectory_files(system: Mapping, *, file: str) -> dict[str, str]:
    """Trajectory names and, where the user brings them, their files, counting: run-2 before run-10."""
    trajectories, reference = system["trajectories"], system.get("observables", {}).get("reference")
    if reference and not Path(reference).is_file():
        raise ConfigError(f"{file}: observables.reference is {reference!r}, but there is no such file")
    if "simulate" in trajectories:
        if "log_weights" in trajectories:
            raise ConfigError(f"{file}: trajectories.log_weights is for biased trajectories, but these are simulated")
        return {f"run-{run}": "" for run in range(trajectories["simulate"]["n_runs"])}
    paths = _matching_files(trajectories["files"], file=file)
    if not Path(trajectories["topology"]).is_file():
        raise ConfigError(f"{file}: trajectories.topology is {trajectories['topology']!r}, but there is no such file")
    found: dict[str, str] = {}
    for path, name in trajectory_names(paths).items():
        if not TRAJECTORY_NAME.fullmatch(name):
            raise ConfigError(
                f"{file}: trajectories.files: {path!r} would name its results {name!r}; "
                "rename it: letters, digits and . _ + = @ , - are safe on every machine, a letter or a digit first"
            )
        if name in found:
            raise ConfigError(
                f"{file}: trajectories.files: {found[name]} and {path} share the name {name!r}; rename one"
            )
        found[name] = path
        _require_companions(system, name, path, file=file)
    return found


def _require_companions(system: Mapping, name: str, path: str, *, file: str) -> None:
    """Refuse a trajectory without one of the files that the config says to be there for each."""
    for section, key in (("trajectories", "log_weights"), ("observables", "table")):
        beside = (system.get(section, {}).get(key) or "").replace("{trajectory}", name)
        if beside and not Path(beside).is_file():
            raise ConfigError(f"{file}: {section}.{key}: there is no file {beside} for {path}")


def trajectories_to_split(system: Mapping, *, file: str) -> dict[str, str]:
    """The same, refused where there are fewer than folds that hold out whole ones."""
    found, split = trajectory_files(system, file=file), system["split"]
    if split["scheme"] == "trajectories" and len(found) < split["n_folds"]:
        raise ConfigError(
            f"{file}: split.n_folds is {split['n_folds']}, but the number of trajectories is {len(found)}; whole "
            "trajectories are held out: lower n_folds, give more of them, or set split.scheme to blocks"
        )
    return found


def _matching_files(files: str | list[str], *, file: str) -> list[str]:
    """Existing files of a known format that match one of the patterns, each once."""
    found: dict[str, str] = {}
    patterns = files if isinstance(files, list) else [files]
    named = [os.path.normpath(pattern) for pattern in patterns]
    if twice := sorted({path for path in named if named.count(path) > 1}):
        raise ConfigError(
            f"{file}: trajectories.files names {', '.join(twice)} twice; the frames of a file count once: remove one"
        )
    for pattern in patterns:
        paths = glob.glob(pattern, recursive=True)
        if not paths:
            raise ConfigError(f"{file}: trajectories.files: no file matches {pattern!r} in {Path.cwd()}")
        found |= {os.path.normpath(path): path for path in paths}
    for path in found.values():
        if extension(path) not in TRAJECTORY_FORMATS:
            known = ", ".join(TRAJECTORY_FORMATS)
            raise ConfigError(f"{file}: trajectories.files: {path} is no trajectory; known endings are {known}")
    return sorted(found.values(), key=natural_order)
