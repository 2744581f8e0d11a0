# What the rules of interpretation read and are told, and for which models and systems there is anything to interpret.


def reads_tokens(model):
    """Whether a model is a network on tokens."""
    return model["kind"] in NETWORKS and "feature" not in model


def names_of_models(wanted):
    """Pattern of the names of all models, in any system, that are wanted."""
    names = {name for system in SYSTEMS.values() for name, model in system["models"].items() if wanted(model)}
    return "|".join(sorted(names)) or "no_such_model"


def attends(model):
    """Whether a model is a network on tokens whose mixer has attention weights."""
    return reads_tokens(model) and model["mixer"] in ATTENDING_MIXERS


def encoder_weights(wildcards):
    """The encoder that the system uses."""
    return f"<results>/encoders/{SYSTEMS[wildcards.system]['encoder']}.safetensors"


def trajectory_files_of_system(wildcards):
    """The raw trajectories, simulated here or the user's files."""
    names = TRAJECTORIES[wildcards.system]
    return [file or f"<results>/{wildcards.system}/simulation/{name}.xtc" for name, file in names.items()]


def map_settings(wildcards):
    """How the tokens on the maps are made, and how many there are."""
    map_tokens = SYSTEMS[wildcards.system]["interpretation"]["map_tokens"]
    return {"embedding": embedding_settings(wildcards), "map_tokens": map_tokens}


def interpretation_figures():
    """Figures of those systems whose model is a network on tokens."""
    models = {name: SYSTEMS[name]["models"][SYSTEMS[name]["msm"]["model"]] for name in SELECTED["systems"]}
    of_tokens = [name for name, model in models.items() if reads_tokens(model)]
    of_attention = [name for name, model in models.items() if attends(model)]
    figures = expand(
        "<results>/{system}/figures/{figure}.pdf", system=of_tokens, figure=["token_importance", "embedding_map"]
    )
    return figures + expand("<results>/{system}/figures/attention.pdf", system=of_attention)
