"""What of the data a Markov model can use at each lag: strongly connected sets of microstates, largest first."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from geom2msm.judgement import Objections
from geom2msm.markov import Counts, count_transitions

PASS_FRACTION = 0.98
FAIL_FRACTION = 0.9
THRESHOLDS = {"pass_fraction_of_frames": PASS_FRACTION, "fail_fraction_of_frames": FAIL_FRACTION}
NO_SET = 0


def connectivity_table(
    dtrajs: Sequence[Int[np.ndarray, " _"]], *, lag_frames: Mapping[float, int], n_microstates: int
) -> pd.DataFrame:
    """One row per lag (key of `lag_frames`, in ps) and connected set; set 1 has the most counts: the active set.

    A set that is never left swallows trajectories, one that is never entered only begins them. Where no transition
    can be counted, for the lag is too long, there is one row with set 0 and without numbers.
    """
    tables = []
    for lag_ps, n_frames in sorted(lag_frames.items()):
        try:
            counts = count_transitions(dtrajs, lag_frames=n_frames, n_microstates=n_microstates)
        except ValueError as error:
            logging.warning("lag %g ps: not estimable: %s", lag_ps, error)
            tables.append(pd.DataFrame({"lag_ps": [lag_ps], "set": NO_SET, "n_microstates": 0}))
            continue
        tables.append(_sets(counts).assign(lag_ps=lag_ps))
    table = pd.concat(tables, ignore_index=True)
    return table.reindex(columns=["lag_ps", "set", "n_microstates", *_NUMBERS])


_NUMBERS = ("n_frames", "fraction_of_frames", "n_counts", "fraction_of_counts", "entered", "left")


def _sets(counts: Counts) -> pd.DataFrame:
    """Frames, counts within, into and out of each connected set."""
    flows = np.array([counts.matrix[states].sum(axis=0) for states in counts.connected_sets])
    between = np.array([flows[:, states].sum(axis=1) for states in counts.connected_sets]).T
    frames = np.array([counts.frames[states].sum() for states in counts.connected_sets])
    within = between.diagonal()
    return pd.DataFrame({
        "set": np.arange(1, len(frames) + 1),
        "n_microstates": [len(states) for states in counts.connected_sets],
        "n_frames": frames, "fraction_of_frames": frames / frames.sum(),
        "n_counts": within, "fraction_of_counts": within / between.sum(),
        "entered": between.sum(axis=0) - within, "left": between.sum(axis=1) - within,
    })  # fmt: skip


def connectivity_verdict(table: pd.DataFrame, *, lag_ps: float) -> dict[str, object]:
    """What the model at this lag keeps and drops, and whether that is enough."""
    sets = table[table.lag_ps == lag_ps]
    active, dropped = sets.iloc[0], sets.iloc[1:]
    objections = Objections()
    if active.set == NO_SET:
        objections.not_estimable.append(f"a lag of {lag_ps:g} ps is not shorter than the longest trajectory")
    elif active.n_microstates < 2:
        objections.not_estimable.append(
            "all frames lie in one microstate: there are no dynamics"
            if sets.n_microstates.sum() == 1
            else f"no two of {sets.n_microstates.sum()} microstates are connected in both directions"
        )
    elif active.fraction_of_frames < PASS_FRACTION:
        kind = objections.failures if active.fraction_of_frames < FAIL_FRACTION else objections.warnings
        kind.append(f"the model uses only {active.fraction_of_frames:.1%} of the frames, in one of {len(sets)} sets")
    never_left = dropped[dropped.left == 0]
    if objections.verdict != "pass" and len(never_left):
        kind = objections.not_estimable or objections.warnings
        kind.append(f"{len(never_left)} of the dropped sets, {never_left.n_frames.sum():.0f} frames, are never left")
    return objections.verdict_and_reasons() | {
        "lag_ps": lag_ps,
        "n_sets": int((sets.set != NO_SET).sum()),
        "n_active_microstates": int(active.n_microstates),
        "n_visited_microstates": int(sets.n_microstates.sum()),
        "fraction_of_frames_active": float(active.fraction_of_frames),
        "fraction_of_counts_active": float(active.fraction_of_counts),
        "n_never_left": len(never_left),
        "n_never_entered": int((dropped.entered == 0).sum()),
        "dropped": dropped.drop(columns="lag_ps").to_dict("records"),
        "thresholds": THRESHOLDS,
    }
