"""The verdict table: each check is read as its file says, every verdict has its advice, and nothing is passed over."""

import itertools
from functools import partial

import pytest

from geom2msm import verdicts
from geom2msm.verdict_texts import ACTIONS, FIGURES, QUESTIONS


def states(*rows: tuple[int, int, int]) -> list[dict[str, str]]:
    """Entries, exits and trajectories of each state, as text, as a CSV file has them."""
    names = ("entries", "exits", "n_trajectories")
    return [{"state": str(n)} | dict(zip(names, map(str, row), strict=True)) for n, row in enumerate(rows, start=1)]


def ensemble(*overlaps: float, n_functions: int = 4, dimensions: int = 4) -> dict:
    places = list(itertools.combinations(range(4), 2))
    pairs = [{"members": list(pair), "overlap": overlap} for pair, overlap in zip(places, overlaps, strict=False)]
    members = [{"dimensions": dimensions, "fold": fold, "seed": seed} for fold in range(2) for seed in range(2)]
    return {"agreement": {"pairs": pairs, "n_functions": n_functions}, "members": members}


def row(check: str, verdict: str) -> dict:
    return verdicts.table_row(check, verdicts.Judged(verdict, "1"))


def test_every_check_has_a_question_a_figure_and_one_sentence_for_each_verdict():
    assert QUESTIONS.keys() == ACTIONS.keys() == FIGURES.keys()
    for actions in ACTIONS.values():
        assert set(actions) == set(verdicts.VERDICTS)
        assert all(sentence.endswith(".") and ". " not in sentence for sentence in actions.values())


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ([(1000, 1000, 8), (10, 10, 3)], "pass"),
        ([(1000, 1000, 8), (9, 10, 8)], "warn"),
        ([(1000, 1000, 8), (10, 10, 2)], "warn"),
        ([(1000, 1000, 1), (10, 10, 1)], "pass"),
        ([(1000, 1000, 8), (500, 2, 8)], "fail"),
        ([(0, 0, 1)], "fail"),
    ],
)
def test_a_state_needs_ten_entries_and_exits_and_more_than_two_of_many_trajectories(counts, verdict):
    found = verdicts.judge_visits(states(*counts))
    assert found.verdict == verdict
    assert bool(found.reasons) == (verdict != "pass")


def test_the_state_with_the_fewest_events_gives_the_number():
    found = verdicts.judge_visits(states((50, 60, 8), (40, 7, 8)))
    assert (found.number, found.value) == ("state 2: 7 entries and exits", 7)


@pytest.mark.parametrize(("overlap", "verdict"), [(1.0, "pass"), (0.88, "pass"), (0.8, "warn"), (0.75, "fail")])
def test_members_may_not_lose_a_function_to_each_other(overlap, verdict):
    found = verdicts.judge_seeds(ensemble(1.0, overlap, 1.0))
    assert found.verdict == verdict
    assert found.value == pytest.approx(4 * (1 - overlap))
    if verdict != "pass":
        assert "fold 0 seed 0 and fold 1 seed 0" in found.reasons[0]


@pytest.mark.parametrize(("overlap", "verdict"), [(0.917, "pass"), (0.7, "warn"), (0.5, "fail")])
@pytest.mark.parametrize("dimensions", [2, 14])
def test_only_functions_that_were_compared_can_be_lost(overlap, verdict, dimensions):
    # A member of kind spib gives the number of its states less one, and is compared by its latent variables.
    found = verdicts.judge_seeds(ensemble(overlap, n_functions=2, dimensions=dimensions))
    assert (found.verdict, found.value) == (verdict, pytest.approx(2 * (1 - overlap)))
    assert found.number == f"at least {2 * overlap:.2f} of 2 functions shared"


def test_one_member_alone_agrees_with_nobody():
    assert verdicts.judge_seeds(ensemble()).verdict == "not estimable"


def test_an_encoder_that_the_config_lets_pass_is_a_warning():
    score = {"r2": 0.1, "standard_error": 0.02, "causes": ["units"]}
    found = verdicts.judge_encoder(score | {"verdict": "accepted by the config"})
    assert (found.verdict, found.reasons) == ("warn", ["units"])
    assert verdicts.judge_encoder(score | {"verdict": "pass", "causes": []}).verdict == "pass"


def test_a_model_without_tokens_has_nothing_to_interpret():
    assert verdicts.judge_if_any(verdicts.judge_interpretation, []).verdict == "not estimable"


@pytest.mark.parametrize("verdict", verdicts.VERDICTS)
def test_verdicts_of_other_files_are_taken_as_they_are(verdict):
    told = {"verdict": verdict, "reasons": ["why"]}
    errors = {"largest_difference_in_errors": 2.0, "largest_difference": 0.1}
    largest = {"largest_of_all_in_errors": 2.5, "n_compared": 12}
    deviations = {"largest_deviation_in_errors": 2.0, "largest_deviation": 0.1}
    agreement = [{"methods": ["one", "two"], "overlap": 0.9}, {"methods": ["one", "three"], "overlap": 0.4}]
    found = {
        "lag": verdicts.judge_lag(told | {"proposed_lag_ps": 3.0, "configured_lag_ps": 2.0}),
        "CK test": verdicts.judge_ck_test(told | deviations),
        "connectivity": verdicts.judge_connectivity(told | {"fraction_of_frames_active": 0.98}),
        "number of states": verdicts.judge_spectrum(told | {"gap": 2.5, "n_macrostates": 3, "n_macrostates_asked": 3}),
        "equilibrium": verdicts.judge_equilibrium(told | errors | largest, biased=False),
        "relaxation": verdicts.judge_relaxation(told | deviations),
        "convergence": verdicts.judge_convergence(told | errors),
        "VAMP-2 consistency": verdicts.judge_vamp2(told | errors),
        "interpretation": verdicts.judge_interpretation(told | {"agreement": agreement}),
    }
    assert {judged.verdict for judged in found.values()} == {verdict}
    assert all(judged.reasons == ["why"] for judged in found.values())
    assert [judged.value for judged in found.values()] == [3.0, 2.0, 0.98, 2.5, 2.0, 2.0, 2.0, 2.0, 0.4]


def test_numbers_that_could_not_be_estimated_are_a_dash():
    told = {"verdict": "not estimable", "reasons": []}
    unknown = dict.fromkeys(
        ("largest_deviation_in_errors", "largest_difference_in_errors", "fraction_of_frames_active", "proposed_lag_ps",
         "gap")
    )  # fmt: skip
    for judge in (
        verdicts.judge_ck_test,
        verdicts.judge_connectivity,
        verdicts.judge_convergence,
        verdicts.judge_vamp2,
        verdicts.judge_spectrum,
        verdicts.judge_relaxation,
        partial(verdicts.judge_equilibrium, biased=False),
    ):
        assert judge(told | unknown | {"n_macrostates": 2, "n_macrostates_asked": 2}).number == "–"
    assert verdicts.judge_lag(told | unknown | {"configured_lag_ps": 2.0}).number == "2 ps, nowhere flat"


def test_states_asked_for_in_vain_are_counted():
    told = {"verdict": "fail", "reasons": ["why"], "n_macrostates": 2, "n_macrostates_asked": 5}
    for gap in (3.0, None):
        judged = verdicts.judge_spectrum(told | {"gap": gap})
        assert (judged.verdict, judged.number, judged.value) == ("fail", "2 of 5 states found", 2.0)


@pytest.mark.parametrize("verdict", verdicts.VERDICTS)
def test_biased_trajectories_never_pass_for_equilibrium(verdict):
    told = {"verdict": verdict, "reasons": ["why"], "largest_difference_in_errors": 1.0}
    told |= {"largest_of_all_in_errors": 2.0, "n_compared": 5}
    found = verdicts.judge_equilibrium(told, biased=True)
    assert found.verdict == ("fail" if verdict == "fail" else "warn")
    assert found.reasons == ["why", verdicts.BIASED]


def test_a_verdict_that_is_none_is_refused():
    with pytest.raises(ValueError, match="the verdict of lag is 'fine', but must be one of pass"):
        row("lag", "fine")


@pytest.mark.parametrize("order", list(itertools.permutations(verdicts.VERDICTS)))
def test_the_gravest_verdict_is_that_of_the_model(order):
    rows = [row("lag", verdict) for verdict in order]
    assert verdicts.overall(rows) == "fail"
    assert verdicts.overall([r for r in rows if r["verdict"] != "fail"]) == "warn"
    assert verdicts.overall([r for r in rows if r["verdict"] in ("pass", "not estimable")]) == "not estimable"


def test_the_headline_names_what_does_not_pass():
    rows = [row("lag", "pass"), row("CK test", "fail"), row("visits", "warn"), row("convergence", "not estimable")]
    assert verdicts.headline(rows) == (
        "The model passes 1 of 4 checks. Failed: CK test. Warnings: visits. Not estimable: convergence."
    )
    assert verdicts.headline(rows[:1]) == "The model passes all 1 checks."
