"""The same numbers as deeptime, called directly, and as the literature on alanine dipeptide."""

from pathlib import Path

import numpy as np
import pytest
from deeptime.markov import TransitionCountEstimator
from deeptime.markov._observables import MembershipsObservable
from deeptime.markov.msm import MarkovStateModel, MaximumLikelihoodMSM
from deeptime.util.validation import ck_test

from geom2msm.kinetics import mean_first_passage_times, state_table
from geom2msm.markov import count_transitions, eigenvalues, estimate_model, implied_timescales, sample_posterior
from geom2msm.markov_validation import ck_table
from geom2msm.states import (
    assign_microstates,
    count_visits,
    find_macrostates,
    fit_microstates,
    macrostate_of_microstate,
)
from systems import double_well, simulate_chain

DIHEDRALS = sorted((Path(__file__).parents[2] / "data" / "ala2_dihedrals_3x250ns").glob("*.npy"))
LAG = 8


@pytest.fixture(scope="module")
def dtrajs() -> list[np.ndarray]:
    _, matrix = double_well(n_cells=12, barrier_kT=2.0)
    rng = np.random.default_rng(0)
    return [simulate_chain(matrix, 3000, rng) for _ in range(3)]


def reference(dtrajs: list[np.ndarray], *, lag_frames: int) -> MarkovStateModel:
    counts = TransitionCountEstimator(lag_frames, "sliding").fit_fetch(dtrajs).submodel_largest()
    return MaximumLikelihoodMSM(reversible=True).fit_fetch(counts)


def test_matrix_timescales_and_populations_are_those_of_deeptime(dtrajs):
    expected = reference(dtrajs, lag_frames=LAG)
    model = estimate_model(count_transitions(dtrajs, lag_frames=LAG, n_microstates=12))
    np.testing.assert_allclose(model.transition_matrix, expected.transition_matrix, atol=1e-10)
    np.testing.assert_allclose(model.stationary_distribution, expected.stationary_distribution, atol=1e-10)
    timescales = implied_timescales(
        eigenvalues(model.transition_matrix, model.stationary_distribution), lag_ps=float(LAG), n_processes=3
    )
    # Detailed balance holds to the tolerance of deeptime's iteration, 1e-8, and so does our symmetric matrix.
    np.testing.assert_allclose(timescales, expected.timescales(k=3), rtol=1e-6)


def test_macrostates_and_passage_times_are_those_of_deeptime(dtrajs):
    expected = reference(dtrajs, lag_frames=LAG)
    model = estimate_model(count_transitions(dtrajs, lag_frames=LAG, n_microstates=12))
    macrostates = find_macrostates(model, n_macrostates=2)
    memberships = expected.pcca(2).memberships
    order = np.argsort(-expected.stationary_distribution @ np.eye(2)[memberships.argmax(axis=1)])
    np.testing.assert_allclose(macrostates.memberships, memberships[:, order], atol=1e-6)
    first, second = (np.flatnonzero(macrostates.assignment == state) for state in (0, 1))
    times = LAG * mean_first_passage_times(
        model.transition_matrix, model.stationary_distribution, macrostates.indicator
    )
    assert times[0, 1] == pytest.approx(expected.mfpt(first, second), rel=1e-8)
    assert times[1, 0] == pytest.approx(expected.mfpt(second, first), rel=1e-8)


def test_the_chapman_kolmogorov_test_is_that_of_deeptime(dtrajs):
    model = estimate_model(count_transitions(dtrajs, lag_frames=LAG, n_microstates=12))
    macrostates = find_macrostates(model, n_macrostates=2)
    table = ck_table(
        dtrajs, model, sample_posterior(model, n_samples=10, seed=0), macrostates,
        lag_ps=float(LAG), n_multiples=4, seed=0,
    )  # fmt: skip
    models = [reference(dtrajs, lag_frames=k * LAG) for k in range(1, 5)]
    expected = ck_test(models, MembershipsObservable(models[0], macrostates.indicator), include_lag0=False)
    np.testing.assert_allclose(table.predicted, np.ravel(expected.predictions), atol=1e-8)
    np.testing.assert_allclose(table.estimated, np.ravel(expected.estimates), atol=1e-8)


@pytest.mark.slow
@pytest.mark.skipif(not DIHEDRALS, reason="data/ala2_dihedrals_3x250ns is not there")
def test_alanine_dipeptide_in_water_has_its_known_timescales_and_populations():
    # 3 x 250 ns, every 5th picosecond; with all frames t2, t3, t4 are 1.42 ns, 69 and 37 ps at a lag of 50 ps.
    angles = [np.load(path)[::5] for path in DIHEDRALS]
    variables = [np.concatenate([np.cos(each), np.sin(each)], axis=1) for each in angles]
    centers = fit_microstates([each[::4] for each in variables], n_microstates=100, seed=0)
    dtrajs = [assign_microstates(each, centers)[0] for each in variables]
    model = estimate_model(count_transitions(dtrajs, lag_frames=10, n_microstates=100))
    timescales = implied_timescales(
        eigenvalues(model.transition_matrix, model.stationary_distribution), lag_ps=50.0, n_processes=3
    )
    assert timescales[0] == pytest.approx(1420, abs=100)
    assert timescales[1] == pytest.approx(69, abs=4)
    assert timescales[2] == pytest.approx(37, abs=5)
    weight = np.zeros(100)
    weight[model.counts.active] = model.stationary_distribution / model.counts.frames[model.counts.active]
    phi = np.concatenate([each[:, 0] for each in angles])
    left = (phi > 0) & (phi < 2.6)
    assert weight[np.concatenate(dtrajs)][left].sum() == pytest.approx(0.030, abs=0.002)

    posterior = sample_posterior(model, n_samples=50, seed=0)
    macrostates = find_macrostates(model, n_macrostates=3)
    macrostate = macrostate_of_microstate(model, macrostates)
    visits = count_visits([macrostate[dtraj] for dtraj in dtrajs], n_macrostates=3, coring_frames=10)
    states = state_table(model, posterior, macrostates, visits)
    assert states.probability.iloc[2] == pytest.approx(0.030, abs=0.003)
    assert states.probability_lower.iloc[2] < 0.030 < states.probability_upper.iloc[2]
    assert states.free_energy_kT.iloc[0] == 0
    assert (states.n_trajectories == 3).all()
