# What the rules of kinetic models read and are told.


def models_of_interest():
    """Systems and the two models of each that become Markov state models."""
    pairs = [(name, SYSTEMS[name]["msm"][role]) for name in SELECTED["systems"] for role in ("model", "baseline")]
    return {"system": [pair[0] for pair in pairs], "model": [pair[1] for pair in pairs]}


def msm_models(wildcards):
    """Names of the model and of the baseline."""
    return [SYSTEMS[wildcards.system]["msm"][role] for role in ("model", "baseline")]


def split_settings(wildcards):
    """How frames are divided; gaps are as long as the longest lag of any model."""
    system = SYSTEMS[wildcards.system]
    settings = {key: value for key, value in system["split"].items() if key != "seeds"}
    gap_ps = max(model["lag_ps"] for model in system["models"].values())
    return {"continuous": system["trajectories"]["continuous"], "settings": settings | {"gap_ps": gap_ps}}


def log_weight_stores(wildcards):
    """Log-weights of all trajectories, or nothing if the data is not biased."""
    biased = "log_weights" in SYSTEMS[wildcards.system]["trajectories"]
    return per_trajectory("<results>/{system}/log_weights/{trajectory}.zarr.zip")(wildcards) if biased else []


def models_of_kind(kind):
    """Pattern of the names of all models of one kind, in any system."""
    names = {n for system in SYSTEMS.values() for n, model in system["models"].items() if model["kind"] == kind}
    return "|".join(sorted(names)) or "no_model_of_this_kind"


def stored_input(system, model, trajectory):
    """What a model reads of one trajectory: its features, or the tokens."""
    feature = SYSTEMS[system]["models"][model].get("feature", "tokens")
    folder = f"tokens/{SYSTEMS[system]['encoder']}" if feature == "tokens" else f"features/{feature}"
    return f"<results>/{system}/{folder}/{trajectory}.zarr.zip"


def stored_inputs(wildcards):
    """What the model in the path reads of every trajectory."""
    return [stored_input(wildcards.system, wildcards.model, name) for name in TRAJECTORIES[wildcards.system]]


def initial_model(wildcards):
    """Name of the model whose clusters are the first states of a SPIB."""
    return SYSTEMS[wildcards.system]["models"][wildcards.model]["initial_labels"]


def initial_weights(wildcards):
    """The member of that model that was trained on the same frames."""
    name = initial_model(wildcards)
    seed = wildcards.seed if SYSTEMS[wildcards.system]["models"][name]["kind"] in NETWORKS else 0
    return f"<results>/{wildcards.system}/models/{name}/fold{wildcards.fold}-seed{seed}/weights.safetensors"


def initial_stores(wildcards):
    """What that model reads of every trajectory."""
    return [
        stored_input(wildcards.system, initial_model(wildcards), trajectory)
        for trajectory in TRAJECTORIES[wildcards.system]
    ]


def torsion_figures():
    """Figures on backbone torsions, of the systems that have a model on these: others may have no backbone."""
    with_torsions = [
        name
        for name in SELECTED["systems"]
        if any(model.get("feature") == "torsions" for model in SYSTEMS[name]["models"].values())
    ]
    figures = ["ramachandran", "free_energy", "singular_functions"]
    return expand("<results>/{system}/figures/{figure}.pdf", system=with_torsions, figure=figures)
