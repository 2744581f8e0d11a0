"""Fit one TICA baseline: one fold (the seed changes nothing, the fit has no randomness)."""

import time
from dataclasses import asdict

import torch

from geom2msm.log import log_to
from geom2msm.pairs import select_stores
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.splits import read_fold
from geom2msm.tica import BATCH_PAIRS, TicaConfig, fit_tica, read_feature_pairs
from geom2msm.training import EpochScores, write_history, write_scores
from geom2msm.vamp import model_scores, write_weights


def main(
    features: list[str], split: str, weights: str, history: str, scores: str, *, fold: int, seed: int, settings: dict
) -> None:
    """Read features and split, fit, write the functions and their scores in the form of a trained network."""
    started = time.monotonic()
    config = TicaConfig(**settings)
    names = read_fold(split, fold)
    paths = {
        "training": select_stores(features, names.training),
        "validation": select_stores(features, names.validation),
    }
    training, validation = (read_feature_pairs(stores, lag_ps=config.lag_ps) for stores in paths.values())
    functions = fit_tica(training, config=config)
    found = model_scores(
        functions, training, validation, lag_ps=config.lag_ps, batch_pairs=BATCH_PAIRS, epsilon=config.epsilon
    )
    row = EpochScores(1, found["score_training"], found["score_validation"], found["score_validation_batch_mean"])
    sources = zip(names.training + names.validation, paths["training"] + paths["validation"], strict=True)
    inputs = {**dict(sources), "split": split}
    description = {"kind": config.kind, "settings": settings, "fold": fold, "seed": seed, "trajectories": asdict(names)}
    description |= {"lag_frames": training.lag_frames, "provenance": provenance(inputs=inputs, settings=settings)}
    with replace_when_complete(weights) as part:
        write_weights(part, functions.tensors(), description)
    with replace_when_complete(history) as part:
        write_history(part, [row])
    with replace_when_complete(scores) as part:
        seconds = time.monotonic() - started
        write_scores(part, found | {"best_epoch": 1, "fold": fold, "seed": seed, "seconds": seconds})


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
