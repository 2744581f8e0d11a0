"""Write the microstate, the macrostate and the state probabilities of every frame of one trajectory."""

import numpy as np

from geom2msm.log import log_to
from geom2msm.provenance import provenance
from geom2msm.states import read_microstates, state_probabilities
from geom2msm.store import read_array, read_attributes, write_store


def main(variables: str, microstates: str, msm: str, assignment: str) -> None:
    """Assign the frames of one trajectory; -1 and zero probabilities mean outside the active set."""
    centers = np.load(microstates)["centers"]
    model = np.load(msm)
    known = read_attributes(variables)
    microstate, center_distance = read_microstates(variables, centers)
    probabilities = state_probabilities(
        microstate, model["active_microstates"], model["memberships"], n_microstates=len(centers)
    )
    arrays = {
        "microstate": microstate,
        "macrostate": model["macrostate_of_microstate"][microstate],
        "state_probabilities": probabilities,
        "center_distance": center_distance,
        "time_ps": read_array(variables, "time_ps"),
    }
    axes = dict.fromkeys(arrays, ("frame",)) | {"state_probabilities": ("frame", "macrostate")}
    attributes = {
        "system": known["system"],
        "trajectory": known["trajectory"],
        "frame_interval_ps": known["frame_interval_ps"],
        "lag_ps": float(model["lag_ps"]),
        "numbering": "macrostates count from 0 here and from 1 in tables: state 1 is 0, the most populated",
        "provenance": provenance(inputs={"variables": variables, "microstates": microstates, "msm": msm}, settings={}),
    }
    write_store(assignment, attributes=attributes, arrays=arrays, axes=axes)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
