import numpy as np
import pytest

from geom2msm.connectivity import connectivity_table, connectivity_verdict


def sets_of(*dtrajs: list[int], lags: dict[float, int] | None = None):
    arrays = [np.array(dtraj) for dtraj in dtrajs]
    n_microstates = max(map(max, dtrajs)) + 1
    return connectivity_table(arrays, lag_frames=lags or {1.0: 1}, n_microstates=n_microstates)


def test_all_frames_and_counts_of_all_sets_add_up_to_one():
    table = sets_of([0, 1, 0, 1, 2, 3, 2, 3], [4, 4, 4])
    assert table.n_microstates.tolist() == [2, 2, 1]
    assert table.fraction_of_frames.sum() == pytest.approx(1)
    # The step from one set to the next lies in no set.
    assert table.n_counts.sum() == 8
    assert table.fraction_of_counts.sum() == pytest.approx(8 / 9)
    assert table.left.sum() == table.entered.sum() == 1


def test_disconnected_trajectories_are_sets_without_exchange_and_the_model_keeps_the_larger():
    table = sets_of([0, 1] * 30, [2, 3] * 10)
    assert (table[["entered", "left"]] == 0).all(axis=None)
    found = connectivity_verdict(table, lag_ps=1.0)
    assert found["verdict"] == "fail"
    assert found["fraction_of_frames_active"] == pytest.approx(0.75)
    assert found["dropped"][0]["n_frames"] == 20
    assert found["n_sets"] == 2


def test_a_trapped_microstate_does_not_hide_the_connected_ones_however_often_it_was_seen():
    table = sets_of([0] * 1000, [1, 2] * 30)
    assert table.n_microstates.tolist() == [2, 1]
    found = connectivity_verdict(table, lag_ps=1.0)
    assert found["verdict"] == "fail"
    assert found["fraction_of_frames_active"] == pytest.approx(60 / 1060)


def test_a_set_that_is_never_left_is_named():
    found = connectivity_verdict(sets_of([0, 1] * 30 + [2] * 5), lag_ps=1.0)
    assert found["verdict"] == "warn"
    assert found["n_never_left"] == 1
    assert found["n_never_entered"] == 0
    assert any("1 of the dropped sets, 5 frames, are never left" in reason for reason in found["reasons"])


def test_a_last_frame_elsewhere_is_listed_but_no_reason_to_warn():
    found = connectivity_verdict(sets_of([0, 1] * 100 + [2]), lag_ps=1.0)
    assert found["verdict"] == "pass"
    assert len(found["dropped"]) == found["n_never_left"] == 1


@pytest.mark.parametrize(
    ("dtraj", "reason"), [([0] * 20, "all frames lie in one microstate"), ([0, 1, 2], "no two of 3 microstates")]
)
def test_a_single_state_and_a_one_way_street_are_not_estimable_but_no_error(dtraj, reason):
    found = connectivity_verdict(sets_of(dtraj), lag_ps=1.0)
    assert found["verdict"] == "not estimable"
    assert reason in found["reasons"][0]


def test_a_lag_longer_than_the_data_has_a_row_without_numbers():
    table = sets_of([0, 1] * 10, lags={1.0: 1, 100.0: 100})
    long = table[table.lag_ps == 100]
    assert long.set.tolist() == [0]
    assert long.fraction_of_frames.isna().all()
    found = connectivity_verdict(table, lag_ps=100.0)
    assert found["verdict"] == "not estimable"
    assert found["n_sets"] == 0
    assert connectivity_verdict(table, lag_ps=1.0)["verdict"] == "pass"


def test_a_longer_lag_can_cut_what_a_shorter_one_connects():
    # 2 is entered and left every tenth frame, so that at a lag of ten frames nothing goes in or out of it.
    table = sets_of(([0, 1, 0, 1, 0, 1, 0, 1, 0, 2] * 20)[:-1], lags={1.0: 1, 10.0: 10})
    assert table[table.lag_ps == 1].set.max() == 1
    assert table[table.lag_ps == 10].set.max() > 1
