"""List the connected sets of microstates at every lag of the scan: what a model keeps of the data and what it drops."""

from geom2msm.connectivity import connectivity_table, connectivity_verdict
from geom2msm.joined_store import read_discrete_runs
from geom2msm.judgement import write_verdict
from geom2msm.log import log_to
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.units import frames


def main(dtrajs: str, table: str, verdict: str, *, settings: dict) -> None:
    """Count at every lag; the verdict is on the lag of the model, and needs no model to exist."""
    runs = read_discrete_runs(dtrajs)
    lags_ps = settings["scan_lags_ps"]
    lag_frames = {lag: frames(lag_ps=lag, frame_interval_ps=runs.frame_interval_ps) for lag in lags_ps}
    sets = connectivity_table(runs.dtrajs, lag_frames=lag_frames, n_microstates=runs.n_microstates)
    with replace_when_complete(table) as part:
        sets.to_csv(part, index=False)
    found = connectivity_verdict(sets, lag_ps=settings["lag_ps"])
    found["provenance"] = provenance(inputs={"dtrajs": dtrajs}, settings=settings)
    write_verdict(verdict, found, subject="connectivity")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
