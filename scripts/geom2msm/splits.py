"""Training, selection and validation sets of frames, so that no pair is half in one set and half in another.

What is held out are units of time: whole trajectories, or blocks of them. Trajectories that continue one another
make up one run, and a gap that belongs to no set parts units of one run that went to different sets.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from geom2msm.runs import Piece, Run, Segment
from geom2msm.units import PS_PER_NS

# Share of the frames outside the validation set that the inner fold takes. A fifth keeps most data for training; the
# inner score only ranks epochs of one network, whose scores rise and fall together.
SELECTION_SHARE = 0.2
ROLES = ("training", "selection", "validation")


@dataclass(frozen=True)
class Fold:
    """Frames to train on, to choose the epoch by, and to report the score of.

    Nested cross-validation: the selection set is held out from the training set, so that nothing at all is chosen on
    the validation set. Without nesting both are the same, and the best of many epochs is reported: too optimistic.
    """

    training: list[Segment]
    selection: list[Segment]
    validation: list[Segment]
    runs: list[Run]

    @property
    def fitting(self) -> list[Segment]:
        """All frames outside the validation set, for models that choose nothing by a score."""
        return self.training if self.selection == self.validation else self.training + self.selection

    def trajectories(self) -> dict[str, list[str]]:
        """Names of the trajectories that each set touches."""
        return {
            role: list(dict.fromkeys(piece.trajectory for segment in getattr(self, role) for piece in segment))
            for role in ROLES
        }


@dataclass(frozen=True)
class Unit:
    """What goes to one set as a whole: the frames from `start` to before `stop` of the run of this number."""

    run: int
    start: int
    stop: int

    def __len__(self) -> int:
        """Number of frames."""
        return self.stop - self.start


@dataclass(frozen=True)
class SplitSettings:
    """Settings of `split` in the config of a system; `gap_ps` is the longest lag of any model."""

    scheme: str
    n_folds: int
    nested: bool
    block_ns: float | None
    gap_ps: float


def trajectory_units(runs: list[Run]) -> list[Unit]:
    """Every trajectory as one unit."""
    return [
        Unit(number, run.position(Piece(name, 0, 0)), run.position(Piece(name, 0, 0)) + n_frames)
        for number, run in enumerate(runs)
        for name, n_frames in zip(run.trajectories, run.n_frames, strict=True)
    ]


def block_units(runs: list[Run], *, block_frames: int) -> list[Unit]:
    """Every run in blocks of equal length, about `block_frames` each, so that there is no short rest."""
    units = []
    for number, run in enumerate(runs):
        n_blocks = max(1, round(len(run) / block_frames))
        edges = [len(run) * i // n_blocks for i in range(n_blocks + 1)]
        units += [Unit(number, start, stop) for start, stop in pairwise(edges)]
    return units


def balanced_groups(units: list[Unit], names: list[str], *, n_folds: int) -> list[list[Unit]]:
    """Units dealt to groups of about equal length: the longest first, to the emptiest group."""
    groups: list[list[Unit]] = [[] for _ in range(n_folds)]
    loads = [0] * n_folds
    for unit, _ in sorted(zip(units, names, strict=True), key=lambda pair: (-len(pair[0]), pair[1])):
        emptiest = loads.index(min(loads))
        groups[emptiest].append(unit)
        loads[emptiest] += len(unit)
    return groups


def make_folds(runs: list[Run], settings: SplitSettings, *, frame_interval_ps: float) -> list[Fold]:
    """All folds; every unit validates in exactly one of them."""
    gap_frames = round(settings.gap_ps / frame_interval_ps)
    if settings.scheme == "blocks":
        units = block_units(runs, block_frames=max(1, round(settings.block_ns * PS_PER_NS / frame_interval_ps)))
        # Neighboring blocks go to different folds, so that every fold sees all parts of a run.
        groups = [units[first :: settings.n_folds] for first in range(settings.n_folds)]
    else:
        units = trajectory_units(runs)
        names = [name for run in runs for name in run.trajectories]
        groups = balanced_groups(units, names, n_folds=settings.n_folds)
    _check_number(len(units), settings)
    return [_fold(units, set(group), runs, nested=settings.nested, gap_frames=gap_frames) for group in groups]


def _check_number(n_units: int, settings: SplitSettings) -> None:
    if settings.n_folds < 2:
        raise ValueError(
            f"n_folds = {settings.n_folds}, but at least 2 are needed: one to train on, one to validate on."
        )
    if n_units >= settings.n_folds:
        return
    if settings.scheme == "blocks":
        raise ValueError(
            f"split.block_ns = {settings.block_ns:g} gives {n_units} blocks, too few for n_folds = {settings.n_folds}; "
            "shorten the blocks or lower n_folds."
        )
    raise ValueError(
        f"n_folds = {settings.n_folds}, but there are only {n_units} trajectories; whole trajectories are held out, so "
        "give at least as many trajectories as folds, lower n_folds, or set split.scheme to blocks."
    )


def _fold(units: list[Unit], held_out: set[Unit], runs: list[Run], *, nested: bool, gap_frames: int) -> Fold:
    rest = [unit for unit in units if unit not in held_out]
    roles = dict.fromkeys(held_out, "validation") | (_nested(rest) if nested else dict.fromkeys(rest, "training"))
    sets = {role: list(_segments(roles, role, runs, gap_frames)) for role in ROLES}
    if not nested:
        sets["selection"] = sets["validation"]
    return Fold(**sets, runs=runs)


def _nested(units: list[Unit]) -> dict[Unit, str]:
    """Training and selection set of the units that do not validate.

    Where whole units would be more than half of SELECTION_SHARE away from it, the end of the longest is cut off
    instead.
    """
    goal = SELECTION_SHARE * sum(map(len, units))
    chosen = _inner(units, goal=goal)
    if goal / 2 <= sum(map(len, chosen)) <= 3 * goal / 2:
        return {unit: "selection" if unit in chosen else "training" for unit in units}
    longest = max(units, key=len)
    cut = longest.stop - round(min(goal, len(longest) / 2))
    whole = {unit: "training" for unit in units if unit != longest}
    return whole | {replace(longest, stop=cut): "training", replace(longest, start=cut): "selection"}


def _inner(units: list[Unit], *, goal: float) -> list[Unit]:
    """Units of about as many frames as the goal: every fifth, from the middle of each five, then any that still fit."""
    n_inner = max(1, round(SELECTION_SHARE * len(units)))
    spread = [units[(2 * i + 1) * len(units) // (2 * n_inner)] for i in range(n_inner)]
    chosen, n_frames = [], 0
    for unit in [*spread, *(unit for unit in units if unit not in spread)]:
        if abs(n_frames + len(unit) - goal) < abs(n_frames - goal):
            chosen.append(unit)
            n_frames += len(unit)
    return chosen


def _segments(roles: dict[Unit, str], role: str, runs: list[Run], gap_frames: int) -> Iterator[Segment]:
    """The units of one set, neighbors joined, without the gaps.

    A gap is taken from the set that comes first in ROLES: validation sets stay whole, and training pays.
    """
    units = sorted(roles, key=lambda unit: (unit.run, unit.start))
    begin = None
    for before, unit, after in zip([None, *units[:-1]], units, [*units[1:], None], strict=True):
        if roles[unit] != role:
            continue
        if not _joined(roles, before, unit):
            begin = unit.start + gap_frames * _yields(roles, unit, before)
        if _joined(roles, unit, after):
            continue
        end = unit.stop - gap_frames * _yields(roles, unit, after)
        if end - begin <= gap_frames:
            name = runs[unit.run].pieces(unit.start, unit.stop)[0].trajectory
            raise ValueError(
                f"{max(0, end - begin)} frames of {name} are left for {role} between gaps of {gap_frames} frames, the "
                "longest lag_ps of any model, too few for one pair; give longer blocks or trajectories, a shorter lag, "
                "a smaller stride or fewer folds, or for a run in many files set split.scheme to blocks."
            )
        yield runs[unit.run].pieces(begin, end)


def _joined(roles: dict[Unit, str], one: Unit | None, other: Unit | None) -> bool:
    return one is not None and other is not None and one.run == other.run and roles[one] == roles[other]


def _yields(roles: dict[Unit, str], unit: Unit, neighbor: Unit | None) -> bool:
    """Whether the gap to a neighboring unit is taken from this one."""
    if neighbor is None or neighbor.run != unit.run:
        return False
    return ROLES.index(roles[unit]) < ROLES.index(roles[neighbor])


def check_apart(fold: Fold, *, lag_frames: int) -> None:
    """Refuse a split in which a frame of one set lies within the lag of a frame of another."""
    for number, run in enumerate(fold.runs):
        found = sorted(
            (run.position(segment[0]), sum(piece.stop - piece.start for piece in segment), role)
            for role in (ROLES if fold.selection != fold.validation else ("training", "validation"))
            for segment in getattr(fold, role)
            if segment[0].trajectory in run.trajectories
        )
        for (start, length, role), (next_start, _, next_role) in pairwise(found):
            if role != next_role and next_start - (start + length) < lag_frames:
                raise ValueError(
                    f"{role} and {next_role} frames of run {number} ({run.trajectories[0]}) are only "
                    f"{next_start - start - length} frames apart, less than the lag of {lag_frames} frames."
                )


def write_folds(path: Path, folds: list[Fold], *, provenance: dict[str, object]) -> None:
    """The content of `split.json`."""
    content = {
        "runs": [dict(zip(run.trajectories, run.n_frames, strict=True)) for run in folds[0].runs],
        "folds": [
            {role: [[vars(piece) for piece in segment] for segment in getattr(fold, role)] for role in ROLES}
            for fold in folds
        ],
        "provenance": provenance,
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def read_fold(path: str, fold: int) -> Fold:
    """One fold of a `split.json`."""
    content = json.loads(Path(path).read_text())
    folds = content["folds"]
    if not 0 <= fold < len(folds):
        raise ValueError(f"{path}: fold {fold} asked for, but it has the folds 0 to {len(folds) - 1}.")
    sets = {
        role: [[Piece(**piece) for piece in segment] for segment in segments] for role, segments in folds[fold].items()
    }
    return Fold(**sets, runs=[Run(tuple(run), tuple(run.values())) for run in content["runs"]])
