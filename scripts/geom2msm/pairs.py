"""Time-lagged pairs of frames (t, t + lag) that never cross from one trajectory into the next."""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Int64

from geom2msm.frame_reader import FrameReader
from geom2msm.store import read_attributes
from geom2msm.units import frames

CHUNK_FRAMES = 4096


def pair_starts(n_frames: Mapping[str, int], *, lag_frames: int) -> Int64[np.ndarray, " pair"]:
    """Frames t of all pairs, counted along the trajectories laid end to end in the order of the mapping.

    A trajectory of n frames has n - lag pairs; a trajectory without any is an error.
    """
    if lag_frames < 1:
        raise ValueError(f"a lag of {lag_frames} frames; it must be at least 1")
    starts, first = [], 0
    for trajectory, length in n_frames.items():
        if length <= lag_frames:
            raise ValueError(
                f"trajectory {trajectory} has {length} frames and the lag is {lag_frames} frames, so there is no pair; "
                "choose a shorter lag_ps or leave the trajectory out."
            )
        starts.append(np.arange(first, first + length - lag_frames, dtype=np.int64))
        first += length
    return np.concatenate(starts) if starts else np.empty(0, dtype=np.int64)


def select_stores(paths: list[str], trajectories: list[str]) -> list[str]:
    """The stores of the named trajectories, in that order; each store says itself which trajectory it holds."""
    found = {read_attributes(path)["trajectory"]: path for path in paths}
    missing = [trajectory for trajectory in trajectories if trajectory not in found]
    if missing:
        raise ValueError(f"the split names {', '.join(missing)}, but there are stores of {', '.join(found)} only.")
    return [found[trajectory] for trajectory in trajectories]


def read_frames(paths: list[str], name: str) -> np.ndarray:
    """One array [frame ...] of all stores, end to end; values that are not finite are an error."""
    readers = [FrameReader(path, name) for path in paths]
    first = readers[0]
    for reader in readers:
        if (reader.shape[1:], reader.dtype) != (first.shape[1:], first.dtype):
            raise ValueError(
                f"{reader.path}: {name} have the shape {reader.shape[1:]} per frame and the type {reader.dtype}, "
                f"those of {first.path} {first.shape[1:]} and {first.dtype}; "
                "all trajectories of a system must have the same tokens and features."
            )
    joined = np.empty((sum(map(len, readers)), *first.shape[1:]), first.dtype)
    start = 0
    for reader in readers:
        piece = reader.read_range(0, len(reader), out=joined[start : start + len(reader)])
        if not np.isfinite(piece).all():
            raise ValueError(
                f"{reader.path}: {name} hold values that are infinite or not a number; look at the trajectory."
            )
        start += len(reader)
    return joined


def read_pair_starts(paths: list[str], *, lag_ps: float) -> tuple[Int64[np.ndarray, " pair"], int]:
    """Start frames of all pairs of the stores, laid end to end, and the lag in frames."""
    attributes = [read_attributes(path) for path in paths]
    interval_ps = attributes[0]["frame_interval_ps"]
    for path, found in zip(paths, attributes, strict=True):
        if found["frame_interval_ps"] != interval_ps:
            raise ValueError(
                f"{path}: frame_interval_ps is {found['frame_interval_ps']:g}, that of {paths[0]} is {interval_ps:g}; "
                "the trajectories of a system must be saved at one interval."
            )
    lag_frames = frames(lag_ps=lag_ps, frame_interval_ps=interval_ps)
    n_frames = {
        found["trajectory"]: len(FrameReader(path, "time_ps")) for path, found in zip(paths, attributes, strict=True)
    }
    return pair_starts(n_frames, lag_frames=lag_frames), lag_frames


def read_chunks(path: str, names: tuple[str, ...]) -> Iterator[tuple[np.ndarray, ...]]:
    """Some thousand frames of several arrays at a time, so that memory does not grow with the trajectory."""
    readers = [FrameReader(path, name) for name in names]
    for start in range(0, len(readers[0]), CHUNK_FRAMES):
        stop = min(start + CHUNK_FRAMES, len(readers[0]))
        yield tuple(reader.read_range(start, stop) for reader in readers)
