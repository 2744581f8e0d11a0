import numpy as np
import pandas as pd
import pytest
import torch
from deeptime.covariance import Covariance
from deeptime.decomposition import VAMP

from geom2msm.covariances import PairedValues
from geom2msm.markov import count_transitions, eigenvalues, estimate_model, sample_posterior
from geom2msm.vamp import vamp2_score
from geom2msm.vamp2_consistency import (
    Moments,
    consistency_table,
    consistency_verdict,
    measured_vamp2,
    predicted_vamp2,
)
from systems import exact_vamp2, simulate_chain, three_state_chain


@pytest.fixture(scope="module")
def dtrajs() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [simulate_chain(three_state_chain(), 12_000, rng) for _ in range(3)]


def functions(dtrajs: list[np.ndarray]) -> list[np.ndarray]:
    """Two functions that span all there are of three states."""
    return [np.array([[0.0, 1.0], [1.0, -0.5], [3.0, 2.0]])[dtraj] for dtraj in dtrajs]


def test_the_score_is_that_of_the_package_and_of_deeptime(dtrajs):
    rng = np.random.default_rng(0)
    runs = [each + rng.normal(size=each.shape) for each in functions(dtrajs)]
    moments = Moments.of_runs(runs, lag_frames=7)
    found = moments.vamp2(np.ones((1, len(moments.start))))[0]
    covariances = Covariance(7, compute_c0t=True, compute_ctt=True, remove_data_mean=True, bessels_correction=False)
    expected = VAMP(epsilon=1e-12).fit_fetch(covariances.fit_fetch(runs)).score(2)
    assert found == pytest.approx(expected, abs=1e-10)
    starts = np.concatenate([np.arange(len(run) - 7) + 12_000 * number for number, run in enumerate(runs)])
    pairs = PairedValues(torch.from_numpy(np.concatenate(runs)), torch.from_numpy(starts), 7)
    assert found == pytest.approx(float(vamp2_score(pairs.covariances(), epsilon=0.0)), abs=1e-10)


def test_blocks_hold_every_pair_once_and_none_that_crosses_runs():
    runs = [np.arange(50.0)[:, None], 100 + np.arange(9.0)[:, None], np.zeros((3, 1))]
    moments = Moments.of_runs(runs, lag_frames=4)
    # The constant times the constant counts pairs; means of x and y over the pairs follow.
    assert moments.start[:, 0, 0].sum() == 46 + 5
    assert moments.start[:, 0, 1].sum() == sum(range(46)) + sum(range(100, 105))
    assert moments.end[:, 0, 1].sum() == sum(range(4, 50)) + sum(range(104, 109))


def test_a_lag_that_no_run_exceeds_is_refused_in_words():
    with pytest.raises(ValueError, match="no run has more than the 9 frames of the lag"):
        Moments.of_runs([np.zeros((9, 1))], lag_frames=9)


def test_the_prediction_is_one_plus_the_sum_over_timescales():
    times = np.array([100.0, 20.0, 5.0])
    eigenvalue = np.concatenate([[1.0], np.exp(-10 / times)])
    for lag_ps in (5.0, 10.0, 30.0):
        expected = 1 + np.exp(-2 * lag_ps / times[:2]).sum()
        assert predicted_vamp2(eigenvalue[None], lags=lag_ps / 10, dimensions=2) == pytest.approx(expected)


def test_functions_that_span_all_of_a_chain_score_what_its_timescales_say(dtrajs):
    for lag_frames in (5, 50):
        estimate, lower, upper = measured_vamp2(functions(dtrajs), lag_frames=lag_frames, seed=0)
        exact = exact_vamp2(three_state_chain(), lag_frames=lag_frames, dimensions=2)
        assert lower < exact < upper
        assert lower < estimate < upper


def table_of(dtrajs: list[np.ndarray], runs: list[np.ndarray], lags: tuple[int, ...] = (5, 10, 20)):
    model = estimate_model(count_transitions(dtrajs, lag_frames=10, n_microstates=3))
    posterior = sample_posterior(model, n_samples=50, seed=0)
    return consistency_table(runs, model, posterior, lag_frames={float(lag): lag for lag in lags}, seed=0), model


def test_model_and_score_of_the_same_functions_agree(dtrajs):
    table, model = table_of(dtrajs, functions(dtrajs))
    found = consistency_verdict(table, lag_ps=10.0)
    assert found["verdict"] == "pass"
    assert found["n_compared"] == 2
    spectrum = eigenvalues(model.transition_matrix, model.stationary_distribution)
    # The estimate is reversible, and the score is not: equal up to noise.
    assert table.predicted[1] == pytest.approx((spectrum**2).sum())
    assert table.measured[1] == pytest.approx(table.predicted[1], abs=0.01)


def test_variables_that_miss_a_process_warn_of_a_score_below_what_the_states_allow(dtrajs):
    blind = [np.stack([dtraj == 0, np.random.default_rng(0).normal(size=len(dtraj))], axis=1) for dtraj in dtrajs]
    found = consistency_verdict(table_of(dtrajs, blind)[0], lag_ps=10.0)
    assert found["verdict"] == "warn"
    assert "below what the timescales allow" in found["reasons"][0]


def test_states_too_coarse_for_the_variables_leave_the_score_above(dtrajs):
    coarse = [np.minimum(dtraj, 1) for dtraj in dtrajs]
    found = consistency_verdict(table_of(coarse, functions(dtrajs))[0], lag_ps=10.0)
    assert found["verdict"] == "fail"
    assert "above what the timescales allow" in found["reasons"][0]


def test_shorter_lags_than_that_of_the_model_are_drawn_but_not_judged(dtrajs):
    table, _ = table_of(dtrajs, functions(dtrajs))
    table.loc[table.lag_ps < 10, "measured"] += 1
    assert consistency_verdict(table, lag_ps=10.0)["verdict"] == "pass"


@pytest.mark.parametrize(
    ("measured", "predicted"), [((1.60, 1.41, 1.71), (2.21, 2.21, 3.12)), ((2.0, 1.9, 9.0), (1.5, 0.1, 1.6))]
)
def test_intervals_that_do_not_meet_never_pass_however_far_they_reach_the_other_way(measured, predicted):
    names = [f"{name}{end}" for name in ("measured", "predicted") for end in ("", "_lower", "_upper")]
    table = pd.DataFrame([(10.0, *measured, *predicted)], columns=["lag_ps", *names])
    assert consistency_verdict(table, lag_ps=10.0)["verdict"] in ("warn", "fail")


def test_lags_beyond_the_data_are_named_and_no_numbers(dtrajs):
    table, _ = table_of(dtrajs, functions(dtrajs), lags=(10, 20_000))
    assert table.measured.isna().tolist() == [False, True]
    found = consistency_verdict(table, lag_ps=10.0)
    assert (found["verdict"], len(found["reasons"])) == ("warn", 1)
    assert found["reasons"][0].startswith("at 20000 ps")
    assert consistency_verdict(table, lag_ps=20_000.0)["verdict"] == "not estimable"


@pytest.mark.parametrize("name", ["zero", "constant", "dependent"])
def test_variables_that_are_constant_or_dependent_are_not_estimable(dtrajs, name, caplog):
    values = {"zero": [[0.0]] * 3, "constant": [[0.3]] * 3, "dependent": [[0.1, 0.3], [0.7, 2.1], [1.3, 3.9]]}[name]
    table, _ = table_of(dtrajs, [np.array(values)[dtraj] for dtraj in dtrajs])
    assert table.measured.isna().all()
    assert consistency_verdict(table, lag_ps=10.0)["verdict"] == "not estimable"
    assert "constant or linearly dependent" in caplog.text
