"""Split the trajectories of a system into folds for cross-validation."""

import json
from dataclasses import asdict
from pathlib import Path

from geom2msm.log import log_to
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.splits import trajectory_folds


def main(inventories: list[str], split: str, *, n_folds: int) -> None:
    """Balance whole trajectories over folds by the frames that their inventories count."""
    known = {path: json.loads(Path(path).read_text()) for path in inventories}
    n_frames = {inventory["trajectory"]: inventory["n_frames"] for inventory in known.values()}
    folds = trajectory_folds(n_frames, n_folds=n_folds)
    sources = {inventory["trajectory"]: path for path, inventory in known.items()}
    content = {
        "folds": [asdict(fold) for fold in folds],
        "n_frames": n_frames,
        "provenance": provenance(inputs=sources, settings={"n_folds": n_folds}),
    }
    with replace_when_complete(split) as part:
        part.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, n_folds=snakemake.params.n_folds)
