"""The variational approach to Markov processes: VAMP scores, singular functions, what fitted models score.

C00 = cov(x_t, x_t), C0t = cov(x_t, x_lag), Ctt = cov(x_lag, x_lag), mean-free (`geom2msm.covariances`);
K = C00^-1/2 C0t Ctt^-1/2 has the singular values of the Koopman operator (Wu & Noe 2020). Inverse roots
come from Cholesky factors, C = L L^T, with L^-1 in place of C^-1/2: the two differ by a rotation, which leaves
singular values unchanged, and unlike an eigendecomposition Cholesky has finite gradients for equal eigenvalues.
All of it is done in float64 with a ridge, C + epsilon * trace(C) / d * identity.
Removing the mean takes the constant function out, whose singular value is 1: every score adds it again, so that
VAMP-1, VAMP-2 and VAMP-E all lie between 1 and d + 1 on the pairs they were fitted to.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from geom2msm.covariances import Covariances, PairedValues, pair_covariances


@dataclass(frozen=True)
class ScoreConfig:
    """What a network is trained to maximize, and what its outputs are: keys of `kind: vampnet`.

    `score` is vamp1, vamp2 or vampe; `reversible` counts pairs in both directions of time (SRV, Chen, Sidky & Ferguson
    2019); `lobes` is 2 if lagged frames have a network of their own; `output` is linear or softmax.
    """

    score: str = "vamp2"
    reversible: bool = False
    lobes: int = 1
    output: str = "linear"
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.score not in SCORES:
            raise ValueError(f"score: {self.score} is unknown; choose one of {', '.join(SCORES)}.")
        if self.output not in ("linear", "softmax"):
            raise ValueError(f"output: {self.output} is unknown; choose linear or softmax.")
        if self.reversible and self.lobes != 1:
            raise ValueError("reversible: true needs lobes: 1; a reversible process has the same functions both ways.")


def _cholesky(covariance: Float64[Tensor, "channel channel"], epsilon: float) -> Float64[Tensor, "channel channel"]:
    """Lower factor of the covariance with its ridge."""
    ridge = epsilon * covariance.diagonal().mean()
    factor, failed = torch.linalg.cholesky_ex(covariance + ridge * torch.eye(len(covariance)).to(covariance))
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


def vamp1_score(covariances: Covariances, *, epsilon: float) -> Float64[Tensor, ""]:
    """VAMP-1: the sum of singular values, the constant function counted, R1 = 1 + || K ||_*."""
    return 1 + torch.linalg.svdvals(koopman_matrix(covariances, epsilon=epsilon)).sum()


def vamp2_score(covariances: Covariances, *, epsilon: float) -> Float64[Tensor, ""]:
    """VAMP-2: the sum of squared singular values, the constant function counted, from 1 to d + 1.

    R2 = 1 + || C00^-1/2 C0t Ctt^-1/2 ||_F^2 (Wu & Noe 2020); unchanged, up to the ridge, by invertible
    linear maps of the features.
    """
    return 1 + koopman_matrix(covariances, epsilon=epsilon).square().sum()


def vampe_score(covariances: Covariances, *, epsilon: float) -> Float64[Tensor, ""]:
    """VAMP-E of the operator fitted to the same pairs: VAMP-2 up to the ridge, the constant function counted.

    R_E = 1 + tr(2 A^T C0t - A^T C00 A Ctt) with A = C00^-1 C0t Ctt^-1 = U S V^T (Wu & Noe 2020): no singular value
    decomposition is needed, so gradients exist where singular values coincide.
    """
    factor_t, factor_lag = (_cholesky(covariance, epsilon) for covariance in (covariances.c00, covariances.ctt))
    half = torch.cholesky_solve(covariances.c0t, factor_t)
    operator = torch.cholesky_solve(half.T, factor_lag).T
    explained = 2 * (operator * covariances.c0t).sum()
    return 1 + explained - (covariances.c00 @ operator @ covariances.ctt * operator).sum()


SCORES = {"vamp1": vamp1_score, "vamp2": vamp2_score, "vampe": vampe_score}


def contrasts(n_states: int) -> Float64[Tensor, "state dimension"]:
    """Orthonormal basis of what is orthogonal to (1, ..., 1), after Helmert: state k + 1 against the mean of 1 to k."""
    rows = torch.ones(n_states, n_states, dtype=torch.float64).tril(-1)[1:]
    rows[:, 1:] -= torch.arange(1, n_states, dtype=torch.float64).diag()
    return (rows / rows.norm(dim=1, keepdim=True)).T.contiguous()


def without_constant(covariances: Covariances, *, output: str) -> Covariances:
    """Covariances of full rank: softmax outputs sum to one, so that one direction of them is the constant function."""
    if output != "softmax":
        return covariances
    basis = contrasts(len(covariances.c00)).to(covariances.c00)
    return covariances.project(basis, basis)


def score_of(covariances: Covariances, config: ScoreConfig) -> Float64[Tensor, ""]:
    """The score that the settings name."""
    return SCORES[config.score](without_constant(covariances, output=config.output), epsilon=config.epsilon)


def training_loss(
    outputs_t: Float[Tensor, "pair dimension"],
    outputs_lag: Float[Tensor, "pair dimension"],
    config: ScoreConfig,
    log_weights_t: Float[Tensor, " pair"] | None = None,
    log_weights_lag: Float[Tensor, " pair"] | None = None,
) -> Float64[Tensor, ""]:
    """Minus the score of a batch, with gradients."""
    covariances = pair_covariances(
        outputs_t,
        outputs_lag,
        log_weights_t=log_weights_t,
        log_weights_lag=log_weights_lag,
        reversible=config.reversible,
    )
    return -score_of(covariances, config)


def vamp2_score_batch_mean(batches: Iterable[Covariances], *, epsilon: float) -> float:
    """Mean of the batches' VAMP-2, the estimator of earlier work: too high, by d^2 / batch size for unrelated pairs."""
    scores = [float(vamp2_score(batch, epsilon=epsilon)) for batch in batches]
    return sum(scores) / len(scores)


def implied_timescales_ps(covariances: Covariances, *, lag_ps: float, epsilon: float) -> list[float]:
    """-lag / ln(singular value), in ps, slowest first."""
    singular_values = torch.linalg.svdvals(koopman_matrix(covariances, epsilon=epsilon))
    return (-lag_ps / singular_values.clamp(max=1 - 1e-12).log()).tolist()


def reversible_timescales_ps(covariances: Covariances, *, lag_ps: float, epsilon: float) -> list[float | None]:
    """-lag / ln(eigenvalue), in ps, slowest first; an eigenvalue that is not positive has none.

    The covariances are those of `with_time_reversed`.
    """
    koopman = koopman_matrix(covariances, epsilon=epsilon)
    eigenvalues = torch.linalg.eigvalsh((koopman + koopman.T) / 2).flip(0).clamp(max=1 - 1e-12)
    return [-lag_ps / math.log(value) if value > 0 else None for value in eigenvalues.tolist()]


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
        _check_dimensions(covariances, dimensions)
        factor_t, factor_lag = _cholesky(covariances.c00, epsilon), _cholesky(covariances.ctt, epsilon)
        u, singular_values, vh = torch.linalg.svd(_whitened(covariances, factor_t, factor_lag))
        left = torch.linalg.solve_triangular(factor_t.T, u, upper=True)[:, :dimensions]
        right = torch.linalg.solve_triangular(factor_lag.T, vh.T, upper=True)[:, :dimensions]
        return cls(covariances.mean_t, covariances.mean_lag, left, right, singular_values[:dimensions])

    @classmethod
    def fit_reversible(cls, covariances: Covariances, *, dimensions: int, epsilon: float) -> "SingularFunctions":
        """Eigenfunctions of a reversible operator, C0t b = l C00 b: left and right are one, and l may be negative.

        The covariances are those of `with_time_reversed`; the largest l come first, as `singular_values`: what has a
        negative one alternates, and is no slow process however large it is.
        """
        _check_dimensions(covariances, dimensions)
        factor = _cholesky(covariances.c00, epsilon)
        koopman = _whitened(covariances, factor, factor)
        eigenvalues, vectors = torch.linalg.eigh((koopman + koopman.T) / 2)
        slowest = eigenvalues.argsort(descending=True)[:dimensions]
        functions = torch.linalg.solve_triangular(factor.T, vectors, upper=True)[:, slowest]
        return cls(covariances.mean_t, covariances.mean_lag, functions, functions, eigenvalues[slowest])

    def __call__(self, values: Float[Tensor, "frame channel"]) -> Float64[Tensor, "frame dimension"]:
        """The left singular functions, which are the collective variables."""
        return (values.double() - self.mean_t) @ self.left

    def after(
        self,
        mean_t: Float64[Tensor, " feature"],
        mean_lag: Float64[Tensor, " feature"],
        basis: Float64[Tensor, "feature channel"],
    ) -> "SingularFunctions":
        """The same functions of features, whose means these are: channels = basis^T features, up to a constant."""
        return SingularFunctions(mean_t, mean_lag, basis @ self.left, basis @ self.right, self.singular_values)

    def oriented(self, pairs: PairedValues) -> "SingularFunctions":
        """The same functions, each with the sign by which its rarer end, among starts of pairs, is positive."""
        cubes = sum(self(pairs.values[chunk]).pow(3).sum(dim=0) for chunk in pairs.chunks())
        sign = torch.where(cubes < 0, -1.0, 1.0).double()
        return SingularFunctions(self.mean_t, self.mean_lag, self.left * sign, self.right * sign, self.singular_values)

    def project(self, covariances: Covariances) -> Covariances:
        """Covariances of these functions on other pairs, whose VAMP-2 is the test score of cross-validation."""
        return covariances.project(self.left, self.right)

    def vampe_score(self, projected: Covariances) -> Float64[Tensor, ""]:
        """VAMP-E of these functions and singular values on pairs seen through `project`; low where they fit badly.

        R_E = 1 + tr(2 S U^T C0t V - S U^T C00 U S V^T Ctt V) (Wu & Noe 2020); equal to VAMP-2 on the pairs of the fit.
        """
        sigma = self.singular_values
        explained = 2 * (sigma * projected.c0t.diagonal()).sum()
        return 1 + explained - (sigma[:, None] * projected.c00 * sigma * projected.ctt).sum()

    def tensors(self) -> dict[str, Tensor]:
        """Named tensors for a weights file."""
        return {f"singular_functions.{field.name}": getattr(self, field.name).contiguous() for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "SingularFunctions":
        """The inverse of `tensors`."""
        return cls(**{field.name: tensors[f"singular_functions.{field.name}"] for field in fields(cls)})


def _check_dimensions(covariances: Covariances, dimensions: int) -> None:
    if dimensions > len(covariances.c00):
        raise ValueError(f"dimensions = {dimensions}, but there are only {len(covariances.c00)} features.")


def fit_functions(pairs: PairedValues, *, dimensions: int, config: ScoreConfig) -> SingularFunctions:
    """Slowest functions within the outputs of trained lobes, oriented, whatever the kind of the outputs."""
    covariances = pairs.covariances(reversible=config.reversible)
    reduced = without_constant(covariances, output=config.output)
    fit = SingularFunctions.fit_reversible if config.reversible else SingularFunctions.fit
    functions = fit(reduced, dimensions=dimensions, epsilon=config.epsilon)
    if config.output == "softmax":
        functions = functions.after(covariances.mean_t, covariances.mean_lag, contrasts(len(covariances.c00)))
    return functions.oriented(pairs)


def model_scores(
    functions: SingularFunctions,
    training: PairedValues,
    validation: PairedValues,
    *,
    lag_ps: float,
    batch_pairs: int,
    epsilon: float,
    reversible: bool = False,
) -> dict[str, object]:
    """VAMP scores and implied timescales of fitted functions, the content of `scores.json` that all models share.

    Scores are over pairs as they happened; singular values and timescales of a reversible model over both directions.
    """
    timescales_ps = reversible_timescales_ps if reversible else implied_timescales_ps
    found: dict[str, object] = {"lag_ps": lag_ps, "dimensions": functions.left.shape[1]}
    for name, pairs in (("training", training), ("validation", validation)):
        covariances = pairs.covariances()
        projected = functions.project(covariances)
        directed = functions.project(covariances if not reversible else pairs.covariances(reversible=True))
        found |= {
            f"score_{name}": float(vamp2_score(projected, epsilon=epsilon)),
            f"vamp1_{name}": float(vamp1_score(projected, epsilon=epsilon)),
            f"vampe_{name}": float(functions.vampe_score(projected)),
            f"timescales_{name}_ps": timescales_ps(directed, lag_ps=lag_ps, epsilon=epsilon),
            f"n_{name}_pairs": projected.n_pairs,
            f"effective_{name}_pairs": pairs.effective_pairs(),
        }
        batches = (functions.project(batch) for batch in pairs.batch_covariances(batch_pairs))
        found[f"score_{name}_batch_mean"] = vamp2_score_batch_mean(batches, epsilon=epsilon)
    return found | {
        "singular_values": functions.singular_values.tolist(),
        "batch_pairs": min(batch_pairs, len(validation.starts)),
    }
