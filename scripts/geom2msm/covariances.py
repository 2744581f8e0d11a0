"""Means and covariances of time-lagged pairs: merged over chunks, weighted, or counted in both directions of time.

Biased data. Frames x drawn from a biased equilibrium mu_b, with weights w(x) = mu(x) / mu_b(x), make averages over the
unbiased mu. A pair (x, y) = (x_t, x_lag) is drawn from mu_b(x) p(y|x), where p is the dynamics that was run. All
averages of VAMP are over one measure of pairs, F(x, y) = mu(x) p(y|x): the process p started from mu. Hence every pair
counts by the weight of its start frame, in both means, in C00, in C0t and in Ctt alike; a weight of the lagged frame in
Ctt, or a geometric mean in C0t, would be averages over different processes, and singular values could exceed 1.
Time-reversed pairs (y, x) start at y. In equilibrium mu_b(x) p(y|x) = mu_b(y) p(x|y), so that both a pair by w(x) and
its reverse by w(y) sample F, and both their reverses the transpose. The symmetric (reversible) estimate of
(F + F^T) / 2 counts a pair and its reverse by the mean of both weights, (w(x) + w(y)) / 2.
Weights cannot undo what the bias did to the dynamics p itself; short lags suffer least.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

CHUNK_PAIRS = 50_000
# Values held at a time, 200 MB in double precision: of more than 500 channels fewer pairs.
CHUNK_VALUES = 25_000_000


@dataclass(frozen=True)
class Covariances:
    """Means and covariances of time-lagged pairs; those of two sets merge into those of their union.

    `log_weight` is the logarithm of the sum of all weights, ln n_pairs without any: weights of any size can be
    merged, and only their ratios matter.
    """

    n_pairs: int
    log_weight: float
    mean_t: Float64[Tensor, " channel"]
    mean_lag: Float64[Tensor, " channel"]
    c00: Float64[Tensor, "channel channel"]
    c0t: Float64[Tensor, "channel channel"]
    ctt: Float64[Tensor, "channel channel"]

    @classmethod
    def of_pairs(
        cls,
        x_t: Float[Tensor, "pair channel"],
        x_lag: Float[Tensor, "pair channel"],
        log_weights: Float[Tensor, " pair"] | None = None,
    ) -> "Covariances":
        """Covariances of pairs held in memory, differentiable; weights are normalized by their sum."""
        x_t, x_lag, n_pairs = x_t.double(), x_lag.double(), len(x_t)
        if log_weights is None:
            log_weight, weights = math.log(n_pairs), x_t.new_full((n_pairs, 1), 1 / n_pairs)
        else:
            log_weight = float(log_weights.double().logsumexp(dim=0))
            weights = log_weights.double().softmax(dim=0)[:, None]
        mean_t, mean_lag = (weights * x_t).sum(dim=0), (weights * x_lag).sum(dim=0)
        # One after the other: no more than three copies in double precision are held at a time.
        x_t = x_t - mean_t
        x_lag = x_lag - mean_lag
        c00, c0t, ctt = ((weights * a).T @ b for a, b in ((x_t, x_t), (x_t, x_lag), (x_lag, x_lag)))
        return cls(n_pairs, log_weight, mean_t, mean_lag, c00, c0t, ctt)

    def merge(self, other: "Covariances") -> "Covariances":
        """Covariances of the union of both sets of pairs (Chan, Golub & LeVeque 1983)."""
        log_weight = max(self.log_weight, other.log_weight)
        log_weight += math.log1p(math.exp(-abs(self.log_weight - other.log_weight)))
        mine, its = math.exp(self.log_weight - log_weight), math.exp(other.log_weight - log_weight)
        shift_t, shift_lag = other.mean_t - self.mean_t, other.mean_lag - self.mean_lag
        between = mine * its
        return Covariances(
            self.n_pairs + other.n_pairs,
            log_weight,
            self.mean_t + its * shift_t,
            self.mean_lag + its * shift_lag,
            mine * self.c00 + its * other.c00 + between * torch.outer(shift_t, shift_t),
            mine * self.c0t + its * other.c0t + between * torch.outer(shift_t, shift_lag),
            mine * self.ctt + its * other.ctt + between * torch.outer(shift_lag, shift_lag),
        )

    def with_time_reversed(self) -> "Covariances":
        """Covariances of the pairs and of the same pairs run backwards: the reversible estimate, C00 = Ctt."""
        reverse = Covariances(self.n_pairs, self.log_weight, self.mean_lag, self.mean_t, self.ctt, self.c0t.T, self.c00)
        return self.merge(reverse)

    def project(
        self, left: Float64[Tensor, "channel dimension"], right: Float64[Tensor, "channel dimension"]
    ) -> "Covariances":
        """Covariances of the linear functions left^T x_t and right^T x_lag."""
        return Covariances(
            self.n_pairs,
            self.log_weight,
            self.mean_t @ left,
            self.mean_lag @ right,
            left.T @ self.c00 @ left,
            left.T @ self.c0t @ right,
            right.T @ self.ctt @ right,
        )


def pair_covariances(
    x_t: Float[Tensor, "pair channel"],
    x_lag: Float[Tensor, "pair channel"],
    *,
    log_weights_t: Float[Tensor, " pair"] | None = None,
    log_weights_lag: Float[Tensor, " pair"] | None = None,
    reversible: bool = False,
) -> Covariances:
    """Covariances from the weights of both frames of each pair, as the module derives them."""
    log_weights = log_weights_t
    if reversible and log_weights_t is not None and log_weights_lag is not None:
        log_weights = torch.logaddexp(log_weights_t, log_weights_lag) - math.log(2)
    covariances = Covariances.of_pairs(x_t, x_lag, log_weights)
    return covariances.with_time_reversed() if reversible else covariances


@dataclass(frozen=True)
class PairedValues:
    """Features of trajectories laid end to end, and the frames t at which pairs (t, t + lag) start.

    Where lagged frames are seen through functions of their own (two lobes), those are `values_lag`. With biased
    data every frame has a log-weight, comparable between all trajectories.
    """

    values: Float[Tensor, "frame channel"]
    starts: Int64[Tensor, " pair"]
    lag_frames: int
    values_lag: Float[Tensor, "frame channel"] | None = None
    log_weights: Float64[Tensor, " frame"] | None = None

    def chunks(self) -> tuple[Int64[Tensor, " chunk"], ...]:
        """All pairs in order, as many at a time as are cheap to hold."""
        return self.starts.split(max(1, min(CHUNK_PAIRS, CHUNK_VALUES // self.values.shape[1])))

    def covariances(self, *, reversible: bool = False) -> Covariances:
        """Covariances pooled over all pairs, accumulated in chunks."""
        return functools.reduce(Covariances.merge, (self._covariances_of(chunk, reversible) for chunk in self.chunks()))

    def batch_covariances(self, batch_pairs: int) -> Iterator[Covariances]:
        """Covariances of each of many batches of shuffled pairs, one at a time."""
        generator = torch.Generator().manual_seed(0)
        for batch in shuffled_batches(self.starts, batch_pairs, generator):
            yield self._covariances_of(batch, reversible=False)

    def effective_pairs(self) -> float:
        """Number of equally weighted pairs that would be as good, (sum w)^2 / sum w^2 (Kish 1965)."""
        if self.log_weights is None:
            return float(len(self.starts))
        return 1 / float(self.log_weights[self.starts].softmax(dim=0).square().sum())

    def _covariances_of(self, starts: Int64[Tensor, " pair"], reversible: bool) -> Covariances:
        lagged, ends = self.values if self.values_lag is None else self.values_lag, starts + self.lag_frames
        return pair_covariances(
            self.values[starts],
            lagged[ends],
            log_weights_t=None if self.log_weights is None else self.log_weights[starts],
            log_weights_lag=None if self.log_weights is None else self.log_weights[ends],
            reversible=reversible,
        )


def shuffled_batches(
    starts: Int64[Tensor, " pair"], batch_pairs: int, generator: torch.Generator
) -> tuple[Int64[Tensor, " batch"], ...]:
    """Random batches of one size; the few pairs that fill no batch are left out, for a small batch scores too high."""
    n_batches = max(1, len(starts) // batch_pairs)
    order = torch.randperm(len(starts), generator=generator)
    return starts[order[: n_batches * batch_pairs]].tensor_split(n_batches)
