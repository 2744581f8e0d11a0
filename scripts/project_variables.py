"""Collective variables of one trajectory: the singular functions of the selected model, on every frame."""

import numpy as np
import torch

from geom2msm.log import log_to
from geom2msm.pairs import piece_before
from geom2msm.projection import model_states, project_store
from geom2msm.provenance import provenance
from geom2msm.store import read_array, read_attributes, write_store


def main(source: str, weights: str, split: str, variables: str) -> None:
    """Apply the functions fixed at training to all frames of a store; add the states of a model that has any."""
    found = project_store(source, weights)
    known = read_attributes(source)
    attributes = {name: known[name] for name in ("system", "trajectory", "frame_interval_ps")}
    attributes["continues"] = piece_before(split, known["trajectory"])
    attributes["provenance"] = provenance(inputs={"source": source, "weights": weights}, settings={})
    arrays = {"variables": found.astype(np.float32), "time_ps": read_array(source, "time_ps")}
    axes = {"variables": ("frame", "dimension"), "time_ps": ("frame",)}
    states = model_states(found, weights)
    if states is not None:
        arrays["state"] = states.projection.states.numpy().astype(np.int32)
        arrays["state_probabilities"] = states.projection.probabilities.numpy()
        axes |= {"state": ("frame",), "state_probabilities": ("frame", "state")}
        attributes["state_centers"] = states.centers
    write_store(variables, attributes=attributes, arrays=arrays, axes=axes)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    main(**snakemake.input, **snakemake.output)
