"""Coarse-grain with a hidden Markov model and compare it with the macrostates of the Markov model."""

import logging

import numpy as np

from geom2msm.hidden_markov import fit_hidden_model, hidden_table, hidden_verdict
from geom2msm.joined_store import read_discrete_runs
from geom2msm.judgement import NotEstimable, write_verdict
from geom2msm.log import log_to
from geom2msm.markov import MarkovModel, MsmSettings, explained, sample_posterior
from geom2msm.provenance import provenance
from geom2msm.states import Macrostates, read_model


def compare(dtrajs: list[np.ndarray], model: MarkovModel, macrostates: Macrostates, chosen: MsmSettings) -> dict:
    """The hidden Markov model beside the plain one, or why there is none."""
    n_samples, seed = chosen.n_posterior_samples, chosen.seed
    try:
        hidden = fit_hidden_model(dtrajs, model, macrostates, n_samples=n_samples, seed=seed)
    except NotEstimable as error:
        logging.warning("no hidden Markov model: %s", error)
        return {"n_hidden_states": None, "comparison": [], "verdict": "not estimable", "reasons": [str(error)]}
    posterior = sample_posterior(model, n_samples=n_samples, seed=seed)
    table = hidden_table(hidden, model, posterior, macrostates, lag_ps=chosen.lag_ps)
    return explained(hidden_verdict(table, hidden, macrostates, model), model)


def main(dtrajs: str, msm: str, hmm: str, *, settings: dict) -> None:
    """Fit a hidden Markov model to the microstates of all frames and write it with its verdict."""
    chosen = MsmSettings(**settings)
    found = compare(read_discrete_runs(dtrajs).dtrajs, *read_model(msm), chosen) | {"lag_ps": chosen.lag_ps}
    found["provenance"] = provenance(inputs={path: path for path in [dtrajs, msm]}, settings=settings)
    write_verdict(hmm, found, subject="hidden Markov model")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
