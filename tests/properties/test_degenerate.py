"""What the data do not determine is reported as not estimable: every table and verdict is made, nothing crashes."""

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from geom2msm.annotation import WeightedFrames, annotate, correlation_frames
from geom2msm.connectivity import connectivity_table, connectivity_verdict
from geom2msm.convergence import convergence_table, convergence_verdict
from geom2msm.free_energy import count_blocks, surfaces
from geom2msm.hidden_markov import fit_hidden_model, hidden_table, hidden_verdict
from geom2msm.judgement import NotEstimable, without_nan
from geom2msm.kinetics import model_summary, rate_table, state_table
from geom2msm.lag_choice import propose_lag
from geom2msm.markov import (
    MarkovModel,
    MsmSettings,
    Posterior,
    count_transitions,
    eigenvalues,
    estimate_model,
    implied_timescales,
    sample_posterior,
    scan_lags,
)
from geom2msm.markov_validation import ck_table, ck_verdict
from geom2msm.passage_times import passage_table
from geom2msm.ramachandran import ResidueTorsions, frame_weights
from geom2msm.relaxation import choose_curves, relaxation_table, relaxation_verdict
from geom2msm.resampling import cut_blocks, draw_blocks
from geom2msm.reversibility import compare_models, estimate_nonreversible, reversibility_verdict
from geom2msm.sampling import sampling_table
from geom2msm.spectrum import spectrum_table, spectrum_verdict
from geom2msm.state_contacts import compare_states, contact_probabilities, sum_contacts
from geom2msm.states import Macrostates, count_visits, find_macrostates, macrostate_of_microstate
from geom2msm.transition_paths import (
    PathSettings,
    choose_sets,
    committor_table,
    find_paths,
    flux_table,
    paths_verdict,
    pathway_table,
    sample_paths,
)
from geom2msm.vamp2_consistency import consistency_table, consistency_verdict
from systems import birth_death_chain, simulate_chain

LAG = 5
VERDICTS = ("pass", "warn", "fail", "not estimable")


def walk(n_states: int, n_frames: int, *, seed: int) -> np.ndarray:
    return simulate_chain(birth_death_chain(n_states=n_states), n_frames, np.random.default_rng(seed))


def alternating() -> np.ndarray:
    """Two microstates that follow each other: the second eigenvalue is negative and has no timescale."""
    chain = np.array([[0.1, 0.9], [0.9, 0.1]])
    return simulate_chain(chain, 300, np.random.default_rng(0))


CASES = {
    "two wells that are not connected": [walk(3, 1500, seed=0), 3 + walk(3, 1500, seed=1)] * 2,
    "one trajectory in one well": [walk(2, 2000, seed=2)],
    "a well that is never left": [walk(3, 1500, seed=3), np.append(walk(3, 800, seed=4), 3 + walk(2, 800, seed=5))],
    "a microstate that swallows half of all": [np.append(walk(3, 700, seed=i), np.full(700, 4)) for i in range(3)],
    "a well that is only left": [np.append(4 + walk(2, 500, seed=6), walk(3, 900, seed=7)), walk(3, 900, seed=8)],
    "a state visited once": [walk(3, 900, seed=9), np.insert(walk(3, 900, seed=10), 450, np.full(20, 5))],
    "trajectories hardly longer than the lag": [walk(3, 14, seed=i) for i in range(11, 31)],
    "no positive eigenvalue": [alternating(), alternating()],
}


def settings() -> MsmSettings:
    return MsmSettings("m", "b", float(LAG), [1.0, float(LAG), 4.0 * LAG, 100.0 * LAG], 6, 2, 2, 20, 3, 0)


def verdicts_of_the_model(
    dtrajs: list[np.ndarray], model: MarkovModel, posterior: Posterior, macrostates: Macrostates
) -> Iterator[dict]:
    chosen, lag_ps = settings(), float(LAG)
    yield ck_verdict(ck_table(dtrajs, model, posterior, macrostates, lag_ps=lag_ps, n_multiples=3, seed=0))
    yield convergence_verdict(convergence_table(dtrajs, model, macrostates, chosen), n_processes=1)
    curves = choose_curves(model, macrostates, n_processes=2)
    table = relaxation_table(dtrajs, model, posterior, curves, lag_ps=lag_ps, slowest_ps=slowest_frames(model))
    yield relaxation_verdict(table)
    yield spectrum_verdict(spectrum_table(model, posterior, lag_ps=lag_ps), model, macrostates)
    free = estimate_nonreversible(model, n_samples=20, seed=0)
    yield reversibility_verdict(compare_models(model, posterior, free, macrostates, lag_ps=lag_ps, n_processes=2))
    sets = choose_sets(model, macrostates, PathSettings("most_probable", "slowest_process"))
    paths = find_paths(model.transition_matrix, model.stationary_distribution, macrostates, sets)
    samples = sample_paths(posterior, macrostates, sets, around=paths)
    yield paths_verdict(paths, samples, sets, lag_ps=lag_ps)
    for table in (
        committor_table(model, macrostates, paths, samples),
        flux_table(paths, samples, lag_ps=lag_ps),
        pathway_table(paths, samples, sets, lag_ps=lag_ps),
    ):
        assert len(table)
    try:
        hidden = fit_hidden_model(dtrajs, model, macrostates, n_samples=20, seed=0)
        yield hidden_verdict(
            hidden_table(hidden, model, posterior, macrostates, lag_ps=1.0), hidden, macrostates, model
        )
    except NotEstimable:
        pass
    runs = [np.eye(6)[dtraj] @ np.arange(6.0)[:, None] for dtraj in dtrajs]
    lags = {float(lag): lag for lag in (1, LAG, 4 * LAG, 100 * LAG)}
    yield consistency_verdict(consistency_table(runs, model, posterior, lag_frames=lags, seed=0), lag_ps=lag_ps)


def slowest_frames(model: MarkovModel) -> float:
    spectrum = eigenvalues(model.transition_matrix, model.stationary_distribution)
    return float(implied_timescales(spectrum, lag_ps=float(LAG), n_processes=1)[0])


def tables_of_states(
    dtrajs: list[np.ndarray], model: MarkovModel, posterior: Posterior, macrostates: Macrostates
) -> Iterator[pd.DataFrame]:
    macrostate = macrostate_of_microstate(model, macrostates)
    visits = count_visits([macrostate[dtraj] for dtraj in dtrajs], n_macrostates=2, coring_frames=LAG)
    yield state_table(model, posterior, macrostates, visits)
    yield rate_table(model, posterior, macrostates, visits, lag_ps=1.0)
    yield sampling_table(dtrajs, model, macrostates, frame_interval_ps=1.0)
    yield passage_table(dtrajs, model, macrostates, settings(), frame_interval_ps=1.0)
    microstate, lengths = np.concatenate(dtrajs), list(map(len, dtrajs))
    spectrum = eigenvalues(model.transition_matrix, model.stationary_distribution)
    blocks = cut_blocks(lengths, correlation_frames=correlation_frames(spectrum, n_states=2, lag_frames=LAG))
    weight = frame_weights(microstate, model.counts.active, model.stationary_distribution)
    frames, values = WeightedFrames(macrostate[microstate], weight, blocks, 2), 10.0 * microstate[:, None]
    yield annotate(frames, values, each_for=np.ones(values.shape), names=["x"], units=["nm"], periodic=[False])
    sums = sum_contacts(frames, microstate[:, None] >= np.arange(1, 4))
    yield contact_probabilities(sums, ["a", "b", "c"], ["a", "b"])
    yield compare_states(sums, ["a", "b", "c"])
    counted = count_blocks(dtrajs, cut_blocks(lengths, correlation_frames=slowest_frames(model)), model)
    torsions = [ResidueTorsions("ALA2", 40.0 * microstate - 150, 20.0 * microstate)]
    yield surfaces(torsions, counted, model, draw_blocks(counted.blocks, n_samples=20, seed=0))


@pytest.mark.parametrize("dtrajs", CASES.values(), ids=CASES)
def test_every_table_and_verdict_is_made(dtrajs):
    counts = count_transitions(dtrajs, lag_frames=LAG, n_microstates=6)
    model = estimate_model(counts)
    posterior = sample_posterior(model, n_samples=20, seed=0)
    macrostates = find_macrostates(model, n_macrostates=2)
    lags = {lag_ps: int(lag_ps) for lag_ps in settings().scan_lags_ps}
    connected = connectivity_verdict(connectivity_table(dtrajs, lag_frames=lags, n_microstates=6), lag_ps=float(LAG))
    scan = scan_lags(dtrajs, settings(), n_microstates=6, frame_interval_ps=1.0)
    proposed = propose_lag(scan, configured_lag_ps=float(LAG), n_processes=1)
    summary = model_summary(model, posterior, macrostates, settings(), temperature_K=300.0, n_trajectories=len(dtrajs))
    json.dumps(without_nan(summary), allow_nan=False)
    for found in (connected, proposed, *verdicts_of_the_model(dtrajs, model, posterior, macrostates)):
        assert found["verdict"] in VERDICTS
        assert bool(found["reasons"]) == (found["verdict"] != "pass")
        json.dumps(without_nan(found), allow_nan=False, default=float)
    for table in tables_of_states(dtrajs, model, posterior, macrostates):
        for lower in (name for name in table if "lower" in name):
            # Both ends of an interval or none, in order.
            ends = table[[lower, lower.replace("lower", "upper")]].astype(float)
            assert (ends.isna().sum(axis=1) != 1).all()
            assert (ends.iloc[:, 0] <= ends.iloc[:, 1])[ends.notna().all(axis=1)].all()


@pytest.mark.parametrize("case", ["two wells that are not connected", "a microstate that swallows half of all"])
def test_half_of_the_frames_lost_is_a_failure_that_says_how_much(case):
    lags = {float(LAG): LAG}
    found = connectivity_verdict(connectivity_table(CASES[case], lag_frames=lags, n_microstates=6), lag_ps=float(LAG))
    assert found["verdict"] == "fail"
    assert found["fraction_of_frames_active"] == pytest.approx(0.5, abs=0.02)
    assert "never left" in " ".join(found["reasons"])


@pytest.mark.parametrize(
    "dtrajs",
    [
        [np.zeros(500, dtype=int)],
        [np.zeros(500, dtype=int), np.ones(500, dtype=int)],
        [np.repeat(np.arange(6), 100)],
        [np.zeros(LAG, dtype=int), np.ones(3, dtype=int)],
    ],
    ids=["one microstate", "two that are stuck", "never back", "shorter than the lag"],
)
def test_where_there_is_no_model_one_sentence_says_what_to_do(dtrajs):
    with pytest.raises(ValueError, match=r"(lower|shorten|give|train|choose)[^.]*\.$") as error:
        estimate_model(count_transitions(dtrajs, lag_frames=LAG, n_microstates=6))
    assert "\n" not in str(error.value)
