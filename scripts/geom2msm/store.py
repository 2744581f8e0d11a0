"""Arrays along a trajectory in one `.zarr.zip` file: uncompressed Zarr v3, chunks of whole frames.

One file per trajectory is what a workflow manager, a cluster's inode quota and rsync handle well;
members of the zip are stored, not deflated, so that every chunk is one contiguous range of bytes. A long
computation first fills a folder `<output>.part` chunk by chunk (each written to a temporary name and renamed by
Zarr), continues there after a kill, and is packed and renamed at the very end.
"""

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr
from zarr.storage import LocalStore, ZipStore

EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class ArrayLayout:
    """One array of a store: names of its axes (the first is `frame`), shape of one frame, type."""

    axes: tuple[str, ...]
    frame_shape: tuple[int, ...]
    dtype: str


class PartialStore:
    """A store in the making, in the folder `<output>.part`, that remembers how many frames are done."""

    def __init__(
        self, output: str, *, n_frames: int, chunk_frames: int, layout: Mapping[str, ArrayLayout], attributes: Mapping
    ) -> None:
        """Open the unfinished store if it has the same attributes and layout, else start afresh."""
        self.output = Path(output)
        self.folder = Path(f"{output}.part")
        self.n_frames, self.chunk_frames = n_frames, chunk_frames
        described = {name: [array.axes, array.frame_shape, array.dtype] for name, array in layout.items()}
        plan = {"attributes": attributes, "n_frames": n_frames, "chunk_frames": chunk_frames, "layout": described}
        # As JSON gives it back, so that it compares equal to the one in the folder.
        self._plan = json.loads(json.dumps(plan))
        if self._stored_plan() != self._plan:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._create(layout, attributes)
        self._group = zarr.open_group(LocalStore(self.folder / "store"), mode="r+")

    def _stored_plan(self) -> dict | None:
        try:
            return json.loads((self.folder / "plan.json").read_text())
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return None

    def _create(self, layout: Mapping[str, ArrayLayout], attributes: Mapping) -> None:
        group = zarr.create_group(LocalStore(self.folder / "store"), attributes=dict(attributes))
        chunk = min(self.chunk_frames, self.n_frames)
        for name, array in layout.items():
            group.create_array(
                name, shape=(self.n_frames, *array.frame_shape), chunks=(chunk, *array.frame_shape),
                dtype=array.dtype, compressors=None, filters=None, fill_value=0, dimension_names=array.axes,
                config={"write_empty_chunks": True},
            )  # fmt: skip
        (self.folder / "done").write_text("0")
        # Written last: a folder without its plan is started afresh.
        (self.folder / "plan.json").write_text(json.dumps(self._plan))

    @property
    def frames_done(self) -> int:
        """Number of frames that are safely on disk, always a multiple of the chunk or the whole."""
        return int((self.folder / "done").read_text())

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the next chunk of frames of every array."""
        start = self.frames_done
        stop = min(start + self.chunk_frames, self.n_frames)
        for name, values in arrays.items():
            if len(values) != stop - start:
                raise ValueError(
                    f"{self.output}: frames {start} to {stop} of {name!r} expected, {len(values)} frames given"
                )
            self._group[name][start:stop] = values
        _write_atomically(self.folder / "done", str(stop))

    def finish(self) -> None:
        """Pack the folder into the output file, all at once or not at all."""
        if self.frames_done != self.n_frames:
            raise ValueError(f"{self.output}: {self.frames_done} of {self.n_frames} frames written")
        packed = self.folder / "packed.zip"
        _pack(self.folder / "store", packed)
        os.replace(packed, self.output)
        shutil.rmtree(self.folder)


def _write_atomically(path: Path, text: str) -> None:
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)


def _pack(folder: Path, packed: Path) -> None:
    """Zip a folder without compression, sorted and without time stamps, so that equal data give equal bytes."""
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EPOCH)
            with path.open("rb") as source, archive.open(member, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 1 << 20)


def write_store(
    path: str, *, attributes: Mapping, arrays: Mapping[str, np.ndarray], axes: Mapping[str, tuple[str, ...]]
) -> None:
    """Write whole arrays [frame …] at once, as one chunk each."""
    n_frames = len(next(iter(arrays.values())))
    # Nothing tells whether an earlier, unfinished attempt held the same numbers.
    shutil.rmtree(f"{path}.part", ignore_errors=True)
    layout = {name: ArrayLayout(axes[name], values.shape[1:], values.dtype.str) for name, values in arrays.items()}
    store = PartialStore(path, n_frames=n_frames, chunk_frames=n_frames, layout=layout, attributes=attributes)
    store.append(arrays)
    store.finish()


def _open(path: str) -> zarr.Group:
    try:
        return zarr.open_group(ZipStore(path, mode="r"), mode="r")
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(
            f"{path}: no complete .zarr.zip store ({error}); delete the file, the workflow makes it anew"
        ) from error


def read_array(path: str, name: str) -> np.ndarray:
    """A whole array of a store."""
    group = _open(path)
    if name not in group:
        raise ValueError(f"{path}: no array {name!r}; it holds {', '.join(sorted(group.array_keys()))}")
    return group[name][:]


def read_attributes(path: str) -> dict:
    """The attributes (metadata, provenance) of a store."""
    return dict(_open(path).attrs)
