"""Train one VAMPnet: one fold, one seed."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from geom2msm.history import write_costs, write_history, write_scores
from geom2msm.log import log_to
from geom2msm.pairs import fold_frames, fold_log_weights, input_files
from geom2msm.provenance import only_job, provenance, replace_when_complete, source_digest
from geom2msm.splits import read_fold
from geom2msm.training import FoldPairs, fit_vampnet
from geom2msm.training_state import Checkpoint, EpochScores, Member
from geom2msm.vampnet import VampnetConfig
from geom2msm.weights_files import write_weights


def main(
    tokens: list[str], split: str, weights: str, history: str, scores: str, costs: str,
    *, fold: int, seed: int, settings: dict, log_weights: Sequence[str] = (),
) -> None:  # fmt: skip
    """Read tokens and split, train, write the weights of the best epoch, the learning curve and the scores."""
    started, config, divided = time.monotonic(), VampnetConfig.from_settings(settings), read_fold(split, fold)
    frames = fold_frames(divided, tokens, lag_ps=config.lag_ps)
    weighting = fold_log_weights(divided, list(log_weights), lag_ps=config.lag_ps)
    inputs = input_files(tokens, split, list(log_weights))
    description = {"kind": config.kind, "settings": settings, "fold": fold, "seed": seed}
    description |= {"trajectories": divided.trajectories(), "lag_frames": frames["training"].lag_frames}
    description |= {"provenance": provenance(inputs=inputs, settings=settings)}

    def report(rows: list[EpochScores]) -> None:
        with replace_when_complete(history) as part:
            write_history(part, rows)

    checkpoint = Checkpoint(Path(f"{weights}.part"), description | {"source": source_digest("train_vampnet")})
    pairs = FoldPairs.open(frames, weighting, config=config, seed=seed)
    model, rows, found = fit_vampnet(pairs, config=config, member=Member(seed, checkpoint, report))
    report(rows)
    with replace_when_complete(scores) as part:
        write_scores(part, found | {"fold": fold, "seed": seed})
    with replace_when_complete(costs) as part:
        write_costs(part, started=started)
    # Last, for this is what takes the place of the checkpoint.
    with replace_when_complete(weights) as part:
        write_weights(part, model.tensors(), description)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    fold, seed = int(snakemake.wildcards.fold), int(snakemake.wildcards.seed)
    with only_job(snakemake.output.weights):
        main(**snakemake.input, **snakemake.output, fold=fold, seed=seed, settings=snakemake.params.settings)
