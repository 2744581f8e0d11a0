"""The members of a model, one per fold and seed, as one object: how they score, and how far they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from geom2msm.joined_store import every_frame_of

SUMMARIZED = ("score_training", "score_selection", "score_validation", "score_validation_batch_mean")
# The score of a network that found nothing is that of the constant function; a success found nearly all that any did.
NOTHING, SUCCESS_SHARE = 1.0, 0.9
# Selection scores that differ by less are equal.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Agreement:
    """How far two members have found the same functions, on the same frames.

    `overlap` is the mean squared canonical correlation of the spaces that their functions span, from 0 to 1;
    `correlations` are those of their single functions, in order, without sign.
    """

    overlap: float
    correlations: list[float]


def whitened(variables: Float[np.ndarray, "frame dimension"]) -> Float[np.ndarray, "frame direction"]:
    """Orthonormal functions that span the same space, without the mean; directions without variance are dropped."""
    left, singular_values, _ = np.linalg.svd(variables - variables.mean(axis=0), full_matrices=False)
    return left[:, singular_values > 1e-6 * max(singular_values[0], 1e-300)]


def agreement(one: Float[np.ndarray, "frame dimension"], other: Float[np.ndarray, "frame dimension"]) -> Agreement:
    """Compare the variables that two members give to the same frames (Hotelling 1936)."""
    canonical = np.linalg.svd(whitened(one).T @ whitened(other), compute_uv=False)
    dimensions = max(one.shape[1], other.shape[1])
    singles = [abs(_correlation(a, b)) for a, b in zip(one.T, other.T, strict=True)]
    return Agreement(overlap=float((canonical**2).sum() / dimensions), correlations=singles)


def _correlation(a: Float[np.ndarray, " frame"], b: Float[np.ndarray, " frame"]) -> float:
    scale = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / scale) if scale > 0 else 0.0


def summarize(scores: Sequence[Mapping]) -> dict[str, object]:
    """Mean and standard deviation over the members of each score that all have, and the fraction of successes.

    A member is a success if it found at least 90 % of what the best of its fold found: of its validation score above
    that of the constant. Networks that got stuck found far less. In a fold where all are as low as noise, there is no
    success. Folds without a second member tell nothing.
    """
    found: dict[str, object] = {"n_members": len(scores)}
    for name in SUMMARIZED:
        if all(name in member for member in scores):
            values = np.array([member[name] for member in scores])
            found[name] = {"mean": float(values.mean()), "sd": _deviation(values)}
    folds, noise = _by_fold(scores, "score_validation").values(), _noise(scores)
    compared = [_successes(values, noise=noise) for values in folds if len(values) > 1]
    return found | {
        "success_share": SUCCESS_SHARE,
        "success_fraction": float(np.concatenate(compared).mean()) if compared else None,
    }


def _by_fold(scores: Sequence[Mapping], name: str) -> dict[int, Float[np.ndarray, " member"]]:
    """The scores of the members of each fold; different folds are scored on different frames."""
    folds = dict.fromkeys(member["fold"] for member in scores)
    return {fold: np.array([member[name] for member in scores if member["fold"] == fold]) for fold in folds}


def _noise(scores: Sequence[Mapping]) -> float:
    """How far noise alone gets above the score of the constant: d² / N."""
    return max(member["dimensions"] ** 2 / member["n_validation_pairs"] for member in scores)


def _successes(values: Float[np.ndarray, " member"], *, noise: float) -> Bool[np.ndarray, " member"]:
    """Which members of one fold come close to the best of them, if that found anything."""
    best = values.max() - NOTHING
    return (values - NOTHING >= SUCCESS_SHARE * best) & (best > noise)


def _deviation(values: Float[np.ndarray, " member"]) -> float:
    """Sample standard deviation; 0 of a single member."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def best_member(scores: Sequence[Mapping], compared: Mapping[str, object]) -> int:
    """Place of the member to go on with, of all members and what `agreements` says of them; never the best validated.

    Of networks the one whose selection score is highest above the mean of its fold. Where all are alike in that, and
    of models without a selection score, the one that agrees most with the others, or the first of these.
    """
    above = [0.0] * len(scores)
    if all("score_selection" in member for member in scores):
        means = {fold: values.mean() for fold, values in _by_fold(scores, "score_selection").items()}
        above = [member["score_selection"] - means[member["fold"]] for member in scores]
    overlaps = mean_overlaps(compared, n_members=len(scores))
    best = np.flatnonzero(np.array(above) >= max(above) - ROUNDING)
    return int(best[np.argmax(overlaps[best])])


def mean_overlaps(compared: Mapping[str, object], *, n_members: int) -> Float[np.ndarray, " member"]:
    """The mean overlap of each member with all others; 0 of a single one."""
    sums = np.zeros(n_members)
    for pair in compared["pairs"]:
        sums[pair["members"]] += pair["overlap"]
    return sums / max(n_members - 1, 1)


def agreements(variables: Sequence[Float[np.ndarray, "frame _"]]) -> dict[str, object]:
    """Agreement of all pairs of members; without a second member there is none.

    What one member has fewer of than another counts as not found.
    """
    most = max(1, *(each.shape[1] for each in variables))
    variables = [np.pad(each, ((0, 0), (0, most - each.shape[1]))) for each in variables]
    pairs = {
        (i, j): agreement(variables[i], variables[j])
        for i in range(len(variables))
        for j in range(i + 1, len(variables))
    }
    if not pairs:
        return {"overlap": None, "function_correlations": None, "n_functions": None, "pairs": []}
    correlations = np.array([pair.correlations for pair in pairs.values()])
    return {
        "overlap": float(np.mean([pair.overlap for pair in pairs.values()])),
        "function_correlations": correlations.mean(axis=0).tolist(),
        "n_functions": most,
        "pairs": [{"members": list(members), "overlap": pair.overlap} for members, pair in pairs.items()],
    }


def spread_frames(n_frames: Sequence[int], *, n_chosen: int) -> list[np.ndarray]:
    """Frames of each of several trajectories, evenly spread over all of them laid end to end."""
    return every_frame_of(n_frames, step=max(1, sum(n_frames) // n_chosen))
