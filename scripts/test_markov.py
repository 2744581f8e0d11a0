"""Test whether the Markov state model predicts what is estimated at longer lags (Chapman-Kolmogorov)."""

from geom2msm.joined_store import read_discrete_runs
from geom2msm.judgement import write_verdict
from geom2msm.log import log_to
from geom2msm.markov import MsmSettings, explained, sample_posterior
from geom2msm.markov_validation import ck_table, ck_verdict
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.states import read_model


def main(dtrajs: str, msm: str, ck_test: str, verdict: str, *, settings: dict) -> None:
    """Propagate the model, estimate anew at multiples of its lag, and write the comparison and its verdict."""
    chosen = MsmSettings(**settings)
    model, macrostates = read_model(msm)
    table = ck_table(
        read_discrete_runs(dtrajs).dtrajs,
        model,
        sample_posterior(model, n_samples=chosen.n_posterior_samples, seed=chosen.seed),
        macrostates,
        lag_ps=chosen.lag_ps,
        n_multiples=chosen.ck_multiples,
        seed=chosen.seed,
    )
    found = ck_verdict(table) | {"lag_ps": chosen.lag_ps, "ck_multiples": chosen.ck_multiples}
    found["provenance"] = provenance(inputs={path: path for path in [dtrajs, msm]}, settings=settings)
    with replace_when_complete(ck_test) as part:
        table.to_csv(part, index=False)
    write_verdict(verdict, explained(found, model), subject="Chapman-Kolmogorov test")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
