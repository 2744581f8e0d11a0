"""Write what every macrostate looks like: means of all observables with 95 % intervals."""

import logging

import numpy as np

from geom2msm.annotation import annotate, read_frames_stood_for, read_weighted_frames
from geom2msm.joined_store import read_beside
from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete
from geom2msm.store import read_attributes


def main(observables: list[str], states: str, msm: str, annotation: str) -> None:
    """Average the observables over the frames of each state."""
    known = [read_attributes(path) for path in observables]
    for path, attributes in zip(observables, known, strict=True):
        if attributes["names"] != known[0]["names"]:
            raise ValueError(
                f"{path}: observables {', '.join(attributes['names'])}, but {observables[0]} has "
                f"{', '.join(known[0]['names'])}; the tables of observables.table must have the same columns."
            )
    frames = read_weighted_frames(states, msm)
    logging.info("%d blocks of frames are left out in turn for the intervals", frames.blocks.n_blocks)
    described = {key: known[0][key] for key in ("names", "units", "periodic")}
    each_for = read_frames_stood_for(observables, like=states)
    values = read_beside(observables, "observables", like=states)
    table = annotate(frames, values, each_for=each_for, **described)
    logging.info("%d means have no interval: too few blocks reach the state", np.isnan(table.mean_lower).sum())
    with replace_when_complete(annotation) as part:
        table.to_csv(part, index=False, float_format="%.7g")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
