"""Compare the model's kinetics with what is counted directly: relaxation, autocorrelation, passage times."""

from geom2msm.joined_store import read_discrete_runs
from geom2msm.judgement import write_verdict
from geom2msm.log import log_to
from geom2msm.markov import MsmSettings, eigenvalues, explained, implied_timescales, sample_posterior
from geom2msm.passage_times import passage_table
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.relaxation import choose_curves, relaxation_table, relaxation_verdict
from geom2msm.states import read_model


def main(
    dtrajs: str, msm: str, relaxation: str, passage_times: str, verdict: str, *, settings: dict,
) -> None:  # fmt: skip
    """Predict and measure curves of decay, and passage times at every lag of the scan."""
    chosen = MsmSettings(**settings)
    runs = read_discrete_runs(dtrajs)
    model, macrostates = read_model(msm)
    spectrum = eigenvalues(model.transition_matrix, model.stationary_distribution)
    curves = relaxation_table(
        runs.dtrajs,
        model,
        sample_posterior(model, n_samples=chosen.n_posterior_samples, seed=chosen.seed),
        choose_curves(model, macrostates, n_processes=chosen.n_processes),
        lag_ps=chosen.lag_ps,
        slowest_ps=float(implied_timescales(spectrum, lag_ps=chosen.lag_ps, n_processes=1)[0]),
    )
    passages = passage_table(runs.dtrajs, model, macrostates, chosen, frame_interval_ps=runs.frame_interval_ps)
    found = relaxation_verdict(curves) | {"lag_ps": chosen.lag_ps}
    found["provenance"] = provenance(inputs={path: path for path in [dtrajs, msm]}, settings=settings)
    for path, table in {relaxation: curves, passage_times: passages}.items():
        with replace_when_complete(path) as part:
            table.to_csv(part, index=False)
    write_verdict(verdict, explained(found, model), subject="relaxation")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
