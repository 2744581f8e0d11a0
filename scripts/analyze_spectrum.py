"""Gaps of the spectrum, fuzzy memberships, and whether the model may assume reversibility."""

import numpy as np

from geom2msm.judgement import write_verdict
from geom2msm.log import log_to
from geom2msm.markov import MsmSettings, explained, sample_posterior
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.reversibility import compare_models, estimate_nonreversible, reversibility_verdict
from geom2msm.spectrum import membership_table, spectrum_table, spectrum_verdict
from geom2msm.states import read_model


def main(
    microstates: str, msm: str, memberships: str, spectrum: str, gap: str, reversibility: str, *, settings: dict
) -> None:
    """Compare timescales with each other, and the reversible with the non-reversible estimate."""
    chosen = MsmSettings(**settings)
    n_samples, seed, lag_ps = chosen.n_posterior_samples, chosen.seed, chosen.lag_ps
    model, macrostates = read_model(msm)
    posterior = sample_posterior(model, n_samples=n_samples, seed=seed)
    timescales = spectrum_table(model, posterior, lag_ps=lag_ps)
    compared = compare_models(
        model,
        posterior,
        estimate_nonreversible(model, n_samples=n_samples, seed=seed),
        macrostates,
        lag_ps=lag_ps,
        n_processes=chosen.n_processes,
    )
    tables = {
        spectrum: timescales,
        memberships: membership_table(model, macrostates, np.load(microstates)["centers"]),
    }
    for path, table in tables.items():
        with replace_when_complete(path) as part:
            table.to_csv(part, index=False)
    origin = {"provenance": provenance(inputs={msm: msm, microstates: microstates}, settings=settings)}
    verdicts = {
        "number of states": (gap, spectrum_verdict(timescales, model, macrostates)),
        "reversibility": (reversibility, explained(reversibility_verdict(compared), model)),
    }
    for subject, (path, found) in verdicts.items():
        write_verdict(path, found | {"lag_ps": lag_ps} | origin, subject=subject)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
