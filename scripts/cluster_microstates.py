"""Divide the space of the variables into microstates, unless the model has states of its own, and assign all frames."""

import json

import numpy as np

from geom2msm.joined_store import cut_frames, read_trajectories, read_variables, write_joined
from geom2msm.log import log_to
from geom2msm.markov import MsmSettings
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.states import assign_microstates, distance_to_center, fit_microstates
from geom2msm.store import read_array, read_attributes


def main(variables: str, microstates: str, dtrajs: str, *, settings: dict) -> None:
    """Cluster the variables of all frames; write the centers, and the microstate of every frame."""
    msm, known = MsmSettings(**settings), read_attributes(variables)
    values, trajectories = read_variables(variables), read_trajectories(variables)
    if "state_centers" in known:
        centers, microstate = np.array(known["state_centers"]), read_array(variables, "state")
    else:
        pieces = cut_frames(values, trajectories)
        centers = fit_microstates(pieces, n_microstates=msm.n_microstates, seed=msm.seed)
        microstate = assign_microstates(values, centers)
    origin = provenance(inputs={"variables": variables}, settings=settings)
    with replace_when_complete(microstates) as part, part.open("wb") as file:
        np.savez(file, centers=centers, provenance=json.dumps(origin))
    attributes = {key: known[key] for key in ("system", "frame_interval_ps")}
    write_joined(
        dtrajs,
        trajectories,
        attributes=attributes | {"n_microstates": len(centers), "provenance": origin},
        arrays={"microstate": microstate, "center_distance": distance_to_center(values, centers, microstate)},
    )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(snakemake.input.variables, **snakemake.output, settings=snakemake.params.settings)
