import logging
import re
from unittest.mock import Mock

import numpy as np
import pytest

from geom2msm.markov import Counts, MarkovModel, count_transitions, estimate_model
from geom2msm.states import (
    Macrostates,
    assign_microstates,
    cored_visits,
    count_visits,
    distance_to_center,
    find_macrostates,
    fit_microstates,
    macrostate_of_microstate,
    read_model,
    representative_microstates,
    save_model,
    state_probabilities,
)
from systems import stationary_distribution, three_state_chain


def exact_model(transition_matrix: np.ndarray, active: np.ndarray, n_microstates: int) -> MarkovModel:
    """A model with this very matrix, on some of the microstates."""
    counts = Counts(1, np.zeros((n_microstates, n_microstates)), np.ones(n_microstates, dtype=np.int64), [active])
    return MarkovModel(counts, transition_matrix, stationary_distribution(transition_matrix))


def test_every_frame_goes_to_the_nearest_center():
    rng = np.random.default_rng(0)
    points, centers = rng.normal(size=(20_000, 3)).astype(np.float32), rng.normal(size=(7, 3))
    microstate = assign_microstates(points, centers)
    distance = distance_to_center(points, centers, microstate)
    distances = np.linalg.norm(points[:, None] - centers, axis=-1)
    np.testing.assert_array_equal(microstate, distances.argmin(axis=1))
    np.testing.assert_allclose(distance, distances.min(axis=1), rtol=1e-5)


def test_clusters_far_apart_get_a_center_each():
    rng = np.random.default_rng(0)
    places = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    clouds = [place + 0.1 * rng.normal(size=(50, 2)) for place in places]
    centers = fit_microstates(clouds, n_microstates=3, seed=0)
    assert sorted(np.round(centers).tolist()) == sorted(places.tolist())


def test_clustering_is_the_same_for_the_same_seed():
    points = [np.random.default_rng(0).normal(size=(500, 2))]
    np.testing.assert_array_equal(
        fit_microstates(points, n_microstates=9, seed=3), fit_microstates(points, n_microstates=9, seed=3)
    )


def test_fewer_distinct_frames_than_microstates_make_fewer_microstates_and_say_so(caplog):
    with caplog.at_level(logging.WARNING):
        centers = fit_microstates([np.repeat([[0.0], [1.0], [5.0]], 10, axis=0)], n_microstates=8, seed=0)
    assert sorted(centers[:, 0]) == [0, 1, 5]
    assert "only 3 frames differ: as many microstates, not 8" in caplog.text


def test_variables_that_do_not_vary_are_refused():
    with pytest.raises(ValueError, match="all frames have the same variables"):
        fit_microstates([np.ones((10, 2))], n_microstates=2, seed=0)


def test_a_recrossing_shorter_than_the_coring_time_is_no_visit():
    path = np.array([0] * 5 + [1] + [0] * 5 + [1] * 4 + [2] * 2 + [1] * 3 + [0] * 4)
    assert cored_visits(path, coring_frames=3).tolist() == [0, 1, 0]
    assert cored_visits(path, coring_frames=1).tolist() == [0, 1, 0, 1, 2, 1, 0]


def test_visits_entries_exits_and_trajectories_are_counted_per_state():
    visits = count_visits([np.array([0, 0, 1, 1, 0, 0]), np.array([1, 1, 2, 2])], n_macrostates=4, coring_frames=2)
    assert visits.visits.tolist() == [2, 2, 1, 0]
    assert visits.entries.tolist() == [1, 1, 1, 0]
    assert visits.exits.tolist() == [1, 2, 0, 0]
    assert visits.n_trajectories.tolist() == [1, 2, 1, 0]
    assert visits.transitions.sum() == 3


def test_a_passage_outside_the_active_set_is_no_transition():
    visits = count_visits([np.array([0, 0, -1, -1, 1, 1])], n_macrostates=2, coring_frames=2)
    assert visits.transitions.sum() == 0
    assert visits.visits.tolist() == [1, 1]


def test_macrostates_are_numbered_by_decreasing_probability():
    order = np.array([2, 0, 1])
    matrix = three_state_chain()[np.ix_(order, order)]
    model = exact_model(matrix, np.array([0, 2, 3]), 4)
    macrostates = find_macrostates(model, n_macrostates=3)
    probabilities = model.stationary_distribution @ macrostates.indicator
    np.testing.assert_allclose(probabilities, [0.6, 0.3, 0.1], atol=1e-9)
    assert macrostate_of_microstate(model, macrostates).tolist() == [2, -1, 0, 1]
    assert representative_microstates(model, macrostates).tolist() == [2, 3, 0]


def test_a_macrostate_is_represented_by_a_probable_microstate_that_is_surely_its_own():
    # The second microstate is the more probable one of state 0, but half of it belongs to state 1.
    memberships = np.array([[1.0, 0.0], [0.55, 0.45], [0.0, 1.0]])
    model = exact_model(np.full((3, 3), 1 / 3), np.array([1, 4, 5]), 6)
    model = MarkovModel(model.counts, model.transition_matrix, np.array([0.3, 0.4, 0.3]))
    states = Macrostates(memberships, memberships.argmax(axis=1))
    assert representative_microstates(model, states).tolist() == [1, 5]


def test_more_macrostates_than_active_microstates_become_as_many_as_there_are():
    model = exact_model(three_state_chain(), np.arange(3), 3)
    fewer, right = (find_macrostates(model, n_macrostates=n_asked) for n_asked in (5, 3))
    np.testing.assert_array_equal(fewer.memberships, right.memberships)
    assert (fewer.n_asked, right.n_asked, right.shortfall) == (5, 3, None)
    assert re.match("msm.n_macrostates asks for 5 states, but the model has 3: only 3 micro", fewer.shortfall.reason)
    assert "set msm.n_macrostates to 3" in fewer.shortfall.reason


@pytest.mark.parametrize("seed", [0, 2, 3, 7])
def test_where_pcca_leaves_states_empty_there_are_as_many_as_it_fills(seed, caplog):
    # Frames that do not remember where they were: the eigenvectors are noise.
    frames = np.random.default_rng(seed).integers(0, 12, 2000)
    model = estimate_model(count_transitions([frames], lag_frames=5, n_microstates=12))
    found = find_macrostates(model, n_macrostates=6)
    n_found = found.memberships.shape[1]
    assert n_found == len(np.unique(found.assignment)) < found.n_asked == 6
    assert f"asks for 6 states, but the model has {n_found}: of 6 states PCCA+ leaves " in found.shortfall.reason
    assert caplog.messages == [found.shortfall.reason]
    # No larger number can be filled, and the one found needs no excuse.
    again = find_macrostates(model, n_macrostates=n_found)
    np.testing.assert_array_equal(again.memberships, found.memberships)
    assert again.shortfall is None
    assert find_macrostates(model, n_macrostates=n_found + 1).memberships.shape[1] == n_found


@pytest.mark.parametrize("error", [RuntimeError, AssertionError, np.linalg.LinAlgError])
def test_where_pcca_finds_nothing_at_all_one_sentence_says_what_to_do(error, monkeypatch):
    monkeypatch.setattr("geom2msm.states.pcca", Mock(side_effect=error("no rotation")))
    with pytest.raises(ValueError, match=r"^msm.n_macrostates = 3: [^.]*2 states \(no rotation\); change msm[^\n]*\.$"):
        find_macrostates(exact_model(three_state_chain(), np.arange(3), 3), n_macrostates=3)


def test_state_probabilities_are_memberships_and_zero_outside_the_active_set():
    memberships = np.array([[0.75, 0.25], [0.0, 1.0]])
    probabilities = state_probabilities(np.array([2, 1, 0, 2]), np.array([0, 2]), memberships, n_microstates=3)
    np.testing.assert_allclose(probabilities, [[0, 1], [0, 0], [0.75, 0.25], [0, 1]])


@pytest.mark.parametrize("n_macrostates", [2, 6])
def test_a_stored_model_is_read_back_the_same(n_macrostates, tmp_path):
    dtraj = np.random.default_rng(0).integers(0, 4, 500)
    model = estimate_model(count_transitions([dtraj], lag_frames=1, n_microstates=5))
    macrostates = find_macrostates(model, n_macrostates=n_macrostates)
    with open(tmp_path / "msm.npz", "wb") as file:
        save_model(file, model, macrostates, lag_ps=2.0, n_processes=2)
    again, states = read_model(str(tmp_path / "msm.npz"))
    np.testing.assert_array_equal(again.transition_matrix, model.transition_matrix)
    np.testing.assert_array_equal(again.counts.active_matrix, model.counts.active_matrix)
    np.testing.assert_array_equal(states.assignment, macrostates.assignment)
    assert states.shortfall == macrostates.shortfall
    assert states.n_asked == n_macrostates
