"""Estimate implied timescales over a range of lag times."""

import numpy as np

from geom2msm.log import log_to
from geom2msm.markov import MsmSettings
from geom2msm.markov import scan_lags as scan
from geom2msm.provenance import replace_when_complete
from geom2msm.states import read_dtrajs, read_frame_interval_ps


def main(variables: list[str], microstates: str, timescales: str, *, settings: dict) -> None:
    """Assign all frames to microstates and write the timescales of a model at each lag."""
    centers = np.load(microstates)["centers"]
    table = scan(
        read_dtrajs(variables, centers),
        MsmSettings(**settings),
        n_microstates=len(centers),
        frame_interval_ps=read_frame_interval_ps(variables),
    )
    with replace_when_complete(timescales) as part:
        table.to_csv(part, index=False)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
