"""Reversible transition matrices drawn given the counts: the posterior of deeptime's sampler, by a faster way.

A reversible matrix is flows x_ij = x_ji between states, T_ij = x_ij / x_i with x_i the sum of a row. The posterior with
the prior of Trendelkamp-Schroer et al., J. Chem. Phys. 143 (2015) 174101, is

    p(x) ~ prod_{i<j} x_ij^(c_ij + c_ji - 1) prod_i x_ii^(c_ii - 1) x_i^(-c_i),    c_i the sum of a row of counts;

pairs that were never counted have no flow. deeptime changes one flow after another, which takes a second for a sample
of 1,000 states, and samples depend on each other. Here u_i ~ Gamma(c_i, rate x_i) are drawn along, as by Caron & Doucet
for another posterior, J. Comput. Graph. Stat. 21 (2012) 174. Given u the flows are independent, Gamma(c_ij + c_ji) /
(u_i + u_j) and Gamma(c_ii) / u_i. And u alone has the density of a Bradley-Terry model,

    p(log u) ~ prod_i u_i^(c_i - c_ii) prod_{i<j} (u_i + u_j)^(-c_ij - c_ji),

concave and close to normal: a few steps of Hamiltonian dynamics give the next, nearly independent u.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cholesky, solve_triangular
from scipy.sparse import csr_array
from scipy.special import expit

from geom2msm.sampled_matrices import Posterior

# Trajectories of Hamiltonian dynamics before the first samples and between two samples of a chain.
BURN_IN = 50
THINNING = 3
# Steps per trajectory: as many of these as it takes to accept most of them.
STEPS = (4, 8, 16, 32, 64)
ACCEPTED = 0.8
# Chains run side by side if an array over all their pairs is no larger than this: more of them must be burned in.
ARRAY_SIZE = 300_000
# So that u, flows and their ratios all are numbers in double precision.
LARGEST_LOGARITHM = 150
# A flow that was counted is never lost, however close to zero it is drawn.
SMALLEST_FLOW = 1e-200


@dataclass(frozen=True)
class BradleyTerry:
    """The density of u in coordinates z, log u = mode + z spread, in which it is nearly standard normal.

    It does not change when all u are scaled, so the first is held at `mode`; the others are free. Pairs are those with
    counts, each twice: row by row of the symmetric matrix of `both` = c_ij + c_ji, rows beginning at `starts`; `left` =
    c_i - c_ii.
    """

    rows: Int[np.ndarray, " pair"]
    columns: Int[np.ndarray, " pair"]
    starts: Int[np.ndarray, " active"]
    both: Float[np.ndarray, " pair"]
    left: Float[np.ndarray, " active"]
    mode: Float[np.ndarray, " active"]
    spread: Float[np.ndarray, "free free"]

    @classmethod
    def of_counts(
        cls, counts: Float[np.ndarray, "active active"], stationary_distribution: Float[np.ndarray, " active"]
    ) -> "BradleyTerry":
        """The density given counts and the most likely stationary distribution, at which u_i is c_i / pi_i."""
        both = counts + counts.T
        np.fill_diagonal(both, 0)
        pairs = csr_array(both)
        rows = np.repeat(np.arange(len(counts)), np.diff(pairs.indptr))
        columns = pairs.indices.astype(np.intp)
        mode = np.log(counts.sum(axis=1) / stationary_distribution)
        mode -= mode.mean()
        share = expit(mode[rows] - mode[columns])
        curvature = np.zeros_like(both)
        curvature[rows, columns] = -pairs.data * share * (1 - share)
        np.fill_diagonal(curvature, -curvature.sum(axis=1))
        root = cholesky(curvature[1:, 1:], lower=True, overwrite_a=True)
        spread = solve_triangular(root, np.eye(len(root)), lower=True, overwrite_b=True)
        left = counts.sum(axis=1) - counts.diagonal()
        return cls(rows, columns, pairs.indptr[:-1].astype(np.intp), pairs.data, left, mode, spread)

    def log_u(self, z: Float[np.ndarray, "chain free"]) -> Float[np.ndarray, "chain active"]:
        """From coordinates to log u."""
        log_u = np.tile(self.mode, (len(z), 1))
        log_u[:, 1:] += z @ self.spread
        return log_u

    def log_density(self, z: Float[np.ndarray, "chain free"]) -> Float[np.ndarray, " chain"]:
        """Up to a constant; zero where numbers would overflow, as if the prior ended there."""
        log_u = self.log_u(z)
        first = self.rows < self.columns
        u = np.exp(log_u)
        pairs = np.log(u[:, self.rows[first]] + u[:, self.columns[first]])
        known = (np.abs(log_u) < LARGEST_LOGARITHM).all(axis=1)
        return np.where(known, log_u @ self.left - pairs @ self.both[first], -np.inf)

    def gradient(self, z: Float[np.ndarray, "chain free"]) -> Float[np.ndarray, "chain free"]:
        """Of the logarithm of the density: sum_j of (c_ij + c_ji) u_i / (u_i + u_j) is taken from c_i - c_ii."""
        u = np.exp(self.log_u(z))
        terms = np.take(u, self.rows, axis=1)
        terms += np.take(u, self.columns, axis=1)
        np.divide(self.both, terms, out=terms)
        of_log_u = self.left - u * np.add.reduceat(terms, self.starts, axis=1)
        return of_log_u[:, 1:] @ self.spread.T


@dataclass
class Chains:
    """Markov chains of coordinates z side by side, which have the density as their stationary distribution.

    Hamiltonian Monte Carlo after Shahbaba et al., Stat. Comput. 24 (2014) 339: with a standard normal density the
    dynamics would be rotations of coordinates and momenta, which are made exactly; the rest of the force acts between.
    """

    density: BradleyTerry
    rng: np.random.Generator
    z: Float[np.ndarray, "chain free"]
    log_density: Float[np.ndarray, " chain"]

    @classmethod
    def started(cls, density: BradleyTerry, rng: np.random.Generator, *, n_chains: int) -> "Chains":
        """Chains that begin as the normal approximation has it."""
        z = rng.standard_normal((n_chains, len(density.spread)))
        with np.errstate(over="ignore", divide="ignore"):
            return cls(density, rng, z, density.log_density(z))

    def propose(
        self, n_steps: int
    ) -> tuple[Float[np.ndarray, "chain free"], Float[np.ndarray, " chain"], Float[np.ndarray, " chain"]]:
        """The end of a trajectory of about a quarter of a turn, which from a normal z leads to one independent of it.

        Also the logarithm of the density there, and by how much that of z and momentum together has changed.
        """
        angle = self.rng.uniform(0.35, 0.65) * math.pi / n_steps
        cos, sin = math.cos(angle), math.sin(angle)
        z, momentum = self.z, self.rng.standard_normal(self.z.shape)
        before = self.log_density - (momentum**2).sum(axis=1) / 2
        force = self.density.gradient(z) + z
        for _ in range(n_steps):
            momentum = momentum + angle / 2 * force
            z, momentum = cos * z + sin * momentum, cos * momentum - sin * z
            force = self.density.gradient(z) + z
            momentum = momentum + angle / 2 * force
        log_density = self.density.log_density(z)
        return z, log_density, log_density - (momentum**2).sum(axis=1) / 2 - before

    def advance(self, n_steps: int) -> float:
        """One trajectory; returns the mean probability that its end is accepted."""
        # Far out numbers overflow; the gain is then not a number or minus infinity, and the end is not accepted.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            z, log_density, gain = self.propose(n_steps)
            accepted = np.log(self.rng.random(len(z))) < gain
        self.z = np.where(accepted[:, None], z, self.z)
        self.log_density = np.where(accepted, log_density, self.log_density)
        return float(np.exp(np.minimum(np.nan_to_num(gain, nan=-np.inf), 0)).mean())

    def burn_in(self) -> int:
        """Forget the beginning, and find how many steps a trajectory needs."""
        for n_steps in STEPS:
            if np.mean([self.advance(n_steps) for _ in range(BURN_IN)]) >= ACCEPTED:
                break
        return n_steps


def draw_rates(
    density: BradleyTerry, rng: np.random.Generator, *, n_samples: int
) -> Iterator[Float[np.ndarray, " active"]]:
    """Samples of u."""
    chains = Chains.started(density, rng, n_chains=min(n_samples, max(1, ARRAY_SIZE // len(density.both))))
    n_steps = chains.burn_in()
    for number in range(n_samples):
        chain = number % len(chains.z)
        if number and chain == 0:
            for _ in range(THINNING):
                chains.advance(n_steps)
        yield np.exp(density.log_u(chains.z[chain][None])[0])


def draw_reversible(
    counts: Float[np.ndarray, "active active"],
    stationary_distribution: Float[np.ndarray, " active"],
    *,
    n_samples: int,
    seed: int,
) -> Posterior:
    """Samples given strongly connected counts, and the stationary distribution of the most likely matrix."""
    rows, columns = np.nonzero(counts + counts.T)
    above = rows <= columns
    pair = rows[above], columns[above]
    within = pair[0] == pair[1]
    shape = np.where(within, counts[pair], counts[pair] + counts.T[pair])
    # Of every element of the matrix, the pair above or on the diagonal that it shares its flow with.
    number = np.zeros(counts.shape, dtype=np.intp)
    number[pair] = number.T[pair] = np.arange(len(shape))
    shared, starts = number[rows, columns], np.searchsorted(rows, np.arange(len(counts)))
    elements, distributions = np.empty((n_samples, len(rows))), np.empty((n_samples, len(counts)))
    rng = np.random.default_rng(seed)
    drawn = draw_rates(BradleyTerry.of_counts(counts, stationary_distribution), rng, n_samples=n_samples)
    for element, distribution, u in zip(elements, distributions, drawn, strict=True):
        rate = np.where(within, u[pair[0]], u[pair[0]] + u[pair[1]])
        flow = np.maximum(rng.standard_gamma(shape) / rate, SMALLEST_FLOW)[shared]
        total = np.add.reduceat(flow, starts)
        np.divide(flow, total[rows], out=element)
        np.divide(total, total.sum(), out=distribution)
    return Posterior(rows, columns, elements, distributions, float(counts.sum()) / len(counts))
