"""Every quantity that the workflow gives a 95 % interval, for simulated processes whose exact values are known.

A case simulates from a seed, estimates as the rules do, and returns the bounds beside the truth: one row per number,
the name of its quantity as index. `benchmarks/coverage.py` counts how often the truth is inside.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from geom2msm.annotation import WeightedFrames, correlation_frames, read_weighted_frames, state_means
from geom2msm.free_energy import count_blocks, surfaces
from geom2msm.hidden_markov import fit_hidden_model, hidden_table
from geom2msm.joined_store import StoredTrajectory, read_runs, write_joined
from geom2msm.kinetics import mean_first_passage_times, rate_table, state_table
from geom2msm.markov import (
    MarkovModel,
    Posterior,
    count_transitions,
    eigenvalues,
    estimate_model,
    sample_posterior,
    timescale_table,
)
from geom2msm.markov_validation import ck_table
from geom2msm.passage_times import counted_times
from geom2msm.ramachandran import ResidueTorsions, frame_weights
from geom2msm.relaxation import choose_curves, measured, predicted
from geom2msm.resampling import cut_blocks, draw_blocks
from geom2msm.reversibility import compare_models, estimate_nonreversible
from geom2msm.sampled_matrices import interval
from geom2msm.spectrum import spectrum_table
from geom2msm.state_contacts import compare_states, contact_probabilities, sum_contacts
from geom2msm.states import Macrostates, assign_microstates, count_visits, fit_microstates, macrostate_of_microstate
from geom2msm.transition_paths import (
    PathSets,
    TransitionPaths,
    committor_table,
    decompose,
    find_paths,
    flux_table,
    paths_verdict,
    pathway_table,
    sample_paths,
)
from geom2msm.vamp2_consistency import measured_vamp2, predicted_vamp2
from systems import (
    ThreeWells,
    birth_death_chain,
    diamond_chain,
    exact_vamp2,
    simulate_chain,
    stationary_distribution,
    three_state_chain,
)
from systems import implied_timescales as exact_timescales

LAG = 5
N_SAMPLES = 100
# The fewest whose interval may hold 95 % of further draws: it ends at the lowest and the highest of them.
N_SAMPLED_PATHS = 39
Found = Mapping[str, tuple[object, object, object]]


def simulated(chain: Float[np.ndarray, "state state"], seed: int, *, n_runs: int, n_frames: int) -> list[np.ndarray]:
    """Runs that begin in equilibrium."""
    rng = np.random.default_rng(seed)
    return [simulate_chain(chain, n_frames, rng) for _ in range(n_runs)]


def estimates(
    dtrajs: list[np.ndarray], *, lag_frames: int, n_microstates: int, seed: int, n_samples: int = N_SAMPLES
) -> tuple[MarkovModel, Posterior]:
    """The Markov model and its posterior."""
    model = estimate_model(count_transitions(dtrajs, lag_frames=lag_frames, n_microstates=n_microstates))
    return model, sample_posterior(model, n_samples=n_samples, seed=seed)


def lumped(state: list[int]) -> Macrostates:
    """Crisp macrostates of microstates."""
    return Macrostates(np.eye(max(state) + 1)[state], np.array(state))


def rows(found: Found) -> pd.DataFrame:
    """One row per number from (lower, upper, truth) per quantity."""
    tables = [
        pd.DataFrame({
            "quantity": name, "lower": np.ravel(lower), "upper": np.ravel(upper),
            "truth": np.broadcast_to(truth, np.shape(lower)).ravel(),
        })
        for name, (lower, upper, truth) in found.items()
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def bounds(table: pd.DataFrame, name: str, *, ending: str = "") -> tuple[pd.Series, pd.Series]:
    """The two columns of an interval."""
    return table[f"{name}_lower{ending}"], table[f"{name}_upper{ending}"]


def birth_and_death(seed: int) -> pd.DataFrame:
    """What the model of a birth-death chain of six states says, and what is counted beside it."""
    chain, states = birth_death_chain(), lumped([0, 1, 2, 3, 4, 5])
    pi, at_lag = stationary_distribution(chain), np.linalg.matrix_power(chain, LAG)
    dtrajs = simulated(chain, seed, n_runs=4, n_frames=6000)
    model, posterior = estimates(dtrajs, lag_frames=LAG, n_microstates=6, seed=seed)
    visits = count_visits(dtrajs, n_macrostates=6, coring_frames=LAG)
    exact = exact_timescales(chain)
    times = timescale_table(model, posterior, lag_ps=float(LAG), n_processes=2)
    spectrum = spectrum_table(model, posterior, lag_ps=float(LAG))[:2]
    table = state_table(model, posterior, states, visits)
    # Arrivals are seen only once per lag: the time that a model at this lag can know is that of the chain at the lag.
    passage = LAG * mean_first_passage_times(at_lag, pi, np.eye(6))
    rates = rate_table(model, posterior, states, visits, lag_ps=float(LAG))
    counted = LAG * counted_times(dtrajs, n_macrostates=6, lag_frames=LAG)[0]
    apart = ~np.eye(6, dtype=bool)
    free = estimate_nonreversible(model, n_samples=N_SAMPLES, seed=seed)
    both = compare_models(model, posterior, free, states, lag_ps=float(LAG), n_processes=2)
    neighbors = both[both.name.isin([f"{state}-{state + 1}" for state in range(1, 6)])]
    others = both[both.quantity.isin(["population", "timescale_ps"])]
    runs = [np.eye(6)[dtraj][:, 1:] for dtraj in dtrajs]
    score = exact_vamp2(chain, lag_frames=LAG, dimensions=5)
    sampled = eigenvalues(posterior.transition_matrices, posterior.stationary_distributions)
    return rows({
        "timescales": (times.lower_ps, times.upper_ps, exact[:2]),
        "gaps between timescales": (*bounds(spectrum, "gap"), exact[:2] / exact[1:3]),
        "stationary probabilities": (*bounds(table, "probability"), pi),
        "free energies": (*(each[1:] for each in bounds(table, "free_energy_kT")), np.log(pi[0] / pi[1:])),
        "passage times of the model": (rates.mfpt_lower_ps, rates.mfpt_upper_ps, passage[apart]),
        "passage times counted": (counted[1][apart], counted[2][apart], passage[apart]),
        "without detailed balance": (*bounds(others, "nonreversible"), np.concatenate([pi, exact[:2]])),
        "net currents": (*bounds(neighbors, "nonreversible"), 0.0),
        "VAMP-2 measured": (*measured_vamp2(runs, lag_frames=LAG, seed=seed)[1:], score),
        "VAMP-2 predicted": (*interval(predicted_vamp2(sampled, lags=1.0, dimensions=5)), score),
    })  # fmt: skip


def birth_and_death_in_three_states(seed: int) -> pd.DataFrame:
    """Two microstates each: the Chapman-Kolmogorov test, and curves of relaxation."""
    chain, states = birth_death_chain(), lumped([0, 0, 1, 1, 2, 2])
    at_lag = np.linalg.matrix_power(chain, LAG)
    dtrajs = simulated(chain, seed, n_runs=4, n_frames=6000)
    model, posterior = estimates(dtrajs, lag_frames=LAG, n_microstates=6, seed=seed)
    # Both ask what follows from where the model says that states begin: the truth begins there, too.
    start = states.indicator.T * model.stationary_distribution
    start /= start.sum(axis=1, keepdims=True)
    table = ck_table(dtrajs, model, posterior, states, lag_ps=float(LAG), n_multiples=3, seed=seed).query(
        "multiple > 1"
    )
    powers = [start @ np.linalg.matrix_power(at_lag, k) @ states.indicator for k in range(2, 4)]
    exact = np.ravel(powers)
    return rows({
        "Chapman-Kolmogorov predicted": (*bounds(table, "predicted"), exact),
        "Chapman-Kolmogorov estimated": (*bounds(table, "estimated"), exact),
        **curves(dtrajs, model, posterior, states, chain=chain, multiples=np.array([2, 10, 40]), start=start),
    })  # fmt: skip


def curves(
    dtrajs: list[np.ndarray], model: MarkovModel, posterior: Posterior, states: Macrostates,
    *, chain: np.ndarray, multiples: Int[np.ndarray, " time"], start: Float[np.ndarray, "macrostate active"],
) -> Found:  # fmt: skip
    """Autocorrelations of the two slow processes and relaxation from every state, predicted and measured."""
    lag_frames, exact = model.counts.lag_frames, exact_timescales(chain)
    later = [np.linalg.matrix_power(chain, k * lag_frames) for k in multiples]
    relaxed = np.array([np.diag(start @ each @ states.indicator) for each in later])
    decayed = np.exp(-multiples[:, None] * lag_frames / exact[:2])
    chosen = choose_curves(model, states, n_processes=2)
    blocks = cut_blocks(list(map(len, dtrajs)), correlation_frames=float(exact[0]))
    found = {}
    for name, values in {
        "predicted": predicted(model, posterior, chosen, multiples),
        "measured": measured(dtrajs, model, chosen, multiples, blocks),
    }.items():
        found[f"autocorrelation {name}"] = (values[1, :, :2], values[2, :, :2], decayed)
        found[f"relaxation {name}"] = (values[1, :, 2:], values[2, :, 2:], relaxed)
    return found


def three_states(seed: int) -> pd.DataFrame:
    """Curves where the rarest of three states is entered some hundred times."""
    chain, multiples = three_state_chain(), np.array([5, 20])
    dtrajs = simulated(chain, seed, n_runs=8, n_frames=10_000)
    model, posterior = estimates(dtrajs, lag_frames=10, n_microstates=3, seed=seed)
    states = lumped([0, 1, 2])
    return rows(curves(dtrajs, model, posterior, states, chain=chain, multiples=multiples, start=np.eye(3)))


def diamond(seed: int) -> pd.DataFrame:
    """Transition paths from one end to the other, through one of two states or directly within a lag."""
    chain, states, sets = diamond_chain(), lumped([0, 1, 2, 3]), PathSets([0], [3])
    dtrajs = simulated(chain, seed, n_runs=4, n_frames=6000)
    model, posterior = estimates(dtrajs, lag_frames=LAG, n_microstates=4, seed=seed, n_samples=N_SAMPLED_PATHS)
    paths = find_paths(model.transition_matrix, model.stationary_distribution, states, sets)
    samples = sample_paths(posterior, states, sets, around=paths)
    exact = find_paths(np.linalg.matrix_power(chain, LAG), stationary_distribution(chain), states, sets)
    return rows(paths_beside(model, states, sets, paths, samples, exact))


def paths_beside(
    model: MarkovModel, states: Macrostates, sets: PathSets, paths: TransitionPaths, samples: list[TransitionPaths],
    exact: TransitionPaths,
) -> Found:  # fmt: skip
    """The tables of transition paths beside the exact ones."""
    shares = decompose(exact, sets)
    verdict = paths_verdict(paths, samples, sets, lag_ps=float(LAG))
    between = committor_table(model, states, paths, samples).query("state in [2, 3]")
    flux = flux_table(paths, samples, lag_ps=float(LAG))
    ways = pathway_table(paths, samples, sets, lag_ps=float(LAG))
    per_ns = 1000 / LAG
    truth = {"rate_per_ns": per_ns * exact.rate, "total_flux_per_ns": per_ns * exact.total_flux}
    truth["mfpt_ps"] = LAG / exact.rate
    found = {name: (verdict[f"{name}_lower"], verdict[f"{name}_upper"], truth[name]) for name in truth}
    net = per_ns * exact.net_flux[flux.from_state - 1, flux.to_state - 1]
    route = [shares.get(tuple(map(int, each.split(" > "))), 0.0) for each in ways.pathway]
    # Which of the pathways is listed first differs from seed to seed, and what is not listed has no interval.
    known = [" > ".join(map(str, each)) for each, share in shares.items() if share > 0.1]
    ways, route = ways.set_index("pathway").reindex(known), pd.Series(route, ways.pathway).reindex(known)
    through = flux.set_index(["from_state", "to_state"]).assign(truth=net).loc[[(1, 2), (1, 3), (2, 4), (3, 4)]]
    return {
        "rates": found["rate_per_ns"],
        "total flux": found["total_flux_per_ns"],
        "passage times of paths": found["mfpt_ps"],
        "committors": (*bounds(between, "committor"), exact.forward_committor[1:3]),
        "net fluxes": (*bounds(through, "flux", ending="_per_ns"), through.truth),
        "shares of pathways": (*bounds(ways, "fraction"), route),
    }


def three_wells(seed: int) -> pd.DataFrame:
    """Langevin dynamics in 18 cells."""
    system, edges, lag, stride = ThreeWells(), np.linspace(-8 / 3, 8 / 3, 17), 10, 2
    positions = system.simulate(4, 5000, np.random.default_rng(seed), stride=stride)
    dtrajs = list(np.digitize(positions, edges).astype(np.int32).T)
    model, posterior = estimates(dtrajs, lag_frames=lag, n_microstates=len(edges) + 1, seed=seed)
    # Two of the edges are the tops of the barriers.
    well = np.digitize(np.append(edges, np.inf) - 1e-6, system.barriers)[model.counts.active]
    times = timescale_table(model, posterior, lag_ps=float(stride * lag), n_processes=2)
    inside = interval(posterior.stationary_distributions @ np.eye(3)[well])
    return rows(
        {
            "timescales of Langevin dynamics": (times.lower_ps, times.upper_ps, system.timescales()),
            "populations of Langevin dynamics": (*inside, system.populations()),
        }
    )


def many_microstates(seed: int) -> pd.DataFrame:
    """The same in as many microstates as by default, found by k-means, with 13 independent counts each."""
    system, lag, stride = ThreeWells(), 15, 2
    positions = system.simulate(4, 5000, np.random.default_rng(seed), stride=stride)
    runs = [run[:, None] for run in positions.T]
    centers = fit_microstates(runs, n_microstates=100, seed=seed)
    dtrajs = [assign_microstates(run, centers) for run in runs]
    model, posterior = estimates(dtrajs, lag_frames=lag, n_microstates=100, seed=seed)
    well = np.digitize(centers[model.counts.active, 0], system.barriers)
    times = timescale_table(model, posterior, lag_ps=float(stride * lag), n_processes=2)
    order = np.argsort(-system.populations())
    states = Macrostates(np.eye(3)[well][:, order], np.argsort(order)[well])
    visits = count_visits(
        [macrostate_of_microstate(model, states)[dtraj] for dtraj in dtrajs], n_macrostates=3, coring_frames=lag
    )
    table = state_table(model, posterior, states, visits)
    exact, multiples = system.timescales(), np.array([2, 10])
    decayed = np.exp(-multiples[:, None] * stride * lag / exact)
    relaxed = np.array([system.relaxation(multiple * stride * lag)[order] for multiple in multiples])
    _, lower, upper = predicted(model, posterior, choose_curves(model, states, n_processes=2), multiples)
    return rows({
        "timescales of many microstates": (times.lower_ps, times.upper_ps, exact),
        "populations of many microstates": (*bounds(table, "probability"), system.populations()[order]),
        "curves of many microstates": (lower, upper, np.hstack([decayed, relaxed])),
    })  # fmt: skip


def hidden_states(seed: int) -> pd.DataFrame:
    """A hidden Markov model of three states that show the wrong microstate in one of ten frames."""
    chain, lag, rng = three_state_chain(), 10, np.random.default_rng(seed)
    dtrajs = []
    for _ in range(4):
        hidden = simulate_chain(chain, 5000, rng)
        dtrajs.append(2 * ((hidden + (rng.random(5000) < 0.1)) % 3) + rng.integers(0, 2, 5000))
    model, posterior = estimates(dtrajs, lag_frames=lag, n_microstates=6, seed=seed)
    states = lumped([0, 0, 1, 1, 2, 2])
    found = fit_hidden_model(dtrajs, model, states, n_samples=N_SAMPLES, seed=seed)
    table = hidden_table(found, model, posterior, states, lag_ps=float(lag))
    truth = np.concatenate([stationary_distribution(chain), exact_timescales(chain)])
    return rows({"hidden Markov model": (*bounds(table, "hidden"), truth)})


def surface(seed: int) -> pd.DataFrame:
    """Free energies of bins, each of which holds one state, at equal total probability."""
    chain = three_state_chain()
    dtrajs = simulated(chain, seed, n_runs=8, n_frames=5000)
    model = estimate_model(count_transitions(dtrajs, lag_frames=10, n_microstates=3))
    blocks = cut_blocks([5000] * 8, correlation_frames=float(exact_timescales(chain)[0]))
    angles = np.array([-100.0, 0.0, 100.0])[np.concatenate(dtrajs)]
    draws = draw_blocks(blocks, n_samples=50, seed=seed)
    torsions = [ResidueTorsions("ALA2", angles, angles)]
    table = surfaces(torsions, count_blocks(dtrajs, blocks, model), model, draws)
    truth = np.log(model.stationary_distribution.max() / stationary_distribution(chain))
    return rows({"free-energy surface": (table.lower_kT, table.upper_kT, truth)})


def annotated(seed: int) -> pd.DataFrame:
    """Means, an angle, contacts and their differences in two states, within which the chain moves on."""
    chain, state = birth_death_chain(), np.array([0, 0, 0, 1, 1, 1])
    pi, rng = stationary_distribution(chain), np.random.default_rng(seed + 10**6)
    dtrajs = simulated(chain, seed, n_runs=4, n_frames=6000)
    model = estimate_model(count_transitions(dtrajs, lag_frames=LAG, n_microstates=6))
    microstate = np.concatenate(dtrajs)
    spectrum = eigenvalues(model.transition_matrix, model.stationary_distribution)
    memory = correlation_frames(spectrum, n_states=2, lag_frames=LAG)
    blocks = cut_blocks(list(map(len, dtrajs)), correlation_frames=memory)
    weight = frame_weights(microstate, model.counts.active, model.stationary_distribution)
    frames = WeightedFrames(state[microstate], weight, blocks, 2)
    inside = np.eye(2)[state].T * pi / (pi @ np.eye(2)[state])[:, None]
    place = np.array([0.0, 1.0, 2.0, 4.0, 7.0, 12.0])
    means = state_means(frames, place[microstate] + rng.normal(size=len(microstate)), periodic=False)
    angle_deg = np.array([150.0, 170.0, 190.0, 180.0, 200.0, 240.0])
    circular = state_means(frames, (angle_deg[microstate] + 180) % 360 - 180, periodic=True)
    turned = np.degrees(np.angle(inside @ np.exp(1j * np.radians(angle_deg - 180))))
    away = [(bound + 360) % 360 - 180 for bound in (circular.lower, circular.upper)]
    probability = np.array([[0.0, 0.1], [0.1, 0.1], [0.9, 0.3], [0.9, 0.6], [0.3, 0.9], [0.0, 1.0]])
    sums = sum_contacts(frames, rng.random((len(microstate), 2)) < probability[microstate])
    each = contact_probabilities(sums, ["a", "b"], ["a", "b"])
    difference = compare_states(sums, ["a", "b"]).set_index("contact").reindex(["a", "b"])
    return rows(
        {
            "means of observables": (means.lower, means.upper, inside @ place),
            "means of angles": (*away, turned),
            "contact probabilities": (*bounds(each, "probability"), np.ravel(inside @ probability)),
            "differences of contacts": (*bounds(difference, "difference"), np.diff(inside @ probability, axis=0)[0]),
        }
    )


def one_run_in_many_files(seed: int) -> pd.DataFrame:
    """Means and a surface of free energies of one run in 800 files, each shorter than its memory."""
    chain, lag, length = three_state_chain(), 10, 100
    pi, (dtraj,) = stationary_distribution(chain), simulated(chain, seed, n_runs=1, n_frames=80_000)
    model = estimate_model(count_transitions([dtraj], lag_frames=lag, n_microstates=3))
    names = [f"piece-{number}" for number in range(len(dtraj) // length)]
    pieces = [StoredTrajectory(name, length, before) for name, before in zip(names, [None, *names[:-1]], strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        states, msm = str(Path(folder, "states.zarr.zip")), str(Path(folder, "msm.npz"))
        arrays = {"microstate": dtraj, "macrostate": np.array([0, 1, 1])[dtraj]}
        write_joined(states, pieces, attributes={}, arrays=arrays)
        spectrum = eigenvalues(model.transition_matrix, model.stationary_distribution)
        known = {"stationary_distribution": model.stationary_distribution, "active_microstates": model.counts.active}
        np.savez(msm, **known, lag_frames=lag, eigenvalues=spectrum, memberships=np.eye(2)[[0, 1, 1]])
        frames, dtrajs = read_weighted_frames(states, msm), read_runs(states, "microstate")
    values = np.array([1.0, 3.0, 9.0])[dtraj] + np.random.default_rng(seed).normal(size=len(dtraj))
    means = state_means(frames, values, periodic=False)
    blocks = cut_blocks(list(map(len, dtrajs)), correlation_frames=float(exact_timescales(chain)[0]))
    angles = np.array([-100.0, 0.0, 100.0])[dtraj]
    draws = draw_blocks(blocks, n_samples=50, seed=seed)
    table = surfaces([ResidueTorsions("ALA2", angles, angles)], count_blocks(dtrajs, blocks, model), model, draws)
    truth = np.log(model.stationary_distribution.max() / pi)
    return rows({
        "means over a run in pieces": (means.lower, means.upper, [1.0, pi[1:] @ [3.0, 9.0] / pi[1:].sum()]),
        "free energies over a run in pieces": (table.lower_kT, table.upper_kT, truth),
    })  # fmt: skip


CASES: dict[str, Callable[[int], pd.DataFrame]] = {
    case.__name__: case
    for case in (
        birth_and_death, birth_and_death_in_three_states, three_states, diamond, three_wells, many_microstates,
        hidden_states, surface, annotated, one_run_in_many_files,
    )
}  # fmt: skip


def inside(found: pd.DataFrame) -> Bool[np.ndarray, " number"]:
    """Whether each interval holds the truth; none does not."""
    return ((found.lower <= found.truth) & (found.truth <= found.upper)).to_numpy()


def coverage(case: Callable[[int], pd.DataFrame], seeds: Iterable[int]) -> pd.DataFrame:
    """One row per number: its quantity, and the share of seeds whose interval holds the truth; on all cores."""
    # Spawned, because a fork takes along the threads of libraries in whatever state they are.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        tables = list(pool.map(case, seeds, chunksize=5))
    share = np.mean([inside(table) for table in tables], axis=0)
    return pd.DataFrame({"quantity": tables[0].quantity, "truth": tables[0].truth, "share": share})
