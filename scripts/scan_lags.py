"""Estimate implied timescales over a range of lag times."""

from geom2msm.joined_store import read_discrete_runs
from geom2msm.log import log_to
from geom2msm.markov import MsmSettings
from geom2msm.markov import scan_lags as scan
from geom2msm.provenance import replace_when_complete


def main(dtrajs: str, timescales: str, *, settings: dict) -> None:
    """Write the timescales of a model at each lag."""
    runs = read_discrete_runs(dtrajs)
    table = scan(
        runs.dtrajs,
        MsmSettings(**settings),
        n_microstates=runs.n_microstates,
        frame_interval_ps=runs.frame_interval_ps,
    )
    with replace_when_complete(timescales) as part:
        table.to_csv(part, index=False)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
