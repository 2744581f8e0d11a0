"""Which files make up one run, which do not, and what is refused because nobody could tell."""

import json
import logging
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geom2msm.runs import Run, join_runs, read_inventories

INTERVAL_PS = 2.0


def inventory(name, times_ps, *, stride=1, timed=True, interval_ps=INTERVAL_PS):
    """What inspect_trajectory writes of a file with frames at these times, of which every stride-th counts."""
    counted = np.float32(times_ps[::stride])
    checks = {"first_time_ps": float(counted[0]), "last_time_ps": float(counted[-1])} if timed else {}
    return {
        "trajectory": name, "file": f"{name}.xtc", "n_frames": len(counted), "stride": stride, "checks": checks,
        "file_frame_interval_ps": interval_ps, "frame_interval_ps": stride * interval_ps,
    }  # fmt: skip


def in_files(lengths, *, overlap=0, stride=1, start_ps=0.0, timed=True, interval_ps=INTERVAL_PS):
    """A run in files of so many frames; each repeats the last frames of the one before."""
    found, first = [], 0
    for number, length in enumerate(lengths):
        times_ps = start_ps + interval_ps * np.arange(first, first + length)
        found.append(inventory(f"run-{number}", times_ps, stride=stride, timed=timed, interval_ps=interval_ps))
        first += length - overlap
    return found


lengths_of_files = st.lists(st.integers(2, 40), min_size=1, max_size=8)


@given(
    lengths=lengths_of_files,
    start_ps=st.sampled_from([0.0, 14.0, 2_000_000.1]),
    interval_ps=st.sampled_from([2.0, 0.7]),
    timed=st.booleans(),
)
def test_a_run_is_one_run_wherever_it_is_cut_and_whenever_it_begins(lengths, start_ps, interval_ps, timed):
    known = in_files(lengths, start_ps=start_ps, timed=timed, interval_ps=interval_ps)
    names = tuple(each["trajectory"] for each in known)
    assert join_runs(known, continuous=True) == [Run(names, tuple(lengths))]
    assert join_runs(known, continuous=False) == [Run((name,), (n,)) for name, n in zip(names, lengths, strict=True)]


@given(lengths=st.lists(st.integers(4, 30), min_size=2, max_size=6), overlap=st.integers(1, 3))
def test_frames_that_repeat_are_refused_and_never_silently_another_run(lengths, overlap):
    last_ps = INTERVAL_PS * (lengths[0] - 1)
    first_ps = last_ps - INTERVAL_PS * (overlap - 1)
    if first_ps == 0:
        return
    message = (
        rf"run-1\.xtc: it begins at {first_ps:g} ps, but trajectories\.continuous is true and run-0\.xtc has "
        rf"a frame at {last_ps:g} ps; cut what comes before the next .* -b {last_ps + INTERVAL_PS:g}\)"
    )
    with pytest.raises(ValueError, match=message):
        join_runs(in_files(lengths, overlap=overlap), continuous=True)


@given(
    lengths=st.lists(st.integers(2, 30), min_size=2, max_size=6), stride=st.integers(2, 5), overlap=st.integers(0, 1)
)
def test_with_a_stride_frames_are_equidistant_in_a_run_or_the_files_are_refused(lengths, stride, overlap):
    known = in_files([n + stride for n in lengths], stride=stride, overlap=overlap)
    phases = np.cumsum([n + stride - overlap for n in lengths[:-1]]) % stride
    if (phases == 0).all() and not overlap:
        assert len(join_runs(known, continuous=True)) == 1
    elif not overlap:
        with pytest.raises(
            ValueError, match=rf"trajectories\.stride = {stride} frames are {2 * stride} ps apart; join"
        ):
            join_runs(known, continuous=True)
    else:
        with pytest.raises(ValueError, match=r"stride = |has a frame at"):
            join_runs(known, continuous=True)


@pytest.mark.parametrize("stride", [1, 3])
def test_a_file_cut_as_the_refusal_says_continues_the_one_before(stride):
    before, after = in_files([13, 30], stride=stride, overlap=2)
    with pytest.raises(ValueError, match=r"trajectories\.continuous is true") as refusal:
        join_runs([before, after], continuous=True)
    cut_ps = float(re.search(r"-b ([\d.]+)", str(refusal.value))[1])
    checks = after["checks"]
    after["checks"] = checks | {"first_time_ps": cut_ps, "last_time_ps": checks["last_time_ps"]}
    assert len(join_runs([before, after], continuous=True)) == 1


@pytest.mark.parametrize("shift_ps", [INTERVAL_PS, 5000.0, -500.0])
def test_a_hole_and_times_from_before_begin_a_new_run_and_the_log_says_so(shift_ps, caplog):
    known = in_files([100, 40, 60], start_ps=1000.0)
    for each in known[1:]:
        each["checks"] = {name: time + shift_ps for name, time in each["checks"].items()}
    with caplog.at_level(logging.INFO):
        runs = join_runs(known, continuous=True)
    assert [run.trajectories for run in runs] == [("run-0",), ("run-1", "run-2")]
    broken, joined = caplog.messages
    begins_ps = 1200 + shift_ps
    assert (
        broken == f"run-1 begins a new run: it begins at {begins_ps:g} ps, not 2 ps after the end of run-0 at 1198 ps"
    )
    assert (
        joined == f"run-2 continues run-1: it begins at {begins_ps + 80:g} ps, one interval after {begins_ps + 78:g} ps"
    )
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_files_that_all_count_from_one_time_are_joined_as_the_config_says(caplog):
    known = [inventory(name, INTERVAL_PS * np.arange(n)) for name, n in (("a", 50), ("b", 80), ("c", 20))]
    with caplog.at_level(logging.INFO):
        assert len(join_runs(known, continuous=True)) == 1
    assert caplog.messages[0] == "b continues a: trajectories.continuous says so, both count from 0 ps"


def test_where_no_times_tell_whether_the_stride_goes_on_the_log_warns(caplog):
    assert len(join_runs(in_files([9, 9], stride=3, timed=False), continuous=True)) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "multiple of trajectories.stride = 3" in caplog.messages[0]
    caplog.clear()
    join_runs(in_files([9, 9], timed=False), continuous=True)
    assert not caplog.records


def test_the_same_file_twice_is_refused_with_both_names(tmp_path):
    paths = [str(tmp_path / f"{name}.json") for name in "abc"]
    for name, content in {"a": "one", "b": "other", "c": "one"}.items():
        known = {"trajectory": name, "file": f"data/{name}.xtc", "sha256": content}
        (tmp_path / f"{name}.json").write_text(json.dumps(known))
    assert [each["trajectory"] for each in read_inventories(paths[:2])] == ["a", "b"]
    with pytest.raises(ValueError, match=r"data/c\.xtc: the content is that of data/a\.xtc.* \(trajectories c and a\)"):
        read_inventories(paths)
