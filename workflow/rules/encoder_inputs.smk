# What the rules around the encoder read and are told.


def first_trajectory(wildcards):
    """Raw file and inventory of the system's first trajectory, on which the encoder is tried."""
    folder = f"<results>/{wildcards.system}"
    name, file = next(iter(TRAJECTORIES[wildcards.system].items()))
    return {
        "trajectory": file or f"{folder}/simulation/{name}.xtc",
        "inventory": f"{folder}/trajectories/{name}.json",
    }


def encoder_check_file(wildcards):
    """The check of the encoder that the system uses."""
    return f"<results>/{wildcards.system}/encoder_check/{SYSTEMS[wildcards.system]['encoder']}.json"


def encoder_check_settings(wildcards):
    """How the encoder is tried: with the noise that it was trained with, 0.02 nm for those of others."""
    system, encoder = SYSTEMS[wildcards.system], ENCODERS["encoders"][wildcards.encoder]
    return {
        "neighbor_rule": system["neighbor_rule"],
        "periodic": system["tokens"]["periodic"],
        "noise_nm": encoder.get("pretraining", {}).get("noise_nm", 0.02),
        "minimum_r2": system["encoder_check"]["minimum_r2"],
        "unseen_elements": system["tokens"]["unseen_elements"],
    }


def embedding_settings(wildcards):
    """How tokens are made; which atoms form them is in the token table."""
    system = SYSTEMS[wildcards.system]
    tokens = {key: value for key, value in system["tokens"].items() if key not in ("rules", "n_ranges")}
    return tokens | {"neighbor_rule": system["neighbor_rule"], "environment": system.get("environment")}


def pretraining_geometries(wildcards):
    """The collections that an encoder is pretrained on."""
    names = ENCODERS["encoders"][wildcards.encoder].get("pretraining", {}).get("geometries", [])
    return [f"<results>/geometries/{name}{Path(ENCODERS['geometries'][name]['path']).suffix}" for name in names]


def n_token_ranges(wildcards):
    """Into how many jobs the embedding of a trajectory is split."""
    return SYSTEMS[wildcards.system]["tokens"]["n_ranges"]


def token_ranges(wildcards):
    """The pieces that the tokens of a trajectory are put together from; none, if one job embeds them all."""
    n_ranges, folder = n_token_ranges(wildcards), f"<results>/{wildcards.system}/tokens/{wildcards.encoder}"
    return [f"{folder}/{wildcards.trajectory}.ranges/{k}.zarr.zip" for k in range(n_ranges) if n_ranges > 1]
