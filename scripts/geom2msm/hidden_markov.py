"""A hidden Markov model as another way to coarse-grain: metastable states that overlap in the microstates.

Noé et al., J. Chem. Phys. 139 (2013) 184114. It is fitted with deeptime to the sequence of microstates, beginning
from the PCCA+ states, and is right also where microstates are too coarse for a Markov model.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from deeptime.markov import TransitionCountModel
from deeptime.markov.hmm import MaximumLikelihoodHMM, init
from deeptime.markov.msm import MarkovStateModel
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components

from geom2msm.judgement import NotEstimable, Objections
from geom2msm.markov import (
    MarkovModel,
    Posterior,
    implied_timescales,
    leading_eigenvalues,
    sampled_eigenvalues,
)
from geom2msm.posterior import draw_reversible
from geom2msm.states import NOT_ACTIVE, Macrostates

# The likelihood is summed over this many frames at most; what is left out are frames less than a lag from others.
MAX_FRAMES = 200_000
MAX_ITERATIONS = 500


@dataclass(frozen=True)
class HiddenModel:
    """Hidden states in the order of the macrostates that they resemble, with the posterior of their transitions.

    `memberships` is the probability of each hidden state given the microstate, `counts` the expected number of
    independent transitions between hidden states.
    """

    transition_matrix: Float[np.ndarray, "macrostate macrostate"]
    stationary_distribution: Float[np.ndarray, " macrostate"]
    memberships: Float[np.ndarray, "active macrostate"]
    counts: Float[np.ndarray, "macrostate macrostate"]
    posterior: Posterior
    log_likelihood: float
    n_iterations: int
    n_frames: int


def active_pieces(dtrajs: Sequence[Int[np.ndarray, " _"]], model: MarkovModel) -> list[Int[np.ndarray, " _"]]:
    """Trajectories cut where they leave the active set, microstates counted within it; pieces of a lag or less go."""
    place = np.full(len(model.counts.matrix), NOT_ACTIVE, dtype=np.int32)
    place[model.counts.active] = np.arange(len(model.counts.active), dtype=np.int32)
    pieces = []
    for dtraj in dtrajs:
        inside = place[dtraj]
        cuts = np.flatnonzero(np.diff(inside >= 0)) + 1
        pieces += [piece for piece in np.split(inside, cuts) if piece[0] >= 0]
    return [piece for piece in pieces if len(piece) > model.counts.lag_frames]


def fit_hidden_model(
    dtrajs: Sequence[Int[np.ndarray, " _"]], model: MarkovModel, macrostates: Macrostates,
    *, n_samples: int, seed: int,
) -> HiddenModel:  # fmt: skip
    """Most likely reversible hidden Markov model at the lag of the Markov model, with as many states as macrostates."""
    lag_frames, n_states = model.counts.lag_frames, macrostates.n_found
    if n_states < 2:
        raise NotEstimable("one state has no transitions")
    pieces = active_pieces(dtrajs, model)
    n_frames = sum(map(len, pieces))
    # Frames are looked at once per lag, beginning at every stride-th of the first ones.
    stride = min(lag_frames, max(1, math.ceil(n_frames / MAX_FRAMES)))
    full = MarkovStateModel(
        model.transition_matrix,
        stationary_distribution=model.stationary_distribution,
        count_model=TransitionCountModel(model.counts.active_matrix, lagtime=lag_frames),
    )
    try:
        guess = init.discrete.metastable_from_msm(full, n_states)
        estimator = MaximumLikelihoodHMM(guess, lag_frames, stride=stride, reversible=True, maxit=MAX_ITERATIONS)
        hidden = estimator.fit_fetch(pieces)
    except (AssertionError, np.linalg.LinAlgError, ValueError, RuntimeError) as error:
        raise NotEstimable(f"deeptime finds no hidden Markov model of {n_states} states: {error}") from error
    order = _like(hidden.output_probabilities, hidden.transition_model.stationary_distribution, model, macrostates)
    shown = np.arange(0, lag_frames, stride)
    counts = hidden.transition_model.count_model.count_matrix[np.ix_(order, order)] / len(shown)
    matrix = hidden.transition_model.transition_matrix[np.ix_(order, order)]
    distribution = hidden.transition_model.stationary_distribution[order]
    logging.info("%d iterations of Baum and Welch on %d frames, stride %d", len(hidden.likelihoods), n_frames, stride)
    return HiddenModel(
        matrix, distribution, _memberships(hidden.output_probabilities[order], distribution), counts,
        _sample(counts, distribution, n_samples=n_samples, seed=seed),
        float(hidden.likelihoods[-1]), len(hidden.likelihoods), n_frames,
    )  # fmt: skip


def _memberships(
    output: Float[np.ndarray, "macrostate active"], distribution: Float[np.ndarray, " macrostate"]
) -> Float[np.ndarray, "active macrostate"]:
    """Bayes' rule: the probability of the hidden states given a microstate.

    A microstate in which none of the frames lies that were looked at says nothing: what is left is their distribution.
    """
    joint = (distribution[:, None] * output).T
    total = joint.sum(axis=1, keepdims=True)
    return np.divide(joint, total, out=np.tile(distribution, (len(joint), 1)), where=total > 0)


def _like(
    output: Float[np.ndarray, "macrostate active"],
    distribution: Float[np.ndarray, " macrostate"],
    model: MarkovModel,
    macrostates: Macrostates,
) -> Int[np.ndarray, " macrostate"]:
    """For each macrostate the hidden state that shares the most probability with it, each used once."""
    weighted = model.stationary_distribution[:, None] * _memberships(output, distribution)
    return linear_sum_assignment(macrostates.memberships.T @ weighted, maximize=True)[1]


def _sample(
    counts: Float[np.ndarray, "macrostate macrostate"],
    distribution: Float[np.ndarray, " macrostate"],
    *,
    n_samples: int,
    seed: int,
) -> Posterior:
    """Reversible posterior given the expected hidden transitions.

    The hidden paths are kept: between metastable states there is little doubt about them, and deeptime's sampler
    of hidden paths has no seed, so its numbers would differ from run to run.
    """
    if connected_components(counts, connection="strong")[0] > 1:
        raise NotEstimable("its hidden states are not connected in both directions")
    return draw_reversible(counts, distribution, n_samples=n_samples, seed=seed)


def hidden_table(
    hidden: HiddenModel, model: MarkovModel, posterior: Posterior, macrostates: Macrostates, *, lag_ps: float
) -> pd.DataFrame:
    """One row per population and timescale: estimate and interval of the hidden and of the plain Markov model.

    Populations of the plain model are those of its PCCA+ memberships, which overlap like the hidden states do.
    """
    n_states = len(hidden.counts)

    def times(leading: np.ndarray) -> np.ndarray:
        return implied_timescales(leading, lag_ps=lag_ps, n_processes=n_states - 1)

    own = hidden.posterior
    shares = macrostates.memberships
    parts = {
        "population": (
            hidden.stationary_distribution, own.stationary_distributions,
            model.stationary_distribution @ shares, posterior.stationary_distributions @ shares,
        ),
        "timescale_ps": (
            times(leading_eigenvalues(hidden.transition_matrix, hidden.stationary_distribution, n_values=n_states)),
            times(sampled_eigenvalues(own, n_values=n_states)),
            times(leading_eigenvalues(model.transition_matrix, model.stationary_distribution, n_values=n_states)),
            times(sampled_eigenvalues(posterior, n_values=n_states)),
        ),
    }  # fmt: skip
    rows = []
    for quantity, (estimate, samples, plain, plain_samples) in parts.items():
        table = pd.DataFrame({"quantity": quantity, "index": np.arange(1, len(estimate) + 1), "hidden": estimate})
        table["hidden_lower"], table["hidden_upper"] = own.interval_of(quantity, samples, around=estimate)
        table["plain"] = plain
        table["plain_lower"], table["plain_upper"] = posterior.interval_of(quantity, plain_samples, around=plain)
        rows.append(table)
    return pd.concat(rows, ignore_index=True)


def hidden_verdict(
    table: pd.DataFrame, hidden: HiddenModel, macrostates: Macrostates, model: MarkovModel
) -> dict[str, object]:
    """Whether hidden and plain model agree: all their intervals overlap."""
    agreeing = hidden.memberships.argmax(axis=1) == macrostates.assignment
    return {
        "n_hidden_states": len(hidden.counts),
        "comparison": table.replace({np.nan: None}).to_dict("records"),
        "transition_matrix": hidden.transition_matrix.tolist(),
        "memberships": hidden.memberships.tolist(),
        "same_state_probability": float(model.stationary_distribution[agreeing].sum()),
        "log_likelihood": hidden.log_likelihood,
        "n_iterations": hidden.n_iterations,
        "n_frames": hidden.n_frames,
        **_objections(table).verdict_and_reasons(),
    }


def _objections(table: pd.DataFrame) -> Objections:
    """What the two models disagree on, and what one of them gives no interval for."""
    objections = Objections()
    known = table[["hidden_lower", "plain_lower"]].notna().all(axis=1)
    objections.add_missing(
        [f"{_name(row.quantity, row.index)} has no interval in both models" for row in table[~known].itertuples(False)],
        anything_compared=bool(known.any()),
    )
    apart = table[(table.hidden_lower > table.plain_upper) | (table.plain_lower > table.hidden_upper)]
    for row in apart.itertuples(index=False):
        objections.warnings.append(
            f"{_name(row.quantity, row.index)} is {row.hidden:.4g} in the hidden and {row.plain:.4g} in the plain "
            "Markov model, intervals apart"
        )
    return objections


def _name(quantity: str, index: int) -> str:
    return f"the population of state {index}" if quantity == "population" else f"t{index + 1}"
