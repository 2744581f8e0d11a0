"""Bring the user's log-weights of one biased trajectory to the frames that count."""

import json
from pathlib import Path

import numpy as np

from geom2msm.log import log_to
from geom2msm.log_weights import read_log_weights
from geom2msm.provenance import inherited, provenance
from geom2msm.store import write_store


def main(file: str, inventory: str, log_weights: str) -> None:
    """Check the values of `file` against the inventory and store them as they are."""
    known = json.loads(Path(inventory).read_text())
    values = read_log_weights(file, n_saved_frames=known["n_saved_frames"], stride=known["stride"])
    attributes = inherited(known)
    attributes["provenance"] = provenance(inputs={"file": file, "inventory": inventory}, settings={})
    arrays = {"log_weights": values, "time_ps": np.arange(len(values)) * known["frame_interval_ps"]}
    axes = {"log_weights": ("frame",), "time_ps": ("frame",)}
    write_store(log_weights, attributes=attributes, arrays=arrays, axes=axes)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
