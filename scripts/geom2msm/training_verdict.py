"""Whether the networks were trained to the end, and found more than the baseline."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from statistics import mean

from geom2msm.judgement import Objections
from geom2msm.verdicts import Judged

# Adam moves a weight by about its learning rate a step, 0.05 in so many steps of 0.001: fewer hardly leave the start.
FEW_STEPS = 50
# Scores that differ by less are equal: a slow process that is found adds up to 1.
EQUAL_SCORES = 0.01
# Pairs per d²: noise alone has a score of d² / N above that of the constant, here 0.05 and 1.
FEW_PAIRS, TOO_FEW_PAIRS = 20, 1


def judge_training(model: Mapping, baseline: Mapping) -> Judged:
    """Validation scores of a model's members above those of the baseline in the same folds, and how training ended.

    `model` and `baseline` are the content of two `ensemble.json`. Scores are compared where they may be: at one lag,
    and with no more dimensions in the baseline, for every dimension adds to a score.
    """
    objections, number, gain = Objections(), "–", None
    objections.warnings.extend(_unfinished(model["members"]))
    _object_to_few_pairs(model["members"], objections)
    merged = [member for member in model["members"] if member.get("n_states") == 1]
    if merged:
        objections.failures.append(f"all states merged into one in {len(merged)} of {len(model['members'])} members")
    if comparable(model["members"], baseline["members"]):
        ours, theirs = (_mean_by_fold(found["members"]) for found in (model, baseline))
        gains = [ours[fold] - theirs[fold] for fold in ours]
        gain = mean(gains)
        if gain < -EQUAL_SCORES:
            kind = objections.failures if max(gains) < -EQUAL_SCORES else objections.warnings
            kind.append("on validation data the model finds less than the baseline: its states rest on too little")
        number = f"validation score {mean(ours.values()):.2f}, baseline {mean(theirs[fold] for fold in ours):.2f}"
    else:
        members = _scored(model["members"]), _scored(baseline["members"])
        objections.add_missing(
            [f"scores do not compare: the model has {members[0]}, the baseline {members[1]}"],
            anything_compared=bool(objections.warnings),
        )
    return Judged(number=number, value=gain, **objections.verdict_and_reasons())


def comparable(model: Sequence[Mapping], baseline: Sequence[Mapping]) -> bool:
    """Whether a higher score of the baseline would mean that it found more."""
    lags = {member["lag_ps"] for member in [*model, *baseline]}
    scored = all("score_validation" in member for member in [*model, *baseline])
    fewest, most = min(member["dimensions"] for member in model), max(member["dimensions"] for member in baseline)
    return scored and len(lags) == 1 and fewest >= most and _folds(model) <= _folds(baseline)


def _scored(members: Sequence[Mapping]) -> str:
    """What the scores of members are of: in a model of kind spib, of the indicator functions of its states."""
    dimensions = sorted({member["dimensions"] for member in members})
    span = " to ".join(map(str, dimensions[:: max(1, len(dimensions) - 1)]))
    states = " (one less than states)" if "n_states" in members[0] else ""
    lags = ", ".join(f"{lag_ps:g}" for lag_ps in sorted({member["lag_ps"] for member in members}))
    return f"lag_ps {lags} and {span} dimensions{states} in {len(_folds(members))} folds"


def _folds(members: Sequence[Mapping]) -> set[int]:
    return {member["fold"] for member in members}


def _mean_by_fold(members: Sequence[Mapping]) -> dict[int, float]:
    scores = {fold: [each["score_validation"] for each in members if each["fold"] == fold] for fold in _folds(members)}
    return {fold: mean(found) for fold, found in sorted(scores.items())}


def _object_to_few_pairs(members: Sequence[Mapping], objections: Objections) -> None:
    """Scores rest on few pairs, or with log-weights of very different size on the few that outweigh all others."""
    known = [
        (member[f"effective_{role}_pairs"] / member["dimensions"] ** 2, role, member)
        for member in members
        for role in ("training", "validation")
        if f"effective_{role}_pairs" in member
    ]
    if not known:
        return
    per_square, role, member = min(known, key=itemgetter(0))
    if per_square >= FEW_PAIRS:
        return
    kind = objections.failures if per_square < TOO_FEW_PAIRS else objections.warnings
    kind.append(
        f"the {member[f'n_{role}_pairs']} {role} pairs of fold {member['fold']} count as "
        f"{member[f'effective_{role}_pairs']:.3g} of equal weight: noise alone would score {1 + 1 / per_square:.3g}"
    )


def _unfinished(members: Sequence[Mapping]) -> list[str]:
    """What says that training ended before there was nothing more to learn; linear models have no such numbers."""
    networks = [member for member in members if "stopped_early" in member or "n_states" in member]
    rising = [f"fold {each['fold']} seed {each['seed']}" for each in networks if not each.get("stopped_early", True)]
    steps = [each["best_epoch"] * max(1, each["n_training_pairs"] // each["batch_pairs"]) for each in networks]
    reasons = []
    if rising:
        reasons.append(
            f"{len(rising)} of {len(networks)} members were stopped by max_epochs while their score still rose "
            f"({', '.join(rising[:3])}{', …' if len(rising) > 3 else ''})"
        )
    if steps and min(steps) < FEW_STEPS:
        reasons.append(
            f"the weights of a member come from {min(steps)} steps only; lower batch_pairs or raise max_epochs"
        )
    return reasons
