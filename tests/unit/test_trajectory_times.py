"""Times that can be times must agree with the config, frame by frame; all others are unusable, and it is said why."""

import mdtraj
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geom2msm.topology import load_topology
from geom2msm.trajectory_checks import inspect_frames
from geom2msm.trajectory_times import check_frame_interval

AGREE = "agree with frame_interval_ps"
intervals = st.floats(1e-3, 1e5)


def verdict(times_ps, frame_interval_ps, *, stride=1):
    """The verdict on times as an XTC file holds them."""
    saved = np.asarray(times_ps).astype(np.float32).astype(np.float64)[::stride]
    return check_frame_interval("run.xtc", saved, frame_interval_ps=frame_interval_ps, stride=stride)


def refusal(times_ps, frame_interval_ps, *, stride=1):
    with pytest.raises(ValueError, match=r"^run\.xtc: ") as caught:
        verdict(times_ps, frame_interval_ps, stride=stride)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@settings(max_examples=100)
@given(interval=intervals, start=st.integers(0, 10**5), n_frames=st.integers(2, 300), stride=st.integers(1, 7))
def test_right_times_agree_wherever_they_begin_and_however_they_are_rounded(interval, start, n_frames, stride):
    times = interval * (start + np.arange(n_frames * stride))
    assert verdict(times, interval, stride=stride) == AGREE


@settings(max_examples=100)
@given(interval=intervals, factor=st.sampled_from([0.1, 0.5, 0.98, 1.02, 2, 10, 1000]), n_frames=st.integers(3, 300))
def test_a_wrong_interval_never_passes(interval, factor, n_frames):
    times = 7 * interval + interval * np.arange(n_frames)
    message = refusal(times, factor * interval)
    found = float(message.split("the times in the file are ")[1].split(" ps apart")[0])
    assert found == pytest.approx(interval, rel=1e-4)


@settings(max_examples=100)
@given(
    n_frames=st.integers(5, 200), place=st.integers(1, 199), jump=st.sampled_from([-40, -10, -1, 1, 3, 5000]),
    wrong=st.sampled_from([1.0, 10.0]),
)  # fmt: skip
def test_one_irregular_time_does_not_switch_off_the_check(n_frames, place, jump, wrong):
    """A gap, a repeated frame, or an appended restart: the interval is judged by the other frames."""
    place = 1 + place % (n_frames - 1)
    times = 5000 + 10.0 * (np.arange(n_frames) + jump * (np.arange(n_frames) >= place))
    message = refusal(times, 10.0 * wrong)
    if wrong == 1:
        assert f"frame {place} is at {times[place]:g} ps, frame {place - 1} at {times[place - 1]:g} ps" in message
        assert ("frames are missing" if jump > 0 else "frames are repeated") in message
        assert "cut the file in two" in message
    else:
        assert "frame_interval_ps = 100, but the times in the file are 10 ps apart" in message


@pytest.mark.parametrize("stride", [2, 5])
def test_a_gap_between_strided_frames_is_named_by_frames_of_the_file(stride):
    times = 10.0 * (np.arange(100) + 50 * (np.arange(100) >= 41))
    found = -(-41 // stride) * stride
    assert f"frame {found} is at {times[found]:g} ps, frame {found - stride} at" in refusal(times, 10.0, stride=stride)


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (np.arange(9.0), "plain frame numbers"),
        (np.arange(1.0, 10.0), "plain frame numbers"),
        (np.zeros(9), "all equal"),
        (np.full(9, 40.0), "all equal"),
        (np.array([0.0, 0, 0, 0, 0, 7]), "not increasing"),
        (-5.0 * np.arange(9), "not increasing"),
        (np.array([0.0, 5, 11, 30, 31, 60]), "not equidistant"),
        (np.array([0.0, np.nan, 10]), "not finite"),
        (1e9 + 10.0 * np.arange(9), "not increasing"),
        (1e5 + 6e6 * np.arange(9), "6e+06 ps between frames"),
    ],
)
def test_times_that_are_none_are_unusable_and_the_reason_is_said(times, reason):
    assert verdict(times, 5.0) == f"unusable: {reason}"


def test_frame_numbers_are_times_where_the_config_says_so():
    assert verdict(np.arange(9.0), 1.0) == AGREE


def test_frame_numbers_with_a_gap_are_no_plain_ones():
    numbers = np.arange(50.0) + 100 * (np.arange(50) > 30)
    assert "1 ps apart" in refusal(numbers, 10.0)
    assert "frame 31 is at 131 ps, frame 30 at 30 ps" in refusal(numbers, 1.0)


def test_single_precision_times_of_a_long_run_agree():
    times = np.arange(2_000_000, 2_001_000) * 5.2
    assert len(np.unique(np.diff(times.astype(np.float32)))) > 1
    assert verdict(times, 5.2) == AGREE


@pytest.mark.parametrize("n_frames", [2, 3, 4, 7])
def test_a_few_frames_late_in_a_long_run_agree(n_frames):
    times = np.arange(1_000_003, 1_000_003 + n_frames) * 5.2
    assert verdict(times, 5.2) == AGREE
    assert "times in the file are" in refusal(times, 10.4)


def test_one_frame_has_no_interval():
    assert verdict(np.zeros(1), 5.0) == "one frame"


def test_formats_without_times_are_not_asked():
    assert check_frame_interval("run.dcd", np.arange(9) * 1.0, frame_interval_ps=5.0) == "none in this format"


@pytest.mark.parametrize("extension", ["xtc", "trr", "nc"])
@pytest.mark.filterwarnings("ignore:.*netCDF4")
def test_a_gap_in_a_file_stops_its_inspection(extension, repository, tmp_path):
    structure = repository / "resources/structures/alanine_dipeptide.pdb"
    topology, path = load_topology(str(structure)), str(tmp_path / f"run.{extension}")
    times = 2.0 * np.concatenate([np.arange(25), 5000 + np.arange(25)])
    mdtraj.Trajectory(np.repeat(mdtraj.load(structure).xyz, 50, axis=0), topology, time=times).save(path)
    with pytest.raises(ValueError, match="frame 25 is at 10000 ps, frame 24 at 48 ps"):
        inspect_frames(path, topology, topology.select("not element H"), frame_interval_ps=2.0)
