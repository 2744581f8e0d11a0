"""Fit one linear model: one fold (the seed changes nothing, the fit has no randomness)."""

import time
from collections.abc import Sequence
from dataclasses import asdict

import torch

from geom2msm.history import LinearScores, write_costs, write_history, write_scores
from geom2msm.log import log_to
from geom2msm.pairs import fold_frames, fold_log_weights, input_files
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.splits import read_fold
from geom2msm.tica import TicaConfig, fit_linear_model
from geom2msm.token_pairs import TokenPairs
from geom2msm.weights_files import write_weights


def main(
    features: list[str], split: str, weights: str, history: str, scores: str, costs: str,
    *, fold: int, seed: int, settings: dict, log_weights: Sequence[str] = (),
) -> None:  # fmt: skip
    """Read features and split, fit, write the functions and their scores in the form of a trained network."""
    started, config, divided = time.monotonic(), TicaConfig(**settings), read_fold(split, fold)
    frames = fold_frames(divided, features, lag_ps=config.lag_ps)
    weighting = fold_log_weights(divided, list(log_weights), lag_ps=config.lag_ps)
    # Nothing is chosen by a score, so that no frames are held out for that; they are read twice, in chunks.
    training, validation = (
        TokenPairs.open(frames[role], memory_mb=0, log_weights=weighting[role]) for role in ("fitting", "validation")
    )
    functions, found = fit_linear_model(training, validation, config=config)
    row = LinearScores(1, found["score_training"], found["score_validation"], found["score_validation_batch_mean"])
    inputs = input_files(features, split, list(log_weights))
    description = {"kind": config.kind, "settings": settings, "fold": fold, "seed": seed}
    description |= {"trajectories": divided.trajectories(), "layout": asdict(training.layout)}
    description |= {"lag_frames": training.lag_frames, "provenance": provenance(inputs=inputs, settings=settings)}
    with replace_when_complete(weights) as part:
        write_weights(part, functions.tensors(), description)
    with replace_when_complete(history) as part:
        write_history(part, [row])
    with replace_when_complete(scores) as part:
        write_scores(part, found | {"best_epoch": 1, "fold": fold, "seed": seed})
    with replace_when_complete(costs) as part:
        write_costs(part, started=started)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    main(
        **snakemake.input,
        **snakemake.output,
        fold=int(snakemake.wildcards.fold),
        seed=int(snakemake.wildcards.seed),
        settings=snakemake.params.settings,
    )
