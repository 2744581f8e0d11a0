"""Log-weights as users bring them: read as they are, one per saved frame, refused in one sentence."""

import json

import numpy as np
import pytest

import read_log_weights as script
from geom2msm.log_weights import read_log_weights
from geom2msm.pairs import fold_log_weights
from geom2msm.runs import Piece, Run
from geom2msm.splits import Fold
from geom2msm.store import read_array, read_attributes


def test_values_stay_as_they_are_and_follow_the_stride(tmp_path):
    values = np.random.default_rng(0).normal(size=10) + 1000.0
    np.save(tmp_path / "a.npy", values)
    (tmp_path / "a.csv").write_text(
        "time_ps,log_weight\n" + "".join(f"{t},{v!r}\n" for t, v in enumerate(values.tolist()))
    )
    for name in ("a.npy", "a.csv"):
        found = read_log_weights(str(tmp_path / name), n_saved_frames=10, stride=1)
        np.testing.assert_array_equal(found, values)
        np.testing.assert_array_equal(read_log_weights(str(tmp_path / name), n_saved_frames=10, stride=3), values[::3])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(9), r"a.npy: 9 log-weights, but the trajectory has 10 saved frames; .* one value for each of them"),
        (
            np.array([0.0] * 4 + [np.inf] + [0.0] * 5),
            r"a.npy: the log-weight of frame 4 is inf; every one must be finite",
        ),
        (np.zeros((10, 2)), r"a.npy: an array of the shape \(10, 2\)"),
        (np.array(["a"] * 10), r"one number per saved frame"),
    ],
)
def test_what_is_not_one_number_per_frame_is_refused(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(ValueError, match=message):
        read_log_weights(str(tmp_path / "a.npy"), n_saved_frames=10, stride=1)


@pytest.mark.parametrize("n_values", [9, 11, 12])
def test_a_lost_or_an_extra_value_is_noticed_whatever_the_stride(tmp_path, n_values):
    np.save(tmp_path / "a.npy", np.zeros(n_values))
    with pytest.raises(ValueError, match=rf"{n_values} log-weights, but the trajectory has 10 saved frames"):
        read_log_weights(str(tmp_path / "a.npy"), n_saved_frames=10, stride=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a.csv: no column 'log_weight'; the first line names nothing"),
        ("t,w\n1,2\n", r"no column 'log_weight'; the first line names t, w"),
        ("log_weight\nmany\n", r"holds something that is no number"),
    ],
)
def test_a_table_without_weights_is_refused(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_log_weights(str(tmp_path / "a.csv"), n_saved_frames=1, stride=1)


def test_a_broken_array_is_refused(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a.npy: no array of numbers in NumPy's format"):
        read_log_weights(str(tmp_path / "a.npy"), n_saved_frames=1, stride=1)


@pytest.fixture
def stores(tmp_path):
    """Weights of two trajectories, of which one counts more throughout."""
    for name, shift in (("run-0", 0.0), ("run-1", 7.0)):
        np.save(tmp_path / f"{name}.npy", shift + np.arange(12) / 10)
        known = {
            "system": "s", "trajectory": name, "selection": "all", "frame_interval_ps": 4.0, "stride": 2,
            "make_whole": True, "n_saved_frames": 12,
        }  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps(known))
        script.main(*(str(tmp_path / f"{name}.{ending}") for ending in ("npy", "json", "zarr.zip")))
    return [str(tmp_path / f"{name}.zarr.zip") for name in ("run-0", "run-1")]


def test_a_store_of_log_weights_has_the_frames_of_the_tokens(stores):
    np.testing.assert_array_equal(read_array(stores[1], "log_weights"), 7.0 + np.arange(12)[::2] / 10)
    np.testing.assert_array_equal(read_array(stores[1], "time_ps"), 4.0 * np.arange(6))
    assert read_attributes(stores[1])["trajectory"] == "run-1"


def test_trajectories_are_not_shifted_against_each_other(stores):
    pieces = [[Piece("run-0", 0, 6)], [Piece("run-1", 0, 6)]]
    runs = [Run((name,), (6,)) for name in ("run-0", "run-1")]
    fold = Fold(pieces[:1], pieces[1:], pieces[1:], runs)
    found = fold_log_weights(fold, stores, lag_ps=4.0)
    assert found["validation"][0] - found["training"][0] == pytest.approx(7.0)
    assert fold_log_weights(fold, [], lag_ps=4.0)["training"] is None
