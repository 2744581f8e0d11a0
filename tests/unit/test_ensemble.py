import numpy as np
import pytest

from geom2msm.ensemble import agreement, agreements, best_member, spread_frames, summarize


def variables(n_frames=4000, dimensions=3, *, seed=0):
    return np.random.default_rng(seed).normal(size=(n_frames, dimensions))


def test_members_agree_with_themselves_whatever_signs_scales_and_means_are():
    one = variables()
    found = agreement(one, one * [-2, 1, 0.1] + [5, 0, 1])
    assert found.overlap == pytest.approx(1)
    assert found.correlations == pytest.approx([1, 1, 1])


def test_functions_mixed_among_themselves_span_the_same_space():
    one = variables()
    found = agreement(one, one @ [[1, 1, 0], [1, -1, 0], [0, 0, 1]])
    assert found.overlap == pytest.approx(1)
    assert found.correlations == pytest.approx([2**-0.5, 2**-0.5, 1], abs=0.05)


def test_unrelated_functions_do_not_overlap():
    assert agreement(variables(seed=0), variables(seed=1)).overlap < 0.01


def test_the_overlap_is_the_share_of_common_functions():
    one, other = variables(), variables(seed=1)
    assert agreement(one, np.column_stack([one[:, :2], other[:, 2]])).overlap == pytest.approx(2 / 3, abs=0.01)


def test_functions_that_collapsed_onto_one_another_are_no_agreement():
    one = variables()
    assert agreement(one, np.repeat(one[:, :1], 3, axis=1)).overlap == pytest.approx(1 / 3, abs=0.01)


def test_all_pairs_of_members_are_compared():
    one, other = variables(), variables(seed=1)
    found = agreements([one, one, other])
    assert [pair["members"] for pair in found["pairs"]] == [[0, 1], [0, 2], [1, 2]]
    assert found["overlap"] == pytest.approx(1 / 3, abs=0.01)
    assert agreements([one])["overlap"] is None


def test_success_is_a_score_within_one_deviation_of_the_best():
    scores = [{"score_validation": value} for value in (3.0, 3.1, 3.05, 1.5)]
    found = summarize(scores)
    assert found["success_fraction"] == 0.75
    assert found["score_validation"]["mean"] == pytest.approx(2.6625)
    assert (
        found["success_margin"] == found["score_validation"]["sd"] == pytest.approx(np.std([3, 3.1, 3.05, 1.5], ddof=1))
    )
    assert "score_selection" not in found


def test_a_single_member_has_no_deviation():
    assert summarize([{"score_validation": 2.0}])["score_validation"] == {"mean": 2.0, "sd": 0.0}


def test_the_member_is_chosen_by_its_selection_score():
    members = [{"score_selection": 2.0, "score_validation": 3.0}, {"score_selection": 2.5, "score_validation": 1.0}]
    assert best_member(members) == 1
    assert best_member([{"score_validation": 3.0}, {"score_validation": 1.0}]) == 0


def test_compared_frames_come_from_all_trajectories_evenly():
    chosen = spread_frames([1000, 500, 3], n_chosen=150)
    assert [len(frames) for frames in chosen] == [100, 50, 1]
    assert all(frames.max() < length for frames, length in zip(chosen, [1000, 500, 3], strict=True))
