"""What the verdict table says of the training itself."""

import pytest

from geom2msm.training_verdict import FEW_STEPS, comparable, judge_training


def members(*scores: float, **changes: object) -> dict:
    """An ensemble of two folds with as many members each as there are scores, in turn."""
    member = {"lag_ps": 10.0, "dimensions": 3, "best_epoch": 20, "stopped_early": True}
    member |= {"n_training_pairs": 10_000, "batch_pairs": 1000} | changes
    rows = [{"fold": number % 2, "seed": number // 2, "score_validation": score} for number, score in enumerate(scores)]
    return {"members": [member | row for row in rows]}


def test_networks_that_stopped_by_themselves_and_found_more_pass():
    found = judge_training(members(2.8, 2.6, 2.7, 2.5), members(2.2, 2.4))
    assert (found.verdict, found.reasons) == ("pass", [])
    assert found.value == pytest.approx(0.35)
    assert found.number == "validation score 2.65, baseline 2.30"


@pytest.mark.parametrize(
    ("scores", "verdict"), [((1.3, 1.5), "fail"), ((2.1, 2.45), "warn"), ((2.2, 2.4), "pass"), ((2.193, 2.391), "pass")]
)
def test_a_network_below_the_baseline_has_learned_too_little(scores, verdict):
    found = judge_training(members(*scores), members(2.2, 2.4))
    assert found.verdict == verdict
    assert bool(found.reasons) == (verdict != "pass")


def test_folds_are_compared_with_themselves():
    # The second fold is easier for both; the mean of the model is above that of the baseline by its members alone.
    found = judge_training(members(1.9, 3.1, 1.9, 3.1, 1.9), members(2.0, 3.0))
    assert found.value == pytest.approx(0)


def test_a_training_that_max_epochs_ended_is_named():
    ensemble = members(2.8, 2.6)
    ensemble["members"][1]["stopped_early"] = False
    found = judge_training(ensemble, members(2.2, 2.4))
    assert found.verdict == "warn"
    assert "1 of 2 members were stopped by max_epochs" in found.reasons[0]
    assert "fold 1 seed 0" in found.reasons[0]


@pytest.mark.parametrize(("best_epoch", "n_pairs"), [(10, 797), (25, 1999), (FEW_STEPS // 10 - 1, 10_000)])
def test_weights_of_a_few_steps_are_a_warning(best_epoch, n_pairs):
    found = judge_training(members(2.8, 2.6, best_epoch=best_epoch, n_training_pairs=n_pairs), members(2.2, 2.4))
    assert found.verdict == "warn"
    assert "steps only; lower batch_pairs" in found.reasons[0]


@pytest.mark.parametrize(("pairs", "verdict"), [(200, "pass"), (150, "warn"), (9, "warn"), (2.5, "fail")])
@pytest.mark.parametrize("role", ["training", "validation"])
def test_scores_that_rest_on_few_pairs_are_not_trusted(pairs, verdict, role):
    ensemble = members(2.8, 2.6, n_validation_pairs=5000, effective_training_pairs=1e4, effective_validation_pairs=5e3)
    ensemble["members"][1][f"effective_{role}_pairs"] = pairs
    found = judge_training(ensemble, members(2.2, 2.4))
    assert found.verdict == verdict
    if verdict != "pass":
        assert f"{role} pairs of fold 1 count as {pairs:g} of equal weight" in found.reasons[0]
        assert f"noise alone would score {1 + 9 / pairs:.3g}" in found.reasons[0]


@pytest.mark.parametrize("changes", [{"lag_ps": 20.0}, {"dimensions": 4}])
def test_scores_of_other_lags_or_with_more_dimensions_are_not_compared(changes):
    model, baseline = members(1.0, 1.0), members(2.2, 2.4, **changes)
    assert not comparable(model["members"], baseline["members"])
    assert judge_training(model, baseline).verdict == "not estimable"
    assert judge_training(members(1.0, 1.0, stopped_early=False), baseline).verdict == "warn"


def test_a_linear_model_has_no_training_to_judge():
    model = members(2.8, 2.6)
    for member in model["members"]:
        member.pop("stopped_early")
        member["best_epoch"] = 1
    assert judge_training(model, members(2.2, 2.4)).verdict == "pass"


def spib_members(*n_states: int, best_epoch: int = 20) -> dict:
    """An ensemble of kind spib: the scores are of indicator functions, one less than there are states."""
    found = members(*(1.0 + 0.8 * (n - 1) for n in n_states), best_epoch=best_epoch)
    for member, n in zip(found["members"], n_states, strict=True):
        member |= {"n_states": n, "dimensions": n - 1}
        del member["stopped_early"]
    return found


def test_states_that_merged_into_one_are_a_failure():
    found = judge_training(spib_members(3, 1, 3, 3), members(2.2, 2.4, dimensions=2))
    assert found.verdict == "fail"
    assert "all states merged into one in 1 of 4 members" in found.reasons


def test_scores_that_do_not_compare_are_told_with_their_numbers():
    found = judge_training(spib_members(3, 2), members(2.2, 2.4, lag_ps=10.0))
    assert found.verdict == "not estimable"
    assert found.reasons[0] == (
        "scores do not compare: the model has lag_ps 10 and 1 to 2 dimensions (one less than states) in 2 folds, "
        "the baseline lag_ps 10 and 3 dimensions in 2 folds"
    )


def test_a_spib_of_few_steps_is_named():
    found = judge_training(spib_members(3, 3, best_epoch=4), members(2.0, 2.1, dimensions=2))
    assert found.verdict == "warn"
    assert "come from 40 steps only" in found.reasons[0]
