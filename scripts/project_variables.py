"""Collective variables of all trajectories: the singular functions of the selected model, on every frame."""

import logging
from collections.abc import Sequence

import numpy as np
import torch

from geom2msm.joined_store import joined_attributes
from geom2msm.log import log_to
from geom2msm.pairs import read_frame_interval_ps, stored_trajectories
from geom2msm.pieces import chunked, length
from geom2msm.projection import Projector, project_from
from geom2msm.provenance import provenance
from geom2msm.store import ArrayLayout, PartialStore, read_array, read_attributes

CHUNK_FRAMES = 65_536
AXES = {"variables": ("frame", "dimension"), "state": ("frame",), "state_probabilities": ("frame", "state")}


def described_by(sources: Sequence[str], weights: str, split: str, model: Projector, *, n_variables: int) -> dict:
    """The attributes of the store."""
    known = {"system": read_attributes(sources[0])["system"], "frame_interval_ps": read_frame_interval_ps(sources)}
    known |= model.named(n_variables=n_variables)
    if model.state_centers is not None:
        known["state_centers"] = model.state_centers
    inputs = {path: path for path in [*sources, weights, split]}
    known["provenance"] = provenance(inputs=inputs, settings={})
    return joined_attributes(stored_trajectories(sources, split), known)


def main(sources: list[str], weights: str, split: str, variables: str) -> None:
    """Apply the functions fixed at training to all frames, with states if any; a killed run continues where it was."""
    model = Projector.read(weights)
    for source in sources:
        model.check(source)
    example = model.described(model.of_frames(sources[0], np.array([0])))
    layout = {name: ArrayLayout(AXES[name], array.shape[1:], array.dtype.str) for name, array in example.items()}
    layout["time_ps"] = ArrayLayout(("frame",), (), "float64")
    time_ps = np.concatenate([read_array(source, "time_ps") for source in sources])
    store = PartialStore(
        variables,
        n_frames=len(time_ps),
        chunk_frames=CHUNK_FRAMES,
        layout=layout,
        attributes=described_by(sources, weights, split, model, n_variables=example["variables"].shape[1]),
    )
    pieces = project_from(sources, model, first_frame=store.frames_done)
    for chunk in chunked(({"variables": piece} for piece in pieces), CHUNK_FRAMES):
        times = time_ps[store.frames_done :][: length(chunk)]
        store.append(model.described(chunk["variables"]) | {"time_ps": times})
        logging.info("%d of %d frames", store.frames_done, store.n_frames)
    store.finish()


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    main(**snakemake.input, **snakemake.output)
