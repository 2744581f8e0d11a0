"""Importances as a table, whether the ways to measure them agree, and whether training has anything to do with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from geom2msm.attention_maps import attends, token_attention
from geom2msm.importance import Probe, gradient, occlusion
from geom2msm.interpreted import Network, Sample, of_states
from geom2msm.judgement import Objections

# Conventions, not statistics: that much of the importance must fall to the same tokens for two ways to agree.
SUFFICIENT_OVERLAP, LEAST_OVERLAP = 0.7, 0.5
SMALLEST_VARIANCE = 1e-30


@dataclass(frozen=True)
class Measured:
    """Importance of every token in the frames of every state, mean and standard error, by one way of measuring."""

    of_state: dict[int, tuple[np.ndarray, np.ndarray]]
    weights: dict[int, float]

    def overall(self) -> Float[np.ndarray, " token"]:
        """Mean over the states, each with its fraction of the frames."""
        return sum(self.weights[state] * mean for state, (mean, _) in self.of_state.items())


def measure(network: Network, sample: Sample, probe: Probe) -> dict[str, Measured]:
    """All ways that the network has; occlusion and gradient in units of the variance of its coordinates."""
    variance = float(network.coordinates(sample.everywhere).var(dim=0).sum())
    scale = 1 / max(variance, SMALLEST_VARIANCE)
    found: dict[str, Tensor] = {
        "occlusion": scale * occlusion(network, probe), "gradient": scale * gradient(network, probe),
    }  # fmt: skip
    if attends(network.lobe):
        found["attention"] = token_attention(network, sample.tokens)
    return {method: Measured(of_states(values, sample.states), sample.weights) for method, values in found.items()}


def importance_table(
    trained: Mapping[str, Measured], untrained: Sequence[Mapping[str, Measured]], token_names: Sequence[str]
) -> pd.DataFrame:
    """One row per method, state and token; of the untrained networks the mean, the lowest and the highest.

    `share` is the part of a state's importance that falls to the token, `untrained_share` its mean over the controls.
    """
    tables = []
    for method, measured in trained.items():
        for state, (mean, error) in measured.of_state.items():
            controls = np.array([control[method].of_state[state][0] for control in untrained])
            columns = {"state": state, "token": range(len(mean)), "residue": token_names, "method": method}
            columns |= {"importance": mean, "standard_error": error, "untrained": controls.mean(axis=0)}
            columns |= {"untrained_lowest": controls.min(axis=0), "untrained_highest": controls.max(axis=0)}
            columns |= {"share": shares(mean), "share_error": share_errors(mean, error)}
            columns |= {"untrained_share": np.mean([shares(control) for control in controls], axis=0)}
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def shares(importance: Float[np.ndarray, " token"]) -> Float[np.ndarray, " token"]:
    """Fractions of the sum; an estimate below zero counts as zero, and equal parts stand where nothing is important."""
    positive = np.clip(importance, 0, None)
    total = positive.sum()
    return positive / total if total > 0 else np.full(len(importance), 1 / len(importance))


def share_errors(
    importance: Float[np.ndarray, " token"], errors: Float[np.ndarray, " token"]
) -> Float[np.ndarray, " token"]:
    """Standard errors of the shares, to first order, as if the errors of the tokens were independent."""
    share, total = shares(importance), np.clip(importance, 0, None).sum()
    if total == 0:
        return np.full(len(importance), np.nan)
    variance = (1 - 2 * share) * errors**2 + share**2 * (errors**2).sum()
    return np.sqrt(variance) / total


def overlap(one: Float[np.ndarray, " token"], other: Float[np.ndarray, " token"]) -> float:
    """The part of all importance that both give to the same tokens, from 0 to 1: sum of the smaller shares."""
    return float(np.minimum(shares(one), shares(other)).sum())


def rank_correlation(one: Float[np.ndarray, " token"], other: Float[np.ndarray, " token"]) -> float | None:
    """Spearman's correlation of the order of the tokens; there is none where all are equal."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(pd.Series(one).rank().corr(pd.Series(other).rank()))


def agreements(trained: Mapping[str, Measured]) -> list[dict[str, object]]:
    """How far each two ways agree, over all states and in each."""
    return [
        {
            "methods": [one, other],
            "overlap": overlap(trained[one].overall(), trained[other].overall()),
            "rank_correlation": rank_correlation(trained[one].overall(), trained[other].overall()),
            "overlap_of_state": {
                str(state): overlap(mean, trained[other].of_state[state][0])
                for state, (mean, _) in trained[one].of_state.items()
            },
        }
        for one, other in combinations(trained, 2)
    ]


def control(trained: Mapping[str, Measured], untrained: Sequence[Mapping[str, Measured]]) -> dict[str, dict]:
    """For each way, the overlap of the trained network with the mean of the untrained ones, and of these among them.

    A trained network that has learned what to look at is further from them than any of them is from the rest.
    """
    found = {}
    for method, measured in trained.items():
        parts = [shares(one[method].overall()) for one in untrained]
        among = [
            overlap(part, np.mean(parts[:number] + parts[number + 1 :], axis=0)) for number, part in enumerate(parts)
        ]
        found[method] = {
            "overlap_with_untrained": overlap(measured.overall(), np.mean(parts, axis=0)),
            "least_overlap_among_untrained": min(among),
        }
    return found


def judge(
    agreement: Sequence[Mapping], controls: Mapping[str, Mapping], *, n_tokens: int, n_untrained: int
) -> tuple[Objections, list[str]]:
    """What speaks against reading the importances, and what does not.

    The ways must agree, and training must have made a difference. What occlusion says stands and falls by itself: it
    alone measures what the outputs depend on, at any distance.
    """
    objections, notes = Objections(), []
    if n_tokens < 2:
        objections.not_estimable.append("there is only one token, and all importance is its own")
        return objections, notes
    for pair in agreement:
        one, other = pair["methods"]
        sentence = f"{one} and {other} give {pair['overlap']:.0%} of the importance to the same tokens"
        grave = {one, other} == {"occlusion", "gradient"} and pair["overlap"] < LEAST_OVERLAP
        kind = objections.failures if grave else objections.warnings
        (kind if pair["overlap"] < SUFFICIENT_OVERLAP else notes).append(sentence)
    for method, found in controls.items():
        numbers = (
            f"{found['overlap_with_untrained']:.0%} of the importance by {method} are as in the mean of {n_untrained} "
            f"untrained networks, each of which shares at least {found['least_overlap_among_untrained']:.0%} with the "
            "others"
        )
        learned = found["overlap_with_untrained"] < found["least_overlap_among_untrained"]
        kind = objections.failures if method == "occlusion" else objections.warnings
        (notes if learned else kind).append(numbers if learned else f"{numbers}: it need not be learned")
    return objections, notes
