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


def sampled_frames(states: str, variables: str, chosen: Sequence[str]) -> pd.DataFrame:
    """At most 6,000 frames, evenly spaced, and the representative of each state, with the values of slow variables.

    Columns role (frame or representative), state (0 is none), trajectory, frame, time (ps), and function 2, 3 and 4, as
    far as the model has them; function 1 would be constant. `chosen` are the tables of the states' structures in order.
    """
    values = read_array(variables, "variables")[:, :MAX_FUNCTIONS]
    names, lengths = zip(*((each.name, each.n_frames) for each in read_trajectories(states)), strict=True)
    places = np.concatenate([np.arange(length) for length in lengths])
    frames = pd.DataFrame({
        "role": "frame", "state": read_array(states, "macrostate") - DROPPED, "trajectory": np.repeat(names, lengths),
        "frame": places, TIME: places * read_attributes(states)["frame_interval_ps"],
    })  # fmt: skip
    frames = frames.assign(**{f"function {number}": column for number, column in enumerate(values.T, start=2)})
    starts = dict(zip(names, np.cumsum([0, *lengths[:-1]]), strict=True))
    first = [pd.read_csv(path).query("role == 'representative'").iloc[0] for path in chosen]
    rows = [starts[row.trajectory] + row.frame for row in first]
    stars = frames.iloc[rows].assign(role="representative", state=range(1, len(chosen) + 1))
    return pd.concat([frames.iloc[:: math.ceil(len(frames) / MAX_FRAMES)], stars])
