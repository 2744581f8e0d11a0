"""Below a few independent counts per microstate, no table has an interval and no verdict that needs one is a pass."""

import numpy as np
import pandas as pd
import pytest

from geom2msm.convergence import convergence_table, convergence_verdict
from geom2msm.hidden_markov import fit_hidden_model, hidden_table, hidden_verdict
from geom2msm.kinetics import rate_table, state_table
from geom2msm.lag_choice import propose_lag
from geom2msm.markov import (
    MsmSettings,
    count_transitions,
    estimate_model,
    explained,
    sample_posterior,
    scan_lags,
    timescale_table,
    why_no_intervals,
)
from geom2msm.markov_validation import ck_table, ck_verdict
from geom2msm.passage_times import passage_table
from geom2msm.relaxation import choose_curves, relaxation_table, relaxation_verdict
from geom2msm.reversibility import compare_models, estimate_nonreversible, reversibility_verdict
from geom2msm.sampled_matrices import FEW_COUNTS_PER_STATE
from geom2msm.spectrum import spectrum_table
from geom2msm.states import count_visits, find_macrostates
from geom2msm.transition_paths import (
    PathSets,
    committor_table,
    find_paths,
    flux_table,
    paths_verdict,
    pathway_table,
    sample_paths,
)
from geom2msm.vamp2_consistency import consistency_table, consistency_verdict
from systems import simulate_chain

LAG, N_STATES, N_SAMPLES = 5, 12, 20
SETTINGS = MsmSettings("m", "b", float(LAG), [float(LAG), 2.0 * LAG, 4.0 * LAG], N_STATES, 2, 2, N_SAMPLES, 3, 0)


def walks(n_frames: int) -> list[np.ndarray]:
    """Two halves of the microstates, left for the other one in one of fifty frames."""
    same = np.kron(np.eye(2), np.ones((N_STATES // 2, N_STATES // 2)))
    chain = (0.98 * same + 0.02 * (1 - same)) / (N_STATES // 2)
    rng = np.random.default_rng(3)
    return [simulate_chain(chain, n_frames, rng) for _ in range(8)]


class Analysis:
    """All that is computed from the posterior of one model."""

    def __init__(self, n_frames: int):
        self.dtrajs = walks(n_frames)
        self.model = estimate_model(count_transitions(self.dtrajs, lag_frames=LAG, n_microstates=N_STATES))
        self.posterior = sample_posterior(self.model, n_samples=N_SAMPLES, seed=0)
        self.macrostates = find_macrostates(self.model, n_macrostates=2)
        self.tables = self._of_states() | self._of_kinetics()
        self.verdicts = self._verdicts()

    def _of_states(self) -> dict[str, pd.DataFrame]:
        model, posterior, macrostates = self.model, self.posterior, self.macrostates
        visited = [macrostates.assignment[dtraj] for dtraj in self.dtrajs]
        visits = count_visits(visited, n_macrostates=2, coring_frames=LAG)
        passages = passage_table(self.dtrajs, model, macrostates, SETTINGS, frame_interval_ps=1.0)
        return {
            "states": state_table(model, posterior, macrostates, visits),
            "rates": rate_table(model, posterior, macrostates, visits, lag_ps=float(LAG)),
            "timescales": timescale_table(model, posterior, lag_ps=float(LAG), n_processes=2),
            "spectrum": spectrum_table(model, posterior, lag_ps=float(LAG)),
            "passages": passages[passages.method == "model"],
            **self._of_paths(),
        }

    def _of_paths(self) -> dict[str, pd.DataFrame]:
        model, macrostates, sets = self.model, self.macrostates, PathSets([0], [1])
        paths = find_paths(model.transition_matrix, model.stationary_distribution, macrostates, sets)
        samples = sample_paths(self.posterior, macrostates, sets, around=paths)
        self.paths = paths_verdict(paths, samples, sets, lag_ps=float(LAG))
        return {
            "committors": committor_table(model, macrostates, paths, samples),
            "fluxes": flux_table(paths, samples, lag_ps=float(LAG)),
            "pathways": pathway_table(paths, samples, sets, lag_ps=float(LAG)),
        }

    def _of_kinetics(self) -> dict[str, pd.DataFrame]:
        dtrajs, model, posterior, macrostates = self.dtrajs, self.model, self.posterior, self.macrostates
        free = estimate_nonreversible(model, n_samples=N_SAMPLES, seed=0)
        self.hidden = fit_hidden_model(dtrajs, model, macrostates, n_samples=N_SAMPLES, seed=0)
        runs, lags = [np.eye(N_STATES)[dtraj][:, 1:] for dtraj in dtrajs], {float(lag): lag for lag in (LAG, 2 * LAG)}
        curves = choose_curves(model, macrostates, n_processes=1)
        return {
            "ck": ck_table(dtrajs, model, posterior, macrostates, lag_ps=float(LAG), n_multiples=3, seed=0),
            "convergence": convergence_table(dtrajs, model, macrostates, SETTINGS),
            "relaxation": relaxation_table(dtrajs, model, posterior, curves, lag_ps=float(LAG), slowest_ps=2.0),
            "reversibility": compare_models(model, posterior, free, macrostates, lag_ps=float(LAG), n_processes=2),
            "hmm": hidden_table(self.hidden, model, posterior, macrostates, lag_ps=float(LAG)),
            "vamp2": consistency_table(runs, model, posterior, lag_frames=lags, seed=0),
            "lags": scan_lags(dtrajs, SETTINGS, n_microstates=N_STATES, frame_interval_ps=1.0),
        }

    def _verdicts(self) -> dict[str, dict]:
        tables = self.tables
        return {
            "ck": ck_verdict(tables["ck"]),
            "convergence": convergence_verdict(tables["convergence"], n_processes=1),
            "relaxation": relaxation_verdict(tables["relaxation"]),
            "reversibility": reversibility_verdict(tables["reversibility"]),
            "hmm": hidden_verdict(tables["hmm"], self.hidden, self.macrostates, self.model),
            "vamp2": consistency_verdict(tables["vamp2"], lag_ps=float(LAG)),
            "lag": propose_lag(tables["lags"], configured_lag_ps=float(LAG), n_processes=1),
            "paths": self.paths,
        }


@pytest.fixture(scope="module")
def sparse() -> Analysis:
    return Analysis(n_frames=45)


@pytest.fixture(scope="module")
def plentiful() -> Analysis:
    return Analysis(n_frames=1000)


def bounds(table: pd.DataFrame) -> pd.DataFrame:
    """Columns bounded by the posterior; what is counted in trajectories, or by hidden states, has its own errors."""
    names = [name for name in table if "lower" in name or "upper" in name]
    return table[[name for name in names if not name.startswith(("measured", "hidden"))]]


def test_with_too_few_counts_no_table_has_an_interval(sparse):
    assert len(sparse.model.counts.active) == N_STATES
    assert why_no_intervals(sparse.model.counts)
    for name, table in sparse.tables.items():
        assert bounds(table).shape[1] >= 2, name
        assert bounds(table).isna().all(axis=None), name
    assert all(np.isnan(value) for name, value in sparse.paths.items() if name.endswith(("_lower", "_upper")))


def test_estimates_are_given_all_the_same(sparse):
    assert sparse.tables["states"].probability.sum() == pytest.approx(1)
    assert sparse.tables["rates"].mfpt_ps.gt(0).all()
    assert sparse.tables["timescales"].estimate_ps.gt(0).all()


def test_with_enough_counts_every_table_has_intervals(plentiful):
    assert why_no_intervals(plentiful.model.counts) is None
    for name, table in plentiful.tables.items():
        assert bounds(table).notna().any(axis=None), name
    assert "not estimable" not in {found["verdict"] for found in plentiful.verdicts.values()}


def test_verdicts_that_need_intervals_are_not_estimable_and_say_how_many_microstates_would_do(sparse):
    counts = sparse.model.counts
    enough_for = int(counts.active_matrix.sum() / LAG / FEW_COUNTS_PER_STATE)
    assert 2 <= enough_for < len(counts.active)
    for name, found in sparse.verdicts.items():
        assert found["verdict"] == "not estimable", name
        first, *others = explained(found, sparse.model)["reasons"]
        assert f"set msm.n_microstates to {enough_for} or fewer" in first
        assert others == found["reasons"] != []


def test_a_verdict_that_can_be_given_is_not_explained(sparse, plentiful):
    found = plentiful.verdicts["ck"]
    assert explained(found, sparse.model) == found


@pytest.mark.parametrize("n_states", [2, 3, 6])
def test_the_threshold_is_in_independent_counts_per_microstate(n_states):
    chain = np.full((n_states, n_states), 1 / n_states)
    for n_counts, known in ((FEW_COUNTS_PER_STATE * n_states, True), (FEW_COUNTS_PER_STATE * n_states - 1, False)):
        dtraj = simulate_chain(chain, n_counts + 1, np.random.default_rng(1))
        counts = count_transitions([dtraj], lag_frames=1, n_microstates=n_states)
        if len(counts.active) == n_states and counts.active_matrix.sum() == n_counts:
            assert (why_no_intervals(counts) is None) == known
            posterior = sample_posterior(estimate_model(counts), n_samples=N_SAMPLES, seed=0)
            assert posterior.is_sparse != known
