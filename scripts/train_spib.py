"""Train one SPIB: one fold, one seed."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from geom2msm.history import write_costs, write_history, write_scores
from geom2msm.initial_states import cluster_fold
from geom2msm.log import log_to
from geom2msm.pairs import fold_frames, fold_log_weights, input_files
from geom2msm.provenance import only_job, provenance, replace_when_complete, source_digest
from geom2msm.spib import SpibConfig
from geom2msm.spib_state import EpochLosses, LabeledPairs
from geom2msm.spib_training import fit_spib
from geom2msm.splits import read_fold
from geom2msm.training_state import Checkpoint, Member
from geom2msm.weights_files import write_weights


def main(
    tokens: list[str], split: str, initial_weights: str, initial_stores: list[str], weights: str, history: str,
    scores: str, costs: str, *, fold: int, seed: int, settings: dict, log_weights: Sequence[str] = (),
) -> None:  # fmt: skip
    """Cluster the variables of the initial model, train, write the weights, the learning curve and the scores."""
    started, config, divided = time.monotonic(), SpibConfig.from_settings(settings), read_fold(split, fold)
    roles = ("fitting", "validation")  # No epoch is chosen by a score: all that is not validation is for training.
    by_role = fold_frames(divided, tokens, lag_ps=config.lag_ps)
    frames = [by_role[role] for role in roles]
    weighting = fold_log_weights(divided, list(log_weights), lag_ps=config.lag_ps)
    inputs = input_files(tokens, split, list(log_weights)) | {"initial_weights": initial_weights}
    description = {"kind": config.kind, "settings": settings, "fold": fold, "seed": seed}
    description |= {"trajectories": divided.trajectories(), "lag_frames": frames[0].lag_frames}
    description |= {"provenance": provenance(inputs=inputs, settings=settings)}
    states = cluster_fold(*frames, tokens, initial_weights, initial_stores, n_states=config.initial_states, seed=seed)
    sets = zip(frames, states, (weighting[role] for role in roles), strict=True)
    pairs = [LabeledPairs.open(*each, config=config, seed=2 * seed + i) for i, each in enumerate(sets)]  # Own noise.

    def report(rows: list[EpochLosses]) -> None:
        with replace_when_complete(history) as part:
            write_history(part, rows)

    checkpoint = Checkpoint(Path(f"{weights}.part"), description | {"source": source_digest("train_spib")})
    model, rows, found = fit_spib(*pairs, config=config, member=Member(seed, checkpoint, report))
    report(rows)
    with replace_when_complete(scores) as part:
        write_scores(part, found | {"fold": fold, "seed": seed})
    with replace_when_complete(costs) as part:
        write_costs(part, started=started)
    with replace_when_complete(weights) as part:  # Last, for this is what takes the place of the checkpoint.
        write_weights(part, model.tensors(), description)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    fold, seed = int(snakemake.wildcards.fold), int(snakemake.wildcards.seed)
    with only_job(snakemake.output.weights):
        main(**snakemake.input, **snakemake.output, fold=fold, seed=seed, settings=snakemake.params.settings)
