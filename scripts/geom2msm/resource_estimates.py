"""What jobs ask a cluster for, estimated from the size of their input.

Measured on one core of an AMD EPYC (Zen 4), docs/performance.md; estimates are two to four times what was measured, for
older processors, busier disks and networks of other widths. Memory includes the 300 MB of the two Snakemakes of a job.
"""

import math
from collections.abc import Mapping

JOB_MB = 300
# Python, torch, mdtraj and the compiled kernel; a frame of 21,746 atoms took 330 MB more.
EMBEDDING_MB, EMBEDDING_MB_PER_ATOM = 1200, 0.03
# Fused kernel, width 64: 0.04 ms for small molecules to 0.1 ms; plain PyTorch takes seven times as long.
EMBEDDING_SECONDS_PER_ATOM = 4.0e-4
# Python and torch: 500 MB with 61 MB of tokens.
TRAINING_MB, COPIES = 700, 1.3
# 4 ms for the mixer `sum`, up to 40 ms for those with attention.
TRAINING_SECONDS_PER_MB_AND_EPOCH = 0.1
START_MINUTES = 20
# Python and torch, and 50,000 pairs of 500 components: 1,260 MB.
LINEAR_MB = 2000
# In double precision 4.5 copies of the frames that principal components are found from, and 15 matrices.
SAMPLE_COPIES, MATRICES = 5, 20
# Frames that principal components are found from, per component.
FRAMES_PER_COMPONENT = 4
MEGABYTE = 1 << 20


def embedding_mb(n_atoms: int) -> int:
    """Memory of an embedding, which does not grow with the trajectory."""
    return math.ceil(JOB_MB + EMBEDDING_MB + EMBEDDING_MB_PER_ATOM * n_atoms)


def embedding_minutes(n_frames: int, n_atoms: int) -> int:
    """Time of an embedding on a processor; a job that runs out of it continues at the next attempt."""
    return START_MINUTES + math.ceil(n_frames * n_atoms * EMBEDDING_SECONDS_PER_ATOM / 60)


def training_mb(stored_mb: float, settings: Mapping) -> int:
    """Memory of a training, bounded by the buffers through which pass what does not fit, and by that of a batch."""
    # A VAMPnet keeps a buffer of training frames, a SPIB one of validation frames, too.
    n_buffers = 2 if settings["kind"] == "spib" else 1
    frames_mb = COPIES * min(stored_mb, n_buffers * settings["memory_mb"])
    return math.ceil(JOB_MB + TRAINING_MB + frames_mb + settings["batch_memory_mb"])


def linear_model_mb(stored_mb: float, n_frames: int, *, rank: int) -> int:
    """Memory of a linear model: components of all frames, and all features of those that components are found from.

    A feature takes 4 bytes in a store, or more; in memory a component takes 4, and a feature of the sample 8.
    """
    components_mb = min(stored_mb, n_frames * rank * 4 / MEGABYTE)
    sample_mb = 2 * stored_mb * min(1.0, FRAMES_PER_COMPONENT * rank / n_frames)
    matrices_mb = MATRICES * rank**2 * 8 / MEGABYTE
    return math.ceil(JOB_MB + LINEAR_MB + COPIES * components_mb + SAMPLE_COPIES * sample_mb + matrices_mb)


def most_epochs(settings: Mapping) -> int:
    """Passes over the data that a training can take at most."""
    if settings["kind"] == "spib":
        return settings["n_refinements"] * settings["max_epochs_per_refinement"]
    return settings["max_epochs"]


def training_minutes(stored_mb: float, n_epochs: int) -> int:
    """Time of a training; a job that runs out of it continues at the next attempt, after its last epoch."""
    return START_MINUTES + math.ceil(stored_mb * n_epochs * TRAINING_SECONDS_PER_MB_AND_EPOCH / 60)
