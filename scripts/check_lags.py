"""Check that every run is longer than the longest lag in the config."""

import json
from collections.abc import Mapping

from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete
from geom2msm.runs import Run, join_runs, read_inventories


def check_lag(run: Run, files: Mapping[str, str], *, frame_interval_ps: float, longest_lag_ps: float) -> None:
    """Refuse a run that is no longer than the longest lag."""
    if longest_lag_ps >= len(run) * frame_interval_ps:
        name, advice = files[run.trajectories[0]], "shorten lag_ps and msm.scan_lags_ps"
        if len(run.trajectories) == 1:
            advice += " or leave this trajectory out"
        else:
            name += f" to {files[run.trajectories[-1]]}, joined"
        raise ValueError(
            f"{name}: {len(run)} frames, {frame_interval_ps:g} ps apart, are {len(run) * frame_interval_ps:g} ps, not "
            f"more than the longest lag in the config, {longest_lag_ps:g} ps; {advice}."
        )


def main(inventories: list[str], lags: str, *, longest_lag_ps: float, continuous: bool) -> None:
    """Refuse a run that is too short for a lag, and files that repeat others, before any token is computed."""
    known = read_inventories(inventories)
    runs, interval_ps = join_runs(known, continuous=continuous), known[0]["frame_interval_ps"]
    files = {each["trajectory"]: each["file"] for each in known}
    for run in runs:
        check_lag(run, files, frame_interval_ps=interval_ps, longest_lag_ps=longest_lag_ps)
    shortest_ps = min(map(len, runs)) * interval_ps
    with replace_when_complete(lags) as part:
        part.write_text(json.dumps({"longest_lag_ps": longest_lag_ps, "shortest_run_ps": shortest_ps}) + "\n")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    config = {name: snakemake.params[name] for name in ("longest_lag_ps", "continuous")}
    main(**snakemake.input, **snakemake.output, **config)
