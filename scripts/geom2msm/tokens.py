"""Tokens in a notebook: every trajectory a lazy xarray dataset.

>>> from geom2msm.tokens import open_tokens
>>> tokens = open_tokens("results/alanine_dipeptide")
>>> tokens
TokenStores(system='alanine_dipeptide', encoder='visnet_l6_h64', 8 trajectories: run-0, run-1, run-2, run-3, ..., run-7)
>>> run = tokens["run-0"]
>>> run.scalars.dims, run.vectors.dims, run.positions_nm.units
(('frame', 'token', 'channel'), ('frame', 'token', 'xyz', 'channel'), 'nm')
>>> run.token.values.tolist()
['A:ACE1', 'A:ALA2', 'A:NME3']
>>> run.scalars.sel(token="A:ALA2").isel(frame=slice(0, 10)).values.shape
(10, 64)

Nothing is read before `.values`, `.load()`, or a computation asks for it, and then the frames that it asks for:
frames are found in place (frame_reader.py). With dask installed, `run.chunk(frame=1000)` computes out of core.
In a notebook, put the folder of this package first: `sys.path.append("scripts")`.

A store is plain Zarr version 3 in a zip file. Any Zarr reader opens it; in Python, without this package:

    zarr.open_group(zarr.storage.ZipStore(path, mode="r"), mode="r")["scalars"][:10]
    xarray.open_zarr(zarr.storage.ZipStore(path, mode="r"))
"""

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from geom2msm.formats import natural_order
from geom2msm.frame_reader import FrameReader, array_names
from geom2msm.store import read_attributes
from geom2msm.token_table import token_names

try:
    import xarray
    from xarray.backends import BackendArray
    from xarray.core import indexing
except ImportError as error:
    raise ImportError(
        "geom2msm.tokens shows tokens as xarray datasets, and xarray is not installed here (pip install xarray); "
        "without it, geom2msm.frame_reader.FrameReader reads the same arrays"
    ) from error

BLOCK_BYTES = 1 << 24
SHOWN = 5
DESCRIPTIONS = {
    "scalars": {"long_name": "rotation-invariant channels of each token", "units": "1"},
    "vectors": {"long_name": "channels of each token that turn with the molecule", "units": "1"},
    "positions_nm": {"long_name": "position of each token", "units": "nm"},
    "time_ps": {"long_name": "time since the first frame", "units": "ps"},
}
TOKEN_COLUMNS = ("chain", "residue_number", "insertion_code", "residue_name", "kind", "part", "n_atoms")


class LazyFrames(BackendArray):
    """An array of a store, as xarray indexes it: what is not asked for is not kept."""

    def __init__(self, reader: FrameReader) -> None:
        """Nothing is read yet. Half precision is shown in single: sums over frames in half are wrong by more than 1."""
        self.reader, self.shape = reader, reader.shape
        self.dtype = np.dtype(np.float32) if reader.dtype == np.float16 else reader.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        """Values at an index of any of xarray's kinds."""
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        chosen, rest = key[0], key[1:]
        if isinstance(chosen, int | np.integer):
            return _select(self.reader.read_range(int(chosen), int(chosen) + 1), rest)[0].astype(self.dtype)
        frames = np.arange(len(self.reader))[chosen]
        # A few tokens of all frames may fit into memory where all tokens do not: block by block.
        empty = _select(np.empty((0, *self.shape[1:]), self.dtype), rest)
        selected = np.empty((len(frames), *empty.shape[1:]), self.dtype)
        step = max(1, BLOCK_BYTES * len(self.reader) // max(1, np.prod(self.shape) * self.dtype.itemsize))
        for start in range(0, len(frames), step):
            block = frames[start : start + step]
            consecutive = block[-1] - block[0] == len(block) - 1 and (np.diff(block) == 1).all()
            first, last = int(block[0]), int(block[-1])
            read = self.reader.read_range(first, last + 1) if consecutive else self.reader.read(block)
            selected[start : start + step] = _select(read, rest)
        return selected


def _select(frames: np.ndarray, key: tuple) -> np.ndarray:
    """Apply an index for each axis after the first, one after the other."""
    for axis, index in reversed(list(enumerate(key, start=1))):
        frames = frames[(slice(None),) * axis + (index,)]
    return frames


class TokenStores(Mapping[str, xarray.Dataset]):
    """The stores by the names of their trajectories, each opened as a dataset when it is asked for."""

    def __init__(self, paths: Mapping[str, str], *, system: str, encoder: str) -> None:
        """Remember the store of each trajectory."""
        self.paths, self.system, self.encoder = dict(paths), system, encoder

    def __getitem__(self, trajectory: str) -> xarray.Dataset:
        """The dataset of one trajectory, nothing of it read yet."""
        if trajectory not in self.paths:
            raise KeyError(f"no trajectory {trajectory!r}; there are {', '.join(self.paths)}")
        return open_dataset(self.paths[trajectory])

    def __iter__(self) -> Iterator[str]:
        """Names of the trajectories."""
        return iter(self.paths)

    def __len__(self) -> int:
        """Number of trajectories."""
        return len(self.paths)

    def __repr__(self) -> str:
        """System, encoder and the first trajectories."""
        names = list(self)
        shown = names if len(names) <= SHOWN else [*names[: SHOWN - 1], "...", names[-1]]
        count = f"{len(names)} {'trajectory' if len(names) == 1 else 'trajectories'}"
        return f"TokenStores(system={self.system!r}, encoder={self.encoder!r}, {count}: {', '.join(shown)})"


def open_tokens(source: str | PathLike | Iterable[str | PathLike], *, encoder: str | None = None) -> TokenStores:
    """Tokens in the result folder of a system, in a folder of stores, or in the stores listed.

    `encoder` chooses where a system was embedded by several.
    """
    found: dict[str, dict[str, str]] = {}
    for path in _stores(source):
        attributes = read_attributes(path)
        if encoder in (None, attributes.get("encoder")) and "trajectory" in attributes:
            name = attributes["trajectory"]
            by_name = found.setdefault(str(attributes.get("encoder")), {})
            if name in by_name:
                raise ValueError(f"{path} and {by_name[name]} are both of trajectory {name}; list one of them")
            by_name[name], system = path, str(attributes.get("system"))
    if not found:
        of_encoder = f" of encoder {encoder}" if encoder else ""
        raise ValueError(f"{source}: no tokens{of_encoder} (*.zarr.zip) there; python3 run.py makes them")
    if len(found) > 1:
        raise ValueError(f"{source}: tokens of {', '.join(sorted(found))}; choose by open_tokens(..., encoder=...)")
    [(encoder, paths)] = found.items()
    in_order = {name: paths[name] for name in sorted(paths, key=natural_order)}
    return TokenStores(in_order, system=system, encoder=encoder)


def _stores(source: str | PathLike | Iterable[str | PathLike]) -> list[str]:
    if not isinstance(source, str | PathLike):
        return [str(path) for path in source]
    folder = Path(source)
    if not folder.is_dir():
        return [str(source)]
    found = list(folder.glob("*.zarr.zip")) or list(folder.glob("tokens/*/*.zarr.zip"))
    return sorted(map(str, found))


def open_dataset(path: str) -> xarray.Dataset:
    """A store as a lazy dataset; the axis 3 of the store is called xyz."""
    attributes = read_attributes(path)
    variables = {}
    for name in array_names(path):
        reader = FrameReader(path, name)
        axes = ["xyz" if axis == "3" else axis for axis in reader.axes]
        lazy = indexing.LazilyIndexedArray(LazyFrames(reader))
        variables[name] = xarray.Variable(axes, lazy, DESCRIPTIONS.get(name, {}))
    sizes = {axis: size for variable in variables.values() for axis, size in variable.sizes.items()}
    coordinates = {"time_ps": variables.pop("time_ps")} if "time_ps" in variables else {}
    if "xyz" in sizes:
        coordinates["xyz"] = xarray.Variable("xyz", list("xyz"))
    table = attributes.pop("tokens", None)
    if table is not None and "token" in sizes:
        coordinates["token"] = xarray.Variable("token", token_names(pd.DataFrame(table)))
        columns = (column for column in TOKEN_COLUMNS if column in table)
        coordinates |= {column: xarray.Variable("token", table[column]) for column in columns}
    return xarray.Dataset(variables, coordinates, attributes)
