"""Reading trajectories in pieces, and the checks that stop a bad one before any work is done."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mdtraj
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int

# Atoms per piece: 12 MB of coordinates, whatever the size of the system and the trajectory.
CHUNK_ATOMS = 1_000_000
CHUNK_FRAMES = 1000

# For the other formats MDTraj ignores `skip`, or makes up times: the frame numbers.
SEEKABLE = (".xtc", ".trr", ".dcd", ".nc", ".netcdf", ".ncdf", ".h5", ".hdf5")
TIMED = (".xtc", ".trr", ".nc", ".netcdf", ".ncdf", ".h5", ".hdf5")

# The longest covalent bond among these elements, S-S, has 0.205 nm; 1-3 distances start at 0.24 nm.
# Hydrogens are left out because MDTraj bonds some wrongly (a C-terminal HT2 to the nitrogen).
NONMETALS = frozenset({5, 6, 7, 8, 9, 14, 15, 16, 17})
LONGEST_BOND_NM = 0.22
SHORTEST_BOND_NM = 0.05
JUMP_NM = 0.5


@dataclass(frozen=True)
class Frames:
    """Consecutive frames of a trajectory: selected atoms only, `first` counted from 0.

    `header_ps` is what the file says, which for many formats is the frame number: use
    (first + i) * frame_interval_ps for time.
    """

    first: int
    positions_nm: Float32[np.ndarray, "frame atom 3"]
    header_ps: Float64[np.ndarray, " frame"]
    cell_nm: Float32[np.ndarray, "frame 3 3"] | None


@dataclass(frozen=True)
class BondLengths:
    """Per bond, over all frames: how often too long, how often mended by the periodic cell, the extremes."""

    n_long: Int[np.ndarray, " bond"]
    n_mended: Int[np.ndarray, " bond"]
    shortest_nm: Float[np.ndarray, " bond"]
    longest_nm: Float[np.ndarray, " bond"]


def extension(path: str) -> str:
    return "".join(Path(path).suffixes[-2:] if path.endswith(".gz") else Path(path).suffixes[-1:]).lower()


def check_readable(path: str, topology: mdtraj.Topology) -> None:
    """Refuse a missing, empty or unreadable file, a cut DCD file, and a wrong number of atoms.

    MDTraj compares the numbers of atoms only where no atoms are selected, hence one whole frame.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such file; trajectories.files names the trajectory files.")
    if Path(path).stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty (0 bytes).")
    if extension(path) == ".dcd" and dcd_is_cut(path):
        raise ValueError(f"{path}: the file ends in the middle of a frame (truncated); copy it again or drop the rest.")
    try:
        frame = next(mdtraj.iterload(path, top=topology, chunk=1), None)
    except Exception as error:
        raise unreadable(path, error, n_frames=0, n_atoms=topology.n_atoms) from error
    if frame is None:
        raise ValueError(f"{path}: the file holds no frame.")
    if frame.n_atoms != topology.n_atoms:
        raise ValueError(
            f"{path}: {frame.n_atoms} atoms per frame, but the topology file has {topology.n_atoms}; "
            "trajectories.topology must describe exactly the atoms that were saved."
        )


def unreadable(path: str, error: Exception, *, n_frames: int, n_atoms: int) -> ValueError:
    """The user's version of what MDTraj raises, which ranges from bare Exception to TypeError."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if "must be shape" in reason:
        return ValueError(
            f"{path}: its number of atoms is not that of the topology file, {n_atoms} ({reason}); "
            "trajectories.topology must describe exactly the atoms that were saved."
        )
    return ValueError(
        f"{path}: MDTraj cannot read this file beyond frame {n_frames} ({reason}); it is truncated, damaged or of a "
        "format that MDTraj does not know."
    )


def dcd_is_cut(path: str) -> bool:
    """Whether a DCD file ends within a frame, which MDTraj passes over in silence."""
    content = np.memmap(path, mode="r")
    order = {b"\x54\0\0\0": "<", b"\0\0\0\x54": ">"}.get(content[:4].tobytes())
    if order is None or len(content) < 116:
        return False  # not a DCD header: MDTraj's own message is better
    header = content[8:100].view(f"{order}i4")
    n_fixed_atoms, has_cell, has_fourth_dimension, title_bytes = header[[8, 10, 11, 21]]
    first = 112 + int(title_bytes)
    if n_fixed_atoms:
        return False  # frames differ in size
    n_atoms = int(content[first - 8 : first - 4].view(f"{order}i4")[0])
    n_frame = 56 * bool(has_cell) + (3 + bool(has_fourth_dimension)) * (4 * n_atoms + 8)
    return (len(content) - first) % n_frame != 0


def iterate_frames(
    path: str, topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"], *, first_frame: int = 0
) -> Iterator[Frames]:
    """The selected atoms of a trajectory, piece by piece, from `first_frame` on."""
    check_readable(path, topology)
    n_chunk = int(np.clip(CHUNK_ATOMS // topology.n_atoms, 1, CHUNK_FRAMES))
    seeks = extension(path) in SEEKABLE
    first = first_frame if seeks else 0
    pieces = mdtraj.iterload(path, top=topology, chunk=n_chunk, atom_indices=atoms, skip=first)
    while True:
        try:
            piece = next(pieces, None)
        except Exception as error:
            raise unreadable(path, error, n_frames=first, n_atoms=topology.n_atoms) from error
        if piece is None:
            return
        if first + piece.n_frames > first_frame:
            yield as_frames(piece[max(0, first_frame - first) :], first=max(first, first_frame))
        first += piece.n_frames


def as_frames(piece: mdtraj.Trajectory, *, first: int) -> Frames:
    cell = piece.unitcell_vectors
    return Frames(
        first=first,
        positions_nm=np.ascontiguousarray(piece.xyz, dtype=np.float32),
        header_ps=np.asarray(piece.time, dtype=np.float64),
        cell_nm=None if cell is None or not np.abs(cell).any() else np.asarray(cell, dtype=np.float32),
    )


def check_finite(path: str, frames: Frames) -> None:
    bad = np.flatnonzero(~np.isfinite(frames.positions_nm).all(axis=(1, 2)))
    if len(bad):
        raise ValueError(
            f"{path}: frame {frames.first + bad[0]} has coordinates that are not finite (NaN or infinite); "
            "the simulation has blown up or the file is damaged: cut it before that frame."
        )


def covalent_bonds(topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"]) -> Int[np.ndarray, "bond 2"]:
    """Bonds between selected nonmetal heavy atoms, as positions in `atoms`."""
    place = {int(atom): i for i, atom in enumerate(atoms)}
    bonds = [
        (place[first.index], place[second.index])
        for first, second in topology.bonds
        if first.index in place and second.index in place
        if {a.element.atomic_number if a.element else 0 for a in (first, second)} <= NONMETALS
    ]
    return np.array(bonds, dtype=np.int64).reshape(-1, 2)


def measure_bonds(frames: Frames, bonds: Int[np.ndarray, "bond 2"]) -> BondLengths:
    """Bond lengths of these frames, summarized per bond; the nearest periodic image is tried for long ones."""
    displacement = frames.positions_nm[:, bonds[:, 0]] - frames.positions_nm[:, bonds[:, 1]]
    length = np.linalg.norm(displacement, axis=-1)
    is_long = length > LONGEST_BOND_NM
    return BondLengths(
        n_long=is_long.sum(axis=0),
        n_mended=is_mended(frames, displacement, is_long).sum(axis=0),
        shortest_nm=length.min(axis=0),
        longest_nm=length.max(axis=0),
    )


def is_mended(
    frames: Frames, displacement: Float32[np.ndarray, "frame bond 3"], is_long: Bool[np.ndarray, "frame bond"]
) -> Bool[np.ndarray, "frame bond"]:
    """Long bonds whose nearest periodic image has a normal length."""
    mended = np.zeros_like(is_long)
    if frames.cell_nm is None or not is_long.any():
        return mended
    frame, bond = np.nonzero(is_long)
    cell = frames.cell_nm[frame]
    fractional = np.einsum("bi,bij->bj", displacement[frame, bond], np.linalg.inv(cell))
    image = np.einsum("bi,bij->bj", fractional - np.round(fractional), cell)
    mended[frame, bond] = np.linalg.norm(image, axis=-1) < LONGEST_BOND_NM
    return mended


def merge_bonds(one: BondLengths, other: BondLengths) -> BondLengths:
    return BondLengths(
        n_long=one.n_long + other.n_long,
        n_mended=one.n_mended + other.n_mended,
        shortest_nm=np.minimum(one.shortest_nm, other.shortest_nm),
        longest_nm=np.maximum(one.longest_nm, other.longest_nm),
    )


def check_frame_interval(path: str, header_ps: Float64[np.ndarray, " frame"], *, frame_interval_ps: float) -> str:
    """What the file's times are worth, in words; a usable contradiction to the config is an error."""
    if extension(path) not in TIMED:
        return "none in this format"
    if len(header_ps) < 2:
        return "one frame"
    steps = np.diff(header_ps)
    step_ps = steps.mean()
    # XTC and TRR store times in single precision.
    rounding_ps = 4 * np.finfo(np.float32).eps * np.abs(header_ps).max()
    if np.ptp(steps) > 1e-3 * abs(step_ps) + rounding_ps:
        return "unusable: not equidistant"
    if abs(step_ps - frame_interval_ps) <= 1e-3 * frame_interval_ps:
        return "agree with frame_interval_ps"
    if step_ps == 0:
        return "unusable: all equal"
    if step_ps == 1 and header_ps[0] in (0, 1):
        return "unusable: plain frame numbers"
    raise ValueError(
        f"{path}: trajectories.frame_interval_ps = {frame_interval_ps:g}, but the times in the file are "
        f"{step_ps:g} ps apart; correct the key or, if the file is wrong, number its frames 0, 1, 2, … as times."
    )


def check_bonds(
    path: str, topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"], lengths: BondLengths, *, n_frames: int
) -> dict[str, int | float]:
    """Refuse coincident atoms, a topology of other atoms or another order, and molecules cut by the box.

    A bond between residues that is long in all frames is a gap in the chain: MDTraj bonds consecutive
    residues of a chain whether or not some are missing between them.
    """
    bonds = covalent_bonds(topology, atoms)
    if not len(bonds):
        return {"bonds": 0}
    pairs = [tuple(topology.atom(int(atoms[i])) for i in bond) for bond in bonds]
    within = np.array([first.residue.index == second.residue.index for first, second in pairs])
    names = [f"{first}-{second}" for first, second in pairs]
    if lengths.shortest_nm.min() < SHORTEST_BOND_NM:
        raise ValueError(
            f"{path}: bonded atoms coincide ({names[int(lengths.shortest_nm.argmin())]}, "
            f"{lengths.shortest_nm.min():.3f} nm in one frame); the file is damaged."
        )
    mostly_long = lengths.n_long - lengths.n_mended > n_frames / 2
    if (mostly_long & within).any():
        worst = int(np.argmax(np.where(mostly_long & within, lengths.longest_nm, 0)))
        raise ValueError(
            f"{path}: the atoms are not in the order of the topology file: {int((mostly_long & within).sum())} of "
            f"{len(bonds)} bonds are longer than {LONGEST_BOND_NM} nm in most frames (such as {names[worst]}, up to "
            f"{lengths.longest_nm[worst]:.2f} nm); give the topology that belongs to this trajectory."
        )
    is_cut = ~mostly_long & (lengths.longest_nm > JUMP_NM)
    if is_cut.any():
        worst = int(np.argmax(np.where(is_cut, lengths.longest_nm, 0)))
        raise ValueError(
            f"{path}: molecules are broken across the periodic box: {int(is_cut.sum())} bonds jump (such as "
            f"{names[worst]}, up to {lengths.longest_nm[worst]:.2f} nm); make molecules whole before (GROMACS: "
            "gmx trjconv -pbc mol; MDTraj: make_molecules_whole)."
        )
    return {
        "bonds": len(bonds),
        "gaps": int(mostly_long.sum()),
        "longest_bond_nm": round(float(lengths.longest_nm[~mostly_long].max(initial=0)), 4),
    }


def check_lag(path: str, *, n_frames: int, frame_interval_ps: float, longest_lag_ps: float) -> None:
    if longest_lag_ps >= n_frames * frame_interval_ps:
        raise ValueError(
            f"{path}: {n_frames} frames at trajectories.frame_interval_ps = {frame_interval_ps:g} are "
            f"{n_frames * frame_interval_ps:g} ps, not more than the longest lag in the config, {longest_lag_ps:g} ps; "
            "shorten lag_ps and msm.scan_lags_ps or leave this trajectory out."
        )


def inspect_frames(
    path: str, topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"], *, frame_interval_ps: float
) -> tuple[int, dict[str, int | float | str]]:
    """Read the whole trajectory once: its number of frames, and what the checks found."""
    bonds = covalent_bonds(topology, atoms)
    header_ps, lengths, periodic = [], None, False
    for frames in iterate_frames(path, topology, atoms):
        check_finite(path, frames)
        measured = measure_bonds(frames, bonds)
        lengths = measured if lengths is None else merge_bonds(lengths, measured)
        header_ps.append(frames.header_ps)
        periodic = periodic or frames.cell_nm is not None
    assert lengths is not None, "check_readable has seen a frame"
    times = np.concatenate(header_ps)
    header = check_frame_interval(path, times, frame_interval_ps=frame_interval_ps)
    if header.startswith("unusable"):
        logging.warning("%s: the file's times are %s; trajectories.frame_interval_ps alone counts", path, header)
    checks = {"times": header, "finite": "all", "periodic_box": "yes" if periodic else "no"}
    return len(times), checks | check_bonds(path, topology, atoms, lengths, n_frames=len(times))
