"""Write the microstate, the macrostate and the state probabilities of every frame of all trajectories."""

import numpy as np

from geom2msm.joined_store import read_trajectories, write_joined
from geom2msm.log import log_to
from geom2msm.provenance import provenance
from geom2msm.states import state_probabilities
from geom2msm.store import read_array, read_attributes


def main(variables: str, dtrajs: str, msm: str, assignment: str) -> None:
    """Assign all frames; -1 and zero probabilities mean outside the active set."""
    model = np.load(msm)
    known, microstate = read_attributes(dtrajs), read_array(dtrajs, "microstate")
    arrays = {
        "microstate": microstate,
        "macrostate": model["macrostate_of_microstate"][microstate],
        "state_probabilities": state_probabilities(
            microstate, model["active_microstates"], model["memberships"], n_microstates=known["n_microstates"]
        ),
        "center_distance": read_array(dtrajs, "center_distance"),
        "time_ps": read_array(variables, "time_ps"),
    }
    attributes = {key: known[key] for key in ("system", "frame_interval_ps", "n_microstates")} | {
        "lag_ps": float(model["lag_ps"]),
        "numbering": "macrostates count from 0 here and from 1 in tables: state 1 is 0, the most populated",
        "provenance": provenance(inputs={path: path for path in [dtrajs, msm]}, settings={}),
    }
    write_joined(
        assignment,
        read_trajectories(dtrajs),
        attributes=attributes,
        arrays=arrays,
        axes={"state_probabilities": ("frame", "macrostate")},
    )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
