"""Turn a range of the frames of one trajectory into tokens; embed_tokens puts the ranges together."""

from pathlib import Path

import torch

from geom2msm.encoder.job import EmbeddingJob
from geom2msm.encoder.streaming import fill_store
from geom2msm.log import log_to
from geom2msm.pieces import limited


def main(
    trajectory: str, topology: str, inventory: str, table: str, weights: str, check: str, tokens: str,
    *, number: int, n_ranges: int, settings: dict, source: str,
) -> None:  # fmt: skip
    """Embed the frames of this range like embed_tokens; a range without a frame is an empty file."""
    job = EmbeddingJob.prepare(trajectory, topology, inventory, table, weights, settings=settings, source=source)
    first, stop = job.frame_range(number, n_ranges)
    if first == stop:
        Path(tokens).touch()
        return
    store = job.store(tokens, n_frames=stop - first)
    start = first + store.frames_done
    fill_store(
        store, limited(job.pieces(start), stop - start), job.embedding,
        frame_interval_ps=job.known["frame_interval_ps"], first_frame=first,
    )  # fmt: skip


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    main(
        **snakemake.input,
        **snakemake.output,
        number=int(snakemake.wildcards.range),
        n_ranges=snakemake.params.n_ranges,
        settings=snakemake.params.settings,
        source=snakemake.params.source,
    )
