"""The variational approach to Markov processes: covariances of pairs, VAMP-2 score, singular functions.

C00 = cov(x_t, x_t), C0t = cov(x_t, x_lag), Ctt = cov(x_lag, x_lag), mean-free and divided by the number of pairs;
K = C00^-1/2 C0t Ctt^-1/2 has the singular values of the Koopman operator (Wu & Noe 2020). Inverse roots
come from Cholesky factors, C = L L^T, with L^-1 in place of C^-1/2: the two differ by a rotation, which leaves
singular values unchanged, and unlike an eigendecomposition Cholesky has finite gradients for equal eigenvalues.
All of it is done in float64 with a ridge, C + epsilon * trace(C) / d * identity.
"""

import functools
import json
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from jaxtyping import Float, Float64, Int64
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

CHUNK_PAIRS = 50_000


@dataclass(frozen=True)
class Covariances:
    """Means and covariances of time-lagged pairs; those of two sets merge into those of their union."""

    n_pairs: int
    mean_t: Float64[Tensor, " channel"]
    mean_lag: Float64[Tensor, " channel"]
    c00: Float64[Tensor, "channel channel"]
    c0t: Float64[Tensor, "channel channel"]
    ctt: Float64[Tensor, "channel channel"]

    @classmethod
    def of_pairs(cls, x_t: Float[Tensor, "pair channel"], x_lag: Float[Tensor, "pair channel"]) -> "Covariances":
        """Covariances of pairs held in memory, differentiable."""
        x_t, x_lag, n_pairs = x_t.double(), x_lag.double(), len(x_t)
        mean_t, mean_lag = x_t.mean(dim=0), x_lag.mean(dim=0)
        x_t, x_lag = x_t - mean_t, x_lag - mean_lag
        c00, c0t, ctt = (a.T @ b / n_pairs for a, b in ((x_t, x_t), (x_t, x_lag), (x_lag, x_lag)))
        return cls(n_pairs, mean_t, mean_lag, c00, c0t, ctt)

    def merge(self, other: "Covariances") -> "Covariances":
        """Covariances of the union of both sets of pairs (Chan, Golub & LeVeque 1983)."""
        n_pairs = self.n_pairs + other.n_pairs
        mine, its = self.n_pairs / n_pairs, other.n_pairs / n_pairs
        shift_t, shift_lag = other.mean_t - self.mean_t, other.mean_lag - self.mean_lag
        between = mine * its
        return Covariances(
            n_pairs,
            self.mean_t + its * shift_t,
            self.mean_lag + its * shift_lag,
            mine * self.c00 + its * other.c00 + between * torch.outer(shift_t, shift_t),
            mine * self.c0t + its * other.c0t + between * torch.outer(shift_t, shift_lag),
            mine * self.ctt + its * other.ctt + between * torch.outer(shift_lag, shift_lag),
        )

    def with_time_reversed(self) -> "Covariances":
        """Covariances of the pairs and of the same pairs run backwards: the reversible estimate of TICA."""
        reverse = Covariances(self.n_pairs, self.mean_lag, self.mean_t, self.ctt, self.c0t.T, self.c00)
        return self.merge(reverse)

    def project(
        self, left: Float64[Tensor, "channel dimension"], right: Float64[Tensor, "channel dimension"]
    ) -> "Covariances":
        """Covariances of the linear functions left^T x_t and right^T x_lag."""
        return Covariances(
            self.n_pairs,
            self.mean_t @ left,
            self.mean_lag @ right,
            left.T @ self.c00 @ left,
            left.T @ self.c0t @ right,
            right.T @ self.ctt @ right,
        )


@dataclass(frozen=True)
class PairedValues:
    """Features of trajectories laid end to end, and the frames t at which pairs (t, t + lag) start."""

    values: Float[Tensor, "frame channel"]
    starts: Int64[Tensor, " pair"]
    lag_frames: int

    def covariances(self) -> Covariances:
        """Covariances pooled over all pairs, accumulated in chunks."""
        chunks = (self._covariances_of(chunk) for chunk in self.starts.split(CHUNK_PAIRS))
        return functools.reduce(Covariances.merge, chunks)

    def batch_covariances(self, batch_pairs: int) -> list[Covariances]:
        """Covariances of each of many batches of shuffled pairs."""
        generator = torch.Generator().manual_seed(0)
        return [self._covariances_of(batch) for batch in shuffled_batches(self.starts, batch_pairs, generator)]

    def _covariances_of(self, starts: Int64[Tensor, " pair"]) -> Covariances:
        return Covariances.of_pairs(self.values[starts], self.values[starts + self.lag_frames])


def shuffled_batches(
    starts: Int64[Tensor, " pair"], batch_pairs: int, generator: torch.Generator
) -> tuple[Int64[Tensor, " batch"], ...]:
    """Random batches of one size; the few pairs that fill no batch are left out, for a small batch scores too high."""
    n_batches = max(1, len(starts) // batch_pairs)
    order = torch.randperm(len(starts), generator=generator)
    return starts[order[: n_batches * batch_pairs]].tensor_split(n_batches)


def _cholesky(covariance: Float64[Tensor, "channel channel"], epsilon: float) -> Float64[Tensor, "channel channel"]:
    """Lower factor of the covariance with its ridge."""
    ridge = epsilon * covariance.diagonal().mean()
    factor, failed = torch.linalg.cholesky_ex(covariance + ridge * torch.eye(len(covariance), dtype=torch.float64))
    if failed:
        raise ValueError(
            "a covariance matrix is not positive definite: the features are constant, linearly dependent, "
            f"infinite or not a number (epsilon = {epsilon:g})."
        )
    return factor


def _whitened(covariances: Covariances, factor_t: Tensor, factor_lag: Tensor) -> Float64[Tensor, "channel channel"]:
    half = torch.linalg.solve_triangular(factor_t, covariances.c0t, upper=False)
    return torch.linalg.solve_triangular(factor_lag, half.T, upper=False).T


def koopman_matrix(covariances: Covariances, *, epsilon: float) -> Float64[Tensor, "channel channel"]:
    """L00^-1 C0t Ltt^-T, whose singular values are those of the Koopman operator between the two feature spaces."""
    return _whitened(covariances, _cholesky(covariances.c00, epsilon), _cholesky(covariances.ctt, epsilon))


def vamp2_score(covariances: Covariances, *, epsilon: float) -> Float64[Tensor, ""]:
    """VAMP-2: the sum of squared singular values, the constant function counted, from 1 to d + 1.

    R2 = 1 + || C00^-1/2 C0t Ctt^-1/2 ||_F^2 (Wu & Noe 2020); unchanged, up to the ridge, by invertible
    linear maps of the features.
    """
    return 1 + koopman_matrix(covariances, epsilon=epsilon).square().sum()


def vamp2_score_batch_mean(batches: list[Covariances], *, epsilon: float) -> float:
    """Mean of the batches' VAMP-2, the estimator of earlier work: too high, by d^2 / batch size for unrelated pairs."""
    return sum(float(vamp2_score(batch, epsilon=epsilon)) for batch in batches) / len(batches)


def implied_timescales_ps(covariances: Covariances, *, lag_ps: float, epsilon: float) -> list[float]:
    """-lag / ln(singular value), in ps, slowest first."""
    singular_values = torch.linalg.svdvals(koopman_matrix(covariances, epsilon=epsilon))
    return (-lag_ps / singular_values.clamp(max=1 - 1e-12).log()).tolist()


@dataclass(frozen=True)
class SingularFunctions:
    """The slowest left and right singular functions as affine maps of features, fixed once and used for every frame."""

    mean_t: Float64[Tensor, " channel"]
    mean_lag: Float64[Tensor, " channel"]
    left: Float64[Tensor, "channel dimension"]
    right: Float64[Tensor, "channel dimension"]
    singular_values: Float64[Tensor, " dimension"]

    @classmethod
    def fit(cls, covariances: Covariances, *, dimensions: int, epsilon: float) -> "SingularFunctions":
        """Singular functions of the Koopman operator, uncorrelated and of unit variance on these pairs."""
        if dimensions > len(covariances.c00):
            raise ValueError(f"dimensions = {dimensions}, but there are only {len(covariances.c00)} features.")
        factor_t, factor_lag = _cholesky(covariances.c00, epsilon), _cholesky(covariances.ctt, epsilon)
        u, singular_values, vh = torch.linalg.svd(_whitened(covariances, factor_t, factor_lag))
        left = torch.linalg.solve_triangular(factor_t.T, u, upper=True)[:, :dimensions]
        right = torch.linalg.solve_triangular(factor_lag.T, vh.T, upper=True)[:, :dimensions]
        return cls(covariances.mean_t, covariances.mean_lag, left, right, singular_values[:dimensions])

    def __call__(self, values: Float[Tensor, "frame channel"]) -> Float64[Tensor, "frame dimension"]:
        """The left singular functions, which are the collective variables."""
        return (values.double() - self.mean_t) @ self.left

    def oriented(self, values: Float[Tensor, "frame channel"]) -> "SingularFunctions":
        """The same functions with signs such that each is positively skewed: its rarer end is positive."""
        sign = torch.where(self(values).pow(3).mean(dim=0) < 0, -1.0, 1.0).double()
        return SingularFunctions(self.mean_t, self.mean_lag, self.left * sign, self.right * sign, self.singular_values)

    def project(self, covariances: Covariances) -> Covariances:
        """Covariances of these functions on other pairs, whose VAMP-2 is the test score of cross-validation."""
        return covariances.project(self.left, self.right)

    def tensors(self) -> dict[str, Tensor]:
        """Named tensors for a weights file."""
        return {f"singular_functions.{field.name}": getattr(self, field.name).contiguous() for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "SingularFunctions":
        """The inverse of `tensors`."""
        return cls(**{field.name: tensors[f"singular_functions.{field.name}"] for field in fields(cls)})


def model_scores(
    functions: SingularFunctions,
    training: PairedValues,
    validation: PairedValues,
    *,
    lag_ps: float,
    batch_pairs: int,
    epsilon: float,
) -> dict[str, object]:
    """VAMP-2 and implied timescales of fitted functions, the content of `scores.json` that all models share."""
    trained, validated = (functions.project(pairs.covariances()) for pairs in (training, validation))
    batches = [functions.project(batch) for batch in validation.batch_covariances(batch_pairs)]
    return {
        "score_training": float(vamp2_score(trained, epsilon=epsilon)),
        "score_validation": float(vamp2_score(validated, epsilon=epsilon)),
        "score_validation_batch_mean": vamp2_score_batch_mean(batches, epsilon=epsilon),
        "timescales_training_ps": implied_timescales_ps(trained, lag_ps=lag_ps, epsilon=epsilon),
        "timescales_validation_ps": implied_timescales_ps(validated, lag_ps=lag_ps, epsilon=epsilon),
        "n_training_pairs": trained.n_pairs,
        "n_validation_pairs": validated.n_pairs,
        "batch_pairs": min(batch_pairs, validated.n_pairs),
        "lag_ps": lag_ps,
        "dimensions": functions.left.shape[1],
    }


def write_weights(path: Path, tensors: dict[str, Tensor], description: dict) -> None:
    """Save tensors and, as JSON in the header, everything needed to use them again."""
    save_file(tensors, str(path), metadata={"geom2msm": json.dumps(description, sort_keys=True)})


def read_weights(path: str) -> tuple[dict[str, Tensor], dict]:
    """Tensors and description of a weights file written by `write_weights`."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return tensors, json.loads(file.metadata()["geom2msm"])
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: no complete weights file of geom2msm ({error}); delete it, it is made anew."
        ) from error
