"""Check that every trajectory is longer than the longest lag in the config."""

import json
from pathlib import Path

from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete


def check_lag(path: str, *, n_frames: int, frame_interval_ps: float, longest_lag_ps: float) -> None:
    """Refuse a trajectory that is no longer than the longest lag."""
    if longest_lag_ps >= n_frames * frame_interval_ps:
        raise ValueError(
            f"{path}: {n_frames} frames, {frame_interval_ps:g} ps apart, are {n_frames * frame_interval_ps:g} ps, "
            f"not more than the longest lag in the config, {longest_lag_ps:g} ps; "
            "shorten lag_ps and msm.scan_lags_ps or leave this trajectory out."
        )


def main(inventories: list[str], lags: str, *, longest_lag_ps: float) -> None:
    """Refuse a trajectory that is too short for a lag, before any token is computed."""
    known = [json.loads(Path(path).read_text()) for path in inventories]
    for each in known:
        check_lag(
            each["file"],
            n_frames=each["n_frames"],
            frame_interval_ps=each["frame_interval_ps"],
            longest_lag_ps=longest_lag_ps,
        )
    shortest_ps = min(each["n_frames"] * each["frame_interval_ps"] for each in known)
    with replace_when_complete(lags) as part:
        part.write_text(json.dumps({"longest_lag_ps": longest_lag_ps, "shortest_trajectory_ps": shortest_ps}) + "\n")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, longest_lag_ps=snakemake.params.longest_lag_ps)
