"""The states that SPIB starts from: k-means clusters of what another model says of the frames."""

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from geom2msm.frame_reader import FrameReader
from geom2msm.pairs import FrameSet, stores_by_trajectory
from geom2msm.projection import project_store
from geom2msm.states import assign_microstates, fit_microstates
from geom2msm.store import read_attributes


def cluster_fold(
    training: FrameSet,
    validation: FrameSet,
    tokens: list[str],
    weights: str,
    stores: list[str],
    *,
    n_states: int,
    seed: int,
) -> tuple[Int64[Tensor, " training_frame"], Int64[Tensor, " validation_frame"]]:
    """Labels of the frames of two sets by the nearest of the centers that are fitted to the first.

    `weights` are those of a VAMPnet or a linear model that reads `stores`, which hold the same frames as `tokens`.
    """
    by_trajectory = stores_by_trajectory(stores)
    variables = np.concatenate(
        [project_store(by_trajectory[read_attributes(path)["trajectory"]], weights) for path in tokens]
    )
    n_frames = sum(len(FrameReader(path, "time_ps")) for path in tokens)
    if len(variables) != n_frames:
        raise ValueError(
            f"the initial model has variables of {len(variables)} frames, but there are tokens of {n_frames}; "
            "make features and tokens of the same trajectories anew."
        )
    values = [variables[frames.places(tokens)] for frames in (training, validation)]
    centers = fit_microstates(values[:1], n_microstates=n_states, seed=seed)
    return tuple(torch.from_numpy(assign_microstates(each, centers)).long() for each in values)
