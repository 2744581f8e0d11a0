"""Divide the space of the variables into microstates, unless the model has states of its own."""

import json

import numpy as np

from geom2msm.log import log_to
from geom2msm.markov import MsmSettings
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.states import fit_microstates, model_centers, read_variables


def main(variables: list[str], microstates: str, *, settings: dict) -> None:
    """Read all trajectories' variables, cluster them, and write the centers."""
    msm = MsmSettings(**settings)
    centers = model_centers(variables)
    if centers is None:
        values = [read_variables(path) for path in variables]
        centers = fit_microstates(values, n_microstates=msm.n_microstates, seed=msm.seed)
    origin = provenance(inputs={path: path for path in variables}, settings=settings)
    with replace_when_complete(microstates) as part, part.open("wb") as file:
        np.savez(file, centers=centers, provenance=json.dumps(origin))


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(snakemake.input.variables, **snakemake.output, settings=snakemake.params.settings)
