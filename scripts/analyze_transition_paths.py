"""Follow transition paths between two sets of macrostates: committors, reactive flux, pathways."""

from geom2msm.judgement import NotEstimable, write_verdict
from geom2msm.log import log_to
from geom2msm.markov import MarkovModel, MsmSettings, Posterior, explained, sample_posterior
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.states import Macrostates, read_model
from geom2msm.transition_paths import (
    PathSets,
    PathSettings,
    TransitionPaths,
    choose_sets,
    committor_table,
    find_paths,
    flux_table,
    paths_verdict,
    pathway_table,
    sample_paths,
    unknown_paths,
)


def follow(
    model: MarkovModel, posterior: Posterior, macrostates: Macrostates, ends: PathSettings
) -> tuple[PathSets, TransitionPaths, list[TransitionPaths], list[str]]:
    """The two ends, the paths of the model and of every sample, and why there are none, if there are none."""
    try:
        sets = choose_sets(model, macrostates, ends)
    except NotEstimable as error:
        unknown = unknown_paths(macrostates)
        return PathSets([], []), unknown, [unknown], [str(error)]
    paths = find_paths(model.transition_matrix, model.stationary_distribution, macrostates, sets)
    return sets, paths, sample_paths(posterior, macrostates, sets, around=paths), []


def main(msm: str, committors: str, fluxes: str, pathways: str, verdict: str, *, settings: dict) -> None:
    """Choose the two ends, do transition path theory on the model and on every sample, and write what it says."""
    chosen = MsmSettings(**settings)
    lag_ps = chosen.lag_ps
    model, macrostates = read_model(msm)
    posterior = sample_posterior(model, n_samples=chosen.n_posterior_samples, seed=chosen.seed)
    sets, paths, samples, why_none = follow(model, posterior, macrostates, PathSettings(**chosen.transition_paths))
    found = paths_verdict(paths, samples, sets, lag_ps=lag_ps) | {"lag_ps": lag_ps}
    found |= {"reasons": why_none} if why_none else {}
    found["provenance"] = provenance(inputs={msm: msm}, settings=settings)
    tables = {
        committors: committor_table(model, macrostates, paths, samples),
        fluxes: flux_table(paths, samples, lag_ps=lag_ps),
        pathways: pathway_table(paths, samples, sets, lag_ps=lag_ps),
    }
    for path, table in tables.items():
        with replace_when_complete(path) as part:
            table.to_csv(part, index=False)
    write_verdict(verdict, explained(found, model), subject="transition paths")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
