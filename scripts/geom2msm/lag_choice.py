"""The lag proposed for a Markov model: the shortest of the scan from which the timescales are flat within error.

Estimates at different lags come from the same data. The one at the longer lag has the larger error, and the variance of
the difference is at most that of the longer lag alone (Hausman, Econometrica 46 (1978) 1251); so a timescale is flat
from a lag on if it lies in the 95 % intervals of all longer lags that resolve it. A score never chooses the lag: VAMP-2
at different lags cannot be compared (Husic & Pande, J. Chem. Phys. 147 (2017) 176101).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from geom2msm.judgement import Objections, read_json

# Timescales this close count as equal, however small their errors.
TOLERANCE = 0.05
# The slowest timescale must agree at two longer lags, for the last but one lag of a scan agrees easily; faster ones
# drop below the lag before that.
MIN_LONGER_LAGS = 2
# From this multiple of the proposed lag on, a longer lag costs resolution and counts without need.
LONG_MULTIPLE = 2.0
THRESHOLDS = {"tolerance": TOLERANCE, "min_longer_lags": MIN_LONGER_LAGS, "long_multiple": LONG_MULTIPLE}


@dataclass(frozen=True)
class LagScan:
    """Implied timescales by lag (ascending) and process, with 95 % intervals; NaN where not estimable."""

    lags_ps: Float[np.ndarray, " lag"]
    estimate_ps: Float[np.ndarray, "lag process"]
    lower_ps: Float[np.ndarray, "lag process"]
    upper_ps: Float[np.ndarray, "lag process"]

    @classmethod
    def of_table(cls, timescales: pd.DataFrame, *, n_processes: int) -> "LagScan":
        """The first processes of a `timescales.csv`; those it does not have are NaN."""
        pivoted = [timescales.pivot(index="lag_ps", columns="process", values=f"{name}_ps") for name in _VALUES]
        tables = [table.reindex(columns=range(1, n_processes + 1)) for table in pivoted]
        lags_ps = tables[0].index.to_numpy(dtype=float)
        return cls(lags_ps, *(table.to_numpy(dtype=float) for table in tables))

    @property
    def resolved(self) -> Bool[np.ndarray, "lag process"]:
        """Whether a timescale is longer than the lag it was estimated at; NaN is not."""
        return self.estimate_ps > self.lags_ps[:, None]


_VALUES = ("estimate", "lower", "upper")


@dataclass(frozen=True)
class Flatness:
    """For every lag and process: whether all longer lags agree, and how many of them could be compared."""

    flat: Bool[np.ndarray, "lag process"]
    n_compared: Int[np.ndarray, "lag process"]

    @property
    def judged(self) -> Bool[np.ndarray, " process"]:
        """Processes with enough longer lags to compare with, at one lag at least."""
        return enough(self.n_compared).any(axis=0)


def enough(n_compared: Int[np.ndarray, "*lag process"]) -> Bool[np.ndarray, "*lag process"]:
    """Whether so many longer lags are enough to call a timescale flat."""
    return n_compared >= np.where(np.arange(n_compared.shape[-1]) == 0, MIN_LONGER_LAGS, 1)


def flatness(scan: LagScan) -> Flatness:
    """Compare every timescale with those at all longer lags that resolve it and have an interval."""
    flat = np.zeros(scan.estimate_ps.shape, dtype=bool)
    n_compared = np.zeros(scan.estimate_ps.shape, dtype=np.int64)
    for lag, here in enumerate(scan.estimate_ps):
        lower, upper, there = (values[lag + 1 :] for values in (scan.lower_ps, scan.upper_ps, scan.estimate_ps))
        close = np.abs(np.log(there / here)) <= TOLERANCE
        comparable = scan.resolved[lag + 1 :] & scan.resolved[lag] & (close | np.isfinite(upper - lower))
        agree = close | ((lower <= here) & (here <= upper))
        n_compared[lag] = comparable.sum(axis=0)
        flat[lag] = (agree | ~comparable).all(axis=0) & enough(n_compared[lag])
    return Flatness(flat, n_compared)


def propose_lag(timescales: pd.DataFrame, *, configured_lag_ps: float, n_processes: int) -> dict[str, object]:
    """The proposed lag beside the configured one, and a verdict on the latter, from the content of `timescales.csv`.

    `n_processes` are those that separate the macrostates, one fewer than there are states.
    """
    scan = LagScan.of_table(timescales, n_processes=n_processes)
    found = flatness(scan)
    proposed_ps = _first_lag(scan.lags_ps, found.flat[:, found.judged].all(axis=1) & found.judged[0])
    objections = Objections()
    objections.add_missing(_not_judged(found), anything_compared=bool(found.judged.any()))
    if not found.flat[:, found.judged].all(axis=1).any():
        objections.failures.append(
            "at no lag of the scan are all timescales flat within error; add longer lags to msm.scan_lags_ps"
        )
    elif proposed_ps is not None:
        objections.warnings.extend(_disagreement(scan, found, configured_lag_ps, proposed_ps))
    return objections.verdict_and_reasons() | {
        "configured_lag_ps": configured_lag_ps,
        "proposed_lag_ps": proposed_ps,
        "scanned_lags_ps": scan.lags_ps.tolist(),
        "processes": [_process(scan, found, process) for process in range(scan.estimate_ps.shape[1])],
        "thresholds": THRESHOLDS,
    }


def _not_judged(found: Flatness) -> list[str]:
    """Which timescales have too few lags to be called flat or not."""
    slowest = (
        f"the slowest timescale has no {MIN_LONGER_LAGS + 1} lags of the scan that resolve it with an interval; "
        "add shorter lags to msm.scan_lags_ps, lower msm.n_microstates, or give more data"
    )
    faster = [
        f"t{process + 2} cannot be judged: no two lags of the scan resolve it with an interval"
        for process in np.flatnonzero(~found.judged[1:]) + 1
    ]
    return faster if found.judged[0] else [slowest, *faster]


def _first_lag(lags_ps: Float[np.ndarray, " lag"], fits: Bool[np.ndarray, " lag"]) -> float | None:
    return float(lags_ps[fits][0]) if fits.any() else None


def _disagreement(scan: LagScan, found: Flatness, configured_ps: float, proposed_ps: float) -> list[str]:
    """Why the configured lag is not the one to take; empty if it is."""
    here = int(np.argmin(np.abs(scan.lags_ps - configured_ps)))
    not_flat = found.judged & ~found.flat[here]
    if configured_ps < proposed_ps:
        return [
            f"msm.lag_ps = {configured_ps:g} is too short, for {_names(not_flat)} is not flat there; "
            f"all timescales are flat from {proposed_ps:g} ps on"
        ]
    if configured_ps > LONG_MULTIPLE * proposed_ps:
        return [
            f"msm.lag_ps = {configured_ps:g} is longer than needed, which costs resolution and certainty: "
            f"all timescales are flat from {proposed_ps:g} ps on"
        ]
    if (uneven := not_flat & enough(found.n_compared[here])).any():
        return [
            f"at msm.lag_ps = {configured_ps:g} {_names(uneven)} does not agree with longer lags, though it does at "
            f"{proposed_ps:g} ps: the timescales are not flat, or their intervals are too narrow"
        ]
    return []


def _names(chosen: Bool[np.ndarray, " process"]) -> str:
    return " and ".join(f"t{process + 2}" for process in np.flatnonzero(chosen))


def _process(scan: LagScan, found: Flatness, process: int) -> dict[str, object]:
    """What is known of one timescale: where it is flat, and how much it changes over the lags that resolve it."""
    resolved = scan.estimate_ps[scan.resolved[:, process], process]
    return {
        "name": f"t{process + 2}",
        "flat_from_ps": _first_lag(scan.lags_ps, found.flat[:, process]),
        "n_lags_resolved": len(resolved),
        "shortest_ps": float(resolved.min()) if len(resolved) else None,
        "longest_ps": float(resolved.max()) if len(resolved) else None,
    }


def scan_with_members(scan: str, members: str, lag: str) -> pd.DataFrame:
    """A `timescales.csv` with the range of all members beside each estimate and the lag that `lag.json` proposes."""
    estimates = pd.read_csv(members).groupby(["lag_ps", "process"]).estimate_ps
    spread = pd.DataFrame({"members_lowest_ps": estimates.min(), "members_highest_ps": estimates.max()}).reset_index()
    table = pd.read_csv(scan).merge(spread, how="left", on=["lag_ps", "process"])
    return table.assign(proposed_lag_ps=pd.Series(read_json(lag)["proposed_lag_ps"], table.index, dtype=float))
