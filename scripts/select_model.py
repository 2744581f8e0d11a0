"""Put the members of a model (folds and seeds) together: their scores, their agreement, and which one to go on with."""

import json
import shutil
from pathlib import Path

from geom2msm.ensemble import agreements, best_member, spread_frames, summarize
from geom2msm.frame_reader import FrameReader
from geom2msm.log import log_to
from geom2msm.projection import found_functions
from geom2msm.provenance import replace_when_complete

COMPARED_FRAMES = 5000


def main(scores: list[str], weights: list[str], sources: list[str], ensemble: str, chosen: str) -> None:
    """Summarize all members, compare their functions on common frames, and copy the weights of the chosen one."""
    found = [json.loads(Path(path).read_text()) for path in scores]
    members = [known | {"weights": str(member)} for known, member in zip(found, weights, strict=True)]
    n_frames = [len(FrameReader(source, "time_ps")) for source in sources]
    frames = spread_frames(n_frames, n_chosen=COMPARED_FRAMES)
    functions = [found_functions(sources, member["weights"], frames) for member in members]
    compared = agreements(functions)
    best = members[best_member(members, compared)]
    content = {key: best[key] for key in ("fold", "seed", "score_validation", "weights")}
    content |= {"summary": summarize(members), "agreement": compared, "members": members}
    with replace_when_complete(chosen) as part:
        shutil.copyfile(best["weights"], part)
    with replace_when_complete(ensemble) as part:
        part.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
