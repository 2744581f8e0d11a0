"""Count how well each macrostate is sampled, and estimate anew from parts of the data."""

from geom2msm.convergence import convergence_table, convergence_verdict
from geom2msm.joined_store import read_discrete_runs
from geom2msm.judgement import write_verdict
from geom2msm.log import log_to
from geom2msm.markov import MsmSettings, explained
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.sampling import sampling_table
from geom2msm.states import read_model


def main(dtrajs: str, msm: str, sampling: str, convergence: str, verdict: str, *, settings: dict) -> None:
    """Write visits, effective counts and inefficiencies, and what parts of the data say of times and populations."""
    chosen = MsmSettings(**settings)
    runs = read_discrete_runs(dtrajs)
    model, macrostates = read_model(msm)
    with replace_when_complete(sampling) as part:
        table = sampling_table(runs.dtrajs, model, macrostates, frame_interval_ps=runs.frame_interval_ps)
        table.to_csv(part, index=False)
    parts = convergence_table(runs.dtrajs, model, macrostates, chosen)
    with replace_when_complete(convergence) as part:
        parts.to_csv(part, index=False)
    found = convergence_verdict(parts, n_processes=macrostates.n_found - 1)
    found["provenance"] = provenance(inputs={path: path for path in [dtrajs, msm]}, settings=settings)
    write_verdict(verdict, explained(found, model), subject="convergence")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
