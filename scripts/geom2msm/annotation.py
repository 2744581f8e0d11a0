"""What the states look like: means of observables in each, with 95 % intervals.

A frame counts with the stationary probability of its microstate, shared by the frames in that microstate. Intervals
come from blocks of runs left out in turn, their frames' weights kept: they contain what finite sampling does
to the values within a state and to the shares of its microstates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Complex, Float, Int

from geom2msm.joined_store import read_runs, read_trajectories
from geom2msm.ramachandran import frame_weights
from geom2msm.resampling import Blocks, cut_blocks, jackknife_interval
from geom2msm.store import read_array, read_attributes

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class WeightedFrames:
    """Macrostate (from 0, -1 is none) and weight of frames, and the blocks that they are in."""

    state: Int[np.ndarray, " frame"]
    weight: Float[np.ndarray, " frame"]
    blocks: Blocks
    n_states: int

    def sums(
        self, values: Float[np.ndarray, " frame"] | Complex[np.ndarray, " frame"]
    ) -> Float[np.ndarray, "state block"] | Complex[np.ndarray, "state block"]:
        """Weighted sums of values over the frames of each state in each block; frames without a value are left out."""
        used = (self.state >= 0) & np.isfinite(values)
        place = self.state[used] * self.blocks.n_blocks + self.blocks.of_frame[used]
        sums = np.zeros(self.n_states * self.blocks.n_blocks, dtype=values.dtype)
        np.add.at(sums, place, self.weight[used] * values[used])
        return sums.reshape(self.n_states, -1)

    def only(self, frames: Int[np.ndarray, " some"], *, each_for: Float[np.ndarray, " some"]) -> "WeightedFrames":
        """Some of the frames, in the same blocks; each stands for so many."""
        blocks = Blocks(self.blocks.of_frame[frames], self.blocks.run)
        return WeightedFrames(self.state[frames], each_for * self.weight[frames], blocks, self.n_states)

    def weights(self, known: Bool[np.ndarray, " frame"]) -> Float[np.ndarray, "state block"]:
        """Weights of those frames of each state in each block for which there is a value."""
        return self.sums(np.where(known, 1.0, np.nan))


@dataclass(frozen=True)
class StateMeans:
    """Mean in each state with its 95 % interval, NaN where too few blocks reach the state; and these blocks."""

    mean: Float[np.ndarray, " state"]
    lower: Float[np.ndarray, " state"]
    upper: Float[np.ndarray, " state"]
    n_blocks: Int[np.ndarray, " state"]


def correlation_frames(eigenvalues: Float[np.ndarray, " process"], *, n_states: int, lag_frames: int) -> float:
    """How long a frame within a state is remembered: the fastest timescale that PCCA+ did not use, or the lag.

    Slower processes go from state to state and change which of the blocks visit a state, which is counted anyway.
    """
    value = abs(eigenvalues[n_states]) if len(eigenvalues) > n_states else 0.0
    return float(max(lag_frames, -lag_frames / np.log(value)) if 0 < value < 1 else lag_frames)


def read_weighted_frames(states: str, msm: str) -> WeightedFrames:
    """All frames of the trajectories, one after the other, as the model sees them; pieces of one run share blocks."""
    with np.load(msm) as model:
        active, probability = model["active_microstates"], model["stationary_distribution"]
        lag_frames, n_states = int(model["lag_frames"]), model["memberships"].shape[1]
        correlation = correlation_frames(model["eigenvalues"], n_states=n_states, lag_frames=lag_frames)
    runs = read_runs(states, "microstate")
    weight = frame_weights(np.concatenate(runs), active, probability)
    blocks = cut_blocks(list(map(len, runs)), correlation_frames=correlation)
    return WeightedFrames(read_array(states, "macrostate"), weight, blocks, n_states)


def wrapped(angle_deg: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Angles from -180 to below 180 degrees."""
    return (angle_deg + 180) % 360 - 180


def state_means(frames: WeightedFrames, values: Float[np.ndarray, " frame"], *, periodic: bool) -> StateMeans:
    """Means and intervals of one observable; of an angle that meets itself at 180 degrees the circular mean."""
    weights = frames.weights(np.isfinite(values))
    sums = frames.sums(np.exp(1j * np.radians(values)) if periodic else values)
    n_blocks = (weights > 0).sum(axis=1)
    total, weight = sums.sum(axis=1), weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, without = total / weight, (total - sums.T) / (weight - weights.T)
    if periodic:
        mean, without = np.degrees(np.angle(mean)), np.degrees(np.angle(without))
        without = mean + wrapped(without - mean)
    return StateMeans(mean, *jackknife_interval(mean, without, frames.blocks, n_used=n_blocks), n_blocks)


def axis_label(name: str, unit: str) -> str:
    """An observable's name for people, with its unit if one is known; that of fractions is 1."""
    words = name.replace("_", " ").replace("rmsd", "RMSD").replace("sasa", "SASA")
    unit = {"1": "fraction"}.get(unit, unit)
    return f"{words} ({unit})" if unit else words


def weighted_quantiles(
    values: Float[np.ndarray, " frame"], weights: Float[np.ndarray, " frame"]
) -> Float[np.ndarray, " quantile"]:
    """Values below which the fractions QUANTILES of the weight lie; NaN without any frame."""
    if not len(values):
        return np.full(len(QUANTILES), np.nan)
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return values[order][np.searchsorted(below, np.array(QUANTILES) * below[-1]).clip(max=len(values) - 1)]


def frames_stood_for(n_frames: Sequence[int], every: Sequence[Sequence[int]]) -> Float[np.ndarray, "frame quantity"]:
    """For how many frames of its trajectory a value stands, if a quantity was measured in `every` so-many-th there.

    Values that are missing here and there have no other frame to stand for them: they may be missing in one state.
    """
    length = np.array(n_frames)[:, None]
    return np.repeat(length / -(-length // np.array(every)), n_frames, axis=0)


def read_frames_stood_for(observables: Sequence[str], *, like: str) -> Float[np.ndarray, "frame quantity"]:
    """The same of stores of observables, which must be in the order of the store `like`."""
    n_frames = [trajectory.n_frames for trajectory in read_trajectories(like)]
    return frames_stood_for(n_frames, [read_attributes(path)["every"] for path in observables])


def annotate(
    frames: WeightedFrames,
    values: Float[np.ndarray, "frame quantity"],
    *,
    each_for: Float[np.ndarray, "frame quantity"],
    names: Sequence[str],
    units: Sequence[str],
    periodic: Sequence[bool],
) -> pd.DataFrame:
    """One row per state and observable: mean with its interval, spread and quantiles of the frames.

    A value stands for `each_for` frames of its trajectory, where others were passed over.
    """
    rows = []
    columns = zip(names, units, periodic, values.T.astype(np.float64), each_for.T, strict=True)
    for name, unit, circular, column, standing in columns:
        weighted = replace(frames, weight=frames.weight * standing)
        means = state_means(weighted, column, periodic=circular)
        for state in range(frames.n_states):
            used = (frames.state == state) & np.isfinite(column) & (weighted.weight > 0)
            away = column[used] - means.mean[state]
            away, weight = wrapped(away) if circular else away, weighted.weight[used]
            quantiles = means.mean[state] + weighted_quantiles(away, weight)
            rows.append({
                "state": state + 1, "observable": name, "unit": unit, "periodic": circular, "mean": means.mean[state],
                "mean_lower": means.lower[state], "mean_upper": means.upper[state],
                "standard_deviation": np.sqrt(weight @ away**2 / weight.sum()) if len(away) else np.nan,
                **{f"quantile_{q:g}": value for q, value in zip(QUANTILES, quantiles, strict=True)},
                "n_frames": int(used.sum()), "n_blocks": means.n_blocks[state],
            })  # fmt: skip
    return pd.DataFrame(rows).sort_values("state", kind="stable")


def largest_differences(annotation: pd.DataFrame) -> pd.Series:
    """Per observable of the table, that between the means of any two states, in spreads of the frames.

    Angles that meet themselves at 180 degrees differ by the shorter way round. NaN for what never changes, such as the
    strands of a helical peptide.
    """
    found = {}
    for name, rows in annotation.groupby("observable", sort=False):
        means, spread = rows["mean"].to_numpy(float), rows.standard_deviation.mean()
        away = means[:, None] - means
        away = np.abs(wrapped(away) if rows.periodic.all() else away)
        found[name] = np.nanmax(away, initial=0) / spread if spread > 0 else np.nan
    return pd.Series(found)
