"""Random access to the frames of an array in a `.zarr.zip` store, in place.

A chunk that is neither compressed nor deflated is a range of bytes of the file, and a frame is a range of bytes of
its chunk. The directory of the zip says where the chunks are; after that, reading frames is one indexing operation
of numpy on the mapped file. Arrays that are kept in another way are read through zarr-python, a hundred times slower.
"""

import logging
import math
import mmap
import os
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np
import zarr
from jaxtyping import Int, Int64, Shaped
from zarr.storage import ZipStore

from geom2msm.plain_zip import LARGEST_EXPANSION, MappedZip, incomplete

# Frames larger than this are copied into a given array one by one, smaller ones by way of a temporary array.
LARGE_FRAME_BYTES = 1 << 14
INTEGERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
PLAIN_TYPES = {"bool", "float16", "float32", "float64"} | INTEGERS
KNOWN_METADATA = {
    "zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs",
    "attributes", "dimension_names", "storage_transformers",
}  # fmt: skip
logger = logging.getLogger(__name__)


class _NotPlainError(Exception):
    """The array cannot be read in place; the text says why."""


@dataclass(frozen=True)
class _PlainArray:
    """What the metadata of an array in plain chunks of whole frames say."""

    shape: tuple[int, ...]
    dtype: np.dtype
    chunk_frames: int
    fill_value: float
    separator: str

    @classmethod
    def of(cls, metadata: dict | None) -> "_PlainArray":
        """Understand the metadata of Zarr v3, or refuse them."""
        try:
            return cls._of(metadata)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise _NotPlainError(f"metadata of another kind: {error!r}") from error

    @classmethod
    def _of(cls, metadata: dict | None) -> "_PlainArray":
        if metadata is None or metadata.get("node_type") != "array" or not set(metadata) <= KNOWN_METADATA:
            raise _NotPlainError("not a plain array of Zarr v3")
        shape, codecs = tuple(metadata["shape"]), metadata["codecs"]
        if not all(isinstance(length, int) and length >= 0 for length in shape):
            raise _NotPlainError(f"shape {shape}")
        if metadata["data_type"] not in PLAIN_TYPES or not shape or 0 in shape:
            raise _NotPlainError(f"type {metadata['data_type']}, shape {shape}")
        dtype = np.dtype(metadata["data_type"]).newbyteorder("<")
        endian = codecs[0].get("configuration", {}).get("endian", "big" if dtype.itemsize > 1 else "little")
        if [codec["name"] for codec in codecs] != ["bytes"] or endian != "little":
            raise _NotPlainError(f"codecs {codecs}")
        grid, keys = metadata["chunk_grid"], metadata["chunk_key_encoding"]
        chunk = tuple(grid["configuration"].get("chunk_shape", ()))
        if grid["name"] != "regular" or chunk[0] < 1 or chunk[1:] != shape[1:] or keys["name"] != "default":
            raise _NotPlainError(f"chunks {grid}, named {keys}")
        if metadata.get("storage_transformers"):
            raise _NotPlainError("storage transformers")
        separator = keys.get("configuration", {}).get("separator", "/")
        return cls(shape, dtype, chunk[0], float(metadata["fill_value"]), separator)

    @property
    def frame_bytes(self) -> int:
        """Size of one frame."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def n_chunks(self) -> int:
        """Chunks along the frames."""
        return -(-self.shape[0] // self.chunk_frames)

    def chunk_offsets(self, name: str, archive: MappedZip) -> Int64[np.ndarray, " chunk"]:
        """Where in the file each chunk starts, -1 for one that is absent."""
        offsets = np.full(self.n_chunks, -1, dtype=np.int64)
        zeros = f"{self.separator}0" * (len(self.shape) - 1)
        for number in range(len(offsets)):
            key = f"{name}/c{self.separator}{number}{zeros}"
            if key not in archive:
                continue
            if not archive.is_plain(key):
                raise _NotPlainError("deflated by the zip file")
            if archive.size(key) != self.chunk_frames * self.frame_bytes:
                expected = self.chunk_frames * self.frame_bytes
                raise incomplete(archive.path, f"{key} has {archive.size(key)} bytes instead of {expected}")
            offsets[number] = archive.start(key)
        return offsets


def check_size(shape: tuple[int, ...], dtype: np.dtype, name: str, archive: MappedZip) -> None:
    """Refuse an array that is larger than its file could hold, before any memory is asked for.

    Chunks that are absent stand for the fill value; an array of almost nothing else is refused, too.
    """
    claimed, n_bytes = math.prod(shape) * dtype.itemsize, len(archive.map)
    if claimed > LARGEST_EXPANSION * n_bytes:
        raise incomplete(archive.path, f"{name} of shape {shape} claims {claimed} bytes in a file of {n_bytes}")


class _MappedFrames:
    """Frames of a plain array, read in place."""

    def __init__(self, name: str, archive: MappedZip) -> None:
        self.layout = layout = _PlainArray.of(archive.json(f"{name}/zarr.json"))
        self.axes = tuple(archive.json(f"{name}/zarr.json").get("dimension_names") or ())
        self._archive = archive
        check_size(layout.shape, layout.dtype, name, archive)
        if layout.n_chunks > LARGEST_EXPANSION * len(archive.names()):
            raise incomplete(archive.path, f"{name} claims {layout.n_chunks} chunks")
        offsets = layout.chunk_offsets(name, archive)
        self._absent = offsets < 0
        self._offsets = np.where(self._absent, 0, offsets)
        # The file as overlapping frames, one at each multiple of the largest step that all frames are multiples of:
        # numpy then gathers frames from chunks anywhere in the file as fast as from one array.
        self._step = int(np.gcd.reduce(np.append(self._offsets, layout.frame_bytes)))
        n_places = max(0, (len(archive.map) - layout.frame_bytes) // self._step + 1)
        n_items = layout.frame_bytes // layout.dtype.itemsize
        strides = (self._step, layout.dtype.itemsize)
        self._frame_at = np.ndarray((n_places, n_items), layout.dtype, archive.map, strides=strides)

    def read(self, frames: Int64[np.ndarray, " frame"]) -> Shaped[np.ndarray, "frame ..."]:
        # take() is faster than an index, and needs frames that do not overlap.
        places, in_order = self._places(frames), self._frame_at.flags.c_contiguous
        found = np.take(self._frame_at, places, axis=0) if in_order else self._frame_at[places]
        if self._absent.any():
            found[self._absent[frames // self.layout.chunk_frames]] = self.layout.fill_value
        return found.reshape(len(frames), *self.layout.shape[1:])

    def read_into(self, out: Shaped[np.ndarray, "frame ..."], frames: Int64[np.ndarray, " frame"]) -> None:
        flat = out.reshape(len(out), self._frame_at.shape[1])
        if self._absent.any():
            out[:] = self.read(frames)
        elif self._frame_at.flags.c_contiguous:
            np.take(self._frame_at, self._places(frames), axis=0, out=flat, mode="clip")
        elif self.layout.frame_bytes < LARGE_FRAME_BYTES:
            flat[:] = self._frame_at[self._places(frames)]
        else:
            for target, place in zip(flat, self._places(frames), strict=True):
                target[:] = self._frame_at[place]

    def _places(self, frames: Int64[np.ndarray, " frame"]) -> Int64[np.ndarray, " frame"]:
        chunk, within = np.divmod(frames, self.layout.chunk_frames)
        return (self._offsets[chunk] + within * self.layout.frame_bytes) // self._step

    def read_range(self, start: int, out: Shaped[np.ndarray, "frame ..."]) -> None:
        flat, size, first = out.reshape(len(out), self._frame_at.shape[1]), self.layout.chunk_frames, start
        while first < start + len(out):
            chunk, within = divmod(first, size)
            n_frames = min(size - within, start + len(out) - first)
            target = flat[first - start : first - start + n_frames]
            if self._absent[chunk]:
                target[:] = self.layout.fill_value
            else:
                self._copy(int(self._offsets[chunk]) + within * self.layout.frame_bytes, target)
            first += n_frames

    def _copy(self, offset: int, target: Shaped[np.ndarray, "frame item"]) -> None:
        target[:] = np.ndarray(target.shape, self.layout.dtype, self._archive.map, offset)
        # A long scan must not fill the memory of the process with pages it will not look at again;
        # the operating system still has them.
        page = offset // mmap.PAGESIZE * mmap.PAGESIZE
        self._archive.map.madvise(mmap.MADV_DONTNEED, page, offset + target.nbytes - page)


class _ZarrFrames:
    """Frames of any array, read by zarr-python."""

    def __init__(self, name: str, archive: MappedZip) -> None:
        group = zarr.open_group(ZipStore(archive.path, mode="r"), mode="r")
        names = sorted(group.array_keys())
        if name not in names:
            raise ValueError(f"{archive.path}: no array {name!r}; it holds {', '.join(names)}")
        self._array = self.layout = group[name]
        check_size(self._array.shape, self._array.dtype, name, archive)
        self.axes = tuple(getattr(self._array.metadata, "dimension_names", None) or ())

    def read(self, frames: Int64[np.ndarray, " frame"]) -> Shaped[np.ndarray, "frame ..."]:
        return self._array.oindex[frames]

    def read_into(self, out: Shaped[np.ndarray, "frame ..."], frames: Int64[np.ndarray, " frame"]) -> None:
        out[:] = self._array.oindex[frames]

    def read_range(self, start: int, out: Shaped[np.ndarray, "frame ..."]) -> None:
        out[:] = self._array[start : start + len(out)]


def _through_zarr(name: str, archive: MappedZip) -> _ZarrFrames:
    """What zarr-python makes of an array; of what it cannot read it says so in many ways."""
    try:
        return _ZarrFrames(name, archive)
    except Exception as error:
        reason = " ".join(str(error).removeprefix(f"{archive.path}: ").split())
        raise ValueError(f"{archive.path}: {reason or type(error).__name__}") from error


_open_zips: WeakValueDictionary[tuple, MappedZip] = WeakValueDictionary()


def open_zip(path: str) -> MappedZip:
    """Map a file; readers of one file share its map, because each map holds a file descriptor."""
    status = os.stat(path)
    key = (os.path.abspath(path), status.st_ino, status.st_size, status.st_mtime_ns)
    archive = _open_zips.get(key)
    if archive is None:
        archive = _open_zips[key] = MappedZip(path)
    return archive


def array_names(path: str) -> list[str]:
    """Names of the arrays of a store in Zarr v3, sorted."""
    names = (name.removesuffix("/zarr.json") for name in open_zip(path).names() if name.endswith("/zarr.json"))
    return sorted(name for name in names if "/" not in name)


class FrameReader:
    """One array [frame ...] of a store, of which any frames can be read in any order.

    `direct` says whether frames are read in place; otherwise zarr-python reads whole chunks for them.
    """

    def __init__(self, path: str, name: str) -> None:
        """Find the chunks of the array; nothing else is read."""
        self.path, self.name = path, name
        archive = open_zip(path)
        try:
            self._frames, self.direct = _MappedFrames(name, archive), True
        except _NotPlainError as reason:
            self._frames, self.direct = _through_zarr(name, archive), False
            logger.warning("%s: %s is read through zarr-python, which is slow (%s)", path, name, reason)
        self.shape: tuple[int, ...] = tuple(self._frames.layout.shape)
        self.dtype: np.dtype = self._frames.layout.dtype
        self.axes: tuple[str, ...] = self._frames.axes

    def __reduce__(self) -> tuple:
        """Another process opens the file itself."""
        return FrameReader, (self.path, self.name)

    def __len__(self) -> int:
        """Number of frames."""
        return self.shape[0]

    def read(
        self, frames: Int[np.ndarray, " frame"], out: Shaped[np.ndarray, "frame ..."] | None = None
    ) -> Shaped[np.ndarray, "frame ..."]:
        """These frames in this order, into `out` if it is given; ascending order is read fastest."""
        if len(frames) and (frames.min() < 0 or frames.max() >= len(self)):
            raise ValueError(
                f"{self.path}: frames {frames.min()} to {frames.max()} of {self.name} asked for; it has {len(self)}"
            )
        frames = frames.astype(np.int64, copy=False)
        if out is None:
            return self._frames.read(frames)
        self._check_target(out, n_frames=len(frames))
        self._frames.read_into(out, frames)
        return out

    def read_range(
        self, start: int, stop: int, out: Shaped[np.ndarray, "frame ..."] | None = None
    ) -> Shaped[np.ndarray, "frame ..."]:
        """The frames from `start` to before `stop`."""
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"{self.path}: frames {start} to {stop} of {self.name} asked for; it has {len(self)}")
        if out is None:
            out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        self._check_target(out, n_frames=stop - start)
        self._frames.read_range(start, out)
        return out

    def _check_target(self, out: np.ndarray, *, n_frames: int) -> None:
        shape = (n_frames, *self.shape[1:])
        if out.shape != shape or out.dtype != self.dtype or not out.flags.c_contiguous:
            raise ValueError(
                f"{self.path}: {self.name} need a contiguous array of {shape} {self.dtype}, not {out.shape} {out.dtype}"
            )
