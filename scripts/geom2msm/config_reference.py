"""Writes config/README.md: every key with its meaning, range and default, from the schemas.

PYTHONPATH=scripts python3 -m geom2msm.config_reference > config/README.md
"""

import sys
from collections.abc import Iterator

from geom2msm.schema import known_mixers, read_schema

LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minItems": "at least {} entries",
}
INTRODUCTION = """# Configuration

`config.yaml` says which systems run; `systems/<name>.yaml` describes one system each; `encoders.yaml` names the
pretrained encoders; `sweeps/<name>.yaml` varies settings of a model; `papers.yaml` lists figures of papers;
`figures.mplstyle` holds sizes, fonts and colors of all figures. A key that is not listed here is an error. Units are
part of the key (`_ps`, `_ns`, `_nm`, `_K`). Write `5.0e-4`, not `5e-4`, which YAML reads as text.
To describe your own system, copy `template.yaml` to `systems/<name>.yaml` and change what is marked there
([docs/tutorial.md](../docs/tutorial.md)); the files in `systems/` are further examples.

This page is generated from `workflow/schemas/` by `PYTHONPATH=scripts python3 -m geom2msm.config_reference`.
"""


def schema_names() -> list[str]:
    """All schemas in the order of the page."""
    kinds = read_schema("system")["properties"]["models"]["additionalProperties"]["properties"]["kind"]["enum"]
    mixers = [f"mixer_{mixer}" for mixer in known_mixers()]
    return [
        "config",
        "system",
        *(f"model_{kind}" for kind in kinds),
        *mixers,
        "token_merging",
        "encoders",
        "sweep",
        "papers",
    ]


def rows(schema: dict, *, prefix: str = "") -> Iterator[str]:
    """Table rows of a schema's keys, depth first."""
    required = schema.get("required", [])
    for name, part in schema.get("properties", {}).items():
        key = f"{prefix}{name}"
        default = "required" if name in required else "none"
        if "default" in part:
            default = "`null`" if part["default"] is None else f"`{part['default']}`"
        description = part.get("description", "").replace("|", "\\|")
        yield f"| `{key}` | {kind(part)} | {default} | {description} |"
        yield from rows(part, prefix=f"{key}.")
        if "properties" in part.get("items", {}):
            yield from rows(part["items"], prefix=f"{key}[].")
        rest = part.get("additionalProperties")
        if isinstance(rest, dict):
            yield from rows(rest, prefix=f"{key}.<name>.")


def kind(part: dict) -> str:
    """Type and range of a key, in words."""
    if "const" in part or "enum" in part:
        return ", ".join(f"`{value}`" for value in part.get("enum", [part.get("const")]))
    types = part.get("type", "any")
    text = " or ".join(types) if isinstance(types, list) else types
    limits = [form.format(part[limit]) for limit, form in LIMITS.items() if limit in part]
    return ", ".join([text, *limits])


def config_reference() -> str:
    """The whole page."""
    sections = [INTRODUCTION]
    for name in schema_names():
        schema = read_schema(name)
        table = ["| key | type, range | default | meaning |", "| --- | --- | --- | --- |", *rows(schema)]
        sections.append(f"## {schema['title']}\n\n{schema['description']}\n\n" + "\n".join(table) + "\n")
    return "\n".join(sections)


if __name__ == "__main__":
    sys.stdout.write(config_reference())
