"""Frames as they are saved in a file of any known format, piece by piece.

Binary formats are read by MDTraj's file objects, HDF5 by h5py; MDTraj's Trajectory would copy the topology for
every piece.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import h5py
import mdtraj
import numpy as np
from jaxtyping import Float32, Float64, Int
from mdtraj.utils.unitcell import lengths_and_angles_to_box_vectors

from geom2msm.formats import BINARY_FORMATS, TRAJECTORY_FORMATS, extension
from geom2msm.trajectory_headers import check_headers
from geom2msm.trajectory_text import CutError, TextFrame, text_frames
from geom2msm.units import NM_PER_ANGSTROM


@dataclass(frozen=True)
class SavedFrames:
    """Consecutive or strided frames of a file; without times in the file, `header_ps` is the frame number."""

    positions_nm: Float32[np.ndarray, "frame atom 3"]
    header_ps: Float64[np.ndarray, " frame"]
    cell_nm: Float32[np.ndarray, "frame 3 3"] | None


def saved_frames(
    path: str, *, n_atoms: int, atoms: Int[np.ndarray, " atom"] | None, first: int, stride: int, n_piece: int
) -> Iterator[SavedFrames]:
    """These atoms, or all, in every stride-th frame from `first` on, at most `n_piece` frames at once.

    Raises whatever MDTraj raises, CutError for a file that ends within a frame.
    """
    if extension(path) not in TRAJECTORY_FORMATS:
        raise ValueError(f"the ending {extension(path)!r} is none of {', '.join(TRAJECTORY_FORMATS)}")
    if extension(path) in BINARY_FORMATS:
        yield from binary_pieces(path, atoms=atoms, first=first, stride=stride, n_piece=n_piece)
        return
    frames = text_frames(path, first=first, stride=stride)
    while some := list(islice(frames, n_piece)):
        yield text_piece(some, n_atoms=n_atoms, atoms=atoms, first=first, stride=stride)
        first += stride * len(some)


def text_piece(
    frames: list[TextFrame], *, n_atoms: int, atoms: Int[np.ndarray, " atom"] | None, first: int, stride: int
) -> SavedFrames:
    """The chosen atoms of frames that all have the same number of atoms."""
    for index, frame in enumerate(frames):
        if atoms is not None and len(frame.positions_nm) != n_atoms:
            raise ValueError(f"frame {first + index * stride} has {len(frame.positions_nm)} atoms, not {n_atoms}")
    cells, chosen = [frame.cell_nm for frame in frames], slice(None) if atoms is None else atoms
    return SavedFrames(
        positions_nm=np.array([frame.positions_nm[chosen] for frame in frames], dtype=np.float32),
        header_ps=first + stride * np.arange(len(frames), dtype=np.float64),
        cell_nm=None if any(cell is None for cell in cells) else np.array(cells, dtype=np.float32),
    )


def binary_pieces(
    path: str, *, atoms: Int[np.ndarray, " atom"] | None, first: int, stride: int, n_piece: int
) -> Iterator[SavedFrames]:
    """Reads all frames and keeps every stride-th: MDTraj's own strides differ between formats."""
    if extension(path) == ".dcd" and (found := dcd_frames(path)) and found.is_cut:
        raise CutError
    if extension(path) in (".xtc", ".trr"):
        check_headers(path)
    file_class, read = BINARY_READERS[extension(path)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*netCDF4", category=UserWarning)  # scipy reads them as well
        file = file_class(path)
    with file:
        if first >= len(file):
            return
        file.seek(first)
        position = first
        while len((piece := read(file, n_piece, atoms)).positions_nm):
            kept = slice((first - position) % stride, None, stride)
            position += len(piece.positions_nm)
            if len(piece.positions_nm[kept]):
                cell = None if piece.cell_nm is None else piece.cell_nm[kept]
                yield SavedFrames(piece.positions_nm[kept], piece.header_ps[kept], cell)


def _saved(
    positions_nm: np.ndarray, *, time_ps: np.ndarray | None, cell_nm: np.ndarray | None, first: int
) -> SavedFrames:
    """Arrays as MDTraj gives them, in our types; a cell of zeros is no cell."""
    n_frames = len(positions_nm)
    time = first + np.arange(n_frames) if time_ps is None else time_ps
    has_cell = n_frames and cell_nm is not None and np.abs(cell_nm).any()
    return SavedFrames(
        positions_nm=np.ascontiguousarray(positions_nm, dtype=np.float32)
        if n_frames
        else np.zeros((0, 1, 3), np.float32),
        header_ps=np.asarray(time, dtype=np.float64)[:n_frames],
        cell_nm=np.asarray(cell_nm, dtype=np.float32) if has_cell else None,
    )


def _cells(lengths_nm: np.ndarray | None, angles_deg: np.ndarray | None) -> np.ndarray | None:
    """Cell vectors from lengths and angles, unless one of them is zero."""
    if lengths_nm is None or angles_deg is None or not (len(lengths_nm) and lengths_nm.all() and angles_deg.all()):
        return None
    return np.stack(lengths_and_angles_to_box_vectors(*lengths_nm.T, *angles_deg.T), axis=1)


def _read_xtc(file: mdtraj.formats.XTCTrajectoryFile, n_frames: int, atoms: np.ndarray | None) -> SavedFrames:
    positions, time, _, cell = file.read(n_frames, atom_indices=atoms)
    return _saved(positions, time_ps=time, cell_nm=cell, first=0)


def _read_trr(file: mdtraj.formats.TRRTrajectoryFile, n_frames: int, atoms: np.ndarray | None) -> SavedFrames:
    positions, time, _, cell, _ = file.read(n_frames, atom_indices=atoms)
    return _saved(positions, time_ps=time, cell_nm=cell, first=0)


def _read_dcd(file: mdtraj.formats.DCDTrajectoryFile, n_frames: int, atoms: np.ndarray | None) -> SavedFrames:
    first = file.tell()
    positions, lengths, angles = file.read(n_frames, atom_indices=atoms)
    cell = _cells(None if lengths is None else lengths * NM_PER_ANGSTROM, angles)
    return _saved(positions * np.float32(NM_PER_ANGSTROM), time_ps=None, cell_nm=cell, first=first)


def _read_netcdf(file: mdtraj.formats.NetCDFTrajectoryFile, n_frames: int, atoms: np.ndarray | None) -> SavedFrames:
    first = file.tell()
    positions, time, lengths, angles = file.read(n_frames, atom_indices=atoms)
    cell = _cells(None if lengths is None else lengths * NM_PER_ANGSTROM, angles)
    return _saved(positions * np.float32(NM_PER_ANGSTROM), time_ps=time, cell_nm=cell, first=first)


class Hdf5File:
    """MDTraj's HDF5 format, version 1.1, read by h5py: MDTraj itself needs PyTables for it."""

    def __init__(self, path: str) -> None:
        self._file, self._position = h5py.File(path, "r"), 0
        units = self._file["coordinates"].attrs.get("units", "nanometers")
        if (units.decode() if isinstance(units, bytes) else str(units)) != "nanometers":
            raise ValueError(f"coordinates in {units}, not in nanometers")

    def __enter__(self) -> "Hdf5File":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._file["coordinates"])

    def seek(self, frame: int) -> None:
        self._position = frame

    def read(self, n_frames: int, atoms: Int[np.ndarray, " atom"] | None) -> SavedFrames:
        first, names = self._position, ("coordinates", "time", "cell_lengths", "cell_angles")
        self._position = min(first + n_frames, len(self))
        rows = slice(first, self._position)
        found = [self._file[name][rows] if name in self._file else None for name in names]
        positions, time, lengths, angles = found
        chosen = positions if atoms is None else positions[:, atoms]
        return _saved(chosen, time_ps=time, cell_nm=_cells(lengths, angles), first=first)


BINARY_READERS: dict[str, tuple[type, Callable[..., SavedFrames]]] = {
    ".xtc": (mdtraj.formats.XTCTrajectoryFile, _read_xtc),
    ".trr": (mdtraj.formats.TRRTrajectoryFile, _read_trr),
    ".dcd": (mdtraj.formats.DCDTrajectoryFile, _read_dcd),
    **dict.fromkeys((".nc", ".netcdf", ".ncdf"), (mdtraj.formats.NetCDFTrajectoryFile, _read_netcdf)),
    **dict.fromkeys((".h5", ".hdf5"), (Hdf5File, Hdf5File.read)),
}


@dataclass(frozen=True)
class DcdFrames:
    """Frames that the header of a DCD file counts, whole frames that it holds, and whether it ends within one."""

    in_header: int
    held: int
    is_cut: bool


def dcd_frames(path: str) -> DcdFrames | None:
    """What a DCD file holds; None where its frames differ in size, or it is none: MDTraj's own message is better."""
    content = np.memmap(path, mode="r")
    order = {b"\x54\0\0\0": "<", b"\0\0\0\x54": ">"}.get(content[:4].tobytes())
    if order is None or len(content) < 116:
        return None
    header = content[8:100].view(f"{order}i4")
    n_fixed_atoms, has_cell, has_fourth_dimension, title_bytes = header[[8, 10, 11, 21]]
    first = 112 + int(title_bytes)
    if n_fixed_atoms or len(content) < first:
        return None
    n_atoms = int(content[first - 8 : first - 4].view(f"{order}i4")[0])
    n_frame = 56 * bool(has_cell) + (3 + bool(has_fourth_dimension)) * (4 * n_atoms + 8)
    held, rest = divmod(len(content) - first, n_frame)
    return DcdFrames(int(header[0]), held, rest != 0)
