"""Propose the shortest lag from which the implied timescales are flat, and compare it with the configured one."""

import pandas as pd

from geom2msm.judgement import write_verdict
from geom2msm.lag_choice import propose_lag
from geom2msm.log import log_to
from geom2msm.provenance import provenance


def main(timescales: str, lag: str, *, settings: dict) -> None:
    """Judge the scan by the processes that separate the macrostates; a disagreement is a warning, not an error."""
    found = propose_lag(
        pd.read_csv(timescales),
        configured_lag_ps=settings["lag_ps"],
        n_processes=settings["n_macrostates"] - 1,
    )
    found["provenance"] = provenance(inputs={"timescales": timescales}, settings=settings)
    write_verdict(lag, found, subject="lag time")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
