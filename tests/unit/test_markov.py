import numpy as np
import pandas as pd
import pytest

from geom2msm.judgement import without_nan
from geom2msm.kinetics import mean_first_passage_times
from geom2msm.markov import (
    MsmSettings,
    count_transitions,
    eigenvalues,
    estimate_model,
    implied_timescales,
    sample_posterior,
    scan_lags,
    timescale_table,
)
from geom2msm.markov_validation import ck_table, ck_verdict
from geom2msm.sampled_matrices import Posterior, interval
from geom2msm.states import find_macrostates
from systems import simulate_chain, stationary_distribution, three_state_chain


def chains(n_frames: int = 2000, n_trajectories: int = 3, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [simulate_chain(three_state_chain(), n_frames, rng) for _ in range(n_trajectories)]


def settings(**changes) -> MsmSettings:
    values = {
        "model": "vampnet", "baseline": "tica", "lag_ps": 2.0, "scan_lags_ps": [2.0, 4.0], "n_microstates": 3,
        "n_macrostates": 3, "n_timescales": 3, "n_posterior_samples": 20, "ck_multiples": 3, "seed": 0,
    }  # fmt: skip
    return MsmSettings(**values | changes)


def test_counts_never_cross_from_one_trajectory_to_the_next():
    counts = count_transitions([np.array([0, 0, 1]), np.array([2, 0])], lag_frames=1, n_microstates=3)
    np.testing.assert_array_equal(counts.matrix, [[1, 1, 0], [0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(counts.frames, [3, 1, 1])


def test_trajectories_no_longer_than_the_lag_are_left_out_of_the_counts():
    counts = count_transitions([np.array([0, 1, 0, 1]), np.array([1, 1])], lag_frames=2, n_microstates=2)
    np.testing.assert_array_equal(counts.matrix, [[1, 0], [0, 1]])


def test_a_lag_longer_than_all_trajectories_is_refused():
    with pytest.raises(ValueError, match="lag is 5 frames, the longest trajectory has 4"):
        count_transitions([np.array([0, 1, 0, 1])], lag_frames=5, n_microstates=2)


def test_the_active_set_is_the_connected_set_with_the_most_counts_and_the_rest_is_kept_in_mind():
    many, few = np.tile([3, 4], 50), np.array([0, 1, 2, 0, 1, 2, 0])
    counts = count_transitions([few, many], lag_frames=1, n_microstates=6)
    np.testing.assert_array_equal(counts.active, [3, 4])
    assert [states.tolist() for states in counts.connected_sets[1:]] == [[0, 1, 2]]
    assert counts.fraction_of_frames == pytest.approx(100 / 107)
    assert counts.fraction_of_counts == pytest.approx(99 / 105)


def test_a_state_that_is_never_left_is_not_active():
    counts = count_transitions([np.array([0, 1, 0, 1, 0, 2, 2, 2])], lag_frames=1, n_microstates=3)
    np.testing.assert_array_equal(counts.active, [0, 1])


def test_a_single_state_is_refused_in_words():
    counts = count_transitions([np.zeros(9, dtype=int)], lag_frames=1, n_microstates=4)
    with pytest.raises(ValueError, match="all frames lie in one microstate"):
        estimate_model(counts)


def test_states_without_a_way_back_are_refused_in_words():
    counts = count_transitions([np.array([0, 0, 1, 1, 2, 2])], lag_frames=1, n_microstates=3)
    with pytest.raises(ValueError, match="no two of the 3 microstates are connected in both directions"):
        estimate_model(counts)


def test_timescales_follow_the_definition():
    timescales = implied_timescales(np.array([1.0, np.exp(-0.5), np.exp(-2.0)]), lag_ps=10.0, n_processes=2)
    np.testing.assert_allclose(timescales, [20.0, 5.0])


def test_timescales_that_do_not_exist_are_not_numbers():
    timescales = implied_timescales(np.array([1.0, 0.5, -0.1]), lag_ps=1.0, n_processes=4)
    np.testing.assert_array_equal(np.isnan(timescales), [False, True, True, True])


def test_the_posterior_is_the_same_for_the_same_seed_and_another_for_another():
    model = estimate_model(count_transitions(chains(), lag_frames=2, n_microstates=3))
    first, again, other = (sample_posterior(model, n_samples=20, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.transition_matrices, again.transition_matrices)
    assert not np.array_equal(first.transition_matrices, other.transition_matrices)


def test_an_interval_holds_one_more_draw_as_often_as_it_says():
    draws = np.random.default_rng(0).random((101, 20_000))
    lower, upper = interval(draws[:100])
    assert ((lower <= draws[100]) & (draws[100] <= upper)).mean() == pytest.approx(0.95, abs=0.004)


def test_twice_the_lag_does_not_make_the_posterior_narrower():
    # Sliding counts are not independent: dividing by the lag must undo what sliding multiplies.
    def width(lag_frames: int) -> float:
        model = estimate_model(count_transitions(chains(), lag_frames=lag_frames, n_microstates=3))
        return sample_posterior(model, n_samples=200, seed=0).stationary_distributions[:, 0].std()

    assert width(20) > 0.7 * width(2)


def test_the_lag_scan_has_a_row_per_lag_and_process_in_ps():
    table = scan_lags(chains(), settings(), n_microstates=3, frame_interval_ps=0.5)
    assert table.lag_ps.tolist() == [2.0] * 3 + [4.0] * 3
    assert table.process.tolist() == [1, 2, 3] * 2
    # 214 and 49 frames of half a picosecond.
    assert table.estimate_ps.iloc[0] == pytest.approx(107, rel=0.4)
    assert table.estimate_ps.iloc[1] == pytest.approx(24.5, rel=0.4)
    assert (table.lower_ps < table.estimate_ps)[table.process < 3].all()
    assert (table.estimate_ps < table.upper_ps)[table.process < 3].all()
    assert table[table.process == 3][["estimate_ps", "lower_ps", "upper_ps"]].isna().all(axis=None)
    assert (table.active_fraction == 1).all()


@pytest.mark.parametrize(("n_timescales", "n_macrostates"), [(1, 3), (3, 2), (2, 3)])
def test_every_process_between_the_macrostates_is_followed(n_timescales, n_macrostates):
    chosen = settings(n_timescales=n_timescales, n_macrostates=n_macrostates)
    table = scan_lags(chains(), chosen, n_microstates=3, frame_interval_ps=1.0)
    assert table.groupby("lag_ps").process.max().tolist() == [max(n_timescales, n_macrostates - 1)] * 2


def test_a_lag_that_no_trajectory_reaches_is_not_estimable_but_stops_nothing():
    table = scan_lags(chains(), settings(scan_lags_ps=[5000.0, 2.0]), n_microstates=3, frame_interval_ps=1.0)
    assert table[table.lag_ps == 5000].estimate_ps.isna().all()
    assert table[(table.lag_ps == 2) & (table.process == 1)].estimate_ps.notna().all()


def test_a_lag_between_frames_is_refused():
    with pytest.raises(ValueError, match="lag_ps = 3 is not a positive multiple"):
        scan_lags(chains(100), settings(scan_lags_ps=[3.0]), n_microstates=3, frame_interval_ps=2.0)


def test_eigenvalues_of_a_stack_are_those_of_each_matrix():
    matrix = three_state_chain()
    pi = stationary_distribution(matrix)
    stacked = eigenvalues(np.stack([matrix, matrix @ matrix]), np.stack([pi, pi]))
    np.testing.assert_allclose(stacked[1], stacked[0] ** 2, atol=1e-12)
    np.testing.assert_allclose(stacked[0], np.sort(np.linalg.eigvals(matrix).real)[::-1], atol=1e-12)


def test_passage_times_of_a_two_state_chain_are_one_over_the_probabilities():
    matrix = np.array([[0.9, 0.1], [0.02, 0.98]])
    times = mean_first_passage_times(matrix, stationary_distribution(matrix), np.eye(2))
    np.testing.assert_allclose(times, [[0, 10], [50, 0]], atol=1e-9)


def test_passage_times_between_sets_start_from_the_stationary_distribution():
    # 0 -> {1} from {0, 2}: 2 always goes to 0 first, so it takes one step more.
    matrix = np.array([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    pi = stationary_distribution(matrix)
    from_zero, from_two = 5.0, 6.0
    expected = (pi[0] * from_zero + pi[2] * from_two) / (pi[0] + pi[2])
    times = mean_first_passage_times(matrix, pi, np.array([[1.0, 0], [0, 1], [1, 0]]))
    assert times[0, 1] == pytest.approx(expected)
    assert times[1, 0] == pytest.approx(2.0)


def comparison(predicted: float, estimated: float, *, half_width: float = 0.0196) -> pd.DataFrame:
    """Two lags, one pair; errors of 0.01 each, 0.014 combined."""
    row = {"from_state": 1, "to_state": 1, "lag_ps": 1.0}
    for name, value in {"predicted": predicted, "estimated": estimated}.items():
        row |= {name: value, f"{name}_lower": value - half_width, f"{name}_upper": value + half_width}
    same = row | {name: 0.9 for name in row if name.startswith(("predicted", "estimated"))}
    return pd.DataFrame([same | {"multiple": 1}, row | {"multiple": 2}])


@pytest.mark.parametrize(("estimated", "verdict"), [(0.52, "pass"), (0.55, "warn"), (0.58, "fail")])
def test_the_verdict_counts_the_deviation_in_combined_errors(estimated, verdict):
    found = ck_verdict(comparison(0.5, estimated))
    assert found["verdict"] == verdict
    assert found["largest_deviation"] == pytest.approx(estimated - 0.5)
    assert found["largest_deviation_in_errors"] == pytest.approx((estimated - 0.5) / np.hypot(0.01, 0.01))


def test_differences_below_two_percent_pass_however_small_the_errors():
    assert ck_verdict(comparison(0.5, 0.519, half_width=1e-9))["verdict"] == "pass"


def test_errors_too_large_to_see_anything_warn():
    found = ck_verdict(comparison(0.5, 0.5, half_width=0.4))
    assert found["verdict"] == "warn"
    assert "more data" in found["reasons"][0]


def test_a_test_without_any_comparison_is_not_estimable_and_has_no_number():
    table = comparison(0.5, 0.5)
    table.loc[table.multiple > 1, [name for name in table if name.startswith("estimated")]] = np.nan
    found = without_nan(ck_verdict(table))
    assert found["verdict"] == "not estimable"
    assert found["largest_deviation"] is None
    assert found["largest_deviation_in_errors"] is None


def test_what_cannot_be_estimated_at_a_multiple_of_the_lag_warns():
    dtrajs = [np.tile(np.repeat([0, 1], [7, 5]), 5)] * 30
    model = estimate_model(count_transitions(dtrajs, lag_frames=20, n_microstates=2))
    table = ck_table(
        dtrajs, model, sample_posterior(model, n_samples=20, seed=0), find_macrostates(model, n_macrostates=2),
        lag_ps=20.0, n_multiples=3, seed=0,
    )  # fmt: skip
    assert table[table.multiple == 3].estimated.isna().all()
    assert table[table.multiple == 3].predicted.notna().all()
    found = ck_verdict(table)
    assert found["verdict"] == "warn"
    assert found["n_not_estimable"] == 4


def test_an_interval_that_misses_the_estimate_is_not_given(caplog):
    matrix = three_state_chain()
    dtrajs = [simulate_chain(matrix, 4000, np.random.default_rng(0))]
    model = estimate_model(count_transitions(dtrajs, lag_frames=1, n_microstates=3))
    posterior = sample_posterior(model, n_samples=50, seed=0)
    slowed = 0.1 * posterior.transition_matrices + 0.9 * np.eye(3)
    drifted = Posterior.of_matrices(slowed, posterior.stationary_distributions)
    fair, unfair = (timescale_table(model, p, lag_ps=1.0, n_processes=2) for p in (posterior, drifted))
    assert fair.lower_ps.notna().all()
    assert unfair.lower_ps.isna().all()
    assert unfair.upper_ps.isna().all()
    assert unfair.estimate_ps.equals(fair.estimate_ps)
    assert "no interval for t2" in caplog.text
