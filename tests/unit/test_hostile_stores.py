"""A store that was made to do harm is refused with its name, before memory is asked for."""

import json
import resource
import struct
import zipfile
import zlib

import numpy as np
import pytest

from geom2msm.frame_reader import FrameReader
from geom2msm.plain_zip import check_contents
from geom2msm.store import read_array, read_attributes, write_store

ARRAY = {
    "zarr_format": 3, "node_type": "array", "data_type": "float32", "fill_value": 0.0, "attributes": {},
    "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
}  # fmt: skip
GROUP = {"zarr_format": 3, "node_type": "group", "attributes": {}}


def zipped(path, members, *, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return str(path)


def store_of_shape(path, shape, chunk):
    grid = {"name": "regular", "configuration": {"chunk_shape": chunk}}
    metadata = json.dumps(ARRAY | {"shape": shape, "chunk_grid": grid})
    return zipped(path, [("zarr.json", json.dumps(GROUP)), ("x/zarr.json", metadata)])


@pytest.fixture(autouse=True)
def _little_memory():
    """An allocation of more than a gigabyte fails, whatever the machine has."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize(
    ("shape", "chunk"),
    [
        ([10**15, 3], [1000, 3]),
        ([10, 10**15], [10, 10**15]),
        ([10**12], [1]),
        ([2**62, 2**62], [1, 2**62]),
        ([100_000], [1]),
    ],
)
def test_an_absurd_shape_is_refused(tmp_path, shape, chunk):
    path = store_of_shape(tmp_path / "x.zarr.zip", shape, chunk)
    with pytest.raises(ValueError, match=r"x.zarr.zip: no complete .* claims [0-9]+ (bytes in a file of|chunks)"):
        read_array(path, "x")


@pytest.mark.parametrize("shape", [[-1, 3], [1.5, 3], ["a", 3], None, {}, [[1], 3]])
def test_a_shape_that_is_none_is_refused(tmp_path, shape):
    path = store_of_shape(tmp_path / "x.zarr.zip", shape, [1, 3])
    with pytest.raises(ValueError, match=r"x\.zarr\.zip: "):
        FrameReader(path, "x")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "..\\x", "\\x"])
def test_a_member_outside_of_the_file_is_refused(tmp_path, name):
    path = zipped(tmp_path / "x.zarr.zip", [("zarr.json", json.dumps(GROUP)), (name, "x")])
    with pytest.raises(ValueError, match="lies outside of it"):
        read_attributes(path)
    with pytest.raises(ValueError, match="lies outside of it"):
        check_contents(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path):
    path = zipped(tmp_path / "x.zarr.zip", [("zarr.json", json.dumps(GROUP)), ("zarr.json", "{}")])
    with pytest.raises(ValueError, match="two members have one name"):
        read_attributes(path)


def test_a_document_that_inflates_without_end_is_refused(tmp_path):
    bomb = b'{"attributes": "' + bytes(1 << 27) + b'"}'
    path = zipped(tmp_path / "x.zarr.zip", [("zarr.json", bomb)], compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"x\.zarr\.zip: "):
        read_attributes(path)


def test_a_member_that_claims_more_than_deflate_can_hold_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zarr.zip", [("zarr.json", b"{}" * 100)], compression=zipfile.ZIP_DEFLATED)
    content = bytearray((tmp_path / "x.zarr.zip").read_bytes())
    entry = content.rfind(b"PK\1\2")
    content[entry + 24 : entry + 28] = struct.pack("<I", 1 << 31)
    (tmp_path / "x.zarr.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"zarr\.json claims 2147483648 bytes of"):
        check_contents(path)


def test_members_that_share_their_bytes_are_refused(tmp_path):
    """A quadratic bomb: every entry of the directory is about the same bytes of the file."""
    content = bytes(1000)
    header = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, zlib.crc32(content), 1000, 1000, 4, 0) + b"name"
    entries = b"".join(
        struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, zlib.crc32(content), 1000, 1000, 4, *[0] * 4, 0, 0)
        + b"%4d" % number
        for number in range(100)
    )
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 100, 100, len(entries), len(header) + 1000, 0)
    path = tmp_path / "x.zarr.zip"
    path.write_bytes(header + content + entries + end)
    with pytest.raises(ValueError, match="its members claim more than its"):
        check_contents(str(path))


@pytest.mark.parametrize("document", ["[" * 100_000, "[]", "nonsense", '"text"', b"\xff\xfe"])
def test_metadata_that_are_no_object_are_refused(tmp_path, document):
    path = zipped(tmp_path / "x.zarr.zip", [("zarr.json", document)])
    with pytest.raises(ValueError, match=r"x\.zarr\.zip: .*zarr\.json is no JSON (document|object)"):
        read_attributes(path)


def test_our_own_stores_pass_all_checks(tmp_path):
    path, values = str(tmp_path / "x.zarr.zip"), np.zeros((5000, 4), np.float32)
    write_store(path, attributes={"a": 1}, arrays={"x": values}, axes={"x": ("frame", "channel")})
    check_contents(path)
    np.testing.assert_array_equal(read_array(path, "x"), values)
