import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

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
    assert found["n_functions"] == one.shape[1]
    assert agreements([one])["overlap"] is None


def test_what_one_member_has_fewer_of_counts_as_not_found():
    rng = np.random.default_rng(0)
    three = rng.normal(size=(500, 3))
    found = agreements([three, three[:, :2], three[:, :0]])
    assert found["n_functions"] == 3
    overlaps = [pair["overlap"] for pair in found["pairs"]]
    np.testing.assert_allclose(overlaps, [2 / 3, 0, 0], atol=1e-9)
    assert best_member([{"fold": 0}] * 3, found) in (0, 1)


def member(fold, *, selection=None, validation=2.0):
    size = {"dimensions": 3, "n_validation_pairs": 900}
    return {"fold": fold, "score_validation": validation} | size | ({"score_selection": selection} if selection else {})


def success(*validation, folds=None):
    folds = folds or [0] * len(validation)
    scores = [member(fold, validation=score) for fold, score in zip(folds, validation, strict=True)]
    return summarize(scores)["success_fraction"]


@given(score=st.floats(-1, 6), n_members=st.integers(2, 7))
def test_equal_members_are_all_successes_unless_they_found_no_more_than_noise(score, n_members):
    assert success(*[score] * n_members) == (score - 1 > 3**2 / 900)


@pytest.mark.parametrize(("other", "fraction"), [(2.9, 1), (2.81, 1), (2.79, 0.5), (1.0, 0.5), (0.3, 0.5)])
def test_of_two_members_the_second_is_a_success_if_it_found_nine_tenths(other, fraction):
    assert success(3.0, other) == success(other, 3.0) == fraction


@given(scores=st.lists(st.floats(1.001, 6), min_size=2, max_size=6), scale=st.floats(0.01, 1))
def test_a_fold_that_is_harder_to_predict_has_no_fewer_successes(scores, scale):
    harder = [1 + scale * (score - 1) for score in scores]
    assume(max(harder) > 1.011)
    margins = [abs((score - 1) / (max(scores) - 1) - 0.9) for score in scores]
    assume(min(margins) > 1e-6)
    assert success(*scores) == success(*harder)
    folds = [0] * len(scores) + [1] * len(scores)
    assert success(*scores, *harder, folds=folds) == pytest.approx(success(*scores))


def test_members_of_different_folds_are_not_compared():
    assert success(3.0, 1.5, folds=[0, 1]) is None
    assert success(3.0, 1.5, 1.5, folds=[0, 1, 1]) == 1


def test_scores_have_means_and_deviations():
    found = summarize([member(0, validation=value) for value in (3.0, 3.1, 3.05, 1.5)])
    assert found["score_validation"]["mean"] == pytest.approx(2.6625)
    assert found["score_validation"]["sd"] == pytest.approx(np.std([3, 3.1, 3.05, 1.5], ddof=1))
    assert found["success_fraction"] == 0.75
    assert "score_selection" not in found
    assert summarize([member(0)])["score_validation"] == {"mean": 2.0, "sd": 0.0}


def overlaps(pairs):
    return {"pairs": [{"members": list(members), "overlap": value} for members, value in pairs.items()]}


ALIKE = overlaps({(i, j): 0.5 for i in range(4) for j in range(i + 1, 4)})


def test_the_member_is_the_best_of_its_fold_by_its_selection_score():
    # Every member of the second fold has a higher score, for its frames are easier to predict.
    members = [member(fold, selection=score) for fold, score in ((0, 2.0), (0, 2.4), (1, 3.0), (1, 3.2))]
    assert best_member(members, ALIKE) == 1


@given(shift=st.floats(-0.9, 5), validation=st.lists(st.floats(0, 5), min_size=4, max_size=4))
def test_neither_the_level_of_a_fold_nor_validation_scores_choose(shift, validation):
    scores = [(0, 2.0), (0, 2.4), (1, 1.0 + shift), (1, 1.2 + shift)]
    members = [
        member(fold, selection=selection, validation=score)
        for (fold, selection), score in zip(scores, validation, strict=True)
    ]
    assert best_member(members, ALIKE) == 1
    for each in members:
        each.pop("score_selection")
    assert best_member(members, ALIKE) == 0


def test_without_a_selection_score_the_member_is_the_one_that_agrees_most_with_the_others():
    members = [member(fold, validation=score) for fold, score in enumerate((3.0, 2.0, 1.0))]
    assert best_member(members, overlaps({(0, 1): 0.6, (0, 2): 0.7, (1, 2): 0.9})) == 2
    assert best_member(members, overlaps({(0, 1): 0.9, (0, 2): 0.6, (1, 2): 0.9})) == 1
    # Two members always agree equally with each other.
    assert best_member(members[:2], overlaps({(0, 1): 0.3})) == 0
    assert best_member(members[:1], agreements([variables()])) == 0


def test_of_one_network_per_fold_the_selection_score_says_nothing():
    members = [member(fold, selection=score) for fold, score in enumerate((2.1, 3.4, 1.7))]
    assert best_member(members, overlaps({(0, 1): 0.6, (0, 2): 0.7, (1, 2): 0.9})) == 2


def test_compared_frames_come_from_all_trajectories_evenly():
    chosen = spread_frames([1000, 500, 3], n_chosen=150)
    assert [len(frames) for frames in chosen] == [100, 50, 1]
    assert all(frames.max() < length for frames, length in zip(chosen, [1000, 500, 3], strict=True))


@given(cuts=st.sets(st.integers(1, 999), max_size=30), n_chosen=st.integers(1, 1200))
def test_the_compared_frames_are_the_same_however_the_frames_are_cut_into_files(cuts, n_chosen):
    starts = [0, *sorted(cuts)]
    lengths = np.diff([*starts, 1000]).tolist()
    chosen = spread_frames(lengths, n_chosen=n_chosen)
    joined = np.concatenate([start + frames for start, frames in zip(starts, chosen, strict=True)])
    np.testing.assert_array_equal(joined, spread_frames([1000], n_chosen=n_chosen)[0])


@given(score=st.floats(1, 6))
def test_of_networks_that_score_alike_the_one_goes_on_that_agrees_most(score):
    members = [member(fold, selection=score) for fold in (0, 0, 0, 1)]
    pairs = {(0, 1): 0.9, (0, 2): 0.9, (1, 2): 0.8, (0, 3): 0.7, (1, 3): 0.6, (2, 3): 0.6}
    assert best_member(members, overlaps(pairs)) == 0
