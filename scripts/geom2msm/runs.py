"""Runs: trajectories that continue one another, told by the config and by the times in their files."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geom2msm.judgement import read_json

# Of times in files, many of which are saved in single precision.
SINGLE_PRECISION = 2.0**-23


@dataclass(frozen=True)
class Piece:
    """The frames from `start` to before `stop` of one trajectory."""

    trajectory: str
    start: int
    stop: int


# Pieces that follow one another in time: pairs cross from one to the next, but never from segment to segment.
Segment = list[Piece]


@dataclass(frozen=True)
class Run:
    """Trajectories laid end to end because each continues the one before; mostly there is just one."""

    trajectories: tuple[str, ...]
    n_frames: tuple[int, ...]

    def __len__(self) -> int:
        """Number of frames."""
        return sum(self.n_frames)

    def pieces(self, start: int, stop: int) -> Segment:
        """Frames of the run as frames of its trajectories."""
        found, first = [], 0
        for trajectory, n_frames in zip(self.trajectories, self.n_frames, strict=True):
            begin, end = max(start - first, 0), min(stop - first, n_frames)
            if begin < end:
                found.append(Piece(trajectory, begin, end))
            first += n_frames
        return found

    def position(self, piece: Piece) -> int:
        """Where in the run a piece of it begins."""
        return sum(self.n_frames[: self.trajectories.index(piece.trajectory)]) + piece.start


def read_inventories(paths: Sequence[str]) -> list[dict]:
    """What is known of all trajectories of a system, none of which may be the same file under two names.

    A copy would be trained on in a fold where its original validates, and its frames would count twice.
    """
    found = [read_json(path) for path in paths]
    first: dict[str, Mapping] = {}
    for inventory in found:
        same = first.setdefault(inventory["sha256"], inventory)
        if same is not inventory:
            raise ValueError(
                f"{inventory['file']}: the content is that of {same['file']}, byte by byte (trajectories "
                f"{inventory['trajectory']} and {same['trajectory']}); leave one of them out of trajectories.files."
            )
    return found


def join_runs(inventories: Sequence[Mapping], *, continuous: bool) -> list[Run]:
    """One run per trajectory or, if they are `continuous`, runs of those that follow one another in time.

    Files that carry times must agree: the first frame of a piece is one interval after the last of the piece before,
    or it begins a new run. The config's word counts for files without usable times, or that all count from one start.
    """
    runs: list[list[Mapping]] = []
    for inventory in inventories:
        if continuous and runs and _follows(runs[-1][-1], inventory):
            runs[-1].append(inventory)
        else:
            runs.append([inventory])
    return [Run(tuple(i["trajectory"] for i in run), tuple(i["n_frames"] for i in run)) for run in runs]


def _follows(before: Mapping, after: Mapping) -> bool:
    """Whether a piece continues the one before; the log says why or why not, and frames that repeat are refused."""
    names = after["trajectory"], before["trajectory"]
    start, last, first = before["checks"].get("first_time_ps"), *_meeting_times(before, after)
    if last is None or first is None:
        logging.info("%s continues %s: trajectories.continuous says so, there are no usable times", *names)
        _warn_of_stride(before, after)
        return True
    if first == start:
        logging.info("%s continues %s: trajectories.continuous says so, both count from %g ps", *names, first)
        _warn_of_stride(before, after)
        return True
    interval_ps, tolerance_ps = before["frame_interval_ps"], _tolerance_ps(before, after)
    if abs(first - last - interval_ps) <= tolerance_ps:
        logging.info("%s continues %s: it begins at %g ps, one interval after %g ps", *names, first, last)
        return True
    if start < first <= last + tolerance_ps:
        raise _repeated(before, after)
    if first > last and before["stride"] > 1 and first - last < interval_ps:
        raise _out_of_stride(before, after)
    logging.warning(
        "%s begins a new run: it begins at %g ps, not %g ps after the end of %s at %g ps",
        names[0], first, interval_ps, names[1], last,
    )  # fmt: skip
    return False


def _meeting_times(before: Mapping, after: Mapping) -> tuple[float | None, float | None]:
    """The times of the last frame of a piece and the first of the next, None if a file has no usable ones."""
    return before["checks"].get("last_time_ps"), after["checks"].get("first_time_ps")


def _tolerance_ps(before: Mapping, after: Mapping) -> float:
    """By how much times may differ that should be equal."""
    latest_ps, interval_ps = max(map(abs, _meeting_times(before, after))), before["frame_interval_ps"]
    return min(0.01 * interval_ps + 4 * SINGLE_PRECISION * latest_ps, 0.4 * interval_ps / before["stride"])


def _warn_of_stride(before: Mapping, after: Mapping) -> None:
    """What times would have shown must be said: whether the stride goes on across two pieces."""
    if before.get("stride", 1) > 1:
        logging.warning(
            "%s: nothing tells whether its number of frames is a multiple of trajectories.stride = %d; if not, the "
            "first frame of %s comes less than one interval after its last",
            before["file"], before["stride"], after["file"],
        )  # fmt: skip


def _repeated(before: Mapping, after: Mapping) -> ValueError:
    last, first = _meeting_times(before, after)
    return ValueError(
        f"{after['file']}: it begins at {first:g} ps, but trajectories.continuous is true and {before['file']} has "
        f"a frame at {last:g} ps; cut what comes before the next frame that counts (GROMACS: gmx trjconv -b "
        f"{last + before['frame_interval_ps']:g}) or join both files without what repeats (gmx trjcat)."
    )


def _out_of_stride(before: Mapping, after: Mapping) -> ValueError:
    last, first = _meeting_times(before, after)
    return ValueError(
        f"{after['file']}: it begins {first - last:g} ps after the last frame that counts of {before['file']}, but "
        f"with trajectories.stride = {before['stride']} frames are {before['frame_interval_ps']:g} ps apart; join both "
        "files into one without repeated frames (GROMACS: gmx trjcat), make the number of frames of each piece a "
        "multiple of the stride, or set trajectories.stride to 1."
    )
