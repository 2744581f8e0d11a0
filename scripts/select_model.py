"""Choose among the trained members of a model (folds and seeds) by validation score."""

import json
import shutil
from pathlib import Path

from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete


def main(scores: list[str], weights: list[str], selected: str, chosen: str) -> None:
    """Copy the weights of the member with the highest pooled validation VAMP-2 and list all members."""
    members = [
        json.loads(Path(path).read_text()) | {"weights": str(member)}
        for path, member in zip(scores, weights, strict=True)
    ]
    best = max(members, key=lambda member: member["score_validation"])
    content = {key: best[key] for key in ("fold", "seed", "score_validation", "weights")} | {"members": members}
    with replace_when_complete(chosen) as part:
        shutil.copyfile(best["weights"], part)
    with replace_when_complete(selected) as part:
        part.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
