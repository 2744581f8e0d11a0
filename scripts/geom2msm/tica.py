"""Linear models, the baselines: the slowest linear combinations of features or of tokens."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from geom2msm.covariances import PairedValues
from geom2msm.resource_estimates import FRAMES_PER_COMPONENT
from geom2msm.stored_tokens import Tokens
from geom2msm.token_pairs import TokenPairs
from geom2msm.vamp import ScoreConfig, SingularFunctions, fit_functions, model_scores

# Only for the mean-of-batches estimate beside the pooled score; the fit has no batches.
BATCH_PAIRS = 1000
LEAST_SINGULAR_VALUE = 1e-5


@dataclass(frozen=True)
class TicaConfig:
    """Settings of a model of `kind: tica`, as in the config of a system."""

    kind: str
    feature: str
    lag_ps: float
    dimensions: int
    epsilon: float
    reversible: bool = True
    rank: int = 500


def fit_tica(training: PairedValues, *, config: TicaConfig) -> SingularFunctions:
    """Slowest uncorrelated linear combinations of features (Perez-Hernandez et al. 2013).

    Pairs count in both directions of time, which makes C0t symmetric; its eigenfunctions are then the singular
    functions of VAMP. Unless `reversible`, they count as they happened (Wu & Noe 2020). The score on other pairs is
    VAMP-2 at this projection, not symmetrized.
    """
    scoring = ScoreConfig(reversible=config.reversible, epsilon=config.epsilon)
    return fit_functions(training, dimensions=config.dimensions, config=scoring)


def invariant_features(tokens: Tokens) -> Float32[Tensor, "frame feature"]:
    """What does not turn with the molecule: scalars and lengths of vectors of each token, side by side.

    Features that pass as a token without vectors come out as they are.
    """
    lengths = tokens.vectors.float().square().sum(dim=2).sqrt()
    return torch.cat([tokens.scalars.float(), lengths], dim=-1).flatten(start_dim=1)


@dataclass(frozen=True)
class PrincipalComponents:
    """Directions of largest variance among standardized features: z = basis^T ((x - mean) / scale)."""

    mean: Float64[Tensor, " feature"]
    scale: Float64[Tensor, " feature"]
    basis: Float64[Tensor, "feature component"]

    @classmethod
    def fit(cls, sample: Float[Tensor, "frame feature"], *, rank: int) -> "PrincipalComponents":
        """At most `rank` components; features few enough are left as they are, without rotation or scaling."""
        n_features = sample.shape[1]
        if n_features <= rank:
            untouched = torch.zeros(n_features, dtype=torch.float64), torch.ones(n_features, dtype=torch.float64)
            return cls(*untouched, torch.eye(n_features, dtype=torch.float64))
        mean, deviation = sample.double().mean(dim=0), sample.double().std(dim=0)
        scale = torch.where(deviation > 1e-6, deviation, 1.0)
        _, singular_values, components = torch.linalg.svd((sample.double() - mean) / scale, full_matrices=False)
        kept = int((singular_values > LEAST_SINGULAR_VALUE * singular_values[0]).sum())
        return cls(mean, scale, components[: min(kept, rank)].T.contiguous())

    def __call__(self, features: Float[Tensor, "frame feature"]) -> Float32[Tensor, "frame component"]:
        """The components of frames."""
        return (((features.double() - self.mean) / self.scale) @ self.basis).float()

    def of_features(self, functions: SingularFunctions) -> SingularFunctions:
        """Functions of the components as functions of the features."""
        means = (self.mean + self.scale * (self.basis @ mean) for mean in (functions.mean_t, functions.mean_lag))
        return functions.after(*means, self.basis / self.scale[:, None])


def find_components(training: TokenPairs, *, rank: int) -> PrincipalComponents:
    """Principal components of training frames, from a random sample of 4 frames per component."""
    n_sample = min(training.n_frames, FRAMES_PER_COMPONENT * rank)
    chosen = np.sort(np.random.default_rng(0).choice(training.n_frames, n_sample, replace=False))
    found, first = [], 0
    for chunk in training.chunks():
        rows = chosen[(chosen >= first) & (chosen < first + len(chunk.scalars))] - first
        found.append(invariant_features(chunk.take(torch.from_numpy(rows))))
        first += len(chunk.scalars)
    return PrincipalComponents.fit(torch.cat(found), rank=rank)


def component_pairs(pairs: TokenPairs, components: PrincipalComponents) -> PairedValues:
    """Components of all frames, of which only a chunk of the features is in memory at a time, with the same pairs."""
    values, first = torch.empty(pairs.n_frames, components.basis.shape[1]), 0
    for chunk in pairs.chunks():
        last = first + len(chunk.scalars)
        values[first:last] = components(invariant_features(chunk))
        first = last
    return PairedValues(values, pairs.starts, pairs.lag_frames, log_weights=pairs.log_weights)


def fit_linear_model(
    training: TokenPairs, validation: TokenPairs, *, config: TicaConfig
) -> tuple[SingularFunctions, dict[str, object]]:
    """Fit on the principal components of training frames; the functions, as those of the features, and their scores."""
    components = find_components(training, rank=config.rank)
    fitted, validated = (component_pairs(pairs, components) for pairs in (training, validation))
    functions = fit_tica(fitted, config=config)
    scores = model_scores(
        functions, fitted, validated, lag_ps=config.lag_ps, batch_pairs=BATCH_PAIRS, epsilon=config.epsilon,
        reversible=config.reversible,
    )  # fmt: skip
    return components.of_features(functions), scores | {"rank": components.basis.shape[1]}
