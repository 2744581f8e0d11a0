"""Arrays along all trajectories of a system in one store: the frames of one trajectory after those of the one before.

What a model says of every frame depends on all trajectories, so one job makes it and one file holds it. The attribute
`trajectories` lists names and numbers of frames, and of a run in several files which piece each continues.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float, Int

from geom2msm.store import read_array, read_attributes, write_store


@dataclass(frozen=True)
class StoredTrajectory:
    """Name and length of a trajectory, and the one that it continues if both are pieces of one run."""

    name: str
    n_frames: int
    continues: str | None = None


@dataclass(frozen=True)
class DiscreteRuns:
    """The microstate of every frame: one discrete trajectory per run, whose pieces are joined in their order."""

    dtrajs: list[Int[np.ndarray, " _"]]
    n_microstates: int
    frame_interval_ps: float


def joined_attributes(trajectories: Sequence[StoredTrajectory], attributes: Mapping) -> dict:
    """The attributes of a store of these trajectories."""
    return dict(attributes) | {"trajectories": [asdict(trajectory) for trajectory in trajectories]}


def write_joined(
    path: str,
    trajectories: Sequence[StoredTrajectory],
    *,
    attributes: Mapping,
    arrays: Mapping[str, np.ndarray],
    axes: Mapping[str, tuple[str, ...]] | None = None,
) -> None:
    """Write arrays [frame …] of all trajectories; axes are named where there are others than `frame`."""
    named = dict.fromkeys(arrays, ("frame",)) | dict(axes or {})
    write_store(path, attributes=joined_attributes(trajectories, attributes), arrays=arrays, axes=named)


def read_trajectories(path: str) -> list[StoredTrajectory]:
    """The trajectories of a store, in its order."""
    return [StoredTrajectory(**each) for each in read_attributes(path)["trajectories"]]


def read_pieces(path: str, name: str) -> list[np.ndarray]:
    """An array of a store, trajectory by trajectory."""
    return cut_frames(read_array(path, name), read_trajectories(path))


def read_runs(path: str, name: str) -> list[np.ndarray]:
    """An array of a store, run by run: the pieces of one run are joined."""
    trajectories = read_trajectories(path)
    names, continues = [each.name for each in trajectories], [each.continues for each in trajectories]
    return join_pieces(cut_frames(read_array(path, name), trajectories), names, continues)


def cut_frames(values: np.ndarray, trajectories: Sequence[StoredTrajectory]) -> list[np.ndarray]:
    """Frames of trajectories laid end to end, trajectory by trajectory."""
    return np.split(values, np.cumsum([each.n_frames for each in trajectories])[:-1])


def every_frame_of(n_frames: Sequence[int], *, step: int) -> list[Int[np.ndarray, " _"]]:
    """Every so many-th frame of trajectories laid end to end, counted within each trajectory."""
    starts = np.cumsum([0, *n_frames]).tolist()
    return [np.arange(-start % step, n, step, dtype=np.int64) for n, start in zip(n_frames, starts, strict=False)]


def join_pieces(
    pieces: Sequence[np.ndarray], names: Sequence[str], continues: Sequence[str | None]
) -> list[np.ndarray]:
    """Frames of runs: a piece is joined to the one before if that is the one it continues."""
    runs: list[list[np.ndarray]] = []
    for piece, before, continued in zip(pieces, [None, *names[:-1]], continues, strict=True):
        if before is not None and continued == before:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return [np.concatenate(run) for run in runs]


def read_variables(path: str) -> Float[np.ndarray, "frame dimension"]:
    """The variables of all frames, every one finite."""
    trajectories, variables = read_trajectories(path), read_array(path, "variables")
    for trajectory, piece in zip(trajectories, cut_frames(variables, trajectories), strict=True):
        finite = np.isfinite(piece).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"{path}: the variables of frame {int(np.flatnonzero(~finite)[0])} of {trajectory.name} are not "
                "finite; train the model again, with a lower learning rate."
            )
    return variables


def read_discrete_runs(path: str) -> DiscreteRuns:
    """The discrete trajectories that cluster_microstates wrote."""
    known = read_attributes(path)
    return DiscreteRuns(read_runs(path, "microstate"), known["n_microstates"], float(known["frame_interval_ps"]))


def read_beside(paths: Sequence[str], name: str, *, like: str) -> np.ndarray:
    """An array of stores of single trajectories, joined along frames; they must be those of `like`, in its order."""
    for path, expected in zip(paths, read_trajectories(like), strict=True):
        check_trajectory(path, read_attributes(path)["trajectory"], expected.name, like=like)
    return np.concatenate([read_array(path, name) for path in paths])


def check_trajectory(path: str, found: str, expected: str, *, like: str) -> None:
    """Refuse a file of another trajectory than the one that stands in its place in `like`."""
    if found != expected:
        raise ValueError(f"{path}: trajectory {found!r}, but {like} has {expected!r} there; list both in one order.")
