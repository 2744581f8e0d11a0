"""Free energies on the Ramachandran map and their errors, from resampled runs."""

import logging

from geom2msm.free_energy import count_blocks, surfaces
from geom2msm.joined_store import read_runs
from geom2msm.judgement import NotEstimable
from geom2msm.log import log_to
from geom2msm.markov import MsmSettings, eigenvalues, implied_timescales
from geom2msm.provenance import replace_when_complete
from geom2msm.ramachandran import read_torsions
from geom2msm.resampling import cut_blocks, draw_blocks
from geom2msm.states import read_model


def main(features: list[str], states: str, msm: str, free_energy: str, *, settings: dict) -> None:
    """Draw blocks of runs, estimate a model from each draw, and write each bin's free energy and error."""
    chosen = MsmSettings(**settings)
    model, _ = read_model(msm)
    spectrum = eigenvalues(model.transition_matrix, model.stationary_distribution)
    slowest_lags = implied_timescales(spectrum, lag_ps=1.0, n_processes=1)[0]
    microstates = read_runs(states, "microstate")
    blocks = cut_blocks(list(map(len, microstates)), correlation_frames=float(slowest_lags) * model.counts.lag_frames)
    draws = draw_blocks(blocks, n_samples=chosen.n_posterior_samples, seed=chosen.seed)
    try:
        torsions = read_torsions(features, like=states)
    except NotEstimable as error:
        logging.warning("not estimable: %s", error)
        torsions = []
    table = surfaces(torsions, count_blocks(microstates, blocks, model), model, draws)
    with replace_when_complete(free_energy) as part:
        table.to_csv(part, index=False)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
