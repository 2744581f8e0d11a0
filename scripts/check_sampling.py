"""Count how well each macrostate is sampled, and estimate anew from parts of the data."""

import numpy as np

from geom2msm.convergence import convergence_table, convergence_verdict
from geom2msm.judgement import write_verdict
from geom2msm.log import log_to
from geom2msm.markov import MsmSettings
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.sampling import sampling_table
from geom2msm.states import read_dtrajs, read_frame_interval_ps, read_model


def main(
    variables: list[str], microstates: str, msm: str, sampling: str, convergence: str, verdict: str, *, settings: dict
) -> None:
    """Write visits, effective counts and inefficiencies, and what parts of the data say of times and populations."""
    chosen = MsmSettings(**settings)
    dtrajs = read_dtrajs(variables, np.load(microstates)["centers"])
    model, macrostates = read_model(msm)
    interval_ps = read_frame_interval_ps(variables)
    with replace_when_complete(sampling) as part:
        sampling_table(dtrajs, model, macrostates, frame_interval_ps=interval_ps).to_csv(part, index=False)
    parts = convergence_table(dtrajs, model, macrostates, chosen)
    with replace_when_complete(convergence) as part:
        parts.to_csv(part, index=False)
    found = convergence_verdict(parts, n_processes=min(chosen.n_macrostates - 1, chosen.n_timescales))
    found["provenance"] = provenance(inputs={path: path for path in [*variables, microstates, msm]}, settings=settings)
    write_verdict(verdict, found, subject="convergence")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
