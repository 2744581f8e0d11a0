"""TICA, the linear baseline: the slowest linear combinations of features."""

from dataclasses import dataclass

import torch

from geom2msm.pairs import read_frames, read_pair_starts
from geom2msm.vamp import PairedValues, SingularFunctions

# Only for the mean-of-batches estimate beside the pooled score; the fit has no batches.
BATCH_PAIRS = 1000


@dataclass(frozen=True)
class TicaConfig:
    """Settings of a model of `kind: tica`, as in the config of a system."""

    kind: str
    feature: str
    lag_ps: float
    dimensions: int
    epsilon: float


def fit_tica(training: PairedValues, *, config: TicaConfig) -> SingularFunctions:
    """Slowest uncorrelated linear combinations of features (Perez-Hernandez et al. 2013).

    Pairs count in both directions of time, which makes C0t symmetric; its eigenfunctions are then the singular
    functions of VAMP. The score on other pairs is VAMP-2 at this projection, not symmetrized.
    """
    covariances = training.covariances().with_time_reversed()
    functions = SingularFunctions.fit(covariances, dimensions=config.dimensions, epsilon=config.epsilon)
    return functions.oriented(training.values[training.starts])


def read_feature_pairs(paths: list[str], *, lag_ps: float) -> PairedValues:
    """All frames of these feature stores and their time-lagged pairs."""
    starts, lag_frames = read_pair_starts(paths, lag_ps=lag_ps)
    values = torch.from_numpy(read_frames(paths, "features"))
    return PairedValues(values, torch.from_numpy(starts), lag_frames)
