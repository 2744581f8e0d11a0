from pathlib import Path

import numpy as np
import pytest

from geom2msm.pairs import fold_frames, frame_set, pair_starts, pieces_before, read_chunks
from geom2msm.runs import Piece, join_runs
from geom2msm.splits import SplitSettings, make_folds, write_folds
from geom2msm.store import write_store


def write(path, values, *, trajectory="run-0", frame_interval_ps=1.0):
    """A feature store as the rules write it."""
    attributes = {"system": "test", "trajectory": trajectory, "frame_interval_ps": frame_interval_ps, "provenance": {}}
    arrays = {"features": values, "time_ps": np.arange(len(values)) * frame_interval_ps}
    axes = {"features": ("frame", "channel"), "time_ps": ("frame",)}
    write_store(str(path), attributes=attributes, arrays=arrays, axes=axes)
    return str(path)


@pytest.fixture
def stores(tmp_path):
    rng = np.random.default_rng(0)
    return [
        write(tmp_path / f"{name}.zarr.zip", rng.random((n_frames, 2), np.float32), trajectory=name)
        for name, n_frames in (("run-0", 7), ("run-1", 5), ("run-10", 6))
    ]


WHOLE = [[Piece("run-0", 0, 7)], [Piece("run-1", 0, 5)], [Piece("run-10", 0, 6)]]


def test_pairs_stay_within_their_trajectory():
    trajectory_of_frame = np.repeat([0, 1, 2], [5, 9, 4])
    starts = pair_starts({"a": 5, "b": 9, "c": 4}, lag_frames=3)
    np.testing.assert_array_equal(trajectory_of_frame[starts], trajectory_of_frame[starts + 3])


def test_a_trajectory_of_n_frames_has_n_minus_lag_pairs():
    starts = pair_starts({"a": 5, "b": 9, "c": 4}, lag_frames=3)
    assert len(starts) == len(set(starts)) == (5 - 3) + (9 - 3) + (4 - 3)


@pytest.mark.parametrize("n_frames", [1, 3])
def test_a_trajectory_without_a_pair_is_named(n_frames):
    with pytest.raises(ValueError, match=f"trajectory run-7 has {n_frames} frames and the lag is 3 frames"):
        pair_starts({"run-1": 9, "run-7": n_frames}, lag_frames=3)


@pytest.mark.parametrize("lag_frames", [0, -1])
def test_a_lag_must_be_positive(lag_frames):
    with pytest.raises(ValueError, match="at least 1"):
        pair_starts({"a": 5}, lag_frames=lag_frames)


def test_stores_are_found_by_what_they_say_and_not_by_their_names(tmp_path):
    misleading = write(tmp_path / "run-1.zarr.zip", np.zeros((3, 1)), trajectory="run-2")
    other = write(tmp_path / "run-2.zarr.zip", np.zeros((3, 1)), trajectory="run-1")
    found = frame_set([[Piece("run-2", 0, 3)]], [misleading, other], lag_ps=1.0)
    assert [part.path for part in found.ranges] == [misleading]


def test_a_trajectory_without_a_store_is_named(stores):
    with pytest.raises(ValueError, match="the split names run-3, but there are stores of run-0, run-1, run-10 only"):
        frame_set([*WHOLE, [Piece("run-3", 0, 9)]], stores, lag_ps=1.0)


def test_a_store_shorter_than_the_split_says_is_refused(stores):
    with pytest.raises(ValueError, match=r"run-1.zarr.zip has 5 frames, but the split was made for 6 at least"):
        frame_set([[Piece("run-1", 0, 6)]], stores, lag_ps=1.0)


def test_frames_of_segments_are_laid_end_to_end(stores):
    whole = [frame_set([segment], stores, lag_ps=2.0).read("features") for segment in WHOLE]
    frames = frame_set([[Piece("run-1", 1, 5)], [Piece("run-0", 3, 7)]], stores, lag_ps=2.0)
    np.testing.assert_array_equal(frames.read("features"), np.concatenate([whole[1][1:5], whole[0][3:7]]))
    np.testing.assert_array_equal(frames.starts, [0, 1, 4, 5])
    np.testing.assert_array_equal(np.concatenate(whole)[frames.places(stores)], frames.read("features"))


def test_pairs_cross_from_piece_to_piece_of_a_segment_and_nowhere_else(stores):
    frames = frame_set([[Piece("run-0", 4, 7), Piece("run-1", 0, 4)], [Piece("run-10", 0, 6)]], stores, lag_ps=3.0)
    np.testing.assert_array_equal(frames.starts, [0, 1, 2, 3, 7, 8, 9])


def test_no_frame_of_a_fold_is_within_the_lag_of_another_set(stores):
    inventories = [{"trajectory": name, "n_frames": n, "checks": {}} for name, n in (("run-0", 7), ("run-1", 5))]
    runs = join_runs(inventories, continuous=True)
    settings = SplitSettings("blocks", 2, False, 0.006, gap_ps=2.0)
    fold = make_folds(runs, settings, frame_interval_ps=1.0)[0]
    assert fold_frames(fold, stores, lag_ps=2.0).keys() == {"training", "selection", "validation", "fitting"}
    with pytest.raises(ValueError, match="only 2 frames apart, less than the lag of 3 frames"):
        fold_frames(fold, stores, lag_ps=3.0)


def test_chunks_are_the_frames_in_order(stores, monkeypatch):
    monkeypatch.setattr("geom2msm.pairs.CHUNK_FRAMES", 3)
    chunks = [features for features, _ in read_chunks(stores[0], ("features", "time_ps"))]
    assert [len(chunk) for chunk in chunks] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(chunks), frame_set(WHOLE[:1], stores, lag_ps=1.0).read("features"))


def test_unequal_frame_intervals_are_refused(tmp_path, stores):
    other = write(tmp_path / "other.zarr.zip", np.zeros((9, 2), np.float32), frame_interval_ps=2.0)
    with pytest.raises(ValueError, match=r"other.zarr.zip: frame_interval_ps is 2, that of .*run-0.zarr.zip is 1"):
        frame_set(WHOLE, [*stores, other], lag_ps=2.0)


def test_unequal_features_are_refused(tmp_path, stores):
    other = write(tmp_path / "other.zarr.zip", np.zeros((9, 3), np.float32), trajectory="run-3")
    with pytest.raises(ValueError, match=r"other.zarr.zip: features have the shape \(3,\) per frame"):
        frame_set([*WHOLE, [Piece("run-3", 0, 9)]], [*stores, other], lag_ps=1.0).read("features")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, value):
    broken = np.zeros((4, 2), np.float32)
    broken[2, 1] = value
    path = write(tmp_path / "broken.zarr.zip", broken)
    with pytest.raises(ValueError, match=r"broken.zarr.zip: features hold values that are infinite or not a number"):
        frame_set([[Piece("run-0", 0, 4)]], [path], lag_ps=1.0).read("features")


@pytest.mark.parametrize(("continuous", "before"), [(True, [None, "run-0", "run-1"]), (False, [None] * 3)])
def test_the_split_tells_which_piece_comes_before_another(tmp_path, continuous, before):
    inventories = [
        {"trajectory": f"run-{i}", "n_frames": 100, "frame_interval_ps": 1.0, "checks": {}} for i in range(3)
    ]
    settings = SplitSettings("blocks", 2, False, 0.05, 5.0)
    runs = join_runs(inventories, continuous=continuous)
    split = Path(tmp_path / "split.json")
    write_folds(split, make_folds(runs, settings, frame_interval_ps=1.0), provenance={})
    assert [pieces_before(str(split)).get(f"run-{i}") for i in range(3)] == before
