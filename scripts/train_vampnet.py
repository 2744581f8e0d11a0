"""Train one VAMPnet: one fold, one seed."""

import time
from dataclasses import asdict

import torch

from geom2msm.log import log_to
from geom2msm.pairs import select_stores
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.splits import read_fold
from geom2msm.training import TokenPairs, VampnetConfig, fit_vampnet, write_history, write_scores
from geom2msm.vamp import write_weights


def main(
    tokens: list[str], split: str, weights: str, history: str, scores: str, *, fold: int, seed: int, settings: dict
) -> None:
    """Read tokens and split, train, write the weights of the best epoch, the learning curve and the scores."""
    started = time.monotonic()
    config = VampnetConfig(**settings)
    names = read_fold(split, fold)
    paths = {"training": select_stores(tokens, names.training), "validation": select_stores(tokens, names.validation)}
    training, validation = (TokenPairs.read(stores, lag_ps=config.lag_ps) for stores in paths.values())
    model, rows, found = fit_vampnet(training, validation, config=config, seed=seed)
    sources = zip(names.training + names.validation, paths["training"] + paths["validation"], strict=True)
    inputs = {**dict(sources), "split": split}
    description = {
        "kind": config.kind,
        "settings": settings,
        "fold": fold,
        "seed": seed,
        "trajectories": asdict(names),
        "lag_frames": training.lag_frames,
        "provenance": provenance(inputs=inputs, settings=settings),
    }
    with replace_when_complete(weights) as part:
        write_weights(part, model.tensors(), description)
    with replace_when_complete(history) as part:
        write_history(part, rows)
    with replace_when_complete(scores) as part:
        write_scores(part, found | {"fold": fold, "seed": seed, "seconds": time.monotonic() - started})


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
