"""Slow variables as functions of observables: how they change with one or two, and how much of them these explain."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

N_BINS = 40
# Axes end where all but so many frames do, at either side.
OUTSIDE = 0.005
MIN_FRAMES_PER_BIN = 5


def bins_of(values: Float[np.ndarray, " frame"]) -> tuple[Float[np.ndarray, " frame"], Float[np.ndarray, " bin"]]:
    """The bin of each frame, from 0 to 39 on the axis, and the centers of those.

    Bins of the same width go on beyond both ends of the axis: a rare state may be there. NaN for a frame without a
    value. Where almost all values are one and the same, the axis holds all of them.
    """
    lowest, highest = np.nanquantile(values, [OUTSIDE, 1 - OUTSIDE])
    if lowest == highest:
        lowest, highest = np.nanmin(values), np.nanmax(values)
    width = (highest - lowest) / N_BINS or 1.0
    place = np.where(values == highest, N_BINS - 1, (values - lowest) // width)
    return place, lowest + width * (np.arange(N_BINS) + 0.5)


def on_axis(place: Float[np.ndarray, " frame"]) -> Bool[np.ndarray, " frame"]:
    """Which frames are in one of the 40 bins."""
    return (place >= 0) & (place < N_BINS)


def filled_bins(place: Float[np.ndarray, " frame"]) -> Int[np.ndarray, " frame"]:
    """Bins numbered anew from 0, those with less than five frames joined with the next, at the end with the last."""
    _, number, frames = np.unique(place, return_inverse=True, return_counts=True)
    joined, n_joined, held = np.empty(len(frames), dtype=int), 0, 0
    for index, n_frames in enumerate(frames):
        joined[index], held = n_joined, held + n_frames
        if held >= MIN_FRAMES_PER_BIN:
            n_joined, held = n_joined + 1, 0
    return joined.clip(max=max(n_joined - 1, 0))[number]


def curve(
    values: Float[np.ndarray, " frame"], function: Float[np.ndarray, " frame"], weights: Float[np.ndarray, " frame"]
) -> pd.DataFrame:
    """Mean and standard deviation of a function in the bins of an observable's axis that hold at least five frames."""
    place, centers = bins_of(values)
    used = on_axis(place) & (weights > 0)
    place, function, weights = place[used].astype(int), function[used], weights[used]
    frames, weight = np.bincount(place, minlength=N_BINS), np.bincount(place, weights, minlength=N_BINS)
    kept = frames >= MIN_FRAMES_PER_BIN
    mean, square = (np.bincount(place, weights * part, N_BINS)[kept] / weight[kept] for part in (function, function**2))
    deviation = np.sqrt(np.clip(square - mean**2, 0, None))
    return pd.DataFrame({
        "value": centers[kept], "mean": mean, "standard_deviation": deviation,
        "weight": weight[kept] / weight.sum(), "frames": frames[kept],
    })  # fmt: skip


def explained(
    values: Float[np.ndarray, " frame"], function: Float[np.ndarray, " frame"], weights: Float[np.ndarray, " frame"]
) -> float:
    """Fraction of the variance of a function that an observable explains, from 0 to 1, corrected for chance.

    Kelley's epsilon squared (T. L. Kelley, PNAS 21 (1935) 554): the squared correlation ratio, from which is taken
    what as many bins would explain of noise. All frames count: a slow function may be a rare state and nothing else.
    """
    place, _ = bins_of(values)
    used = np.isfinite(place) & (weights > 0)
    if not used.any():
        return 0.0
    place, function, share = filled_bins(place[used]), function[used], weights[used] / weights[used].sum()
    n_frames, n_bins = len(place), place.max() + 1
    if n_bins < 2 or n_frames <= n_bins or function.min() == function.max():
        return 0.0
    total = share @ (function - share @ function) ** 2
    mean = np.bincount(place, share * function) / np.bincount(place, share)
    within = share @ (function - mean[place]) ** 2
    return max(0.0, 1 - within / total * (n_frames - 1) / (n_frames - n_bins))


def plane(
    values: Float[np.ndarray, " frame"],
    other: Float[np.ndarray, " frame"],
    function: Float[np.ndarray, " frame"],
    weights: Float[np.ndarray, " frame"],
) -> pd.DataFrame:
    """Mean of a function in the bins of the plane of two observables, NaN where no frame is, row by row."""
    (place, centers), (row, row_centers) = bins_of(values), bins_of(other)
    used = on_axis(place) & on_axis(row) & (weights > 0)
    cell, size = (row[used] * N_BINS + place[used]).astype(int), N_BINS**2
    with np.errstate(invalid="ignore"):
        mean = np.bincount(cell, weights[used] * function[used], size) / np.bincount(cell, weights[used], size)
    return pd.DataFrame({
        "value": np.tile(centers, N_BINS), "other_value": np.repeat(row_centers, N_BINS), "mean": mean,
        "frames": np.bincount(cell, minlength=size),
    })  # fmt: skip


def all_curves(
    observables: Float[np.ndarray, "frame quantity"],
    functions: Float[np.ndarray, "frame function"],
    weights: Float[np.ndarray, " frame"],
    names: Sequence[str],
    *,
    variables: Sequence[str],
    each_for: Float[np.ndarray, "frame quantity"],
) -> pd.DataFrame:
    """The curves of all functions, whose names are `variables`, on all observables that vary.

    A value stands for `each_for` frames of its trajectory, where others were passed over.
    """
    tables = []
    for name, values, standing in zip(names, observables.T, each_for.T, strict=True):
        if np.isfinite(values).any() and np.nanmin(values) < np.nanmax(values):
            for variable, function in zip(variables, functions.T, strict=True):
                known = (values, function, weights * standing)
                tables.append(curve(*known).assign(observable=name, variable=variable, explained=explained(*known)))
    return pd.concat(tables, ignore_index=True)


def telling(curves: pd.DataFrame, *, n_most: int) -> list[str]:
    """The observables that explain most: in turn the best of each function, then the best that are left."""
    scores = curves.groupby(["observable", "variable"], sort=False).explained.first().unstack()
    chosen: list[str] = []
    for rank in range(len(scores)):
        for function in scores:
            best = scores[function].sort_values(ascending=False, kind="stable").index[rank]
            if best not in chosen and len(chosen) < n_most:
                chosen.append(best)
    return chosen
