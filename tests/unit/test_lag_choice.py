import json

import numpy as np
import pandas as pd

from geom2msm.judgement import lines_for_log, without_nan, write_verdict
from geom2msm.lag_choice import propose_lag, scan_with_members

LAGS_PS = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]


def scan(*processes: list[float], width: float = 0.1) -> pd.DataFrame:
    """Timescales at LAGS_PS, with intervals of this relative half-width."""
    tables = [
        pd.DataFrame({"lag_ps": LAGS_PS, "process": number, "estimate_ps": times})
        for number, times in enumerate(processes, start=1)
    ]
    table = pd.concat(tables, ignore_index=True)
    return table.assign(lower_ps=table.estimate_ps * (1 - width), upper_ps=table.estimate_ps * (1 + width))


def proposal(table: pd.DataFrame, *, configured_lag_ps: float = 5.0, n_processes: int = 1) -> dict:
    return propose_lag(table, configured_lag_ps=configured_lag_ps, n_processes=n_processes)


RISING = [100.0, 200.0, 380.0, 400.0, 410.0, 405.0]


def test_the_proposed_lag_is_the_shortest_that_all_longer_ones_agree_with():
    found = proposal(scan(RISING))
    assert found["proposed_lag_ps"] == 5
    assert found["verdict"] == "pass"
    assert found["reasons"] == []


def test_wide_errors_make_shorter_lags_flat_and_narrow_ones_do_not():
    assert proposal(scan(RISING, width=0.6))["proposed_lag_ps"] == 2
    assert proposal(scan([100.0, 200.0, 300.0, 400.0, 410.0, 405.0], width=0.01))["proposed_lag_ps"] == 10


def test_changes_of_a_few_percent_do_not_count_however_small_the_errors():
    drifting = [400.0, 404.0, 406.0, 408.0, 410.0, 412.0]
    assert proposal(scan(drifting, width=1e-6))["proposed_lag_ps"] == 1


def test_every_process_that_separates_the_states_has_to_be_flat():
    flat, late = [400.0] * 6, [60.0, 90.0, 120.0, 150.0, 152.0, 150.0]
    table = scan(flat, late)
    assert proposal(table, configured_lag_ps=1.0)["proposed_lag_ps"] == 1
    both = proposal(table, n_processes=2)
    assert both["proposed_lag_ps"] == 10
    assert [process["flat_from_ps"] for process in both["processes"]] == [1, 10]


def test_a_faster_process_needs_one_longer_lag_and_drops_below_the_lag_after_that():
    slow, fast = [400.0, 500.0, 600.0, 700.0, 702.0, 701.0], [10.0, 15.0, 20.0, 25.0, 25.5, 25.0]
    found = proposal(scan(slow, fast, width=0.02), configured_lag_ps=10.0, n_processes=2)
    assert (found["verdict"], found["proposed_lag_ps"]) == ("pass", 10)


def test_the_last_lag_but_one_is_not_enough_for_the_slowest():
    assert proposal(scan([100.0, 200.0, 300.0, 400.0, 500.0, 500.0]))["proposed_lag_ps"] is None


def test_a_lag_that_is_too_short_or_far_too_long_is_a_warning_with_the_proposal():
    short = proposal(scan(RISING), configured_lag_ps=1.0)
    assert short["verdict"] == "warn"
    assert "msm.lag_ps = 1 is too short, for t2 is not flat there" in short["reasons"][0]
    assert "flat from 5 ps on" in short["reasons"][0]
    long = proposal(scan(RISING), configured_lag_ps=50.0)
    assert long["verdict"] == "warn"
    assert "longer than needed" in long["reasons"][0]
    assert proposal(scan(RISING), configured_lag_ps=10.0)["verdict"] == "pass"


def test_a_lag_after_the_proposed_one_that_disagrees_with_longer_lags_is_a_warning():
    uneven = scan([400.0, 330.0, 400.0, 400.0, 405.0, 400.0])
    uneven.loc[uneven.lag_ps == 2, "upper_ps"] = 500
    found = proposal(uneven, configured_lag_ps=2.0)
    assert (found["verdict"], found["proposed_lag_ps"]) == ("warn", 1)
    assert "at msm.lag_ps = 2 t2 does not agree with longer lags, though it does at 1 ps" in found["reasons"][0]


def test_timescales_that_never_settle_fail_without_a_proposal():
    found = proposal(scan([100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0]))
    assert found["verdict"] == "fail"
    assert found["proposed_lag_ps"] is None


def test_where_lags_are_longer_than_the_timescale_nothing_is_compared():
    # 12 ps at lags of 20 and 50 ps says nothing about it, whatever the number.
    fast = [12.0, 12.0, 12.1, 11.9, 40.0, 90.0]
    table = scan(fast)
    table.loc[table.lag_ps >= 20, "estimate_ps"] = [15.0, 30.0]
    assert proposal(table)["proposed_lag_ps"] == 1


def test_a_timescale_without_enough_lags_is_not_estimable_and_no_number():
    table = scan([400.0] * 6)
    table.loc[table.lag_ps > 2, ["estimate_ps", "lower_ps", "upper_ps"]] = np.nan
    found = proposal(table)
    assert found["verdict"] == "not estimable"
    assert found["proposed_lag_ps"] is None
    assert found["processes"][0]["n_lags_resolved"] == 2


def test_intervals_that_are_missing_cannot_confirm_a_change_or_its_absence():
    table = scan([100.0, 100.0, 300.0, 300.0, 300.0, 300.0])
    table.loc[table.lag_ps >= 5, ["lower_ps", "upper_ps"]] = np.nan
    found = proposal(table)
    assert found["proposed_lag_ps"] == 5
    assert found["verdict"] == "pass"


def test_a_process_too_fast_to_be_judged_is_named_but_does_not_hide_the_slow_one():
    found = proposal(scan([400.0] * 6, [1.5, 1.4, 1.4, 1.3, 1.3, 1.3]), configured_lag_ps=1.0, n_processes=2)
    assert found["proposed_lag_ps"] == 1
    assert found["verdict"] == "warn"
    assert "t3 cannot be judged" in found["reasons"][0]


def test_a_process_that_was_not_scanned_cannot_pass():
    found = proposal(scan([400.0] * 6, [100.0] * 6), configured_lag_ps=1.0, n_processes=3)
    assert [process["name"] for process in found["processes"]] == ["t2", "t3", "t4"]
    assert found["verdict"] == "warn"
    assert "t4 cannot be judged" in found["reasons"][0]


def test_the_range_of_the_members_stands_beside_the_scan(tmp_path):
    table = scan([400.0] * 6)
    table.to_csv(tmp_path / "scan.csv", index=False)
    members = pd.concat([table.assign(seed=seed, estimate_ps=table.estimate_ps * (1 + seed)) for seed in range(3)])
    members.to_csv(tmp_path / "members.csv", index=False)
    (tmp_path / "lag.json").write_text(json.dumps({"proposed_lag_ps": None}))
    read = scan_with_members(*(str(tmp_path / name) for name in ("scan.csv", "members.csv", "lag.json")))
    assert (read.members_lowest_ps == 400).all()
    assert (read.members_highest_ps == 1200).all()
    assert read.proposed_lag_ps.isna().all()


def test_a_disagreement_is_loud_in_the_log_and_what_is_no_number_is_null(tmp_path, caplog):
    found = {"verdict": "warn", "reasons": ["one", "two"], "value": float("nan"), "list": [float("inf"), 1.0]}
    write_verdict(str(tmp_path / "lag.json"), found, subject="lag time")
    assert caplog.messages[:2] == ["LAG TIME WARN: one", "LAG TIME WARN: two"]
    assert [record.levelname for record in caplog.records][:2] == ["WARNING"] * 2
    assert json.loads((tmp_path / "lag.json").read_text())["list"] == [None, 1.0]
    assert without_nan({"a": [float("nan")]}) == {"a": [None]}
    assert not list(lines_for_log({"verdict": "pass", "reasons": []}, subject="lag time"))
