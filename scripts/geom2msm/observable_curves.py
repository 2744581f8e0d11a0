"""Slow variables as functions of observables: how they change with one or two, and how much of them these explain."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

N_BINS = 40
# Axes end where all but so many frames do, at either side.
OUTSIDE = 0.005
MIN_FRAMES_PER_BIN = 5


def bins_of(values: Float[np.ndarray, " frame"]) -> tuple[Int[np.ndarray, " frame"], Float[np.ndarray, " bin"]]:
    """The bin of each frame, -1 for one that is outside or has no value, and the centers of the bins."""
    lowest, highest = np.nanquantile(values, [OUTSIDE, 1 - OUTSIDE])
    width = (highest - lowest) / N_BINS or 1.0
    inside = (values >= lowest) & (values <= highest)
    place = np.minimum(np.where(inside, values - lowest, 0) // width, N_BINS - 1).astype(int)
    return np.where(inside, place, -1), lowest + width * (np.arange(N_BINS) + 0.5)


def curve(
    values: Float[np.ndarray, " frame"], function: Float[np.ndarray, " frame"], weights: Float[np.ndarray, " frame"]
) -> pd.DataFrame:
    """Mean and standard deviation of a function in the bins of an observable that hold at least five frames."""
    place, centers = bins_of(values)
    used = (place >= 0) & (weights > 0)
    place, function, weights = place[used], function[used], weights[used]
    frames, weight = np.bincount(place, minlength=N_BINS), np.bincount(place, weights, minlength=N_BINS)
    kept = frames >= MIN_FRAMES_PER_BIN
    mean, square = (np.bincount(place, weights * part, N_BINS)[kept] / weight[kept] for part in (function, function**2))
    deviation = np.sqrt(np.clip(square - mean**2, 0, None))
    return pd.DataFrame({
        "value": centers[kept], "mean": mean, "standard_deviation": deviation,
        "weight": weight[kept] / weight.sum(), "frames": frames[kept],
    })  # fmt: skip


def explained(table: pd.DataFrame) -> float:
    """Fraction of the variance of a function that its curve explains, from 0 to 1, corrected for chance.

    Kelley's epsilon squared (T. L. Kelley, PNAS 21 (1935) 554): the squared correlation ratio, from which is taken
    what as many bins would explain of noise.
    """
    n_bins, n_frames = len(table), table.frames.sum()
    if n_bins < 2 or n_frames <= n_bins:
        return 0.0
    share = table.weight / table.weight.sum()
    within = share @ table.standard_deviation**2
    between = share @ (table["mean"] - share @ table["mean"]) ** 2
    if within + between == 0:
        return 0.0
    return max(0.0, 1 - within / (within + between) * (n_frames - 1) / (n_frames - n_bins))


def plane(
    values: Float[np.ndarray, " frame"],
    other: Float[np.ndarray, " frame"],
    function: Float[np.ndarray, " frame"],
    weights: Float[np.ndarray, " frame"],
) -> pd.DataFrame:
    """Mean of a function in the bins of the plane of two observables, NaN where no frame is, row by row."""
    (place, centers), (row, row_centers) = bins_of(values), bins_of(other)
    used = (place >= 0) & (row >= 0) & (weights > 0)
    cell, size = row[used] * N_BINS + place[used], N_BINS**2
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
    each_for: Float[np.ndarray, "frame quantity"],
) -> pd.DataFrame:
    """The curves of all functions (numbered from 2: the first would be constant) on all observables that vary.

    A value stands for `each_for` frames of its trajectory, where others were passed over.
    """
    tables = []
    for name, values, standing in zip(names, observables.T, each_for.T, strict=True):
        if np.isfinite(values).any() and np.nanmin(values) < np.nanmax(values):
            for number, function in enumerate(functions.T, start=2):
                table = curve(values, function, weights * standing)
                tables.append(table.assign(observable=name, function=number, explained=explained(table)))
    return pd.concat(tables, ignore_index=True)


def telling(curves: pd.DataFrame, *, n_most: int) -> list[str]:
    """The observables that explain most: in turn the best of each function, then the best that are left."""
    scores = curves.groupby(["observable", "function"], sort=False).explained.first().unstack()
    chosen: list[str] = []
    for rank in range(len(scores)):
        for function in scores:
            best = scores[function].sort_values(ascending=False, kind="stable").index[rank]
            if best not in chosen and len(chosen) < n_most:
                chosen.append(best)
    return chosen
