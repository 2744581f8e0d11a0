"""The members of a model, one per fold and seed, as one object: how they score, and how far they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SUMMARIZED = ("score_training", "score_selection", "score_validation", "score_validation_batch_mean")


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

    A member is a success if its validation score is within one standard deviation of the best: of all members, over
    folds and seeds. Networks that got stuck score far below the others.
    """
    found: dict[str, object] = {"n_members": len(scores)}
    for name in SUMMARIZED:
        if all(name in member for member in scores):
            values = np.array([member[name] for member in scores])
            found[name] = {"mean": float(values.mean()), "sd": _deviation(values)}
    validation = np.array([member["score_validation"] for member in scores])
    margin = _deviation(validation)
    found["success_margin"] = margin
    found["success_fraction"] = float((validation >= validation.max() - margin).mean())
    return found


def _deviation(values: Float[np.ndarray, " member"]) -> float:
    """Sample standard deviation; 0 of a single member."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def best_member(scores: Sequence[Mapping]) -> int:
    """Place of the member to go on with: the best on the pairs that it was chosen by, not on those reported."""
    return max(range(len(scores)), key=lambda i: scores[i].get("score_selection", scores[i]["score_validation"]))


def agreements(variables: Sequence[Float[np.ndarray, "frame dimension"]]) -> dict[str, object]:
    """Agreement of all pairs of members; without a second member there is none."""
    pairs = {
        (i, j): agreement(variables[i], variables[j])
        for i in range(len(variables))
        for j in range(i + 1, len(variables))
    }
    if not pairs:
        return {"overlap": None, "function_correlations": None, "pairs": []}
    correlations = np.array([pair.correlations for pair in pairs.values()])
    return {
        "overlap": float(np.mean([pair.overlap for pair in pairs.values()])),
        "function_correlations": correlations.mean(axis=0).tolist(),
        "pairs": [{"members": list(members), "overlap": pair.overlap} for members, pair in pairs.items()],
    }


def spread_frames(n_frames: Sequence[int], *, n_chosen: int) -> list[np.ndarray]:
    """Frames of each of several trajectories, evenly spread over all of them."""
    step = max(1, sum(n_frames) // n_chosen)
    return [np.arange(0, length, step, dtype=np.int64) for length in n_frames]
