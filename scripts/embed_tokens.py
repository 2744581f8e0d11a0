"""Turn the frames of one trajectory into tokens with the frozen encoder."""

from collections.abc import Sequence

import torch

from geom2msm.encoder.job import EmbeddingJob
from geom2msm.encoder.streaming import fill_store
from geom2msm.log import log_to


def main(
    trajectory: str, topology: str, inventory: str, table: str, weights: str, check: str, tokens: str,
    *, settings: dict, source: str, ranges: Sequence[str] = (),
) -> None:  # fmt: skip
    """Embed chunk by chunk into a store, once the encoder is checked; a killed run continues after its last chunk.

    What other jobs have embedded, in `ranges`, is copied.
    """
    job = EmbeddingJob.prepare(trajectory, topology, inventory, table, weights, settings=settings, source=source)
    store = job.store(tokens, n_frames=job.known["n_frames"])
    job.copy_ranges(store, ranges)
    fill_store(store, job.pieces(store.frames_done), job.embedding, frame_interval_ps=job.known["frame_interval_ps"])


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings, source=snakemake.params.source)
