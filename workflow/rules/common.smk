import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

REPOSITORY = Path(str(workflow.current_basedir)).parents[1]
if not (REPOSITORY / "scripts").is_dir():
    raise WorkflowError(f"{workflow.current_basedir}: clone geom2msm and name the clone's Snakefile")
sys.path.append(str(REPOSITORY / "scripts"))

from geom2msm.papers import asked_figures, asked_sweeps, asked_systems, load_papers
from geom2msm.provenance import source_digest
from geom2msm.schema import (
    ATTENDING_MIXERS,
    ConfigError,
    load_encoders,
    load_system,
    longest_lag_ps,
    read_schema,
    trajectories_to_split,
    validated,
)
from geom2msm.sweeps import expand_sweep, read_sweep


def own_file(path):
    """A file of the working folder or, where another workflow uses this one as a module, of this repository."""
    return path if Path(path).exists() or not (REPOSITORY / path).exists() else str(REPOSITORY / path)


STYLE = own_file("config/figures.mplstyle")

try:
    SELECTED = validated(dict(config), read_schema("config"), file="config/config.yaml")
    FOLDER = SELECTED["folder"]
    ENCODERS = load_encoders(own_file("config/encoders.yaml"))
    for source in [*ENCODERS["geometries"].values(), *(e["weights"] for e in ENCODERS["encoders"].values())]:
        source["path"] = own_file(source["path"])
    PAPERS = load_papers(own_file("config/papers.yaml"))
    ASKED = asked_figures(PAPERS, sys.argv, folder=FOLDER)
    SWEEP_FILES = {name: f"{FOLDER}/sweeps/{name}.yaml" for name in [*SELECTED["sweeps"], *asked_sweeps(ASKED)]}
    # The systems that are run, which `rule all` is about, and those that only a sweep or a paper's figure is about.
    OTHERS = [*asked_systems(ASKED), *(read_sweep(file)["system"] for file in SWEEP_FILES.values())]
    SYSTEMS = {
        name: load_system(f"{FOLDER}/systems/{name}.yaml", encoders=ENCODERS["encoders"])
        for name in dict.fromkeys([*SELECTED["systems"], *OTHERS])
    }
    SWEEPS = {
        name: expand_sweep(file, systems=SYSTEMS, encoders=ENCODERS["encoders"]) for name, file in SWEEP_FILES.items()
    }
    TRAJECTORIES = {
        name: trajectories_to_split(system, file=f"{FOLDER}/systems/{name}.yaml") for name, system in SYSTEMS.items()
    }
except ConfigError as error:
    raise WorkflowError(str(error))

# Kinds of models whose training depends on a seed.
NETWORKS = ("vampnet", "spib")


wildcard_constraints:
    system="|".join(SYSTEMS),
    trajectory="[^/]+",
    encoder="[a-z0-9_]+",
    model="[a-z0-9_]+",
    fold="[0-9]+",
    seed="[0-9]+",


def model_name(wildcards, role):
    """The model that plays a role in msm (model, baseline), or the one in the path."""
    return SYSTEMS[wildcards.system]["msm"][role] if role else wildcards.model


def per_trajectory(pattern):
    """Input function: the pattern for every trajectory of the system."""

    def paths(wildcards):
        encoder = SYSTEMS[wildcards.system]["encoder"]
        return expand(pattern, system=wildcards.system, trajectory=TRAJECTORIES[wildcards.system], encoder=encoder)

    return paths


def of_model(pattern, model):
    """Input function: the pattern for the model that plays a role."""
    return lambda wildcards: pattern.format(system=wildcards.system, model=model_name(wildcards, model))


def members(pattern, model=None):
    """Input function: the pattern for every fold and seed of a model; a linear model has no seeds."""

    def paths(wildcards):
        name, system = model_name(wildcards, model), SYSTEMS[wildcards.system]
        seeds = system["split"]["seeds"] if system["models"][name]["kind"] in NETWORKS else [0]
        folds = range(system["split"]["n_folds"])
        return expand(pattern, system=wildcards.system, model=name, fold=folds, seed=seeds)

    return paths
