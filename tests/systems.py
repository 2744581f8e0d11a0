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


def birth_death_chain(*, n_states: int = 6) -> Float[np.ndarray, "state state"]:
    """A walk up with probability 0.03 per frame and down with 0.04: pi falls by 3/4 per state, t2 is 99 frames."""
    stationary = 0.75 ** np.arange(n_states)
    flows = np.zeros((n_states, n_states))
    state = np.arange(n_states - 1)
    flows[state, state + 1] = flows[state + 1, state] = 0.03 * stationary[:-1]
    return _from_flows(flows, stationary)


def diamond_chain() -> Float[np.ndarray, "state state"]:
    """Four states: two ways lead from 0 to 3, through 1 and, half as often, through 2; pi is (0.4, 0.15, 0.2, 0.25)."""
    flows = np.zeros((4, 4))
    for (i, j), flow in {(0, 1): 0.004, (1, 3): 0.004, (0, 2): 0.002, (2, 3): 0.003}.items():
        flows[i, j] = flows[j, i] = flow
    return _from_flows(flows, np.array([0.4, 0.15, 0.2, 0.25]))


class ThreeWells:
    """Overdamped Langevin dynamics of a particle in three wells, at -2, 0 and 2, in steps of Euler and Maruyama.

    One step is a normal distribution, so that the propagator on a fine grid is known, errors of the step included:
    timescales and populations are those of the very process that is simulated, not of its limit.
    """

    step = 0.02
    barriers = (-1.0, 1.0)

    def moved(self, x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """The mean position after a step; V = 1.5 (1 - cos(pi x)) + 0.15 x in kT, with walls beyond 2."""
        walls = np.where(np.abs(x) > 2, 8 * (np.abs(x) - 2) * np.sign(x), 0)
        return x - self.step * (1.5 * np.pi * np.sin(np.pi * x) + 0.15 + walls)

    def propagator(self) -> tuple[Float[np.ndarray, " cell"], Float[np.ndarray, "cell cell"]]:
        """Grid and transition matrix of one step."""
        x = np.linspace(-3.4, 3.4, 400)
        matrix = np.exp(-(np.subtract.outer(self.moved(x), x) ** 2) / (4 * self.step))
        return x, matrix / matrix.sum(axis=1, keepdims=True)

    def timescales(self) -> Float[np.ndarray, " process"]:
        """The two slow timescales, in steps."""
        spectrum = np.sort(np.linalg.eigvals(self.propagator()[1]).real)[::-1]
        return -1 / np.log(spectrum[1:3])

    def populations(self) -> Float[np.ndarray, " well"]:
        """Equilibrium probability of each well."""
        x, matrix = self.propagator()
        return np.bincount(np.digitize(x, self.barriers), weights=stationary_distribution(matrix))

    def relaxation(self, n_steps: int) -> Float[np.ndarray, " well"]:
        """Probability to be in a well so many steps after starting in equilibrium within it."""
        x, matrix = self.propagator()
        inside = np.eye(3)[np.digitize(x, self.barriers)]
        start = inside.T * stationary_distribution(matrix)
        later = np.linalg.matrix_power(matrix, n_steps)
        return np.diag(start @ later @ inside) / start.sum(axis=1)

    def simulate(
        self, n_runs: int, n_frames: int, rng: np.random.Generator, *, stride: int = 2
    ) -> Float[np.ndarray, "frame run"]:
        """Positions of independent runs that start in equilibrium, every so many steps."""
        x, matrix = self.propagator()
        weight = np.clip(stationary_distribution(matrix), 0, None)
        position = rng.choice(x, p=weight / weight.sum(), size=n_runs)
        frames = np.empty((n_frames, n_runs))
        for frame in range(n_frames):
            for _ in range(stride):
                position = self.moved(position) + np.sqrt(2 * self.step) * rng.normal(size=n_runs)
            frames[frame] = position
        return frames
