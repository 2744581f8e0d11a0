"""Frames read in place are those that zarr-python reads, whoever wrote the store; a damaged file is refused."""

import os
import pickle
import zipfile

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import ZipStore

from geom2msm.frame_reader import FrameReader, array_names, open_zip
from geom2msm.plain_zip import CACHE_LINE, check_contents
from geom2msm.store import ArrayLayout, PartialStore, read_array, read_attributes, write_store

SHAPE = (23, 3, 4)
VALUES = np.random.default_rng(0).standard_normal(SHAPE)
TYPES = ["float16", "float32", "float64", "int8", "int64", "uint16"]


def own_store(path, values, *, chunk_frames):
    """A store as the workflow writes it."""
    layout = {
        "values": ArrayLayout(("frame", "token", "channel"), values.shape[1:], values.dtype.name),
        "time_ps": ArrayLayout(("frame",), (), "float64"),
    }
    store = PartialStore(
        str(path), n_frames=len(values), chunk_frames=chunk_frames, layout=layout, attributes={"trajectory": "a"}
    )
    while (start := store.frames_done) < len(values):
        piece = values[start : start + chunk_frames]
        store.append({"values": piece, "time_ps": np.arange(start, start + len(piece), dtype=float)})
    store.finish()
    return str(path)


def foreign_store(path, *, dtype="float32", compression=zipfile.ZIP_STORED, zarr_format=3, **options):
    """A store as zarr-python writes it."""
    options = {"compressors": None, "chunks": (5, 3, 4)} | options
    with ZipStore(path, mode="w", compression=compression) as store:
        array = zarr.create_group(store, zarr_format=zarr_format).create_array(
            "values", shape=SHAPE, dtype=dtype, **options
        )
        array[:] = VALUES.astype(dtype)
    return str(path)


def assert_reads(reader, expected):
    """The reader gives the frames of `expected`, in any order and by ranges."""
    frames = np.random.default_rng(1).integers(0, len(expected), 50)
    np.testing.assert_array_equal(reader.read(frames), expected[frames])
    np.testing.assert_array_equal(reader.read_range(4, 17), expected[4:17])
    np.testing.assert_array_equal(reader.read_range(0, len(reader)), expected)
    assert reader.dtype == expected.dtype


@given(data=st.data(), dtype=st.sampled_from(TYPES), n_frames=st.integers(1, 40), chunk=st.integers(1, 45))
@settings(max_examples=40)
def test_frames_in_any_order_are_those_that_were_written(tmp_path_factory, data, dtype, n_frames, chunk):
    shape = (n_frames, data.draw(st.integers(1, 7)), data.draw(st.integers(1, 70)))
    values = (100 * np.random.default_rng(n_frames).standard_normal(shape)).astype(dtype)
    path = own_store(tmp_path_factory.mktemp("store") / "x.zarr.zip", values, chunk_frames=chunk)
    reader, frames = FrameReader(path, "values"), data.draw(st.lists(st.integers(0, n_frames - 1), max_size=20))
    frames, out = np.array(frames, dtype=np.int64), np.empty((len(frames), *shape[1:]), dtype)
    assert reader.direct
    assert (reader.shape, reader.dtype) == (shape, np.dtype(dtype))
    np.testing.assert_array_equal(reader.read(frames), values[frames])
    assert reader.read(frames, out=out) is out
    np.testing.assert_array_equal(out, values[frames])
    start, stop = sorted(data.draw(st.tuples(st.integers(0, n_frames), st.integers(0, n_frames))))
    np.testing.assert_array_equal(reader.read_range(start, stop), values[start:stop])


@pytest.mark.parametrize("use_consolidated", [None, False, True])
def test_zarr_reads_what_we_write_with_and_without_consolidated_metadata(tmp_path, use_consolidated):
    path = own_store(tmp_path / "x.zarr.zip", VALUES.astype("float16"), chunk_frames=5)
    with ZipStore(path, mode="r") as store:
        group = zarr.open_group(store, mode="r", use_consolidated=use_consolidated)
        assert sorted(group.array_keys()) == array_names(path) == ["time_ps", "values"]
        assert dict(group.attrs) == read_attributes(path) == {"trajectory": "a"}
        np.testing.assert_array_equal(group["values"][:], VALUES.astype("float16"))
        assert group["values"].metadata.dimension_names == ("frame", "token", "channel")


def test_every_chunk_starts_at_a_cache_line(tmp_path):
    archive = open_zip(own_store(tmp_path / "x.zarr.zip", VALUES.astype("float16"), chunk_frames=5))
    assert {archive.start(name) % CACHE_LINE for name in archive.names()} == {0}


@pytest.mark.parametrize("dtype", ["float16", "float32", "int16"])
@pytest.mark.parametrize("separator", ["/", "."])
def test_plain_stores_of_others_are_read_in_place(tmp_path, dtype, separator):
    keys = {"name": "default", "separator": separator}
    path = foreign_store(tmp_path / "x.zarr.zip", dtype=dtype, chunk_key_encoding=keys)
    reader = FrameReader(path, "values")
    assert reader.direct
    assert_reads(reader, VALUES.astype(dtype))


@pytest.mark.parametrize(
    "options",
    [
        {"compressors": "auto"},
        {"compression": zipfile.ZIP_DEFLATED},
        {"chunks": (5, 3, 4), "shards": (10, 3, 4)},
        {"chunks": (5, 2, 4)},
        {"serializer": zarr.codecs.BytesCodec(endian="big")},
        {"filters": [zarr.codecs.TransposeCodec(order=(0, 2, 1))]},
        {"dtype": "complex64"},
        {"zarr_format": 2},
        {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
    ],
    ids=lambda options: ",".join(options),
)
def test_other_stores_are_read_through_zarr_and_the_log_says_so(tmp_path, caplog, options):
    reader = FrameReader(foreign_store(tmp_path / "x.zarr.zip", **options), "values")
    assert not reader.direct
    assert "values is read through zarr-python, which is slow" in caplog.text
    assert_reads(reader, VALUES.astype(options.get("dtype", "float32")))


@pytest.mark.parametrize("fill_value", [0.0, 2.5, np.nan, -np.inf])
def test_an_absent_chunk_holds_the_fill_value(tmp_path, fill_value):
    path = tmp_path / "x.zarr.zip"
    with ZipStore(path, mode="w") as store:
        array = zarr.create_group(store).create_array(
            "values", shape=SHAPE, chunks=(5, 3, 4), dtype="float32", compressors=None, fill_value=fill_value
        )
        array[10:] = VALUES[10:]
    expected = VALUES.astype("float32")
    expected[:10] = fill_value
    reader = FrameReader(str(path), "values")
    assert reader.direct
    assert_reads(reader, expected)


def test_longer_local_headers_than_the_directory_says_are_heeded(tmp_path):
    source = foreign_store(tmp_path / "x.zarr.zip")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(tmp_path / "y.zarr.zip", "w") as new:
        for name in old.namelist():
            with new.open(name, "w", force_zip64=True) as member:
                member.write(old.read(name))
    reader = FrameReader(str(tmp_path / "y.zarr.zip"), "values")
    assert reader.direct
    assert_reads(reader, VALUES.astype("float32"))


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_store_cut_anywhere_is_refused_by_every_reader(tmp_path, kept):
    path = own_store(tmp_path / "x.zarr.zip", VALUES.astype("float16"), chunk_frames=5)
    os.truncate(path, int(kept * os.path.getsize(path)))
    for read in (
        lambda: FrameReader(path, "values"),
        lambda: read_array(path, "values"),
        lambda: read_attributes(path),
    ):
        with pytest.raises(ValueError, match=r"x.zarr.zip: no complete .zarr.zip store .* delete the file"):
            read()


def test_a_store_that_lost_bytes_within_is_refused(tmp_path):
    path = tmp_path / "x.zarr.zip"
    own_store(path, VALUES.astype("float16"), chunk_frames=5)
    content = path.read_bytes()
    path.write_bytes(content[:3000] + content[3064:])
    with pytest.raises(ValueError, match=r"x.zarr.zip: no complete .zarr.zip store"):
        FrameReader(str(path), "values")


def test_a_chunk_of_the_wrong_size_is_refused(tmp_path):
    path = foreign_store(tmp_path / "x.zarr.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "y.zarr.zip", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[:-4] if name == "values/c/1/0/0" else old.read(name))
    with pytest.raises(ValueError, match="values/c/1/0/0 has 236 bytes instead of 240"):
        FrameReader(str(tmp_path / "y.zarr.zip"), "values")


def test_a_flipped_bit_is_found_when_contents_are_checked(tmp_path):
    path = tmp_path / "x.zarr.zip"
    own_store(path, VALUES.astype("float16"), chunk_frames=5)
    check_contents(str(path))
    content = bytearray(path.read_bytes())
    content[open_zip(str(path)).start("values/c/2/0/0") + 17] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"values/c/2/0/0 does not have the checksum|Bad CRC"):
        check_contents(str(path))


def test_readers_of_one_file_share_its_map_until_it_is_replaced(tmp_path):
    path = own_store(tmp_path / "x.zarr.zip", VALUES.astype("float16"), chunk_frames=5)
    before = open_zip(path)
    assert open_zip(path) is before
    own_store(path, -VALUES.astype("float16"), chunk_frames=5)
    np.testing.assert_array_equal(read_array(path, "values"), -VALUES.astype("float16"))
    assert open_zip(path) is not before


def test_a_reader_can_be_sent_to_another_process(tmp_path):
    path = own_store(tmp_path / "x.zarr.zip", VALUES.astype("float16"), chunk_frames=5)
    assert_reads(pickle.loads(pickle.dumps(FrameReader(path, "values"))), VALUES.astype("float16"))


def test_requests_that_make_no_sense_are_refused(tmp_path):
    path = own_store(tmp_path / "x.zarr.zip", VALUES.astype("float16"), chunk_frames=5)
    with pytest.raises(ValueError, match="no array 'scalars'; it holds time_ps, values"):
        FrameReader(path, "scalars")
    reader = FrameReader(path, "values")
    for frames in ([0, 23], [-1, 3]):
        with pytest.raises(ValueError, match=f"frames {frames[0]} to {frames[1]} of values asked for; it has 23"):
            reader.read(np.array(frames))
    with pytest.raises(ValueError, match="frames 3 to 24 of values asked for"):
        reader.read_range(3, 24)
    with pytest.raises(ValueError, match=r"values need a contiguous array of \(2, 3, 4\) float16, not .* float32"):
        reader.read(np.array([0, 1]), out=np.empty((2, 3, 4), np.float32))


def test_an_array_longer_than_one_chunk_may_be_is_written_in_several(tmp_path, monkeypatch):
    monkeypatch.setattr("geom2msm.store.SINGLE_CHUNK_BYTES", 500)
    path = str(tmp_path / "x.zarr.zip")
    write_store(path, attributes={}, arrays={"v": VALUES}, axes={"v": ("frame", "token", "channel")})
    assert sum(name.startswith("v/c/") for name in open_zip(path).names()) == 5
    np.testing.assert_array_equal(read_array(path, "v"), VALUES)
