"""Compare the VAMP-2 score of the variables with what the timescales of the Markov model allow."""

import json
from pathlib import Path

from geom2msm.joined_store import read_runs
from geom2msm.judgement import write_verdict
from geom2msm.log import log_to
from geom2msm.markov import MsmSettings, explained, sample_posterior
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.states import read_model
from geom2msm.store import read_attributes
from geom2msm.units import frames
from geom2msm.vamp2_consistency import consistency_table, consistency_verdict

SCORES = ("fold", "seed", "lag_ps", "dimensions", "score_training", "score_validation")


def main(variables: str, msm: str, scores: list[str], table: str, verdict: str, *, settings: dict) -> None:
    """Score all frames at every lag of the scan; the members' own scores are put beside."""
    chosen = MsmSettings(**settings)
    runs, interval_ps = read_runs(variables, "variables"), read_attributes(variables)["frame_interval_ps"]
    model, _ = read_model(msm)
    posterior = sample_posterior(model, n_samples=chosen.n_posterior_samples, seed=chosen.seed)
    lag_frames = {lag: frames(lag_ps=lag, frame_interval_ps=interval_ps) for lag in chosen.scan_lags_ps}
    compared = consistency_table(runs, model, posterior, lag_frames=lag_frames, seed=chosen.seed)
    with replace_when_complete(table) as part:
        compared.to_csv(part, index=False)
    members = [json.loads(Path(path).read_text()) for path in scores]
    found = explained(consistency_verdict(compared, lag_ps=chosen.lag_ps), model)
    found["dimensions"] = runs[0].shape[1]
    found["members"] = [{key: member.get(key) for key in SCORES} for member in members]
    found["provenance"] = provenance(inputs={"variables": variables, "msm": msm}, settings=settings)
    write_verdict(verdict, found, subject="VAMP-2 consistency")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
