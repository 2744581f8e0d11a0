"""Reading trajectories in pieces: any format, every stride-th frame, molecules whole."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mdtraj
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from geom2msm.complexes import Repaired, make_whole
from geom2msm.molecules import Molecules, find_molecules
from geom2msm.periodic import is_real_cell, reduced_cells
from geom2msm.trajectory_formats import SavedFrames, saved_frames
from geom2msm.trajectory_headers import BareFrameError
from geom2msm.trajectory_text import CutError

# Atoms per piece: 12 MB of coordinates, whatever the size of the system and the trajectory.
CHUNK_ATOMS = 1_000_000
CHUNK_FRAMES = 1000


@dataclass(frozen=True)
class Frames:
    """Consecutive frames of a trajectory: selected atoms only, `first` counted from 0 in frames that count.

    `header_ps` is what the file says, which for many formats is the frame number: use
    (first + i) * frame_interval_ps for time. `made_whole` and `brought_together` say in which frames
    a broken molecule was mended, and one was moved to the others.
    """

    first: int
    positions_nm: Float32[np.ndarray, "frame atom 3"]
    header_ps: Float64[np.ndarray, " frame"]
    cell_nm: Float32[np.ndarray, "frame 3 3"] | None
    made_whole: Bool[np.ndarray, " frame"]
    brought_together: Bool[np.ndarray, " frame"]


def read_first_frame(path: str, topology: mdtraj.Topology) -> SavedFrames:
    """All atoms of the first frame; a missing, empty or unreadable file and a wrong number of atoms are refused."""
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such file; trajectories.files names the trajectory files.")
    if Path(path).stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty (0 bytes).")
    try:
        frame = next(saved_frames(path, n_atoms=topology.n_atoms, atoms=None, first=0, stride=1, n_piece=1), None)
    except Exception as error:
        raise unreadable(path, error, n_frames=0) from error
    if frame is None:
        raise ValueError(f"{path}: the file holds no frame.")
    n_atoms = frame.positions_nm.shape[1]
    if n_atoms != topology.n_atoms:
        raise ValueError(
            f"{path}: {n_atoms} atoms per frame, but the topology file has {topology.n_atoms}; "
            "trajectories.topology must describe exactly the atoms that were saved."
        )
    return frame


def unreadable(path: str, error: Exception, *, n_frames: int) -> ValueError:
    """The user's version of what the readers raise, which ranges from bare Exception to TypeError."""
    if isinstance(error, CutError):
        return ValueError(
            f"{path}: the file ends in the middle of a frame (truncated); copy it again or drop the rest."
        )
    if isinstance(error, BareFrameError):
        return ValueError(
            f"{path}: {error}; write the frames with coordinates to another file (gmx trjconv -f in.trr -o out.xtc)."
        )
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ValueError(
        f"{path}: cannot read this file beyond frame {n_frames} ({reason}); it is truncated, damaged or of another "
        "format than its name says."
    )


def iterate_frames(
    path: str,
    topology: mdtraj.Topology,
    atoms: Int[np.ndarray, " atom"],
    *,
    first_frame: int = 0,
    stride: int = 1,
    make_whole: bool = True,
) -> Iterator[Frames]:
    """The selected atoms of every stride-th frame, piece by piece, from `first_frame` on, counted in such frames.

    With `make_whole`, and a periodic box in the file, molecules are made whole and brought together,
    whether or not all of their atoms are selected.
    """
    sample = read_first_frame(path, topology)
    molecules = sample_molecules(sample, topology, atoms) if make_whole else None
    read = atoms if molecules is None else molecules.atoms
    selected = np.arange(len(atoms)) if molecules is None else np.searchsorted(read, atoms)
    pieces = saved_frames(
        path,
        n_atoms=topology.n_atoms,
        atoms=read,
        first=first_frame * stride,
        stride=stride,
        n_piece=int(np.clip(CHUNK_ATOMS // topology.n_atoms, 1, CHUNK_FRAMES)),
    )
    first = first_frame
    while True:
        try:
            piece = next(pieces, None)
        except Exception as error:
            raise unreadable(path, error, n_frames=first * stride) from error
        if piece is None:
            return
        yield selected_frames(piece, molecules, selected, first=first, n_atoms=topology.n_atoms)
        first += len(piece.positions_nm)


def sample_molecules(
    sample: SavedFrames, topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"]
) -> Molecules | None:
    """The molecules that the selected atoms belong to, if the file has a periodic box that can be one."""
    if sample.cell_nm is None or not np.isfinite(sample.positions_nm).all():
        return None
    if not is_real_cell(sample.cell_nm, n_atoms=topology.n_atoms):
        return None
    return find_molecules(topology, atoms, sample.positions_nm[0], sample.cell_nm[0])


def selected_frames(
    piece: SavedFrames,
    molecules: Molecules | None,
    selected: Int[np.ndarray, " atom"],
    *,
    first: int,
    n_atoms: int,
) -> Frames:
    """A piece with its molecules whole, reduced to the selected ones of its atoms."""
    untouched = np.zeros(len(piece.positions_nm), dtype=bool)
    repaired = Repaired(piece.positions_nm, made_whole=untouched, brought_together=untouched)
    if molecules is not None and piece.cell_nm is not None and is_real_cell(piece.cell_nm, n_atoms=n_atoms):
        repaired = make_whole(piece.positions_nm, reduced_cells(piece.cell_nm), molecules)
    all_of_them = np.array_equal(selected, np.arange(piece.positions_nm.shape[1]))
    return Frames(
        first=first,
        positions_nm=repaired.positions_nm if all_of_them else repaired.positions_nm[:, selected],
        header_ps=piece.header_ps,
        cell_nm=piece.cell_nm,
        made_whole=repaired.made_whole,
        brought_together=repaired.brought_together,
    )


def picked(
    pieces: Iterable[Frames], frames: Int[np.ndarray, " frame"]
) -> Iterator[tuple[Float32[np.ndarray, "_ atom 3"], Float32[np.ndarray, "_ 3 3"] | None]]:
    """Positions and cells of these frames, ascending, from the pieces that hold some; none is read after the last."""
    for piece in pieces:
        stop = piece.first + len(piece.positions_nm)
        places = frames[(frames >= piece.first) & (frames < stop)] - piece.first
        if len(places):
            yield piece.positions_nm[places], None if piece.cell_nm is None else piece.cell_nm[places]
        if stop > frames[-1]:
            return
