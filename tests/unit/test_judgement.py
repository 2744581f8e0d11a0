"""Objections make one verdict: what cannot be estimated never hides, nor softens, what was compared."""

import itertools

import numpy as np
import pandas as pd
import pytest

from geom2msm.convergence import convergence_verdict
from geom2msm.judgement import Objections
from geom2msm.lag_choice import propose_lag
from geom2msm.markov_validation import ck_verdict
from geom2msm.relaxation import relaxation_verdict
from geom2msm.vamp2_consistency import consistency_verdict
from geom2msm.verdicts import VERDICTS

OFF_BY = (0.0, 3.5, 50.0)  # errors: pass, warn, fail
BY_SEVERITY = ("failures", "warnings", "not_estimable")
UNKNOWN = (np.nan, np.nan, np.nan)


def interval(value: float) -> tuple[float, float, float]:
    """Estimate and bounds with a standard error of 0.05."""
    return value, value - 1.96 * 0.05, value + 1.96 * 0.05


def halves(found: dict[str, tuple[tuple, tuple, tuple]]) -> pd.DataFrame:
    """Numbers of the first half, the second half and all data of every quantity."""
    parts = (("first", 0.5), ("last", 0.5), ("first", 1.0))
    rows = [(*part, name, *values) for name, each in found.items() for part, values in zip(parts, each, strict=True)]
    return pd.DataFrame(rows, columns=["end", "fraction", "quantity", "estimate", "lower", "upper"])


def convergence(errors: float | None, n_unknown: int) -> dict:
    apart = 0 if errors is None else errors * np.hypot(0.05, 0.05)
    known = {} if errors is None else {"population 1": (interval(0.2), interval(0.2 + apart), interval(0.2))}
    unknown = {f"population {2 + number}": (UNKNOWN,) * 3 for number in range(n_unknown)}
    return convergence_verdict(halves(known | unknown), n_processes=0)


def chapman_kolmogorov(errors: float | None, n_unknown: int) -> dict:
    names = [f"{name}{end}" for name in ("predicted", "estimated") for end in ("", "_lower", "_upper")]
    known = [] if errors is None else [(*interval(0.5), *interval(0.5 + errors * np.hypot(0.05, 0.05)))]
    # Known, but without an interval.
    unknown = [(0.5, np.nan, np.nan, 0.5, np.nan, np.nan)] * n_unknown
    return ck_verdict(pd.DataFrame(known + unknown, columns=names).assign(multiple=2, from_state=1, to_state=1))


def relaxation(errors: float | None, n_unknown: int) -> dict:
    names = [f"{name}{end}" for name in ("predicted", "measured") for end in ("", "_lower", "_upper")]
    known = [] if errors is None else [(*interval(0.5), *interval(0.5 + errors * np.hypot(0.05, 0.05)))]
    table = pd.DataFrame(known + [(*UNKNOWN, *interval(0.5))] * n_unknown, columns=names)
    return relaxation_verdict(table.assign(kind="relaxation", index=np.arange(1, len(table) + 1), time_ps=1.0))


def consistency(errors: float | None, n_unknown: int) -> dict:
    names = [f"{name}{end}" for name in ("measured", "predicted") for end in ("", "_lower", "_upper")]
    known = [] if errors is None else [(*interval(1.5 + errors * np.hypot(0.05, 0.05)), *interval(1.5))]
    table = pd.DataFrame(known + [(*interval(1.5), 1.5, np.nan, np.nan)] * n_unknown, columns=names)
    return consistency_verdict(table.assign(lag_ps=1.0 + np.arange(len(table))), lag_ps=1.0)


def lag(errors: float | None, n_unknown: int) -> dict:
    lags_ps = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    # Flat from the configured lag on, from the next one on, or never.
    times = {0.0: [100.0] * 5, 3.5: [50.0, *[100.0] * 4], 50.0: [100.0 * 3**step for step in range(5)]}
    curves = ([] if errors is None else [times[errors]]) + [[np.nan] * 5] * n_unknown
    tables = [
        pd.DataFrame({"lag_ps": lags_ps, "process": number, "estimate_ps": curve})
        for number, curve in enumerate(curves, start=1)
    ]
    table = pd.concat(tables)
    table = table.assign(lower_ps=0.9 * table.estimate_ps, upper_ps=1.1 * table.estimate_ps)
    return propose_lag(table, configured_lag_ps=1.0, n_processes=len(curves))


CHECKS = [convergence, chapman_kolmogorov, relaxation, consistency, lag]


@pytest.mark.parametrize("check", CHECKS)
def test_what_cannot_be_estimated_never_improves_a_verdict(check):
    for errors, expected in zip(OFF_BY, ("pass", "warn", "fail"), strict=True):
        found = [check(errors, n_unknown)["verdict"] for n_unknown in range(3)]
        assert found[0] == expected
        assert found[1:] == ["fail" if expected == "fail" else "warn"] * 2


@pytest.mark.parametrize("check", CHECKS)
def test_a_verdict_is_not_estimable_only_where_nothing_was_compared(check):
    found = check(None, 2)
    assert found["verdict"] == "not estimable"
    assert found["reasons"]


@pytest.mark.parametrize("kinds", [some for n in range(4) for some in itertools.combinations(BY_SEVERITY, n)])
def test_the_gravest_objection_is_the_verdict_and_stands_first(kinds):
    objections = Objections(**{kind: [kind] for kind in kinds})
    words = {"failures": "fail", "warnings": "warn", "not_estimable": "not estimable"}
    assert objections.verdict == max((words[kind] for kind in kinds), key=VERDICTS.index, default="pass")
    assert objections.verdict_and_reasons()["reasons"] == list(kinds)
