"""List the connected sets of microstates at every lag of the scan: what a model keeps of the data and what it drops."""

import numpy as np

from geom2msm.connectivity import connectivity_table, connectivity_verdict
from geom2msm.judgement import write_verdict
from geom2msm.log import log_to
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.states import read_dtrajs, read_frame_interval_ps
from geom2msm.units import frames


def main(variables: list[str], microstates: str, table: str, verdict: str, *, settings: dict) -> None:
    """Count at every lag; the verdict is on the lag of the model, and needs no model to exist."""
    centers = np.load(microstates)["centers"]
    interval_ps = read_frame_interval_ps(variables)
    sets = connectivity_table(
        read_dtrajs(variables, centers),
        lag_frames={lag: frames(lag_ps=lag, frame_interval_ps=interval_ps) for lag in settings["scan_lags_ps"]},
        n_microstates=len(centers),
    )
    with replace_when_complete(table) as part:
        sets.to_csv(part, index=False)
    found = connectivity_verdict(sets, lag_ps=settings["lag_ps"])
    found["provenance"] = provenance(inputs={path: path for path in [*variables, microstates]}, settings=settings)
    write_verdict(verdict, found, subject="connectivity")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
