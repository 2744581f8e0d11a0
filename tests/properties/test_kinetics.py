"""Laws that transition paths, passage times, relaxation, spectra and resampling obey, whatever the data."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geom2msm.free_energy import count_blocks, draw_weights, surfaces
from geom2msm.hidden_markov import active_pieces, fit_hidden_model, hidden_table, hidden_verdict
from geom2msm.judgement import NotEstimable
from geom2msm.markov import MarkovModel, MsmSettings, count_transitions, estimate_model, sample_posterior
from geom2msm.passage_times import counted_times, passage_table, passages
from geom2msm.ramachandran import ResidueTorsions, frame_weights, free_energy_map
from geom2msm.relaxation import (
    choose_curves,
    choose_multiples,
    measured,
    predicted,
    relaxation_table,
    relaxation_verdict,
)
from geom2msm.resampling import Blocks, cut_blocks, draw_blocks
from geom2msm.reversibility import (
    as_one_of,
    compare_models,
    currents,
    error_without_current,
    estimate_nonreversible,
    reversibility_verdict,
)
from geom2msm.spectrum import crispness, membership_table, spectrum_table, spectrum_verdict
from geom2msm.states import Macrostates, Shortfall, find_macrostates
from geom2msm.transition_paths import (
    PathSets,
    PathSettings,
    choose_sets,
    committor_table,
    decompose,
    find_paths,
    flux_table,
    paths_verdict,
    pathway_table,
    sample_paths,
)
from systems import birth_death_chain, simulate_chain, stationary_distribution, three_state_chain

seeds = st.integers(0, 2**31)
few = settings(max_examples=8)
LAG = 2


def random_system(seed: int, *, n_states: int = 7) -> tuple[list[np.ndarray], MarkovModel, Macrostates]:
    """Sticky walks, their model, and macrostates drawn at random, ordered by probability, none of them empty."""
    rng = np.random.default_rng(seed)
    matrix = rng.dirichlet(np.ones(n_states), size=n_states) + 3 * np.eye(n_states)
    matrix /= matrix.sum(axis=1, keepdims=True)
    dtrajs = [simulate_chain(matrix, 500, rng) for _ in range(3)]
    model = estimate_model(count_transitions(dtrajs, lag_frames=LAG, n_microstates=n_states))
    drawn = rng.permutation([0, 1, 2, 3, 0, 1, 2][: len(model.counts.active)])
    order = np.argsort(np.argsort(-np.bincount(drawn, model.stationary_distribution)))
    return dtrajs, model, Macrostates(np.eye(4)[order[drawn]], order[drawn])


def paths_of(model: MarkovModel, macrostates: Macrostates, sets: PathSets):
    return find_paths(model.transition_matrix, model.stationary_distribution, macrostates, sets)


@few
@given(seed=seeds)
def test_committors_are_zero_and_one_at_their_ends_and_harmonic_between(seed):
    _, model, macrostates = random_system(seed)
    sets = PathSets([0], [2, 3])
    paths = paths_of(model, macrostates, sets)
    forward, inside = paths.forward_committor, macrostates.assignment
    np.testing.assert_array_equal(forward[inside == 0], 0)
    np.testing.assert_array_equal(forward[inside >= 2], 1)
    assert ((forward >= 0) & (forward <= 1)).all()
    between = inside == 1
    np.testing.assert_allclose((model.transition_matrix @ forward)[between], forward[between], atol=1e-10)
    # Of a reversible process the committor backward in time is one minus that forward.
    np.testing.assert_allclose(paths.backward_committor, 1 - forward, atol=1e-6)


@few
@given(seed=seeds)
def test_flux_is_conserved_and_the_way_back_has_the_same(seed):
    _, model, macrostates = random_system(seed)
    paths, back = (paths_of(model, macrostates, sets) for sets in (PathSets([0], [3]), PathSets([3], [0])))
    net = paths.net_flux
    assert (net >= 0).all()
    assert (net * net.T == 0).all()
    np.testing.assert_allclose(net[[1, 2]].sum(axis=1), net[:, [1, 2]].sum(axis=0), atol=1e-8)
    np.testing.assert_allclose([net[0].sum(), net[:, 3].sum()], paths.total_flux, rtol=1e-6)
    np.testing.assert_allclose([net[:, 0].sum(), net[3].sum()], 0, atol=1e-10)
    assert back.total_flux == pytest.approx(paths.total_flux, rel=1e-6)
    np.testing.assert_allclose(back.forward_committor, 1 - paths.forward_committor, atol=1e-8)
    # Flux over the probability to have come from the source last is the rate.
    came = model.stationary_distribution @ paths.backward_committor
    assert paths.rate == pytest.approx(paths.total_flux / came, rel=1e-10)


@few
@given(seed=seeds)
def test_pathways_lead_from_source_to_target_and_carry_all_the_flux(seed):
    _, model, macrostates = random_system(seed)
    sets = PathSets([0], [3])
    found = decompose(paths_of(model, macrostates, sets), sets)
    assert sum(found.values()) == pytest.approx(1, rel=1e-6)
    for route, share in found.items():
        assert (route[0], route[-1]) == (1, 4)
        assert len(set(route)) == len(route)
        assert share > 0


def test_tables_of_paths_have_intervals_around_the_estimates_and_shares_that_sum_to_one():
    _, model, macrostates = random_system(3)
    sets = PathSets([0], [3])
    paths = paths_of(model, macrostates, sets)
    samples = sample_paths(sample_posterior(model, n_samples=60, seed=0), macrostates, sets, around=paths)
    committors = committor_table(model, macrostates, paths, samples)
    fluxes = flux_table(paths, samples, lag_ps=4.0)
    listed = pathway_table(paths, samples, sets, lag_ps=4.0)
    assert (committors.committor_lower <= committors.committor_upper).all()
    assert (fluxes.flux_lower_per_ns <= fluxes.flux_per_ns).mean() > 0.7
    assert fluxes[fluxes.from_state == 1].fraction.sum() == pytest.approx(1, rel=1e-6)
    assert fluxes[fluxes.from_state == 1].flux_per_ns.sum() == pytest.approx(250 * paths.total_flux, rel=1e-6)
    assert listed.fraction.is_monotonic_decreasing
    assert 0.99 - 1e-9 <= listed.fraction.sum() <= 1 + 1e-9
    found = paths_verdict(paths, samples, sets, lag_ps=4.0)
    assert found["mfpt_ps_lower"] < found["mfpt_ps"] < found["mfpt_ps_upper"]
    assert found["rate_per_ns"] * found["mfpt_ps"] == pytest.approx(1000)
    assert found["verdict"] == "pass"


def test_samples_too_slow_by_any_factor_have_the_same_paths_around_the_most_likely_ones():
    _, model, macrostates = random_system(3)
    sets, posterior = PathSets([0], [3]), sample_posterior(model, n_samples=60, seed=0)
    paths = paths_of(model, macrostates, sets)
    apart = posterior.rows != posterior.columns
    elements = np.where(apart, 0.97 * posterior.elements, 0.97 * posterior.elements + 0.03)
    found = [
        paths_verdict(paths, sample_paths(each, macrostates, sets, around=paths), sets, lag_ps=4.0)
        for each in (posterior, replace(posterior, elements=elements))
    ]
    for name in ("rate_per_ns", "total_flux_per_ns", "mfpt_ps"):
        lower, upper = ([verdict[f"{name}_{bound}"] for verdict in found] for bound in ("lower", "upper"))
        assert lower[1] == pytest.approx(lower[0], rel=1e-9)
        assert upper[1] == pytest.approx(upper[0], rel=1e-9)
        assert lower[0] < found[0][name] < upper[0]


def test_paths_that_the_samples_miss_have_no_interval():
    _, model, macrostates = random_system(3)
    sets, posterior = PathSets([0], [3]), sample_posterior(model, n_samples=60, seed=0)
    paths = paths_of(model, macrostates, sets)
    missed = replace(paths, rate=10 * paths.rate)
    found = paths_verdict(missed, sample_paths(posterior, macrostates, sets, around=missed), sets, lag_ps=4.0)
    assert found["verdict"] == "not estimable"
    assert np.isnan(found["rate_per_ns_lower"])
    assert "its posterior misses it" in found["reasons"][0]


def test_a_rate_known_within_a_factor_of_more_than_three_is_a_warning():
    matrix = three_state_chain()
    dtrajs = [np.concatenate([simulate_chain(matrix, 900, np.random.default_rng(2)), [0, 1, 2, 1, 0]])]
    model = estimate_model(count_transitions(dtrajs, lag_frames=1, n_microstates=3))
    macrostates, sets = Macrostates(np.eye(3), np.arange(3)), PathSets([0], [2])
    paths = paths_of(model, macrostates, sets)
    samples = sample_paths(sample_posterior(model, n_samples=100, seed=0), macrostates, sets, around=paths)
    found = paths_verdict(paths, samples, sets, lag_ps=1.0)
    assert found["verdict"] == "warn"
    assert "factor" in found["reasons"][0]


def test_ends_follow_their_rules():
    matrix = three_state_chain()
    dtrajs = [simulate_chain(matrix, 30000, np.random.default_rng(0))]
    model = estimate_model(count_transitions(dtrajs, lag_frames=5, n_microstates=3))
    macrostates = Macrostates(np.eye(3), np.arange(3))
    # The slowest process of this chain, 0 - 1 - 2, moves probability between its ends.
    assert choose_sets(model, macrostates, PathSettings("most_probable", "slowest_process")) == PathSets([0], [2])
    assert choose_sets(model, macrostates, PathSettings("slowest_process", "most_probable")) == PathSets([2], [0])
    assert choose_sets(model, macrostates, PathSettings([1, 3], [2])) == PathSets([0, 2], [1])
    assert choose_sets(model, macrostates, PathSettings("least_probable", [1])) == PathSets([2], [0])
    with pytest.raises(ValueError, match=r"msm\.transition_paths: source and target cannot both"):
        choose_sets(model, macrostates, PathSettings("slowest_process", "slowest_process"))
    # The config may be right, and the model have fewer states than it asks for.
    for ends in (([1], [1]), ([1], [4]), ([4], "slowest_process"), ("most_probable", [2, 7]), ([3], "least_probable")):
        with pytest.raises(NotEstimable, match=r"msm\.transition_paths.*the last state of the model is 3$"):
            choose_sets(model, macrostates, PathSettings(*ends))


def passages_step_by_step(states: np.ndarray, n_states: int) -> np.ndarray:
    steps, completed, squares = found = np.zeros((3, n_states, n_states), dtype=int)
    for origin in range(n_states):
        for target in set(range(n_states)) - {origin}:
            taken = 0
            for now, following in pairwise(states):
                taken += now == origin or (taken > 0 and now != target)
                steps[origin, target] += taken > 0
                if taken and following == target:
                    completed[origin, target] += 1
                    squares[origin, target] += taken**2
                    taken = 0
    return found


@few
@given(seed=seeds, length=st.integers(1, 60))
def test_passages_are_those_counted_step_by_step(seed, length):
    states = np.random.default_rng(seed).integers(-1, 3, length)
    np.testing.assert_array_equal(passages(states, n_macrostates=3), passages_step_by_step(states, 3))


def test_counted_times_that_scatter_more_than_those_of_a_poisson_process_have_wider_intervals():
    # The same number of passages in the same time, all alike or nine short ones and a long one.
    alike, unlike = (np.repeat([0, 1], [k, 1]) for k in (10, 1))
    even = [np.concatenate(50 * [alike])]
    uneven = [np.concatenate(5 * [*[unlike] * 9, np.repeat([0, 1], [91, 1])])]
    (time, lower, upper), (same, below, above) = (
        counted_times(each, n_macrostates=2, lag_frames=1)[0][:, 0, 1] for each in (even, uneven)
    )
    assert time == pytest.approx(same, rel=1e-12)
    assert below < lower < upper < above


def test_a_current_seen_one_way_only_has_no_interval():
    chain = np.array([[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]])
    dtrajs = [np.append(simulate_chain(chain, 2000, np.random.default_rng(0)), [0, 2, 2])]
    model = estimate_model(count_transitions(dtrajs, lag_frames=1, n_microstates=3))
    table = _compared(model, Macrostates(np.eye(3), np.arange(3))).query("quantity == 'current'").set_index("name")
    assert table.nonreversible["1-3"] == 1
    assert table.loc["1-3", ["nonreversible_lower", "nonreversible_upper"]].isna().all()
    assert table.loc[["1-2", "2-3"], ["nonreversible_lower", "nonreversible_upper"]].notna().all(axis=None)


def test_a_state_never_reached_has_no_passage_time():
    times, completed = counted_times([np.array([0, 0, 1, 1, 0, 1, 0])], n_macrostates=3, lag_frames=1)
    assert completed[:, 2].sum() == completed[2].sum() == 0
    assert np.isnan(times[:, :, 2]).all()
    assert times[0, 0, 1] == pytest.approx(3 / 2)
    assert (times[1, [0, 1], [1, 0]] < times[0, [0, 1], [1, 0]]).all()
    assert (times[0, [0, 1], [1, 0]] < times[2, [0, 1], [1, 0]]).all()


def test_passage_times_are_not_estimable_at_lags_too_long_for_the_trajectories():
    dtrajs, model, macrostates = random_system(1)
    settings = MsmSettings("a", "b", 2.0, [2.0, 1200.0], 7, 4, 2, 20, 3, 0)
    table = passage_table(dtrajs, model, macrostates, settings, frame_interval_ps=1.0)
    assert len(table) == 2 * 2 * 12
    assert table[table.lag_ps == 1200].mfpt_ps.isna().all()
    assert table[table.lag_ps == 2].mfpt_ps.notna().all()


@few
@given(seed=seeds)
def test_curves_begin_where_they_must_and_end_in_equilibrium(seed):
    _, model, macrostates = random_system(seed)
    curves = choose_curves(model, macrostates, n_processes=2)
    posterior = sample_posterior(model, n_samples=5, seed=0)
    values = predicted(model, posterior, curves, np.array([0, 1, 5, 500]))
    np.testing.assert_allclose(values[:, 0], 1, atol=1e-7)
    np.testing.assert_allclose(values[0, -1, :2], 0, atol=1e-6)
    np.testing.assert_allclose(values[0, -1, 2:], model.stationary_distribution @ macrostates.indicator, atol=1e-6)
    assert (values[1] <= values[2] + 1e-12).all()


@few
@given(seed=seeds)
def test_measured_curves_are_averages_over_pairs_of_frames(seed):
    dtrajs, model, macrostates = random_system(seed)
    # Where the model has no such microstate, frames count for nothing, neither at the start nor at the end.
    dtrajs = [np.where(np.arange(len(each)) % 50 == 20, 7, each) for each in dtrajs]
    wider = np.pad(model.counts.matrix, (0, 1))
    counts = replace(model.counts, matrix=wider, frames=np.append(model.counts.frames, 30))
    model = replace(model, counts=counts)
    curves = choose_curves(model, macrostates, n_processes=1)
    blocks = cut_blocks([len(each) for each in dtrajs], correlation_frames=2)
    values = measured(dtrajs, model, curves, np.array([0, 3]), blocks)
    # State 1: the mean over its microstates of the share of frames that are in state 1 three lags later.
    place = {microstate: i for i, microstate in enumerate(model.counts.active)}
    shares = np.zeros((len(place), 2))
    for dtraj in dtrajs:
        for now, later in zip(dtraj[: -3 * LAG], dtraj[3 * LAG :], strict=True):
            if now in place and later in place:
                shares[place[now]] += [1, macrostates.assignment[place[later]] == 0]
    own = macrostates.assignment == 0
    weight = model.stationary_distribution[own] / model.stationary_distribution[own].sum()
    assert values[0, 1, 1] == pytest.approx(weight @ (shares[own, 1] / shares[own, 0]))
    np.testing.assert_allclose(values[0, 0], 1, atol=1e-12)


def test_times_reach_no_further_than_a_quarter_of_the_longest_trajectory():
    assert choose_multiples(slowest_lags=1e9, longest_lags=400.0).max() == 100
    assert choose_multiples(slowest_lags=10.0, longest_lags=400.0).max() == 40
    assert choose_multiples(slowest_lags=np.nan, longest_lags=2.0).tolist() == [0, 1]


def test_relaxation_passes_for_a_markov_chain_and_is_not_estimable_from_a_few_blocks():
    dtrajs, model, macrostates = random_system(5)
    posterior = sample_posterior(model, n_samples=40, seed=0)
    curves = choose_curves(model, macrostates, n_processes=2)
    table = relaxation_table(dtrajs, model, posterior, curves, lag_ps=2.0, slowest_ps=2.0)
    assert relaxation_verdict(table)["verdict"] == "pass"
    few_blocks = relaxation_table(dtrajs, model, posterior, curves, lag_ps=2.0, slowest_ps=400.0)
    assert relaxation_verdict(few_blocks)["verdict"] == "not estimable"
    wrong = table.assign(measured=np.where(table.time_ps == 4, table.measured + 0.3, table.measured))
    assert relaxation_verdict(wrong)["verdict"] == "fail"


@few
@given(seed=seeds)
def test_memberships_sum_to_one_and_the_spectrum_is_sorted(seed):
    _, model, _ = random_system(seed)
    macrostates = find_macrostates(model, n_macrostates=2)
    centers = np.random.default_rng(seed).normal(size=(7, 3))
    table = membership_table(model, macrostates, centers)
    np.testing.assert_allclose(table.filter(like="membership_").sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(table.filter(like="variable_"), centers[model.counts.active])
    assert table.probability.sum() == pytest.approx(1)
    assert 0.5 - 1e-9 <= crispness(model, macrostates) <= 1 + 1e-9
    spectrum = spectrum_table(model, sample_posterior(model, n_samples=20, seed=0), lag_ps=2.0)
    assert spectrum.eigenvalue.is_monotonic_decreasing
    known = spectrum[spectrum.gap.notna()]
    assert (known.gap >= 1).all()
    for value, lower, upper in (
        ("timescale_ps", "timescale_lower_ps", "timescale_upper_ps"),
        ("gap", "gap_lower", "gap_upper"),
    ):
        given = spectrum[spectrum[lower].notna()]
        assert ((given[lower] <= given[value]) & (given[value] <= given[upper])).all()


def test_crisp_states_have_crispness_one_and_no_gap_is_a_warning():
    _, model, macrostates = random_system(0)
    assert crispness(model, macrostates) == pytest.approx(1)
    gaps = pd.DataFrame({"process": [1, 2, 3], "gap": [5.0, 3.0, 1.2], "gap_lower": np.nan, "gap_upper": np.nan})
    gaps = gaps.assign(eigenvalue=[0.9, 0.6, 0.4], timescale_ps=[19.0, 3.9, 2.2])
    found = spectrum_verdict(gaps, model, macrostates)
    assert (found["verdict"], found["n_macrostates_by_widest_gap"]) == ("warn", 2)
    assert spectrum_verdict(gaps.assign(gap=[5.0, 3.0, 2.2]), model, macrostates)["verdict"] == "pass"
    assert spectrum_verdict(gaps[:2], model, macrostates)["verdict"] == "not estimable"
    # What is over within a step of the model does not tell states apart, and its gaps are those of noise.
    fast = gaps.assign(eigenvalue=[0.9, 0.1, 0.01], timescale_ps=[19.0, 0.87, 0.43], gap=[5.0, 3.0, 9.0])
    found = spectrum_verdict(fast, model, macrostates)
    assert (found["verdict"], found["n_macrostates_by_widest_gap"]) == ("warn", 2)
    assert "t4 = 0.43 ps, one of the processes between 4 states, is shorter than the lag" in found["reasons"][0]
    # Fewer states than were asked for are a failure, whatever the gap; that reason comes first.
    fewer = replace(macrostates, shortfall=Shortfall(6, "why"))
    for gap in (1.2, 2.2, np.nan):
        found = spectrum_verdict(gaps.assign(gap=[5.0, 3.0, gap]), model, fewer)
        assert (found["verdict"], found["reasons"][0]) == ("fail", "why")
        assert (found["n_macrostates"], found["n_macrostates_asked"]) == (4, 6)
        assert len(found["reasons"]) == 1 + (not gap >= 2)


@few
@given(seed=seeds)
def test_currents_are_antisymmetric_conserved_and_zero_under_detailed_balance(seed):
    _, model, macrostates = random_system(seed)
    np.testing.assert_allclose(
        currents(model.transition_matrix, model.stationary_distribution, macrostates), 0, atol=1e-6
    )
    free = estimate_nonreversible(model, n_samples=5, seed=1)
    for matrix, distribution in free.posterior:
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
        np.testing.assert_allclose(distribution @ matrix, distribution, atol=1e-10)
        found = currents(matrix, distribution, macrostates)
        np.testing.assert_allclose(found, -found.T, atol=1e-12)
        flow = macrostates.indicator.T @ (distribution[:, None] * matrix) @ macrostates.indicator
        np.testing.assert_allclose(flow.sum(axis=0), flow.sum(axis=1), atol=1e-10)
    again = estimate_nonreversible(model, n_samples=5, seed=1).posterior
    np.testing.assert_array_equal(again.transition_matrices, free.posterior.transition_matrices)


def test_a_driven_cycle_is_not_called_reversible():
    cycle = 0.9 * np.eye(3) + 0.08 * np.roll(np.eye(3), 1, axis=1) + 0.02 * np.roll(np.eye(3), -1, axis=1)
    dtrajs = [simulate_chain(cycle, 5000, np.random.default_rng(0))]
    model = estimate_model(count_transitions(dtrajs, lag_frames=2, n_microstates=3))
    found = reversibility_verdict(_compared(model, Macrostates(np.eye(3), np.arange(3))))
    assert (found["verdict"], found["justified"]) == ("fail", "non-reversible")
    assert "current" in found["reasons"][0]


def ring(n_states: int, *, forward: float, backward: float) -> np.ndarray:
    """A walk around a ring, in equilibrium if it goes both ways equally often."""
    there, back = np.roll(np.eye(n_states), 1, axis=1), np.roll(np.eye(n_states), -1, axis=1)
    return (1 - forward - backward) * np.eye(n_states) + forward * there + backward * back


def counted(chain: np.ndarray, *, seed: int, n_frames: int, lag_frames: int) -> MarkovModel:
    rng = np.random.default_rng(seed)
    dtrajs = [simulate_chain(chain, n_frames, rng) for _ in range(4)]
    return estimate_model(count_transitions(dtrajs, lag_frames=lag_frames, n_microstates=len(chain)))


def in_blocks(n_states: int, n_macrostates: int) -> Macrostates:
    """Neighboring microstates together, all macrostates of about the same size."""
    owner = np.arange(n_states) * n_macrostates // n_states
    return Macrostates(np.eye(n_macrostates)[owner], owner)


@pytest.mark.parametrize(("forward", "backward"), [(0.1, 0.005), (0.1, 0.0), (0.06, 0.04)])
@pytest.mark.parametrize("n_macrostates", [2, 3])
def test_a_driven_ring_is_not_called_reversible_however_few_its_macrostates(n_macrostates, forward, backward):
    model = counted(ring(6, forward=forward, backward=backward), seed=0, n_frames=10_000, lag_frames=5)
    table = _compared(model, in_blocks(6, n_macrostates))
    assert np.abs(table[table.quantity == "current"].nonreversible.iloc[0]) < (1e-10 if n_macrostates == 2 else 1.1)
    found = reversibility_verdict(table)
    assert (found["verdict"], found["justified"]) == ("fail", "non-reversible")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chain", "lag_frames", "n_macrostates"),
    [
        (ring(6, forward=0.05, backward=0.05), 1, 2),
        (ring(12, forward=0.2, backward=0.2), 5, 4),
        (birth_death_chain(), 5, 2),
    ],
    ids=["ring", "ring of twelve", "line"],
)
def test_a_chain_in_equilibrium_is_called_reversible_in_90_of_100_repeats(chain, lag_frames, n_macrostates):
    macrostates, verdicts = in_blocks(len(chain), n_macrostates), []
    for seed in range(100):
        model = counted(chain, seed=seed, n_frames=1500, lag_frames=lag_frames)
        verdicts.append(reversibility_verdict(_compared(model, macrostates, n_samples=40))["verdict"])
    assert verdicts.count("pass") >= 90


def test_without_a_cycle_there_is_nothing_to_compare():
    # Steps to neighbors only, seen at every frame: whatever the counts, no current can flow.
    line = 0.9 * np.eye(4) + 0.05 * np.eye(4, k=1) + 0.05 * np.eye(4, k=-1) + np.diag([0.05, 0, 0, 0.05])
    for chain in (line, np.array([[0.9, 0.1], [0.2, 0.8]])):
        model = counted(chain, seed=1, n_frames=2000, lag_frames=1)
        found = reversibility_verdict(_compared(model, in_blocks(len(chain), 2)))
        assert (found["verdict"], found["justified"]) == ("not estimable", None)
        assert found["largest_difference_in_errors"] is None


@few
@given(seed=seeds)
def test_an_error_without_current_is_that_of_independent_transitions(seed):
    # The share of n independent transitions that went one way has a beta distribution.
    rng = np.random.default_rng(seed)
    there, back = rng.integers(1, 200, size=(2, 5)).astype(float)
    n_counts = there + back
    spread = 2 * np.sqrt(there * back / (n_counts**2 * (n_counts + 1)))
    found = error_without_current((there - back) / n_counts, spread, n_counts=n_counts)
    np.testing.assert_allclose(found, 1 / np.sqrt(n_counts + 1), rtol=1e-10)
    one_way = error_without_current(np.ones(5), np.zeros(5), n_counts=n_counts)
    np.testing.assert_allclose(one_way, found, rtol=1e-10)


def test_the_largest_of_many_numbers_is_judged_as_one_of_them():
    drawn = np.abs(np.random.default_rng(0).standard_normal((4000, 30))).max(axis=1)
    # A single number is beyond 2 errors in 4.6 % of all cases.
    assert 0.01 < np.mean([as_one_of(each, 30) > 2 for each in drawn.tolist()]) < 0.046
    assert as_one_of(3.0, 1) == pytest.approx(3.0)


def _compared(model: MarkovModel, macrostates: Macrostates, *, n_samples: int = 100) -> pd.DataFrame:
    free = estimate_nonreversible(model, n_samples=n_samples, seed=0)
    posterior = sample_posterior(model, n_samples=n_samples, seed=0)
    return compare_models(model, posterior, free, macrostates, lag_ps=2.0, n_processes=2)


@few
@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=9), correlation=st.floats(0.1, 100))
def test_blocks_hold_every_frame_once_and_cross_no_trajectories(lengths, correlation):
    blocks = cut_blocks(lengths, correlation_frames=correlation)
    assert len(blocks.of_frame) == sum(lengths)
    sizes = np.bincount(blocks.of_frame)
    assert len(sizes) == blocks.n_blocks
    assert (sizes > 0).all()
    ends = np.cumsum(lengths)[:-1]
    assert (blocks.of_frame[ends] != blocks.of_frame[ends - 1]).all()
    assert (np.diff(blocks.of_frame) >= 0).all()
    if blocks.n_blocks > len(lengths):
        assert sizes.max() >= 10 * correlation


def test_resampled_means_vary_as_much_as_means_do():
    blocks = Blocks(np.repeat(np.arange(9), 5), np.arange(9))
    values = np.random.default_rng(0).normal(size=9)
    drawn = draw_blocks(blocks, n_samples=200_000, seed=0)
    means = drawn @ values / drawn.sum(axis=1)
    assert means.var() == pytest.approx(values.var(ddof=1) / 9, rel=0.02)


def test_blocks_together_have_the_counts_of_the_model_and_its_weights():
    dtrajs, model, _ = random_system(8)
    blocks = cut_blocks([len(each) for each in dtrajs], correlation_frames=3)
    counted = count_blocks(dtrajs, blocks, model)
    np.testing.assert_array_equal(np.ravel(counted.transitions.sum(axis=0)), model.counts.matrix.ravel())
    weights = draw_weights(counted, np.ones(blocks.n_blocks, dtype=int))
    expected = frame_weights(np.concatenate(dtrajs), model.counts.active, model.stationary_distribution)
    np.testing.assert_allclose(weights, expected, atol=1e-12)
    assert draw_weights(counted, np.zeros(blocks.n_blocks, dtype=int)) is None


@pytest.mark.parametrize("correlation_frames", [3, 300])
def test_free_energies_have_errors_where_there_are_enough_blocks(correlation_frames):
    dtrajs, model, _ = random_system(8)
    blocks = cut_blocks([len(each) for each in dtrajs], correlation_frames=correlation_frames)
    angles = 40.0 * np.concatenate(dtrajs) - 150 + np.random.default_rng(0).normal(0, 5, 1500)
    torsions = ResidueTorsions("ALA2", angles, angles)
    counted = count_blocks(dtrajs, blocks, model)
    table = surfaces([torsions], counted, model, draw_blocks(blocks, n_samples=40, seed=0))
    weights = frame_weights(np.concatenate(dtrajs), model.counts.active, model.stationary_distribution)
    pd.testing.assert_series_equal(table.free_energy_kT, free_energy_map(torsions, weights).free_energy_kT)
    common = table.free_energy_kT < 2
    if correlation_frames == 3:
        assert ((table.lower_kT < table.free_energy_kT) & (table.free_energy_kT < table.upper_kT))[common].all()
        assert table.error_kT[common].between(0.01, 1).all()
    else:
        assert table.error_kT.isna().all()


def test_hidden_states_are_reversible_and_ordered_like_the_macrostates():
    matrix = three_state_chain()
    rng = np.random.default_rng(0)
    hidden = [simulate_chain(matrix, 4000, rng) for _ in range(3)]
    # Each hidden state shows one of three microstates, in one case of ten those of the next state.
    dtrajs = [2 * ((each + (rng.random(4000) < 0.1)) % 3) + rng.integers(0, 2, 4000) for each in hidden]
    model = estimate_model(count_transitions(dtrajs, lag_frames=10, n_microstates=6))
    macrostates = find_macrostates(model, n_macrostates=3)
    found = fit_hidden_model(dtrajs, model, macrostates, n_samples=20, seed=0)
    flow = found.stationary_distribution[:, None] * found.transition_matrix
    np.testing.assert_allclose(flow, flow.T, atol=1e-8)
    np.testing.assert_allclose(found.memberships.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(found.stationary_distribution, [0.6, 0.3, 0.1], atol=0.15)
    assert (found.memberships.argmax(axis=1) == macrostates.assignment).all()
    posterior = sample_posterior(model, n_samples=20, seed=0)
    table = hidden_table(found, model, posterior, macrostates, lag_ps=10.0)
    assert hidden_verdict(table, found, macrostates, model)["same_state_probability"] == pytest.approx(1)
    again = fit_hidden_model(dtrajs, model, macrostates, n_samples=20, seed=0)
    np.testing.assert_array_equal(again.posterior.transition_matrices, found.posterior.transition_matrices)


def test_trajectories_are_cut_where_they_leave_the_active_set():
    model = estimate_model(count_transitions([np.array([0, 1] * 20 + [2] * 3)], lag_frames=1, n_microstates=3))
    pieces = active_pieces([np.array([0, 1, 1, 2, 1, 2, 0, 0])], model)
    assert [piece.tolist() for piece in pieces] == [[0, 1, 1], [0, 0]]


def test_a_microstate_that_the_likelihood_passes_over_belongs_to_the_hidden_states_as_all_frames_do(monkeypatch):
    monkeypatch.setattr("geom2msm.hidden_markov.MAX_FRAMES", 1000)
    chain, lag = np.kron(np.eye(2), np.full((2, 2), 0.49)) + 0.01 * np.kron(np.eye(2)[::-1], np.eye(2)), 10
    dtraj = simulate_chain(chain / chain.sum(axis=1, keepdims=True), 20_000, np.random.default_rng(0))
    # Of ten frames one is looked at.
    dtraj[[5001, 9008]] = 4
    model = estimate_model(count_transitions([dtraj], lag_frames=lag, n_microstates=5))
    found = fit_hidden_model([dtraj], model, find_macrostates(model, n_macrostates=2), n_samples=5, seed=0)
    np.testing.assert_allclose(found.memberships[4], found.stationary_distribution)
    np.testing.assert_allclose(found.memberships.sum(axis=1), 1, atol=1e-12)


def test_draws_of_runs_that_end_in_a_trap_are_models_of_the_same_microstates():
    rng = np.random.default_rng(0)
    runs = [np.append(rng.integers(0, 2, 400), np.full(600, 2)).astype(np.int32) for _ in range(10)]
    model = estimate_model(count_transitions(runs, lag_frames=1, n_microstates=3))
    blocks = cut_blocks([len(run) for run in runs], correlation_frames=2.0)
    counted = count_blocks(runs, blocks, model)
    for times in draw_blocks(blocks, n_samples=10, seed=0):
        weights = draw_weights(counted, times)
        assert weights is not None
        assert not weights[np.concatenate(runs) == 2].any()


def test_no_hidden_model_is_said_and_not_raised_as_something_else():
    model = estimate_model(count_transitions([np.array([0, 1, 0, 1, 1, 0, 0, 1])], lag_frames=1, n_microstates=2))
    with pytest.raises(NotEstimable):
        fit_hidden_model([np.array([0, 1])], model, Macrostates(np.eye(2), np.arange(2)), n_samples=5, seed=0)


def test_equilibrium_of_the_chain_used_here_is_known():
    np.testing.assert_allclose(stationary_distribution(three_state_chain()), [0.6, 0.3, 0.1], atol=1e-12)
