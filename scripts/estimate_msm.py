"""Estimate the Markov state model at the chosen lag, its uncertainty and its macrostates."""

import json

from geom2msm.joined_store import read_discrete_runs
from geom2msm.kinetics import model_summary, rate_table, state_table
from geom2msm.log import log_to
from geom2msm.markov import MsmSettings, count_transitions, estimate_model, model_of_one, sample_posterior
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.states import (
    count_visits,
    find_macrostates,
    macrostate_of_microstate,
    save_model,
)
from geom2msm.units import frames


def main(
    dtrajs: str, msm: str, states: str, rates: str, summary: str,
    *, settings: dict, temperature_K: float,
) -> None:  # fmt: skip
    """Count, estimate, sample the posterior, lump into macrostates; write the model and its tables."""
    chosen = MsmSettings(**settings)
    runs = read_discrete_runs(dtrajs)
    lag_frames = frames(lag_ps=chosen.lag_ps, frame_interval_ps=runs.frame_interval_ps)
    counts = count_transitions(runs.dtrajs, lag_frames=lag_frames, n_microstates=runs.n_microstates)
    model = estimate_model(counts) if len(counts.active) > 1 else model_of_one(counts)
    posterior = sample_posterior(model, n_samples=chosen.n_posterior_samples, seed=chosen.seed)
    macrostates = find_macrostates(model, n_macrostates=chosen.n_macrostates)
    macrostate = macrostate_of_microstate(model, macrostates)
    visits = count_visits(
        [macrostate[dtraj] for dtraj in runs.dtrajs],
        n_macrostates=macrostates.n_found,
        coring_frames=lag_frames,
    )
    n_trajectories = len(runs.dtrajs)
    found = model_summary(
        model, posterior, macrostates, chosen, temperature_K=temperature_K, n_trajectories=n_trajectories
    )
    found["provenance"] = provenance(inputs={"dtrajs": dtrajs}, settings=settings)
    with replace_when_complete(msm) as part, part.open("wb") as file:
        save_model(file, model, macrostates, lag_ps=chosen.lag_ps, n_processes=chosen.n_processes)
    with replace_when_complete(states) as part:
        state_table(model, posterior, macrostates, visits).to_csv(part, index=False)
    with replace_when_complete(rates) as part:
        rate_table(model, posterior, macrostates, visits, lag_ps=chosen.lag_ps).to_csv(part, index=False)
    with replace_when_complete(summary) as part:
        part.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    temperature_K = snakemake.params.temperature_K
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings, temperature_K=temperature_K)
