"""Frames of segments laid end to end, and their time-lagged pairs, which never cross from segment to segment."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from geom2msm.frame_reader import FrameReader
from geom2msm.joined_store import StoredTrajectory
from geom2msm.splits import ROLES, Fold, Segment, check_apart
from geom2msm.store import read_attributes
from geom2msm.units import frames

CHUNK_FRAMES = 4096


@dataclass(frozen=True)
class FrameRange:
    """The frames from `start` to before `stop` of a store."""

    path: str
    start: int
    stop: int


@dataclass(frozen=True)
class FrameSet:
    """Frames of many stores laid end to end, and the frames t of their pairs (t, t + lag)."""

    ranges: tuple[FrameRange, ...]
    starts: Int64[np.ndarray, " pair"]
    lag_frames: int

    def __len__(self) -> int:
        """Number of frames."""
        return sum(part.stop - part.start for part in self.ranges)

    def places(self, paths: list[str]) -> Int64[np.ndarray, " frame"]:
        """Where these frames are among all frames of the stores, laid end to end in the order of `paths`."""
        lengths = [len(FrameReader(path, "time_ps")) for path in paths]
        first = dict(zip(paths, np.cumsum([0, *lengths[:-1]]).tolist(), strict=True))
        return np.concatenate([first[part.path] + np.arange(part.start, part.stop) for part in self.ranges])

    def readers(self, name: str) -> list[FrameReader]:
        """One reader of an array per range; arrays that differ in the shape of a frame are an error."""
        readers = {part.path: FrameReader(part.path, name) for part in self.ranges}
        first = next(iter(readers.values()))
        for reader in readers.values():
            if (reader.shape[1:], reader.dtype) != (first.shape[1:], first.dtype):
                raise ValueError(
                    f"{reader.path}: {name} have the shape {reader.shape[1:]} per frame and the type {reader.dtype}, "
                    f"those of {first.path} {first.shape[1:]} and {first.dtype}; "
                    "all trajectories of a system must have the same tokens and features."
                )
        return [readers[part.path] for part in self.ranges]

    def read(self, name: str) -> np.ndarray:
        """A whole array [frame ...]; values that are not finite are an error."""
        readers = self.readers(name)
        joined = np.empty((len(self), *readers[0].shape[1:]), readers[0].dtype)
        first = 0
        for part, reader in zip(self.ranges, readers, strict=True):
            last = first + part.stop - part.start
            check_finite(reader.read_range(part.start, part.stop, out=joined[first:last]), reader)
            first = last
        return joined


def check_finite(values: np.ndarray, reader: FrameReader) -> None:
    """Refuse values that are not numbers."""
    if not np.isfinite(values).all():
        raise ValueError(
            f"{reader.path}: {reader.name} hold values that are infinite or not a number; look at the trajectory."
        )


def pair_starts(n_frames: Mapping[str, int], *, lag_frames: int) -> Int64[np.ndarray, " pair"]:
    """Frames t of all pairs, counted along the segments laid end to end in the order of the mapping.

    A segment of n frames has n - lag pairs; a segment without any is an error.
    """
    if lag_frames < 1:
        raise ValueError(f"a lag of {lag_frames} frames; it must be at least 1")
    starts, first = [], 0
    for segment, length in n_frames.items():
        if length <= lag_frames:
            raise ValueError(
                f"trajectory {segment} has {length} frames and the lag is {lag_frames} frames, so there is no pair; "
                "choose a shorter lag_ps or leave the trajectory out."
            )
        starts.append(np.arange(first, first + length - lag_frames, dtype=np.int64))
        first += length
    return np.concatenate(starts) if starts else np.empty(0, dtype=np.int64)


def stores_by_trajectory(paths: list[str]) -> dict[str, str]:
    """Stores by the trajectory they hold; each store says so itself."""
    return {read_attributes(path)["trajectory"]: path for path in paths}


def input_files(paths: list[str], split: str, log_weights: list[str]) -> dict[str, str]:
    """Names of all files that a model is trained on, for its provenance."""
    weights = {f"{name} (log-weights)": path for name, path in stores_by_trajectory(log_weights).items()}
    return stores_by_trajectory(paths) | {"split": split} | weights


def read_frame_interval_ps(paths: list[str]) -> float:
    """The frame interval of these stores, which must be saved at one."""
    intervals = {path: float(read_attributes(path)["frame_interval_ps"]) for path in paths}
    interval_ps = intervals[paths[0]]
    for path, found in intervals.items():
        if found != interval_ps:
            raise ValueError(
                f"{path}: frame_interval_ps is {found:g}, that of {paths[0]} is {interval_ps:g}; "
                "the trajectories of a system must be saved at one interval."
            )
    return interval_ps


def lag_in_frames(paths: list[str], *, lag_ps: float) -> int:
    """The lag in frames of these stores."""
    return frames(lag_ps=lag_ps, frame_interval_ps=read_frame_interval_ps(paths))


def frame_set(segments: list[Segment], paths: list[str], *, lag_ps: float) -> FrameSet:
    """The frames of these segments in the stores of their trajectories, and their pairs."""
    stores = stores_by_trajectory(paths)
    missing = {piece.trajectory: None for segment in segments for piece in segment if piece.trajectory not in stores}
    if missing:
        raise ValueError(f"the split names {', '.join(missing)}, but there are stores of {', '.join(stores)} only.")
    lag_frames = lag_in_frames(paths, lag_ps=lag_ps)
    lengths = {_label(segment): sum(piece.stop - piece.start for piece in segment) for segment in segments}
    ranges = tuple(
        FrameRange(stores[piece.trajectory], piece.start, piece.stop) for segment in segments for piece in segment
    )
    for part in ranges:
        n_frames = len(FrameReader(part.path, "time_ps"))
        if part.stop > n_frames:
            raise ValueError(
                f"{part.path} has {n_frames} frames, but the split was made for {part.stop} at least; make it anew."
            )
    return FrameSet(ranges, pair_starts(lengths, lag_frames=lag_frames), lag_frames)


def _label(segment: Segment) -> str:
    """The trajectory of a segment, with its frames where these may not be all."""
    first, last = segment[0], segment[-1]
    if first.start == 0 and len(segment) == 1:
        return first.trajectory
    return f"{first.trajectory} (from frame {first.start}) to {last.trajectory} (before frame {last.stop})"


def fold_frames(fold: Fold, paths: list[str], *, lag_ps: float) -> dict[str, FrameSet]:
    """The sets of a fold by role, `fitting` among them; no frame of one is within the lag of a frame of another."""
    check_apart(fold, lag_frames=lag_in_frames(paths, lag_ps=lag_ps))
    return {role: frame_set(getattr(fold, role), paths, lag_ps=lag_ps) for role in (*ROLES, "fitting")}


def fold_log_weights(fold: Fold, paths: list[str], *, lag_ps: float) -> dict[str, Float64[np.ndarray, " frame"] | None]:
    """Log-weights of the frames of each set, as they are in the stores; None without any stores."""
    if not paths:
        return dict.fromkeys((*ROLES, "fitting"))
    return {role: frames.read("log_weights") for role, frames in fold_frames(fold, paths, lag_ps=lag_ps).items()}


def read_chunks(path: str, names: tuple[str, ...], *, first_frame: int = 0) -> Iterator[tuple[np.ndarray, ...]]:
    """Some thousand frames of several arrays at a time, so that memory does not grow with the trajectory.

    Chunks begin at multiples of CHUNK_FRAMES, the first of them is the one that holds `first_frame`.
    """
    readers = [FrameReader(path, name) for name in names]
    for start in range(first_frame // CHUNK_FRAMES * CHUNK_FRAMES, len(readers[0]), CHUNK_FRAMES):
        stop = min(start + CHUNK_FRAMES, len(readers[0]))
        yield tuple(reader.read_range(start, stop) for reader in readers)


def pieces_before(path: str) -> dict[str, str]:
    """The trajectory that each one continues, by a `split.json`; those that begin a run are not in it."""
    runs = json.loads(Path(path).read_text())["runs"]
    return {after: before for run in runs for before, after in pairwise(run)}


def stored_trajectories(sources: Sequence[str], split: str) -> list[StoredTrajectory]:
    """The trajectories of these stores in their order, and which piece each continues."""
    names = [read_attributes(source)["trajectory"] for source in sources]
    lengths = [len(FrameReader(source, "time_ps")) for source in sources]
    before = pieces_before(split)
    return [StoredTrajectory(name, n, before.get(name)) for name, n in zip(names, lengths, strict=True)]
