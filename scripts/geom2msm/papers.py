"""The figures of the papers behind this workflow: which can be made, from what, and what the others lack.

Used while Snakemake reads the workflow, in the driver environment.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from geom2msm.schema import ConfigError, read_schema, read_yaml, validated


def load_papers(file: str) -> dict[str, dict]:
    """Figures by target, such as paper_s2_fig3; none where the user's folder has no such file."""
    if not Path(file).exists():
        return {}
    papers = validated(read_yaml(file), read_schema("papers"), file=file)["papers"]
    found = {
        f"paper_{paper}_{name}": figure | {"citation": content["citation"]}
        for paper, content in papers.items()
        for name, figure in content["figures"].items()
    }
    for target, figure in found.items():
        if bool(figure["drawn_by"]) != ("system" in figure):
            raise ConfigError(f"{file}: {target}: system and drawn_by go together")
        if not (_is_drawn_here(figure) or "needs" in figure):
            raise ConfigError(f"{file}: {target} is drawn by nothing; say in needs what is missing")
    return found


def _is_drawn_here(figure: Mapping) -> bool:
    """Whether the workflow has the figure, given the data."""
    return bool(figure["drawn_by"] or figure["sweeps"])


def asked_figures(papers: Mapping[str, Mapping], words: Sequence[str], *, folder: str) -> dict[str, Mapping]:
    """Those of the figures that the words of a command are about; one that cannot be made is an error.

    `folder` is where the user's systems and sweeps are described.

    Their systems and sweeps take seconds to read, so nobody else should wait for them. The jobs of a cluster have
    commands of their own, which name no target, but the wildcards of the job (`--target-jobs rule:system=...`).
    """
    parts = {part for word in words for part in re.split("[:,]", word)}
    asked = {}
    for target, figure in papers.items():
        # Where another workflow uses this one, its rules have a prefix.
        if any(word == target or word.endswith(f"_{target}") for word in words):
            if sentence := refusal(target, figure, folder=folder):
                raise ConfigError(sentence)
            asked[target] = figure
        elif f"system={figure.get('system')}" in parts or any(f"sweep={name}" in parts for name in figure["sweeps"]):
            asked[target] = figure
    return asked


def refusal(target: str, figure: Mapping, *, folder: str) -> str:
    """The sentence that says why a figure cannot be made and what to supply; empty if nothing speaks against it."""
    subject = f"{target} cannot be made ({figure['shows']})"
    if not _is_drawn_here(figure):
        return f"{subject}: {figure['needs']}"
    file = f"{folder}/systems/{figure.get('system')}.yaml"
    if "system" in figure and not Path(file).exists():
        needs = figure.get("needs", "The data has to be supplied.")
        return f"{subject}: there is no {file}; {needs[0].lower()}{needs[1:]}"
    missing = [name for name in figure["sweeps"] if not Path(f"{folder}/sweeps/{name}.yaml").exists()]
    if missing:
        return f"{subject}: there is no {folder}/sweeps/{missing[0]}.yaml; copy it from the repository of geom2msm"
    return ""


def asked_systems(asked: Mapping[str, Mapping]) -> list[str]:
    """Systems of the figures asked for."""
    return sorted({figure["system"] for figure in asked.values() if "system" in figure})


def asked_sweeps(asked: Mapping[str, Mapping]) -> list[str]:
    """Sweeps of the figures asked for."""
    return sorted({name for figure in asked.values() for name in figure["sweeps"]})
