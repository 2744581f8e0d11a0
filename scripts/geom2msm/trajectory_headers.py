"""Headers of XTC and TRR frames, checked before MDTraj reads the file: its C code trusts them, and a damaged one kills
the process without a word.

Layouts: GROMACS, xtcio.cpp, libxdrf.cpp and trrio.cpp. All words are big-endian and four bytes long.
"""

import os
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import BinaryIO

from geom2msm.trajectory_text import CutError

XTC_MAGIC, TRR_MAGIC = 1995, 1993
XTC_HEADER_BYTES, TRR_HEADER_BYTES = 92, 76
# Up to so many atoms, coordinates are not compressed.
FEW_ATOMS = 9
# Rows of the table of small integers that the compression uses.
FIRST_SMALL, LAST_SMALL = 9, 72
DIMENSION = 3
REAL_BYTES = (4, 8)


class BareFrameError(ValueError):
    """A frame holds velocities or forces, but no coordinates."""


def check_headers(path: str) -> None:
    """Walk over all frames of an XTC or TRR file; CutError for an incomplete last one, ValueError for a damaged one."""
    status = os.stat(path)
    _check_headers(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _check_headers(path: str, size: int, _: int) -> None:
    n_bytes, length = (XTC_HEADER_BYTES, xtc_frame) if path.lower().endswith(".xtc") else (TRR_HEADER_BYTES, trr_frame)
    start, frame, n_atoms = 0, 0, None
    with open(path, "rb", buffering=0) as file:
        while start < size:
            found, end = _frame_end(file, start, n_bytes, length, frame=frame)
            if end > size:
                raise CutError
            if n_atoms is not None and found != n_atoms:
                raise ValueError(f"frame {frame} has {found} atoms, the first one {n_atoms}")
            start, frame, n_atoms = end, frame + 1, found


def _frame_end(
    file: BinaryIO, start: int, n_bytes: int, length: Callable[[bytes], tuple[int, int]], *, frame: int
) -> tuple[int, int]:
    """Number of atoms of the frame that starts here, and where the next one starts."""
    file.seek(start)
    header = file.read(n_bytes)
    try:
        n_atoms, n_frame = length(header)
    except struct.error:
        raise CutError from None
    except ValueError as error:
        raise type(error)(f"frame {frame}: {error}") from None
    return n_atoms, start + n_frame


def xtc_frame(header: bytes) -> tuple[int, int]:
    """Number of atoms and of bytes of a frame of an XTC file."""
    magic, n_atoms = struct.unpack_from(">2i", header)
    if magic != XTC_MAGIC:
        raise ValueError(f"it begins with {magic}, not with {XTC_MAGIC}")
    (again,) = struct.unpack_from(">i", header, 52)
    if n_atoms != again or n_atoms < 1:
        raise ValueError(f"it says {n_atoms} and {again} atoms")
    if n_atoms <= FEW_ATOMS:
        return n_atoms, 56 + 4 * DIMENSION * n_atoms
    *bounds, small, n_compressed = struct.unpack_from(">8i", header, 60)
    if not all(low <= high for low, high in zip(bounds[:3], bounds[3:], strict=True)):
        raise ValueError("its smallest coordinate is larger than its largest one")
    if not FIRST_SMALL <= small <= LAST_SMALL:
        raise ValueError(f"row {small} of the table of small integers, which ends at {LAST_SMALL}")
    if n_compressed < 0:
        raise ValueError(f"{n_compressed} bytes of coordinates")
    return n_atoms, XTC_HEADER_BYTES + -(-n_compressed // 4) * 4


def trr_frame(header: bytes) -> tuple[int, int]:
    """Number of atoms and of bytes of a frame of a TRR file."""
    magic, _, n_text, *sizes, n_atoms, _, _ = struct.unpack_from(">3i12x13i", header)
    if magic != TRR_MAGIC or n_text != 12:
        raise ValueError(f"it begins with {magic}, not with {TRR_MAGIC}")
    box, coordinates = sizes[2], sizes[7]
    vectors = [real * DIMENSION * n_atoms for real in REAL_BYTES]
    if n_atoms >= 1 and coordinates == 0 and any(size in vectors for size in sizes[8:]):
        raise BareFrameError("no coordinates, only velocities or forces")
    if n_atoms < 1 or coordinates not in vectors:
        raise ValueError(f"{coordinates} bytes of coordinates of {n_atoms} atoms")
    real = coordinates // (DIMENSION * n_atoms)
    if any(size not in (0, real * DIMENSION**2) for size in (box, sizes[3], sizes[4])):
        raise ValueError(f"{box} bytes of a cell")
    if any(size not in (0, coordinates) for size in sizes[7:]) or any(sizes[i] for i in (0, 1, 5, 6)):
        raise ValueError("parts of a size that no frame has")
    return n_atoms, TRR_HEADER_BYTES + 2 * real + sum(sizes)
