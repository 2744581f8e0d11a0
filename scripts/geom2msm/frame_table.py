"""For notebooks: what a model says of every frame, as a table."""

import numpy as np
import pandas as pd

from geom2msm.frame_reader import array_names
from geom2msm.joined_store import read_trajectories
from geom2msm.store import read_array


def frame_table(path: str) -> pd.DataFrame:
    """One row per frame: trajectory, frame within it, and every array; of an array [frame n] the columns name_0, ….

    For notebooks: `frame_table("results/mine/states/vampnet.zarr.zip").groupby("macrostate").size()`.
    """
    trajectories = read_trajectories(path)
    columns: dict[str, np.ndarray] = {
        "trajectory": np.repeat([each.name for each in trajectories], [each.n_frames for each in trajectories]),
        "frame": np.concatenate([np.arange(each.n_frames) for each in trajectories]),
    }
    for name in array_names(path):
        values = read_array(path, name)
        columns |= {name: values} if values.ndim == 1 else {f"{name}_{n}": column for n, column in enumerate(values.T)}
    return pd.DataFrame(columns)
