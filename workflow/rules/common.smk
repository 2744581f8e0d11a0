import sys
from pathlib import Path

sys.path.append(str(Path(str(workflow.current_basedir)).parents[1] / "scripts"))

from geom2msm.provenance import source_digest
from geom2msm.schema import (
    ConfigError,
    load_encoders,
    load_system,
    longest_lag_ps,
    read_schema,
    trajectory_files,
    validated,
)
from snakemake.exceptions import WorkflowError

try:
    validated(dict(config), read_schema("config"), file="config/config.yaml")
    ENCODERS = load_encoders("config/encoders.yaml")
    SYSTEMS = {
        name: load_system(f"config/systems/{name}.yaml", encoders=ENCODERS["encoders"]) for name in config["systems"]
    }
    TRAJECTORIES = {
        name: trajectory_files(system, file=f"config/systems/{name}.yaml") for name, system in SYSTEMS.items()
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


def models_of_interest():
    """Systems and the two models of each that become Markov state models."""
    pairs = [(name, system["msm"][role]) for name, system in SYSTEMS.items() for role in ("model", "baseline")]
    return {"system": [pair[0] for pair in pairs], "model": [pair[1] for pair in pairs]}


def model_name(wildcards, role):
    """The model that plays a role in msm (model, baseline), or the one in the path."""
    return SYSTEMS[wildcards.system]["msm"][role] if role else wildcards.model


def per_trajectory(pattern, model=None):
    """Input function: the pattern for every trajectory of the system."""

    def paths(wildcards):
        names = TRAJECTORIES[wildcards.system]
        known = dict(wildcards.items()) | {"encoder": SYSTEMS[wildcards.system]["encoder"]}
        known |= {"model": model_name(wildcards, model)} if "{model}" in pattern else {}
        return expand(pattern, trajectory=names, **{k: v for k, v in known.items() if k != "trajectory"})

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


def msm_models(wildcards):
    """Names of the model and of the baseline."""
    return [SYSTEMS[wildcards.system]["msm"][role] for role in ("model", "baseline")]
