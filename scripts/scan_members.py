"""Estimate implied timescales of every member of a model, of all folds and seeds, over the lag scan."""

import torch

from geom2msm.log import log_to
from geom2msm.markov import MsmSettings
from geom2msm.member_scans import scan_members
from geom2msm.pairs import read_frame_interval_ps
from geom2msm.provenance import replace_when_complete
from geom2msm.units import frames
from geom2msm.weights_files import read_weights


def main(sources: list[str], weights: list[str], split: str, timescales: str, *, settings: dict) -> None:
    """Project, cluster and count with each member in turn."""
    chosen = MsmSettings(**settings)
    descriptions = [read_weights(path)[1] for path in weights]
    members = {(known["fold"], known["seed"]): path for known, path in zip(descriptions, weights, strict=True)}
    interval_ps = read_frame_interval_ps(sources)
    lag_frames = {lag: frames(lag_ps=lag, frame_interval_ps=interval_ps) for lag in chosen.scan_lags_ps}
    table = scan_members(sources, members, split, chosen, lag_frames=lag_frames)
    with replace_when_complete(timescales) as part:
        table.to_csv(part, index=False)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
