import sys
from pathlib import Path

sys.path.append(str(Path(str(workflow.current_basedir)).parents[1] / "scripts"))

from geom2msm.provenance import source_digest
from geom2msm.schema import ConfigError, load_encoders, load_system, longest_lag_ps, read_schema, trajectory_files, validated
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


wildcard_constraints:
    system="|".join(SYSTEMS),
    trajectory="[^/]+",
    encoder="[a-z0-9_]+",
    model="[a-z0-9_]+",
    fold="[0-9]+",
    seed="[0-9]+",


def models_of_kind(kind):
    """Pattern of the names of all models of one kind, in any system."""
    names = {n for system in SYSTEMS.values() for n, model in system["models"].items() if model["kind"] == kind}
    return "|".join(sorted(names)) or "no_model_of_this_kind"


def models_of_interest():
    """Systems and the two models of each that become Markov state models."""
    pairs = [(name, system["msm"][role]) for name, system in SYSTEMS.items() for role in ("model", "baseline")]
    return {"system": [pair[0] for pair in pairs], "model": [pair[1] for pair in pairs]}


def trajectory_file(wildcards):
    """The raw trajectory: simulated here, or the user's file."""
    simulated = f"<results>/{wildcards.system}/simulation/{wildcards.trajectory}.xtc"
    return TRAJECTORIES[wildcards.system].get(wildcards.trajectory) or simulated


def simulation_settings(wildcards):
    """The simulate section together with the temperature, which free energies need too."""
    trajectories = SYSTEMS[wildcards.system]["trajectories"]
    return trajectories["simulate"] | {"temperature_K": trajectories["temperature_K"]}


def run_number(wildcards):
    """The number in a simulated trajectory's name."""
    return int(wildcards.trajectory.removeprefix("run-"))


def topology_file(wildcards):
    """The file that names the atoms."""
    trajectories = SYSTEMS[wildcards.system]["trajectories"]
    return trajectories["topology"] if "topology" in trajectories else trajectories["simulate"]["structure"]


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
        seeds = system["split"]["seeds"] if system["models"][name]["kind"] == "vampnet" else [0]
        folds = range(system["split"]["n_folds"])
        return expand(pattern, system=wildcards.system, model=name, fold=folds, seed=seeds)

    return paths


def features_of_model(wildcards):
    """The feature stores that a linear model works on."""
    feature = SYSTEMS[wildcards.system]["models"][wildcards.model]["feature"]
    return per_trajectory("<results>/{system}/features/" + feature + "/{trajectory}.zarr.zip")(wildcards)


def projected_store(wildcards):
    """What a model reads of one trajectory: its features, or the tokens."""
    system = SYSTEMS[wildcards.system]
    feature = system["models"][wildcards.model].get("feature")
    folder = f"features/{feature}" if feature else f"tokens/{system['encoder']}"
    return f"<results>/{wildcards.system}/{folder}/{wildcards.trajectory}.zarr.zip"


def inspection_settings(wildcards):
    """What a trajectory is checked against."""
    system = SYSTEMS[wildcards.system]
    keys = ("selection", "frame_interval_ps")
    return {key: system["trajectories"][key] for key in keys} | {"longest_lag_ps": longest_lag_ps(system)}


def pretraining_geometries(wildcards):
    """The collections that an encoder is pretrained on."""
    names = ENCODERS["encoders"][wildcards.encoder].get("pretraining", {}).get("geometries", [])
    return [f"<results>/geometries/{name}{Path(ENCODERS['geometries'][name]['path']).suffix}" for name in names]


def msm_models(wildcards):
    """Names of the model and of the baseline."""
    return [SYSTEMS[wildcards.system]["msm"][role] for role in ("model", "baseline")]


def state_structures():
    """One structure per macrostate of every system's model."""
    return [
        f"<results>/{name}/msm/{system['msm']['model']}/structures/state-{state}.pdb"
        for name, system in SYSTEMS.items()
        for state in range(1, system["msm"]["n_macrostates"] + 1)
    ]
