import json
import math
import os

from geom2msm.resource_estimates import (
    embedding_mb,
    embedding_minutes,
    linear_model_mb,
    most_epochs,
    training_mb,
    training_minutes,
)

# What jobs ask for. Every attempt asks for more: what was killed for memory or time is submitted again by the profile's
# retries and gets twice, then three times as much.


def size_mb(files):
    """Size of all files together; unlike Snakemake's, it does not look for the others once one is not there yet."""
    return sum(os.path.getsize(file) for file in files) / 1024**2


def memory(base_mb, *, per_input_mb=0.0):
    """Resource function: memory in MB that grows with the size of the input."""

    def mem_mb(wildcards, input, attempt):
        return attempt * (base_mb + round(per_input_mb * size_mb(input) if per_input_mb else 0))

    return mem_mb


def duration(minutes):
    """Resource function: a time limit in minutes."""

    def runtime(wildcards, attempt):
        return attempt * minutes

    return runtime


def embedding_memory(wildcards, input, attempt):
    """Memory of embed_tokens, from the number of atoms."""
    return attempt * embedding_mb(json.loads(Path(input.inventory).read_text())["n_selected_atoms"])


def embedding_duration(wildcards, input, attempt):
    """Time limit of embed_tokens, from the numbers of frames and atoms."""
    known, n_ranges = json.loads(Path(input.inventory).read_text()), n_token_ranges(wildcards)
    return attempt * embedding_minutes(math.ceil(known["n_frames"] / n_ranges), known["n_selected_atoms"])


def trained_settings(wildcards):
    """Settings of the model in the path, one of the system's or a point of a sweep."""
    if "sweep" in wildcards.keys():
        return point_settings(wildcards)
    return SYSTEMS[wildcards.system]["models"][wildcards.model]


def training_memory(wildcards, input, attempt):
    """Memory of a training, from the size of the stores that it reads and the memory that the model may take."""
    return attempt * training_mb(size_mb(input), trained_settings(wildcards))


def training_duration(wildcards, input, attempt):
    """Time limit of a training, from the size of the stores that it reads and the largest number of epochs."""
    return attempt * training_minutes(size_mb(input), most_epochs(trained_settings(wildcards)))


def linear_model_memory(wildcards, input, attempt):
    """Memory of fit_tica, from the size of the stores that it reads and the number of frames in them."""
    runs = json.loads(Path(input.split).read_text())["runs"]
    n_frames = sum(sum(run.values()) for run in runs)
    return attempt * linear_model_mb(size_mb(input.features), n_frames, rank=trained_settings(wildcards)["rank"])


def projection_duration(wildcards, input, attempt):
    """Time limit of a projection: an hour, and a minute per 100 MB of the stores that it reads."""
    return attempt * (60 + math.ceil(size_mb(input) / 100))


def gpus():
    """One GPU where config.yaml says device: cuda."""
    return int(SELECTED["device"] == "cuda")


def with_cuda(environment):
    """The environment's variant with a CUDA build of torch where config.yaml says device: cuda."""
    return environment.replace("envs/", "envs/cuda/") if gpus() else environment
