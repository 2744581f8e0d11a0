import numpy as np
import pandas as pd
import pytest

from geom2msm.convergence import PARTS, Part, _objections, convergence_table, convergence_verdict, halves
from geom2msm.markov import MsmSettings, count_transitions, estimate_model, sample_posterior, timescale_table
from geom2msm.states import find_macrostates
from systems import simulate_chain, three_state_chain

SETTINGS = MsmSettings(
    model="m", baseline="b", lag_ps=10.0, scan_lags_ps=[10.0], n_microstates=3, n_macrostates=3, n_timescales=2,
    n_posterior_samples=40, ck_multiples=2, seed=0,
)  # fmt: skip


def model_of(dtrajs: list[np.ndarray]):
    model = estimate_model(count_transitions(dtrajs, lag_frames=10, n_microstates=3))
    return model, find_macrostates(model, n_macrostates=3)


@pytest.fixture(scope="module")
def dtrajs() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [simulate_chain(three_state_chain(), 8000, rng) for _ in range(4)]


@pytest.fixture(scope="module")
def table(dtrajs) -> pd.DataFrame:
    return convergence_table(dtrajs, *model_of(dtrajs), SETTINGS)


def rows(table: pd.DataFrame, end: str, fraction: float) -> pd.DataFrame:
    return table[(table.end == end) & (table.fraction == fraction)].set_index("quantity")


def test_both_halves_make_up_the_trajectory_and_share_nothing():
    for length in (10, 11):
        dtraj = np.arange(length)
        first, last = Part("first", 0.5).of(dtraj), Part("last", 0.5).of(dtraj)
        assert len(first) == len(last)
        assert first[-1] < last[0]


def test_all_of_the_data_gives_the_numbers_of_the_whole_model(dtrajs, table):
    model, macrostates = model_of(dtrajs)
    posterior = sample_posterior(model, n_samples=40, seed=0)
    whole = rows(table, "first", 1.0)
    expected = timescale_table(model, posterior, lag_ps=10.0, n_processes=2)
    np.testing.assert_array_equal(whole.estimate[["t2", "t3"]], expected.estimate_ps)
    np.testing.assert_array_equal(whole.upper[["t2", "t3"]], expected.upper_ps)
    populations = whole.filter(like="population", axis=0)
    np.testing.assert_allclose(populations.estimate, model.stationary_distribution @ macrostates.indicator)
    assert (populations.lower < populations.estimate).all()
    assert (populations.estimate < populations.upper).all()


def test_every_part_has_every_quantity_and_populations_add_up(table):
    assert len(table) == len(PARTS) * 5
    populations = table[table.quantity.str.startswith("population")]
    np.testing.assert_allclose(populations.groupby(["end", "fraction"]).estimate.sum(), 1)


def test_more_data_give_narrower_intervals(table):
    width = (table.upper - table.lower).groupby([table.end, table.fraction, table.quantity]).sum()
    assert (width["first", 1.0] < width["first", 0.1]).all()


def test_halves_of_an_equilibrium_chain_agree(table):
    found = convergence_verdict(table, n_processes=2)
    assert found["verdict"] == "pass"
    assert found["largest_difference_in_errors"] < 3


@pytest.mark.parametrize(
    ("quantity", "interval", "reason"),
    [
        ("t2", (1.0, 400.0), "a factor of"),
        ("population 1", (0.2, 0.99), "a difference of"),
        ("t2", (17.0, 24.0), None),
        ("population 1", (0.6, 0.7), None),
    ],
)
def test_halves_that_agree_only_because_nothing_is_known_of_them_are_a_warning(quantity, interval, reason):
    estimate = float(np.sqrt(np.prod(interval)))
    row = {"quantity": quantity, "estimate": estimate, "lower": interval[0], "upper": interval[1]}
    parts = [{"end": end, "fraction": 0.5} | row for end in ("first", "last")]
    whole = {"end": "first", "fraction": 1.0} | row | {"lower": 0.9 * estimate, "upper": 1.1 * estimate}
    table = pd.DataFrame([*parts, whole])
    compared = halves(table)
    assert compared.difference_in_errors.tolist() == [0.0]
    reasons = _objections(compared, times=["t2"]).warnings
    assert len(reasons) == (reason is not None)
    assert all(reason in each for each in reasons)


def test_a_drift_of_the_populations_fails():
    # The first half of every trajectory hardly leaves state 0, the second hardly comes back to it.
    matrix = three_state_chain()
    backwards = matrix[::-1, ::-1]
    rng = np.random.default_rng(0)
    drifting = [np.concatenate([simulate_chain(m, 8000, rng) for m in (matrix, backwards)]) for _ in range(4)]
    table = convergence_table(drifting, *model_of(drifting), SETTINGS)
    found = convergence_verdict(table, n_processes=2)
    assert found["verdict"] == "fail"
    assert any("population" in reason for reason in found["reasons"])


def test_a_state_seen_in_one_half_only_is_not_estimable_in_the_other_and_not_zero():
    rng = np.random.default_rng(0)
    two = [simulate_chain(np.array([[0.98, 0.02], [0.02, 0.98]]), 2000, rng) for _ in range(3)]
    three = [simulate_chain(three_state_chain(), 2000, rng) for _ in range(3)]
    dtrajs = [np.concatenate(both) for both in zip(two, three, strict=True)]
    model, macrostates = model_of(dtrajs)
    table = convergence_table(dtrajs, model, macrostates, SETTINGS)
    state = 1 + int(macrostates.assignment[model.counts.active == 2][0])
    assert np.isnan(rows(table, "first", 0.5).estimate[f"population {state}"])
    assert rows(table, "last", 0.5).estimate[f"population {state}"] > 0
    found = convergence_verdict(table, n_processes=1)
    assert found["verdict"] != "pass"
    assert any(f"population {state} cannot be estimated" in reason for reason in found["reasons"])


def test_parts_no_longer_than_the_lag_and_parts_that_never_move_are_not_estimable(dtrajs):
    short = [dtraj[:80] for dtraj in dtrajs] + [np.tile(np.repeat([0, 1, 2, 1], 12), 40)[:80]] * 4
    table = convergence_table(short, *model_of(short), SETTINGS)
    # A tenth of 80 frames is less than the lag of 10.
    assert rows(table, "first", 0.1).estimate.isna().all()
    still = [np.concatenate([np.zeros(4000, dtype=int), dtraj[:4000]]) for dtraj in dtrajs]
    table = convergence_table(still, *model_of(still), SETTINGS)
    assert rows(table, "first", 0.5).estimate.isna().all()
    assert convergence_verdict(table, n_processes=2)["verdict"] == "warn"


def comparison(**changes: float) -> pd.DataFrame:
    """t2 in both halves and in all data, with a relative standard error of about 0.1."""
    estimates = {("first", 0.5): 100.0, ("last", 0.5): 100.0, ("first", 1.0): 100.0}
    factor = np.exp(1.96 * changes.pop("error", 0.1))
    estimates[("last", 0.5)] = changes.get("second", 100.0)
    return pd.DataFrame([
        {"end": end, "fraction": fraction, "quantity": "t2", "estimate": value}
        | {"lower": value / factor, "upper": value * factor}
        for (end, fraction), value in estimates.items()
    ])  # fmt: skip


@pytest.mark.parametrize(("second", "verdict"), [(140.0, "pass"), (160.0, "warn"), (190.0, "fail")])
def test_the_difference_of_times_counts_in_errors_of_their_logarithms(second, verdict):
    table = comparison(second=second)
    found = convergence_verdict(table, n_processes=1)
    assert halves(table).difference_in_errors[0] == pytest.approx(np.log(second / 100) / np.hypot(0.1, 0.1))
    assert found["verdict"] == verdict


def test_a_time_known_to_no_better_than_a_factor_of_four_warns():
    found = convergence_verdict(comparison(error=0.4), n_processes=1)
    assert found["verdict"] == "warn"
    assert "more data" in found["reasons"][0]
