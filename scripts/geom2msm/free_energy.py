"""Free energies on Ramachandran maps, weighted by the Markov model, with errors from resampled runs.

Blocks of runs are drawn with replacement and the model is estimated anew from each draw, so the error
covers both the populations of the microstates and what the microstates look like inside.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from scipy.stats import t as student

from geom2msm.markov import Counts, MarkovModel, connected_sets, estimate_model
from geom2msm.ramachandran import BIN_DEG, N_BINS, ResidueTorsions, frame_weights, free_energy_map
from geom2msm.resampling import INTERVAL, Blocks

COLUMNS = ("residue", "phi_deg", "psi_deg", "free_energy_kT", "error_kT", "lower_kT", "upper_kT")
# An error is given where at least this share of the draws has frames in the bin; its spread is that of those draws.
VISITED_SHARE = 0.95


@dataclass(frozen=True)
class BlockCounts:
    """Microstate of every frame, its block, and the sliding counts of transitions that begin in each block."""

    microstates: Int[np.ndarray, " frame"]
    blocks: Blocks
    transitions: csr_matrix
    n_microstates: int
    lag_frames: int


def count_blocks(microstates: Sequence[Int[np.ndarray, " _"]], blocks: Blocks, model: MarkovModel) -> BlockCounts:
    """Counts of each block of the runs; all blocks together have the counts of the model."""
    n_microstates, lag = len(model.counts.matrix), model.counts.lag_frames
    frame = np.concatenate(microstates)
    run = np.repeat(np.arange(len(microstates)), list(map(len, microstates)))
    pair = run[:-lag] == run[lag:]
    start, end = frame[:-lag][pair], frame[lag:][pair]
    places = (blocks.of_frame[:-lag][pair], start.astype(np.int64) * n_microstates + end)
    counts = csr_matrix((np.ones(len(start)), places), shape=(blocks.n_blocks, n_microstates**2))
    return BlockCounts(frame, blocks, counts, n_microstates, lag)


def draw_weights(counted: BlockCounts, times: Int[np.ndarray, " block"]) -> Float[np.ndarray, " frame"] | None:
    """Weights of all frames in a model of blocks drawn so many times; None if they connect nothing."""
    n_microstates = counted.n_microstates
    matrix = (times @ counted.transitions).reshape(n_microstates, n_microstates)
    drawn = times[counted.blocks.of_frame]
    frames = np.bincount(counted.microstates, drawn, minlength=n_microstates).astype(np.int64)
    try:
        model = estimate_model(Counts(counted.lag_frames, matrix, frames, connected_sets(matrix, frames)))
    except ValueError as error:
        logging.info("a draw is left out: %s", error)
        return None
    probability = np.zeros(n_microstates)
    probability[model.counts.active] = model.stationary_distribution
    per_frame = np.divide(probability, frames, out=np.zeros(n_microstates), where=frames > 0)
    return drawn * per_frame[counted.microstates]


def surfaces(
    torsions: Sequence[ResidueTorsions], counted: BlockCounts, model: MarkovModel, draws: Iterable[np.ndarray]
) -> pd.DataFrame:
    """One row per residue and visited bin: free energy in kT above the lowest bin, error and 95 % interval.

    Draws are compared at equal total probability, so the lowest bin has an error too. NaN: not estimable.
    """
    weights = frame_weights(counted.microstates, model.counts.active, model.stationary_distribution)
    tables = [free_energy_map(residue, weights) for residue in torsions]
    drawn = [draw_weights(counted, times) for times in draws] if counted.blocks.are_enough else []
    usable = [each for each in drawn if each is not None]
    if len(usable) < VISITED_SHARE * max(len(drawn), 1):
        logging.warning("only %d of %d draws could be estimated: no errors are given", len(usable), len(drawn))
        usable = []
    for residue, table in zip(torsions, tables, strict=True):
        _add_errors(table, residue, usable, n_blocks=counted.blocks.n_blocks)
    tables = tables or [pd.DataFrame(columns=COLUMNS)]
    return pd.concat(tables, ignore_index=True).assign(n_blocks=counted.blocks.n_blocks)


def _add_errors(
    table: pd.DataFrame, residue: ResidueTorsions, draws: Sequence[Float[np.ndarray, " frame"]], *, n_blocks: int
) -> None:
    for name in ("error_kT", "lower_kT", "upper_kT"):
        table[name] = np.nan
    if not draws:
        return
    bins, visited = residue.bins, _bins_of(table)
    probability = np.array([np.bincount(bins, each, minlength=N_BINS**2)[visited] / each.sum() for each in draws])
    known = (probability > 0).mean(axis=0) >= VISITED_SHARE
    # Errors of a rare bin are skew: an interval that is symmetric in kT holds the truth oftener than their quantiles.
    with np.errstate(divide="ignore"):
        samples_kT = -np.log(probability[:, known])
    samples_kT[np.isinf(samples_kT)] = np.nan
    error_kT = np.nanstd(samples_kT, axis=0)
    half_kT = student.ppf(INTERVAL[1], n_blocks - 1) * error_kT
    table.loc[known, "error_kT"] = error_kT
    table.loc[known, "lower_kT"] = table.free_energy_kT[known] - half_kT
    table.loc[known, "upper_kT"] = table.free_energy_kT[known] + half_kT


def _bins_of(table: pd.DataFrame) -> Int[np.ndarray, " bin"]:
    column, row = (((table[angle] + 180) // BIN_DEG).astype(int) for angle in ("phi_deg", "psi_deg"))
    return (row * N_BINS + column).to_numpy()
