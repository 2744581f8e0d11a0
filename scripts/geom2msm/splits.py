"""Training and validation sets of whole trajectories, so that no pair is half in one and half in the other."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fold:
    """Names of the trajectories to train on and to validate on."""

    training: list[str]
    validation: list[str]


def trajectory_folds(n_frames: Mapping[str, int], *, n_folds: int) -> list[Fold]:
    """Folds in which each trajectory validates once, balanced by frames: the longest first, to the emptiest fold."""
    if n_folds < 2:
        raise ValueError(f"n_folds = {n_folds}, but at least 2 are needed: one to train on, one to validate on.")
    if len(n_frames) < n_folds:
        raise ValueError(
            f"n_folds = {n_folds}, but there are only {len(n_frames)} trajectories ({', '.join(n_frames)}); "
            "whole trajectories are held out, so give at least as many trajectories as folds or lower n_folds."
        )
    members: list[list[str]] = [[] for _ in range(n_folds)]
    loads = [0] * n_folds
    for trajectory in sorted(n_frames, key=lambda name: (-n_frames[name], name)):
        emptiest = loads.index(min(loads))
        members[emptiest].append(trajectory)
        loads[emptiest] += n_frames[trajectory]
    return [
        Fold(
            training=[trajectory for trajectory in n_frames if trajectory not in held_out],
            validation=[trajectory for trajectory in n_frames if trajectory in held_out],
        )
        for held_out in members
    ]


def read_fold(path: str, fold: int) -> Fold:
    """One fold of a `split.json`."""
    folds = json.loads(Path(path).read_text())["folds"]
    if not 0 <= fold < len(folds):
        raise ValueError(f"{path}: fold {fold} asked for, but it has the folds 0 to {len(folds) - 1}.")
    return Fold(**folds[fold])
