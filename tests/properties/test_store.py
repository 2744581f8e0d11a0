"""Token stores: what is read is what was written, whatever the chunks and whenever it was killed."""

import zipfile

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from geom2msm.store import ArrayLayout, PartialStore, read_array, read_attributes, write_store

LAYOUT = {
    "scalars": ArrayLayout(("frame", "token", "channel"), (3, 4), "float16"),
    "time_ps": ArrayLayout(("frame",), (), "float64"),
}


def numbers(n_frames: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(n_frames)
    return {
        "scalars": rng.standard_normal((n_frames, 3, 4)).astype("float16"),
        "time_ps": np.arange(n_frames, dtype="float64"),
    }


def fill(path, arrays, *, chunk_frames, stop_after=None, attributes=None):
    """Write a store chunk by chunk; `stop_after` chunks in this attempt, as if killed then."""
    n_frames = len(arrays["time_ps"])
    store = PartialStore(
        str(path), n_frames=n_frames, chunk_frames=chunk_frames, layout=LAYOUT, attributes=attributes or {"a": 1}
    )
    n_written = 0
    while store.frames_done < n_frames and n_written != stop_after:
        start = store.frames_done
        store.append({name: values[start : start + chunk_frames] for name, values in arrays.items()})
        n_written += 1
    if store.frames_done == n_frames:
        store.finish()
    return n_written


@given(n_frames=st.integers(1, 40), chunk_frames=st.integers(1, 50))
@settings(max_examples=20)
def test_any_chunking_gives_back_the_same_arrays(tmp_path_factory, n_frames, chunk_frames):
    path, arrays = tmp_path_factory.mktemp("store") / "x.zarr.zip", numbers(n_frames)
    fill(path, arrays, chunk_frames=chunk_frames)
    for name, values in arrays.items():
        np.testing.assert_array_equal(read_array(str(path), name), values)
    assert read_attributes(str(path)) == {"a": 1}


def test_a_killed_run_continues_and_gives_the_same_bytes(tmp_path):
    arrays = numbers(20)
    fill(tmp_path / "whole.zarr.zip", arrays, chunk_frames=3)
    path = tmp_path / "killed.zarr.zip"
    assert fill(path, arrays, chunk_frames=3, stop_after=4) == 4
    assert not path.exists()
    assert fill(path, arrays, chunk_frames=3) == 3
    assert path.read_bytes() == (tmp_path / "whole.zarr.zip").read_bytes()


def test_another_provenance_starts_afresh(tmp_path):
    path, arrays = tmp_path / "x.zarr.zip", numbers(20)
    fill(path, arrays, chunk_frames=3, stop_after=4)
    assert fill(path, arrays, chunk_frames=3, attributes={"a": 2}) == 7


def test_a_chunk_of_the_wrong_length_is_refused(tmp_path):
    store = PartialStore(str(tmp_path / "x.zarr.zip"), n_frames=9, chunk_frames=4, layout=LAYOUT, attributes={})
    with pytest.raises(ValueError, match="frames 0 to 4 of 'scalars' expected, 3 frames given"):
        store.append(numbers(3))
    with pytest.raises(ValueError, match="0 of 9 frames written"):
        store.finish()


def test_a_truncated_store_is_refused_by_name(tmp_path):
    path = tmp_path / "x.zarr.zip"
    write_store(
        str(path),
        attributes={},
        arrays=numbers(9),
        axes={"scalars": ("frame", "token", "channel"), "time_ps": ("frame",)},
    )
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"x.zarr.zip: no complete .zarr.zip store"):
        read_array(str(path), "scalars")


def test_chunks_are_stored_plain_so_that_they_can_be_mapped(tmp_path):
    path, arrays = tmp_path / "x.zarr.zip", numbers(10)
    fill(path, arrays, chunk_frames=5)
    with zipfile.ZipFile(path) as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read("scalars/c/1/0/0") == arrays["scalars"][5:].tobytes()
    with zarr.storage.ZipStore(path, mode="r") as store:
        assert zarr.open_array(store, path="scalars", mode="r").metadata.dimension_names == (
            "frame",
            "token",
            "channel",
        )
