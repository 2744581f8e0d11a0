"""Small Markov processes whose spectra are known exactly; simulated data must give them back."""

from bisect import bisect_right

import numpy as np
from jaxtyping import Float, Int


def three_state_chain() -> Float[np.ndarray, "state state"]:
    """Transition matrix over one frame of a reversible chain with implied timescales of about 214 and 49 frames.

    Built from symmetric flows between states, so that detailed balance holds exactly; the stationary
    distribution is (0.6, 0.3, 0.1).
    """
    flows = np.array([[0.0, 0.0012, 0.0], [0.0012, 0.0, 0.0014], [0.0, 0.0014, 0.0]])
    return _from_flows(flows, np.array([0.6, 0.3, 0.1]))


def double_well(
    *, n_cells: int = 24, barrier_kT: float = 3.0
) -> tuple[Float[np.ndarray, " cell"], Float[np.ndarray, "cell cell"]]:
    """Cell centers in [-1.8, 1.8] and the reversible transition matrix of a walk in u(x) = barrier (x^2 - 1)^2, in kT.

    Neighboring cells exchange with symmetric flows (Metropolis rule), which keeps exp(-u) stationary; there is one
    slow process, the hop between the wells.
    """
    x = np.linspace(-1.8, 1.8, n_cells)
    weight = np.exp(-barrier_kT * (x**2 - 1) ** 2)
    weight /= weight.sum()
    flows = np.zeros((n_cells, n_cells))
    cell = np.arange(n_cells - 1)
    flows[cell, cell + 1] = flows[cell + 1, cell] = np.minimum(weight[:-1], weight[1:]) / 2
    return x, _from_flows(flows, weight)


def _from_flows(flows: np.ndarray, stationary: np.ndarray) -> np.ndarray:
    transition_matrix = flows / stationary[:, None]
    np.fill_diagonal(transition_matrix, 1 - transition_matrix.sum(axis=1))
    return transition_matrix


def stationary_distribution(transition_matrix: Float[np.ndarray, "state state"]) -> Float[np.ndarray, " state"]:
    """The left eigenvector of eigenvalue 1, normalized to sum 1."""
    n_states = len(transition_matrix)
    equations = np.vstack([transition_matrix.T - np.eye(n_states), np.ones(n_states)])
    return np.linalg.lstsq(equations, np.append(np.zeros(n_states), 1.0), rcond=None)[0]


def eigenvalues(transition_matrix: Float[np.ndarray, "state state"]) -> Float[np.ndarray, " state"]:
    """Eigenvalues of a reversible transition matrix in descending order; the first is 1."""
    root = np.sqrt(stationary_distribution(transition_matrix))
    symmetric = root[:, None] * transition_matrix / root
    return np.linalg.eigvalsh((symmetric + symmetric.T) / 2)[::-1]


def implied_timescales(transition_matrix: Float[np.ndarray, "state state"]) -> Float[np.ndarray, " process"]:
    """t2, t3, … = -1 / ln|eigenvalue|, in frames."""
    return -1 / np.log(np.abs(eigenvalues(transition_matrix)[1:]))


def exact_vamp2(transition_matrix: Float[np.ndarray, "state state"], *, lag_frames: int, dimensions: int) -> float:
    """The highest VAMP-2 that `dimensions` functions beside the constant can reach: 1 + sum of squared eigenvalues.

    For a reversible process in equilibrium singular values are eigenvalues (Wu & Noe 2020).
    """
    return float(np.sum(eigenvalues(transition_matrix)[: dimensions + 1] ** (2 * lag_frames)))


def simulate_chain(
    transition_matrix: Float[np.ndarray, "state state"], n_frames: int, rng: np.random.Generator
) -> Int[np.ndarray, " frame"]:
    """Visited states, the first drawn from the stationary distribution."""
    cumulative = np.cumsum(transition_matrix, axis=1)
    rows = (cumulative / cumulative[:, -1:]).tolist()
    states = np.empty(n_frames, dtype=np.int64)
    state = int(rng.choice(len(rows), p=stationary_distribution(transition_matrix)))
    for frame, draw in enumerate(rng.random(n_frames).tolist()):
        states[frame] = state
        state = bisect_right(rows[state], draw)
    return states
