"""Arrays along a trajectory in one `.zarr.zip` file: uncompressed Zarr v3, chunks of whole frames.

One file per trajectory is what a workflow manager, a cluster's inode quota and rsync handle well;
members of the zip are stored, not deflated, so that every chunk is one contiguous range of bytes
(frame_reader.py reads it in place; `zarr.open_group(zarr.storage.ZipStore(path))` reads it, too).

A long computation appends to `<output>.part`, group after group of chunks, and only the central directory is
missing from that file until the end: no copy, no second file. Nothing else records the progress. Names, order and
sizes of all members follow from the plan (attributes, layout, chunks), which stands at the head of the file; each
member carries the CRC-32 of its content. After a kill, or a power cut that lost the blocks of a file whose length
was already written, groups count as done up to the first byte that is not as it must be.
"""

import contextlib
import json
import os
import warnings
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import zarr
from zarr.errors import ZarrUserWarning
from zarr.storage import MemoryStore, ZipStore

from geom2msm.frame_reader import FrameReader, open_zip
from geom2msm.plain_zip import CACHE_LINE, LARGEST_ALIGNMENT, Member, central_directory
from geom2msm.provenance import complete, only_writer

SINGLE_CHUNK_BYTES = 1 << 26


@dataclass(frozen=True)
class ArrayLayout:
    """One array of a store: names of its axes (the first is `frame`), shape of one frame, type."""

    axes: tuple[str, ...]
    frame_shape: tuple[int, ...]
    dtype: str

    @property
    def frame_bytes(self) -> int:
        """Size of one frame."""
        return int(np.prod(self.frame_shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class _Chunk:
    """A chunk of one array, wherever it will be in the file."""

    name: str
    size: int
    alignment: int

    def at(self, offset: int, *, crc: int) -> Member:
        return Member(self.name, offset, self.size, crc, self.alignment)


class PartialStore:
    """A store in the making, in the file `<output>.part`, that knows how many frames it holds."""

    def __init__(
        self, output: str, *, n_frames: int, chunk_frames: int, layout: Mapping[str, ArrayLayout], attributes: Mapping
    ) -> None:
        """Continue the unfinished file if it was begun with the same attributes and layout, else start afresh."""
        if n_frames < 1 or chunk_frames < 1:
            raise ValueError(f"{output}: {n_frames} frames in chunks of {chunk_frames}; both must be at least 1")
        self.output, self.part = Path(output), Path(f"{output}.part")
        self.n_frames, self.chunk_frames = n_frames, chunk_frames
        self._layout = dict(sorted(layout.items()))
        self._rows = min(chunk_frames, n_frames)
        self._head = list(_metadata_members(self._layout, attributes, shape=(n_frames, self._rows)))
        # CRC-32 of the chunks that are in the file, in the order of the file: all that is not known beforehand.
        self._crcs = array("I")
        self._end = self._head[-1][0].end
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self._lock = contextlib.ExitStack()
        self._lock.enter_context(only_writer(self.part))
        self._resume()

    def _resume(self) -> None:
        """Keep what is whole of an unfinished file with the same head, or begin a new one."""
        head = b"".join(member.local_header() + content for member, content in self._head)
        with self.part.open("rb") as unfinished:
            continued = unfinished.read(len(head)) == head
            if continued:
                self._count_whole_groups(unfinished)
        os.truncate(self.part, self._end if continued else 0)
        if not continued:
            self._write([head], at=0)

    def _count_whole_groups(self, file: BinaryIO) -> None:
        """Find how many groups of chunks are whole, from the first on."""
        for group in range(self._n_groups):
            start, crcs = self._end, []
            for chunk in self._chunks(group):
                header = file.read(chunk.at(start, crc=0).payload_offset - start)
                content = file.read(chunk.size)
                member = chunk.at(start, crc=zlib.crc32(content))
                if header != member.local_header():
                    return
                start, crcs = member.end, [*crcs, member.crc]
            self._end = start
            self._crcs.extend(crcs)

    @property
    def _n_groups(self) -> int:
        return -(-self.n_frames // self._rows)

    def _chunks(self, group: int) -> Iterator["_Chunk"]:
        """The chunks of all arrays in a group, in the order of the file."""
        for name, layout in self._layout.items():
            size, alignment = self._rows * layout.frame_bytes, CACHE_LINE
            # Then all chunks together are one array of frames, with holes, and numpy has a faster way to gather
            # from that. The holes are half a frame per chunk.
            if layout.frame_bytes % CACHE_LINE == 0 and layout.frame_bytes <= min(size / 64, LARGEST_ALIGNMENT):
                alignment = layout.frame_bytes
            yield _Chunk(f"{name}/c/{group}" + "/0" * len(layout.frame_shape), size, alignment)

    @property
    def frames_done(self) -> int:
        """Number of frames that the file holds, always a multiple of the chunk or the whole."""
        return min(len(self._crcs) // len(self._layout) * self._rows, self.n_frames)

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the next chunk of frames of every array."""
        group, n_expected = self.frames_done // self._rows, min(self._rows, self.n_frames - self.frames_done)
        if n_expected == 0:
            raise ValueError(f"{self.output}: more than {self.n_frames} frames; what it is made from has grown")
        if arrays.keys() != self._layout.keys():
            raise ValueError(f"{self.output}: arrays {sorted(self._layout)} expected, {sorted(arrays)} given")
        pieces, end, crcs = [], self._end, []
        for (name, layout), chunk in zip(self._layout.items(), self._chunks(group), strict=True):
            start, stop = self.frames_done, self.frames_done + n_expected
            if len(arrays[name]) != n_expected:
                raise ValueError(
                    f"{self.output}: frames {start} to {stop} of {name!r} expected, {len(arrays[name])} frames given"
                )
            content = _chunk_bytes(arrays[name], layout, n_rows=self._rows)
            member = chunk.at(end, crc=zlib.crc32(content))
            pieces += [member.local_header(), content]
            end, crcs = member.end, [*crcs, member.crc]
        self._write(pieces, at=self._end)
        self._end = end
        self._crcs.extend(crcs)

    def _write(self, pieces: Iterable[bytes], *, at: int) -> None:
        try:
            # Unbuffered: a buffer that cannot be emptied would be tried again when the file is closed.
            with self.part.open("r+b", buffering=0) as file:
                file.seek(at)
                for piece in pieces:
                    rest = memoryview(piece)
                    while rest:
                        rest = rest[file.write(rest) :]
        except OSError as error:
            raise OSError(
                f"{self.part}: writing failed ({error.strerror}); {self.frames_done} of {self.n_frames} frames are "
                "kept in it, and the same command continues there once there is space"
            ) from error

    def _members(self) -> Iterator[Member]:
        yield from (member for member, _ in self._head)
        end, crcs = self._head[-1][0].end, iter(self._crcs)
        for group in range(self._n_groups):
            for chunk in self._chunks(group):
                member = chunk.at(end, crc=next(crcs))
                end = member.end
                yield member

    def finish(self) -> None:
        """Turn the file into the output, all at once or not at all."""
        if self.frames_done != self.n_frames:
            raise ValueError(f"{self.output}: {self.frames_done} of {self.n_frames} frames written")
        self._write(central_directory(self._members(), start=self._end), at=self._end)
        # A file system may rename before it writes the content, and a power cut in between would leave a complete
        # name on an incomplete file. Chunks need no such care: their checksums are looked at.
        with self.part.open("rb") as file:
            os.fsync(file.fileno())
        complete(self.part, self.output)
        self._lock.close()


def _chunk_bytes(values: np.ndarray, layout: ArrayLayout, *, n_rows: int) -> bytes:
    """One chunk, little-endian; the frames that the last one lacks are zeros, as Zarr demands."""
    dtype = np.dtype(layout.dtype).newbyteorder("<")
    if values.shape[1:] != tuple(layout.frame_shape):
        raise ValueError(f"frames of the shape {layout.frame_shape} expected, {values.shape[1:]} given")
    content = np.ascontiguousarray(values, dtype).tobytes()
    return content + bytes((n_rows - len(values)) * layout.frame_bytes)


def _metadata_members(
    layout: Mapping[str, ArrayLayout], attributes: Mapping, *, shape: tuple[int, int]
) -> Iterator[tuple[Member, bytes]]:
    """The JSON documents of the store, as zarr-python writes them, and their places at the head of the file."""
    n_frames, chunk_frames = shape
    files: dict = {}
    group = zarr.create_group(MemoryStore(files), attributes=json.loads(json.dumps(attributes)))
    for name, described in layout.items():
        group.create_array(
            name, shape=(n_frames, *described.frame_shape), chunks=(chunk_frames, *described.frame_shape),
            dtype=described.dtype, compressors=None, filters=None, fill_value=0, dimension_names=described.axes,
        )  # fmt: skip
    with warnings.catch_warnings():
        # Not part of the format, and marked as optional in the file; it saves xarray a warning.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(group.store)
    end = 0
    for name in sorted(files, key=lambda key: (key.count("/"), key)):
        content = files[name].to_bytes()
        member = Member(name, end, len(content), zlib.crc32(content))
        end = member.end
        yield member, content


def write_store(
    path: str, *, attributes: Mapping, arrays: Mapping[str, np.ndarray], axes: Mapping[str, tuple[str, ...]]
) -> None:
    """Write whole arrays [frame …] at once, as one chunk each where they are not huge."""
    n_frames = len(next(iter(arrays.values())))
    # Nothing tells whether an earlier, unfinished attempt held the same numbers.
    part = Path(f"{path}.part")
    if part.exists():
        with only_writer(part):
            os.truncate(part, 0)
    layout = {name: ArrayLayout(axes[name], values.shape[1:], values.dtype.str) for name, values in arrays.items()}
    largest = max(1, *(described.frame_bytes for described in layout.values()))
    size = max(1, min(n_frames, SINGLE_CHUNK_BYTES // largest))
    store = PartialStore(path, n_frames=n_frames, chunk_frames=size, layout=layout, attributes=attributes)
    for start in range(0, n_frames, size):
        store.append({name: values[start : start + size] for name, values in arrays.items()})
    store.finish()


def read_array(path: str, name: str) -> np.ndarray:
    """A whole array of a store."""
    reader = FrameReader(path, name)
    return reader.read_range(0, len(reader))


def read_attributes(path: str) -> dict:
    """The attributes (metadata, provenance) of a store."""
    group = open_zip(path).json("zarr.json")
    if group is None:  # another version of Zarr
        group = {"attributes": dict(zarr.open_group(ZipStore(path, mode="r"), mode="r").attrs)}
    return group["attributes"]
