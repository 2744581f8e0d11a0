"""The same numbers as deeptime called directly, and what is known of simulated chains."""

import numpy as np
import pytest
from deeptime.markov import TransitionCountEstimator, TransitionCountModel
from deeptime.markov.hmm import MaximumLikelihoodHMM, init
from deeptime.markov.msm import MarkovStateModel, MaximumLikelihoodMSM

from geom2msm.hidden_markov import fit_hidden_model
from geom2msm.markov import MarkovModel, count_transitions, estimate_model, sample_posterior, timescale_table
from geom2msm.relaxation import choose_curves, predicted
from geom2msm.reversibility import compare_models, estimate_nonreversible, reversibility_verdict
from geom2msm.states import Macrostates, find_macrostates
from geom2msm.transition_paths import PathSets, decompose, find_paths
from systems import double_well, simulate_chain, three_state_chain
from systems import implied_timescales as exact_timescales

LAG, N_CELLS = 8, 12
ITSELF = Macrostates(np.eye(3), np.arange(3))


@pytest.fixture(scope="module")
def dtrajs() -> list[np.ndarray]:
    _, matrix = double_well(n_cells=N_CELLS, barrier_kT=0.8)
    rng = np.random.default_rng(0)
    return [simulate_chain(matrix, 3000, rng) for _ in range(3)]


@pytest.fixture(scope="module")
def model(dtrajs) -> MarkovModel:
    return estimate_model(count_transitions(dtrajs, lag_frames=LAG, n_microstates=N_CELLS))


@pytest.fixture(scope="module")
def expected(dtrajs) -> MarkovStateModel:
    counts = TransitionCountEstimator(LAG, "sliding").fit_fetch(dtrajs).submodel_largest()
    return MaximumLikelihoodMSM(reversible=True).fit_fetch(counts)


def thirds() -> Macrostates:
    assignment = np.repeat([0, 1, 2], N_CELLS // 3)
    return Macrostates(np.eye(3)[assignment], assignment)


def test_transition_paths_are_those_of_deeptime(model, expected):
    macrostates, sets = thirds(), PathSets([0], [2])
    found = find_paths(model.transition_matrix, model.stationary_distribution, macrostates, sets)
    cells = [np.flatnonzero(macrostates.assignment == state) for state in range(3)]
    flux = expected.reactive_flux(cells[0], cells[2])
    np.testing.assert_allclose(found.forward_committor, flux.forward_committor, atol=1e-10)
    np.testing.assert_allclose(found.backward_committor, flux.backward_committor, atol=1e-10)
    assert found.total_flux == pytest.approx(flux.total_flux, rel=1e-10)
    assert found.rate == pytest.approx(flux.rate, rel=1e-10)
    grouped, coarse = flux.coarse_grain(cells)
    assert [sorted(group) for group in grouped] == [each.tolist() for each in cells]
    np.testing.assert_allclose(found.net_flux, coarse.net_flux, atol=1e-10)
    routes, capacities = coarse.pathways()
    shares = decompose(found, sets)
    assert [tuple(state - 1 for state in route) for route in shares] == [tuple(route) for route in routes]
    np.testing.assert_allclose(list(shares.values()), np.array(capacities) / flux.total_flux, atol=1e-10)


def test_curves_are_the_correlation_and_relaxation_of_deeptime(model, expected):
    curves = choose_curves(model, thirds(), n_processes=2)
    posterior = sample_posterior(model, n_samples=3, seed=0)
    found = predicted(model, posterior, curves, np.arange(6))[0]
    for process in range(2):
        _, correlation = expected.correlation(curves.observable[:, process], maxtime=7 * LAG)
        np.testing.assert_allclose(found[:, process], correlation[:6], atol=1e-10)
    for state in range(2, 5):
        _, relaxing = expected.relaxation(curves.start[state], curves.observable[:, state], maxtime=7 * LAG)
        np.testing.assert_allclose(found[:, state], relaxing[:6], atol=1e-10)


def test_the_nonreversible_estimate_is_that_of_deeptime(dtrajs, model):
    counts = TransitionCountEstimator(LAG, "sliding").fit_fetch(dtrajs).submodel_largest()
    expected = MaximumLikelihoodMSM(reversible=False).fit_fetch(counts)
    free = estimate_nonreversible(model, n_samples=5, seed=0)
    np.testing.assert_allclose(free.transition_matrix, expected.transition_matrix, atol=1e-10)
    np.testing.assert_allclose(free.stationary_distribution, expected.stationary_distribution, atol=1e-10)
    posterior = sample_posterior(model, n_samples=5, seed=0)
    table = compare_models(model, posterior, free, thirds(), lag_ps=float(LAG), n_processes=3)
    timescales = table[table.quantity == "timescale_ps"].nonreversible
    np.testing.assert_allclose(timescales, expected.timescales(k=3), rtol=1e-10)


def test_the_hidden_markov_model_is_that_of_deeptime(dtrajs, model):
    macrostates = find_macrostates(model, n_macrostates=2)
    found = fit_hidden_model(dtrajs, model, macrostates, n_samples=5, seed=0)
    counts = TransitionCountModel(model.counts.active_matrix, lagtime=LAG)
    full = MarkovStateModel(model.transition_matrix, model.stationary_distribution, count_model=counts)
    hidden = MaximumLikelihoodHMM(init.discrete.metastable_from_msm(full, 2), LAG, stride=1).fit_fetch(dtrajs)
    order = np.argsort(-hidden.output_probabilities[:, macrostates.assignment == 0].sum(axis=1))
    matrix = hidden.transition_model.transition_matrix[np.ix_(order, order)]
    np.testing.assert_allclose(found.transition_matrix, matrix, atol=1e-10)
    assert found.log_likelihood == pytest.approx(hidden.likelihood, rel=1e-10)
    # Eight shifted copies of the data are counted, so the counts are eight times too many.
    np.testing.assert_allclose(found.counts.sum(), sum(len(each) - LAG for each in dtrajs) / LAG, rtol=1e-6)


@pytest.mark.slow
def test_where_hidden_states_overlap_the_plain_model_misses_their_timescales():
    # Those of the hidden model hold them: tests/properties/test_coverage.py.
    chain, lag = three_state_chain(), 10
    hits = np.zeros(2)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        dtrajs = []
        for _ in range(4):
            hidden = simulate_chain(chain, 5000, rng)
            dtrajs.append(2 * ((hidden + (rng.random(5000) < 0.1)) % 3) + rng.integers(0, 2, 5000))
        model = estimate_model(count_transitions(dtrajs, lag_frames=lag, n_microstates=6))
        posterior = sample_posterior(model, n_samples=100, seed=seed)
        times = timescale_table(model, posterior, lag_ps=float(lag), n_processes=2)
        truth = exact_timescales(chain)
        hits += ((times.lower_ps <= truth) & (truth <= times.upper_ps)).to_numpy()
    assert hits.max() < 10


@pytest.mark.slow
def test_reversible_chains_are_called_reversible():
    chain, reversible = three_state_chain(), 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        dtrajs = [simulate_chain(chain, 5000, rng) for _ in range(8)]
        model = estimate_model(count_transitions(dtrajs, lag_frames=10, n_microstates=3))
        free = estimate_nonreversible(model, n_samples=100, seed=seed)
        posterior = sample_posterior(model, n_samples=100, seed=seed)
        compared = compare_models(model, posterior, free, ITSELF, lag_ps=10.0, n_processes=2)
        reversible += reversibility_verdict(compared)["verdict"] == "pass"
    assert reversible >= 95
