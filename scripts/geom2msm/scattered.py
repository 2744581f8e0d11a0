"""Frames as points in the space of the slowest variables, few enough to be drawn one by one."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from geom2msm.joined_store import read_trajectories
from geom2msm.ramachandran import DROPPED
from geom2msm.store import read_array, read_attributes

MAX_FRAMES, MAX_FUNCTIONS = 6000, 3
TIME = "time (ps)"


def variable_names(variables: str) -> list[str]:
    """What those variables that are drawn are called."""
    return read_attributes(variables)["names"][:MAX_FUNCTIONS]


def sampled_frames(states: str, variables: str, chosen: Sequence[str]) -> pd.DataFrame:
    """At most 6,000 frames, evenly spaced, and the representative of each state, with the values of slow variables.

    Columns role (frame or representative), state (0 is none), trajectory, frame, time (ps), and the first three
    variables by their names, as far as the model has them. `chosen` are the tables of the states' structures in order;
    those of states that were asked for but not found come last and are empty.
    """
    values = read_array(variables, "variables")[:, :MAX_FUNCTIONS]
    names, lengths = zip(*((each.name, each.n_frames) for each in read_trajectories(states)), strict=True)
    places = np.concatenate([np.arange(length) for length in lengths])
    frames = pd.DataFrame({
        "role": "frame", "state": read_array(states, "macrostate") - DROPPED, "trajectory": np.repeat(names, lengths),
        "frame": places, TIME: places * read_attributes(states)["frame_interval_ps"],
    })  # fmt: skip
    frames = frames.assign(**dict(zip(variable_names(variables), values.T, strict=True)))
    starts = dict(zip(names, np.cumsum([0, *lengths[:-1]]), strict=True))
    first = pd.concat([pd.read_csv(path).query("role == 'representative'").head(1) for path in chosen])
    rows = [starts[row.trajectory] + row.frame for row in first.itertuples()]
    stars = frames.iloc[rows].assign(role="representative", state=range(1, len(rows) + 1))
    return pd.concat([frames.iloc[:: math.ceil(len(frames) / MAX_FRAMES)], stars])
