"""The checks that stop a bad trajectory before any work is done."""

import logging
from dataclasses import dataclass

import mdtraj
import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from geom2msm.elements import atomic_number
from geom2msm.formats import TIMES_AGREE, extension
from geom2msm.periodic import image_numbers, is_real_cell, reduced_cells
from geom2msm.trajectory import Frames, iterate_frames, read_first_frame
from geom2msm.trajectory_formats import SavedFrames, dcd_frames
from geom2msm.trajectory_times import check_frame_interval

# Bonds to metals have no typical length.
NONMETALS = frozenset({1, 5, 6, 7, 8, 9, 14, 15, 16, 17})
SECOND_ROW = frozenset({5, 6, 7, 8, 9})
# The longest covalent bonds: C-C 0.16, S-S 0.205; 1-3 distances start at 0.22 (O-C-O) and, with sulfur, 0.25.
LONGEST_SECOND_ROW_BOND_NM = 0.20
LONGEST_BOND_NM = 0.22
LONGEST_BOND_TO_HYDROGEN_NM = 0.15
SHORTEST_BOND_NM = 0.05
USUAL_BOND_NM = 0.15
USUAL_BOND_TO_HYDROGEN_NM = 0.1
# A unit is wrong if so many bonds are ten times too long or too short, up to a factor of 1.6. Lengths of pairs that are
# no bonds, as in a wrong order of atoms, differ by more.
SHARE_OF_ONE_UNIT = 0.8
WITHIN_POWER_OF_TEN = 0.2
TEN_TIMES = ((1, "large", "ångström", "nm", "divide"), (-1, "small", "nm", "ångström", "multiply"))
JUMP_NM = 0.5


@dataclass(frozen=True)
class Bonds:
    """Bonds to be checked: places of their atoms, longest lengths, and what they belong to."""

    atoms: Int[np.ndarray, "bond 2"]
    longest_nm: Float[np.ndarray, " bond"]
    to_hydrogen: Bool[np.ndarray, " bond"]
    within_residue: Bool[np.ndarray, " bond"]
    residue: Int[np.ndarray, " bond"]
    at_chain_end: Bool[np.ndarray, " bond"]
    names: list[str]


@dataclass(frozen=True)
class BondLengths:
    """Per bond, over all frames: how often too long, how often mended by the periodic cell, the extremes."""

    n_long: Int[np.ndarray, " bond"]
    n_mended: Int[np.ndarray, " bond"]
    shortest_nm: Float[np.ndarray, " bond"]
    longest_nm: Float[np.ndarray, " bond"]


def checked_atoms(topology: mdtraj.Topology, selected: Int[np.ndarray, " _"]) -> Int[np.ndarray, " atom"]:
    """All atoms of the residues that the selection touches: C-alphas alone have no bonds to check."""
    residue = np.array([atom.residue.index for atom in topology.atoms])
    return np.flatnonzero(np.isin(residue, residue[selected]))


def covalent_bonds(topology: mdtraj.Topology, atoms: Int[np.ndarray, " atom"]) -> Bonds:
    """Bonds of the topology among these atoms, except those to metals and virtual sites."""
    place = {int(atom): i for i, atom in enumerate(atoms)}
    pairs = [
        (one, other)
        for one, other in topology.bonds
        if one.index in place and other.index in place and {atomic_number(one), atomic_number(other)} <= NONMETALS
    ]
    ends = {
        residue.index for chain in topology.chains for residue in (*chain.residues,)[:: max(1, chain.n_residues - 1)]
    }
    return Bonds(
        atoms=np.array([(place[one.index], place[other.index]) for one, other in pairs], dtype=np.int64).reshape(-1, 2),
        longest_nm=np.array([_longest_nm({atomic_number(one), atomic_number(other)}) for one, other in pairs]),
        to_hydrogen=np.array([1 in (atomic_number(one), atomic_number(other)) for one, other in pairs], dtype=bool),
        within_residue=np.array([one.residue is other.residue for one, other in pairs], dtype=bool),
        residue=np.array([one.residue.index for one, _ in pairs], dtype=np.int64),
        at_chain_end=np.array([one.residue.index in ends for one, _ in pairs], dtype=bool),
        names=[f"{one}-{other}" for one, other in pairs],
    )


def _longest_nm(elements: set[int]) -> float:
    if 1 in elements:
        return LONGEST_BOND_TO_HYDROGEN_NM
    return LONGEST_SECOND_ROW_BOND_NM if elements <= SECOND_ROW else LONGEST_BOND_NM


def measure_bonds(frames: Frames, bonds: Bonds) -> BondLengths:
    """Bond lengths of these frames, summarized per bond; the nearest periodic image is tried for long ones."""
    displacement = frames.positions_nm[:, bonds.atoms[:, 0]] - frames.positions_nm[:, bonds.atoms[:, 1]]
    length = np.linalg.norm(displacement, axis=-1)
    is_long = length > bonds.longest_nm
    return BondLengths(
        n_long=is_long.sum(axis=0),
        n_mended=is_mended(frames, displacement, is_long, bonds.longest_nm).sum(axis=0),
        shortest_nm=length.min(axis=0),
        longest_nm=length.max(axis=0),
    )


def is_mended(
    frames: Frames,
    displacement_nm: Float32[np.ndarray, "frame bond 3"],
    is_long: Bool[np.ndarray, "frame bond"],
    longest_nm: Float[np.ndarray, " bond"],
) -> Bool[np.ndarray, "frame bond"]:
    """Long bonds whose nearest periodic image has a normal length."""
    mended = np.zeros_like(is_long)
    if frames.cell_nm is None or not is_long.any() or not is_real_cell(frames.cell_nm, n_atoms=0):
        return mended
    frame, bond = np.nonzero(is_long)
    cell, apart = reduced_cells(frames.cell_nm)[frame], displacement_nm[frame, bond].astype(np.float64)
    image = apart - np.einsum("bi,bix->bx", image_numbers(apart, cell), cell)
    mended[frame, bond] = np.linalg.norm(image, axis=-1) < longest_nm[bond]
    return mended


def merge_bonds(one: BondLengths, other: BondLengths) -> BondLengths:
    return BondLengths(
        n_long=one.n_long + other.n_long,
        n_mended=one.n_mended + other.n_mended,
        shortest_nm=np.minimum(one.shortest_nm, other.shortest_nm),
        longest_nm=np.maximum(one.longest_nm, other.longest_nm),
    )


def check_unit(path: str, frame: SavedFrames, atoms: Int[np.ndarray, " atom"], bonds: Bonds) -> None:
    """Refuse a frame, as it was saved, in which nearly all bonds among these atoms are ten times too long or short."""
    if not len(bonds.atoms):
        return
    ends = frame.positions_nm[0, atoms[bonds.atoms]]
    with np.errstate(over="ignore", invalid="ignore"):  # for `check_finite` to see
        length = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1)
        power = np.log10(length / np.where(bonds.to_hydrogen, USUAL_BOND_TO_HYDROGEN_NM, USUAL_BOND_NM))
    for sign, size, wrong, right, how in TEN_TIMES:
        if (np.abs(power - sign) < WITHIN_POWER_OF_TEN).mean() > SHARE_OF_ONE_UNIT:
            raise ValueError(
                f"{path}: the coordinates are ten times too {size} (bonds of {np.median(length):.3g} nm, usual is "
                f"{USUAL_BOND_NM:g} nm): {wrong} were saved in a format that holds {right}; {how} them by ten."
            )


def check_finite(path: str, frames: Frames) -> None:
    bad = np.flatnonzero(~np.isfinite(frames.positions_nm).all(axis=(1, 2)))
    if len(bad):
        raise ValueError(
            f"{path}: frame {frames.first + bad[0]} has coordinates that are not finite (NaN or infinite); "
            "the simulation has blown up or the file is damaged: cut it before that frame."
        )


def check_bonds(path: str, bonds: Bonds, lengths: BondLengths, *, n_frames: int, can_mend: bool) -> dict[str, object]:
    """Refuse coincident atoms, a topology of other atoms or another order, and molecules cut by the box.

    A bond between residues that is long in all frames is a gap in the chain: MDTraj bonds consecutive
    residues of a chain whether or not some are missing between them. One to hydrogen may be false.
    """
    if not len(bonds.atoms):
        return {"bonds": 0}
    if lengths.shortest_nm.min() < SHORTEST_BOND_NM:
        raise ValueError(
            f"{path}: bonded atoms coincide ({bonds.names[int(lengths.shortest_nm.argmin())]}, "
            f"{lengths.shortest_nm.min():.3f} nm in one frame); the file is damaged."
        )
    mostly_long = lengths.n_long - lengths.n_mended > n_frames / 2
    check_order(path, bonds, lengths, mostly_long)
    is_cut = ~mostly_long & (lengths.longest_nm > JUMP_NM)
    if is_cut.any():
        worst = int(np.argmax(np.where(is_cut, lengths.longest_nm, 0)))
        raise ValueError(
            f"{path}: molecules are broken across the periodic box: {int(is_cut.sum())} bonds jump (such as "
            f"{bonds.names[worst]}, up to {lengths.longest_nm[worst]:.2f} nm); "
            + ("set trajectories.make_whole to true." if can_mend else HOW_TO_MAKE_WHOLE)
        )
    heavy = ~bonds.to_hydrogen
    return {
        "bonds": int(heavy.sum()),
        "gaps": int((mostly_long & heavy).sum()),
        "false_bonds_to_hydrogen": int((mostly_long & ~heavy).sum()),
        "longest_bond_nm": round(float(lengths.longest_nm[heavy & ~mostly_long].max(initial=0)), 4),
    }


HOW_TO_MAKE_WHOLE = (
    "the file has no periodic box by which they could be mended: make molecules whole before "
    "(GROMACS: gmx trjconv -pbc mol; CPPTRAJ: autoimage)."
)


def check_order(path: str, bonds: Bonds, lengths: BondLengths, mostly_long: Bool[np.ndarray, " bond"]) -> None:
    """Refuse bonds within residues that are too long most of the time.

    Of hydrogens only two in one residue count, not at the end of a chain: MDTraj bonds the hydrogens of
    some terminal groups, such as HT2, to the wrong atom.
    """
    within = mostly_long & bonds.within_residue
    hydrogens = within & bonds.to_hydrogen & ~bonds.at_chain_end
    n_hydrogens = np.bincount(bonds.residue[hydrogens], minlength=bonds.residue.max(initial=0) + 1)
    wrong = (within & ~bonds.to_hydrogen) | (hydrogens & (n_hydrogens[bonds.residue] > 1))
    if wrong.any():
        worst = int(np.argmax(np.where(wrong, lengths.longest_nm, 0)))
        raise ValueError(
            f"{path}: the atoms are not in the order of the topology file: {int(wrong.sum())} of "
            f"{len(wrong)} bonds are longer than {bonds.longest_nm[worst]:g} nm in most frames (such as "
            f"{bonds.names[worst]}, up to {lengths.longest_nm[worst]:.2f} nm); give the topology that belongs to this "
            "trajectory."
        )


def missing_frames(path: str) -> str | None:
    """What a DCD file lacks of the frames that its header counts; some programs leave the count at zero."""
    found = dcd_frames(path) if extension(path) == ".dcd" else None
    if found is None or found.in_header in (0, found.held):
        return None
    return f"the header counts {found.in_header} frames, the file holds {found.held}"


def count_saved_frames(path: str, topology: mdtraj.Topology, *, n_frames: int, stride: int) -> int:
    """How many frames the file holds, if every stride-th of them are so many."""
    last = (n_frames - 1) * stride
    if stride == 1:
        return n_frames
    rest = iterate_frames(path, topology, np.array([0]), first_frame=last, make_whole=False)
    return last + sum(len(frames.header_ps) for frames in rest)


def inspect_frames(
    path: str,
    topology: mdtraj.Topology,
    atoms: Int[np.ndarray, " atom"],
    *,
    frame_interval_ps: float,
    stride: int = 1,
    make_whole: bool = True,
) -> tuple[int, dict[str, object]]:
    """Read the whole trajectory once: its number of frames that count, and what the checks found.

    `frame_interval_ps` is between saved frames.
    """
    checked = checked_atoms(topology, atoms)
    bonds = covalent_bonds(topology, checked)
    check_unit(path, read_first_frame(path, topology), checked, bonds)
    header_ps, lengths, repaired, with_cell = [], None, np.zeros(2, dtype=np.int64), 0
    for frames in iterate_frames(path, topology, checked, stride=stride, make_whole=make_whole):
        check_finite(path, frames)
        measured = measure_bonds(frames, bonds)
        lengths = measured if lengths is None else merge_bonds(lengths, measured)
        header_ps.append(frames.header_ps)
        repaired += [frames.made_whole.sum(), frames.brought_together.sum()]
        with_cell += len(frames.header_ps) * (frames.cell_nm is not None)
    assert lengths is not None, "iterate_frames has seen a frame"
    times = np.concatenate(header_ps)
    header = check_frame_interval(path, times, frame_interval_ps=frame_interval_ps, stride=stride)
    if missing := missing_frames(path):
        logging.warning("%s: %s; a run or a copy of it was stopped early, or the program counts ahead", path, missing)
        header = f"{header}; {missing}"
    if header.startswith("unusable"):
        logging.warning("%s: the file's times are %s; trajectories.frame_interval_ps alone counts", path, header)
    can_mend = with_cell > 0 and not make_whole
    checks = {
        "times": header,
        "finite": "all",
        "periodic_box": "yes" if with_cell else "no",
        **({"first_time_ps": float(times[0]), "last_time_ps": float(times[-1])} if header == TIMES_AGREE else {}),
        "frames_made_whole": int(repaired[0]),
        "frames_brought_together": int(repaired[1]),
    }
    return len(times), checks | check_bonds(path, bonds, lengths, n_frames=len(times), can_mend=can_mend)
