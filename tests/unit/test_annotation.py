"""Means of states: what they are, how sure they are, and what cannot be said."""

import numpy as np
import pandas as pd
import pytest

from geom2msm.annotation import (
    WeightedFrames,
    annotate,
    axis_label,
    correlation_frames,
    frames_stood_for,
    largest_differences,
    state_means,
    weighted_quantiles,
    wrapped,
)
from geom2msm.joined_store import StoredTrajectory, write_joined
from geom2msm.ramachandran import frame_weights
from geom2msm.resampling import Blocks, cut_blocks
from geom2msm.state_contacts import compare_states, contact_probabilities, read_contacts, sum_contacts
from systems import eigenvalues, simulate_chain, stationary_distribution, three_state_chain


def one_block_each(n_frames: int, *, n_blocks: int) -> Blocks:
    return Blocks(np.arange(n_frames) * n_blocks // n_frames, np.zeros(n_blocks, dtype=int))


def random_frames(rng, *, n_frames=4000, n_states=3, n_blocks=20) -> WeightedFrames:
    state, weight = rng.integers(-1, n_states, n_frames), rng.random(n_frames)
    return WeightedFrames(state, np.where(state < 0, 0, weight), one_block_each(n_frames, n_blocks=n_blocks), n_states)


def test_a_mean_is_that_of_the_weighted_frames_of_its_state():
    rng = np.random.default_rng(0)
    frames, values = random_frames(rng), rng.normal(size=4000)
    values[::7] = np.nan
    means = state_means(frames, values, periodic=False)
    for state in range(3):
        used = (frames.state == state) & np.isfinite(values)
        assert means.mean[state] == pytest.approx(np.average(values[used], weights=frames.weight[used]))
        assert means.lower[state] < means.mean[state] < means.upper[state]
    assert means.n_blocks.tolist() == [20, 20, 20]


@pytest.mark.parametrize("turn", [0.0, 77.0, 179.0, -140.0])
def test_angles_differ_by_the_shorter_way_round_wherever_zero_is(turn):
    angles = wrapped(np.array([179.0, -179.0, 150.0, np.nan]) + turn)
    columns = {"omega": angles, "distance": [3.0, np.nan, -4.0, 0.0], "strand": np.zeros(4)}
    tables = [pd.DataFrame({"observable": name, "mean": means}) for name, means in columns.items()]
    known = {"periodic": [True] * 4 + [False] * 8, "standard_deviation": [2.0] * 8 + [0.0] * 4}
    found = largest_differences(pd.concat(tables).assign(**known))
    assert list(found.index) == list(columns)
    np.testing.assert_allclose(found, [31 / 2, 7 / 2, np.nan])


def test_the_interval_contains_the_truth_in_95_of_100_repeats():
    """A chain whose fast process, of 49 frames, goes on within the second macrostate, where the observable shows it."""
    transition_matrix, rng = three_state_chain(), np.random.default_rng(5)
    probability = stationary_distribution(transition_matrix)
    correlation = correlation_frames(eigenvalues(transition_matrix), n_states=2, lag_frames=1)
    truth = [1.0, probability[1:] @ [3.0, 9.0] / probability[1:].sum()]
    inside = np.zeros((100, 2), dtype=bool)
    for repeat in range(100):
        microstate = np.concatenate([simulate_chain(transition_matrix, 6000, rng) for _ in range(5)])
        values = np.array([1.0, 3.0, 9.0])[microstate] + rng.normal(size=len(microstate))
        weight = frame_weights(microstate, np.arange(3), np.bincount(microstate) / len(microstate))
        blocks = cut_blocks([6000] * 5, correlation_frames=correlation)
        frames = WeightedFrames(np.array([0, 1, 1])[microstate], weight, blocks, 2)
        means = state_means(frames, values, periodic=False)
        inside[repeat] = (means.lower <= truth) & (truth <= means.upper)
    assert (inside.sum(axis=0) >= 90).all()
    assert (inside.sum(axis=0) < 100).all()


def test_a_state_that_few_blocks_reach_has_no_interval_and_one_never_reached_no_mean():
    rng = np.random.default_rng(2)
    frames = random_frames(rng)
    state = np.where((frames.state == 1) & (frames.blocks.of_frame > 2), 0, frames.state)
    frames = WeightedFrames(np.where(state == 2, 0, state), frames.weight, frames.blocks, 3)
    table = annotate(
        frames, rng.normal(size=(4000, 1)), each_for=np.ones((4000, 1)), names=["x"], units=["nm"], periodic=[False]
    )
    table = table.set_index("state")
    assert table.n_blocks.tolist() == [20, 3, 0]
    assert table["mean"].notna().tolist() == [True, True, False]
    assert table.mean_lower.notna().tolist() == table.mean_upper.notna().tolist() == [True, False, False]
    assert table.n_frames[3] == 0
    assert table.loc[3, ["standard_deviation", "quantile_0.5"]].isna().all()


def test_a_trajectory_counts_with_its_length_however_few_of_its_frames_have_a_value():
    rng = np.random.default_rng(10)
    frames = WeightedFrames(np.zeros(1000, dtype=int), np.full(1000, 1e-3), one_block_each(1000, n_blocks=20), 1)
    values = np.repeat([0.0, 1.0], [800, 200]) + 1e-3 * rng.normal(size=1000)
    some = np.full(1000, np.nan)
    looked_at = np.append(np.arange(0, 800, 8), np.arange(800, 1000, 2))
    some[looked_at] = values[looked_at]
    described = {"names": ["sasa", "all"], "units": ["nm²"] * 2, "periodic": [False] * 2}
    described["each_for"] = frames_stood_for([800, 200], [[8, 1], [2, 1]])
    table = annotate(frames, np.stack([some, values], axis=1), **described).set_index("observable")
    assert (
        table.loc["sasa", "mean"] == pytest.approx(table.loc["all", "mean"], abs=1e-3) == pytest.approx(0.2, abs=1e-3)
    )
    assert table.loc["sasa", "quantile_0.75"] == pytest.approx(0, abs=5e-3)
    assert table.n_frames.tolist() == [200, 1000]


def test_all_values_of_a_trajectory_stand_for_its_frames_together():
    each_for = frames_stood_for([10, 7, 3], [[1, 4], [1, 3], [1, 5]])
    np.testing.assert_allclose(each_for[:, 0], 1)
    measured = np.array([frame % every == 0 for n, every in ((10, 4), (7, 3), (3, 5)) for frame in range(n)])
    assert each_for[measured, 1].tolist() == [10 / 3] * 3 + [7 / 3] * 3 + [3.0]


def test_values_missing_in_one_state_give_the_others_no_weight():
    # Of the first trajectory 100 frames are in state 1, and only these have a value, of the second all 1000.
    state = np.repeat([0, 1, 0], [100, 900, 1000])
    values = np.where(state == 0, np.repeat([1.0, 0.0], 1000), np.nan)
    frames = WeightedFrames(state, np.full(2000, 5e-4), one_block_each(2000, n_blocks=20), 2)
    described = {"names": ["mine"], "units": [""], "periodic": [False], "each_for": np.ones((2000, 1))}
    table = annotate(frames, values[:, None], **described).set_index("state")
    assert table.loc[1, "mean"] == pytest.approx(100 / 1100)
    assert np.isnan(table.loc[2, "mean"])


def test_angles_on_both_sides_of_180_degrees_have_their_mean_there():
    rng = np.random.default_rng(3)
    frames = random_frames(rng, n_states=1)
    angles = wrapped(178 + rng.normal(0, 10, 4000))
    assert abs(angles.mean()) < 60
    row = annotate(
        frames, angles[:, None], each_for=np.ones((4000, 1)), names=["psi"], units=["°"], periodic=[True]
    ).iloc[0]
    assert abs(row["mean"]) == pytest.approx(178, abs=1)
    assert row.mean_lower < row["mean"] < row.mean_upper
    assert row.mean_upper - row.mean_lower < 2
    assert row.standard_deviation == pytest.approx(10, rel=0.05)
    assert row["quantile_0.95"] - row["quantile_0.05"] == pytest.approx(2 * 1.645 * 10, rel=0.06)


def test_a_circular_mean_turns_with_the_angles():
    rng = np.random.default_rng(4)
    frames, angles = random_frames(rng, n_states=1), rng.normal(20, 30, 4000)
    still = state_means(frames, wrapped(angles), periodic=True)
    # Turned to 180 degrees, half of what remains without a block lies on the other side.
    for turn in (137, 180 - still.mean[0]):
        turned = state_means(frames, wrapped(angles + turn), periodic=True)
        for bound in ("mean", "lower", "upper"):
            difference = getattr(turned, bound) - getattr(still, bound) - turn
            np.testing.assert_allclose(wrapped(difference), 0, atol=1e-6)


def test_quantiles_follow_the_weights():
    values = np.array([3.0, 1.0, 2.0])
    assert weighted_quantiles(values, np.array([0.9, 0.05, 0.05])).tolist() == [1, 3, 3, 3, 3]
    assert weighted_quantiles(values, np.ones(3)).tolist() == [1, 1, 2, 3, 3]
    assert np.isnan(weighted_quantiles(values[:0], values[:0])).all()


def test_the_memory_within_states_is_the_first_timescale_beyond_them():
    found = np.array([1, 0.99, 0.9, 0.5])
    assert correlation_frames(found, n_states=2, lag_frames=10) == pytest.approx(-10 / np.log(0.9))
    assert correlation_frames(found, n_states=3, lag_frames=10) == pytest.approx(-10 / np.log(0.5))
    assert correlation_frames(np.array([1, 0.9, 1e-9]), n_states=2, lag_frames=10) == 10
    assert correlation_frames(found, n_states=4, lag_frames=10) == 10


@pytest.mark.parametrize(
    ("name", "unit", "label"),
    [("rmsd_chain", "nm", "RMSD chain (nm)"), ("helix", "1", "helix (fraction)"), ("energy", "", "energy")],
)
def test_labels_have_their_units(name, unit, label):
    assert axis_label(name, unit) == label


def touching_by_state(rng, frames, probability):
    """Contacts that are there with a probability that depends on the state."""
    return rng.random((len(frames.state), probability.shape[1])) < probability[frames.state]


def test_contacts_are_ranked_by_how_much_their_probabilities_differ():
    rng = np.random.default_rng(6)
    frames = random_frames(rng)
    probability = np.array([[0.1, 0.5, 0.9], [0.9, 0.5, 0.6], [0.5, 0.5, 0.2]])
    sums = sum_contacts(frames, touching_by_state(rng, frames, probability))
    table = compare_states(sums, ["far", "same", "near"])
    first = table[(table.state == 1) & (table.other_state == 2)]
    assert first.contact.tolist() == ["far", "near"]
    np.testing.assert_allclose(first.difference, [0.8, -0.3], atol=0.06)
    assert (table.difference_lower < table.difference).all()
    assert (table.difference < table.difference_upper).all()
    assert set(zip(table.state, table.other_state, strict=True)) == {(1, 2), (1, 3), (2, 3)}
    each = contact_probabilities(sums, ["far", "same", "near"], ["near"])
    assert each.state.tolist() == [1, 2, 3]
    np.testing.assert_allclose(each.probability, probability[:, 2], atol=0.05)


def test_the_difference_of_contacts_covers_the_truth():
    rng, inside = np.random.default_rng(8), 0
    for _ in range(100):
        frames = random_frames(rng, n_frames=1000, n_states=2)
        probability = np.array([[0.3], [0.5]])
        row = compare_states(sum_contacts(frames, touching_by_state(rng, frames, probability)), ["c"])
        inside += int(row.difference_lower[0] <= 0.2 <= row.difference_upper[0])
    assert 90 <= inside < 100


def test_a_trajectory_counts_with_its_length_however_few_of_its_frames_are_looked_at():
    frames = WeightedFrames(np.zeros(100, dtype=int), np.full(100, 0.01), one_block_each(100, n_blocks=10), 1)
    # There all the time in the first 20 frames, and never in the 80 of another trajectory.
    looked_at = np.append(np.arange(20), np.arange(20, 100, 4))
    some = frames.only(looked_at, each_for=np.repeat([1.0, 4.0], 20))
    assert sum_contacts(some, looked_at[:, None] < 20).probability == pytest.approx(0.2)


def test_without_contacts_the_tables_are_empty_but_have_their_columns():
    frames = random_frames(np.random.default_rng(0))
    sums = sum_contacts(frames, np.zeros((4000, 0), dtype=bool))
    assert len(compare_states(sums, [])) == 0
    assert "difference" in compare_states(sums, [])
    assert "probability" in contact_probabilities(sums, [], [])


def test_contacts_of_trajectories_are_put_together_by_name(tmp_path):
    files, states = [], str(tmp_path / "states.zarr.zip")
    trajectories = [StoredTrajectory("run-0", 10), StoredTrajectory("run-1", 20)]
    write_joined(states, trajectories, attributes={}, arrays={"macrostate": np.zeros(30, dtype=np.int32)})
    for number, names in enumerate([["A B", "A C"], ["A C", "B C"]]):
        files.append(str(tmp_path / f"run-{number}.npz"))
        touching = np.array([[True, False], [False, True]])
        np.savez(files[-1], trajectory=f"run-{number}", frames=[0, 5], names=names, touching=touching)
    known = read_contacts(files, like=states)
    assert known.frames.tolist() == [0, 5, 10, 15]
    assert known.each_for.tolist() == [5, 5, 10, 10]
    table = pd.DataFrame(known.touching, columns=known.names).astype(int)
    assert table.to_dict("list") == {"A B": [1, 0, 0, 0], "A C": [0, 1, 1, 0], "B C": [0, 0, 0, 1]}
    with pytest.raises(ValueError, match=r"run-1\.npz: trajectory 'run-1', but .* has 'run-0' there"):
        read_contacts(files[::-1], like=states)
