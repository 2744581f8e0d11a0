"""What can be said of a frame in physical terms: RMSD, radius of gyration, native contacts, secondary structure, …

A measurement knows the atoms it needs and what it makes of their positions. Those that mean nothing for a molecule
are left out, with the reason.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import mdtraj
import numpy as np
from jaxtyping import Float, Float32, Int
from mdtraj.core.topology import Chain, Residue
from scipy.spatial import cKDTree

from geom2msm.elements import atomic_number
from geom2msm.formats import TRAJECTORY_FORMATS, extension
from geom2msm.residues import chain_letter, distinct, residue_kind
from geom2msm.topology import load_topology, select_atoms
from geom2msm.trajectory import iterate_frames

MIN_CALPHAS = 4
# Shorter chains can have no turn of a helix, let alone a strand.
MIN_DSSP_RESIDUES = 5
BACKBONE = ("N", "CA", "C", "O")
CHAIN_ATOMS = {"protein": ("CA",), "nucleic": ("C1'", "C1*")}
# Best, Hummer & Eaton, PNAS 110 (2013) 17874, eq. 1 and the text below it.
NATIVE_NM, NATIVE_SEPARATION, NATIVE_STEEPNESS_PER_NM, NATIVE_FACTOR = 0.45, 4, 50.0, 1.8
# Pair distances held at a time: 80 MB.
CHUNK_DISTANCES = 20_000_000

Positions = Float32[np.ndarray, "frame atom 3"]


class NotApplicable(Exception):
    """Says why a quantity means nothing for a molecule."""


@dataclass(frozen=True)
class Measurement:
    """Quantities that are computed together from some atoms, in every `every`-th frame; elsewhere they are NaN.

    `periodic` quantities are angles from -180 to 180 degrees, which meet at the ends.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    atoms: Int[np.ndarray, " atom"]
    measure: Callable[[Positions], Float[np.ndarray, "frame quantity"]]
    every: int = 1
    periodic: bool = False


@dataclass(frozen=True)
class Molecule:
    """A topology, its selected atoms, and where all atoms of their residues are in a reference, if there is one."""

    topology: mdtraj.Topology
    selected: Int[np.ndarray, " atom"]
    reference_nm: Float32[np.ndarray, "every_atom 3"] | None

    @property
    def residues(self) -> list[Residue]:
        """Residues that have a selected atom."""
        found = {self.topology.atom(int(atom)).residue.index for atom in self.selected}
        return [self.topology.residue(index) for index in sorted(found)]

    @property
    def residue_atoms(self) -> Int[np.ndarray, " atom"]:
        """All atoms of these residues."""
        return np.array([atom.index for residue in self.residues for atom in residue.atoms], dtype=np.int64)

    @property
    def heavy(self) -> Int[np.ndarray, " atom"]:
        """Selected atoms that are not hydrogen."""
        numbers = [atomic_number(self.topology.atom(int(atom))) for atom in self.selected]
        return self.selected[np.array(numbers) > 1]

    def chain_atoms(self) -> dict[str, list[int]]:
        """C-alphas, or C1' of nucleotides, of each chain that has any, in order."""
        found: dict[Chain, list[int]] = {}
        for residue in self.residues:
            names = CHAIN_ATOMS.get(residue_kind(residue), ())
            found.setdefault(residue.chain, []).extend(atom.index for atom in residue.atoms if atom.name in names)
        chains = [each for each, atoms in found.items() if atoms]
        return dict(zip(distinct(map(chain_letter, chains)), (found[each] for each in chains), strict=True))

    def at_reference(self, atoms: Int[np.ndarray, "*atoms"]) -> Float32[np.ndarray, "*atoms 3"]:
        """Where these atoms are in the reference."""
        if self.reference_nm is None:
            raise NotApplicable("there is no reference structure; observables.reference can name one")
        return self.reference_nm[atoms]


def load_molecule(topology_file: str, selection: str, *, reference_file: str, make_whole: bool) -> Molecule:
    """The selected atoms, with the first frame of a file as reference, if its format has coordinates."""
    topology = load_topology(topology_file)
    molecule = Molecule(topology, select_atoms(topology, selection, file=topology_file), None)
    if extension(reference_file) not in TRAJECTORY_FORMATS:
        return molecule
    atoms = molecule.residue_atoms
    positions_nm = np.full((topology.n_atoms, 3), np.nan, dtype=np.float32)
    try:
        frames = next(iterate_frames(reference_file, topology, atoms, make_whole=make_whole))
    except ValueError as error:
        raise ValueError(f"observables.reference needs the very atoms of {topology_file}: {error}") from error
    positions_nm[atoms] = frames.positions_nm[0]
    return Molecule(topology, molecule.selected, positions_nm)


def rmsd(name: str, molecule: Molecule, atoms: Int[np.ndarray, " atom"]) -> Measurement:
    """Root-mean-square deviation from the reference, these atoms superposed (Kabsch, Acta Cryst. A 32 (1976) 922).

    In double precision, because the last digits of MDTraj's depend on which frames are read together.
    """
    reference_nm = molecule.at_reference(atoms)
    if len(atoms) < 3:
        raise NotApplicable(f"an RMSD needs at least 3 atoms to superpose, not {len(atoms)}")
    reference = reference_nm.astype(np.float64) - reference_nm.mean(axis=0, dtype=np.float64)

    def measure(positions_nm: Positions) -> Float[np.ndarray, "frame quantity"]:
        centered = positions_nm - positions_nm.mean(axis=1, keepdims=True, dtype=np.float64)
        covariance = np.einsum("fai,aj->fij", centered, reference)
        overlap = np.linalg.svd(covariance, compute_uv=False)
        overlap[:, 2] *= np.sign(np.linalg.det(covariance))
        squares = (centered**2).sum(axis=(1, 2)) + (reference**2).sum() - 2 * overlap.sum(axis=1)
        return np.sqrt(np.clip(squares, 0, None) / len(atoms))[:, None]

    return Measurement((name,), ("nm",), atoms, measure)


def rmsd_heavy(molecule: Molecule) -> Measurement:
    """RMSD of the selected heavy atoms."""
    return rmsd("rmsd", molecule, molecule.heavy)


def rmsd_calpha(molecule: Molecule) -> Measurement:
    """RMSD of the C-alpha atoms, or C1' of nucleotides."""
    atoms = np.array(sorted(chain.from_iterable(molecule.chain_atoms().values())), dtype=np.int64)
    if len(atoms) < MIN_CALPHAS:
        raise NotApplicable(f"there are only {len(atoms)} residues in a chain of protein or nucleic acid")
    return rmsd("rmsd_chain", molecule, atoms)


def radius_of_gyration(molecule: Molecule) -> Measurement:
    """Mass-weighted radius of gyration about the center of mass; mdtraj.compute_rg takes the unweighted center."""
    masses = np.array([molecule.topology.atom(int(atom)).element.mass for atom in molecule.selected])
    share = masses / masses.sum()

    def measure(positions_nm: Positions) -> Float[np.ndarray, "frame quantity"]:
        from_center = positions_nm - np.einsum("a,fai->fi", share, positions_nm)[:, None]
        return np.sqrt(np.einsum("a,fai->f", share, from_center**2))[:, None]

    return Measurement(("radius_of_gyration",), ("nm",), molecule.selected, measure)


def native_pairs(molecule: Molecule) -> Int[np.ndarray, "pair 2"]:
    """Heavy atoms closer than 0.45 nm in the reference, of residues at least four apart or of different chains."""
    heavy = molecule.heavy
    pairs = heavy[cKDTree(molecule.at_reference(heavy)).query_pairs(NATIVE_NM, output_type="ndarray")]
    residues = [[molecule.topology.atom(int(atom)).residue for atom in pair] for pair in pairs]
    apart = [
        first.chain.index != second.chain.index or abs(first.index - second.index) >= NATIVE_SEPARATION
        for first, second in residues
    ]
    return np.sort(pairs.reshape(-1, 2)[np.array(apart, dtype=bool)], axis=1)


def native_contacts(molecule: Molecule) -> Measurement:
    """Fraction of native contacts, Q = mean of 1 / (1 + exp(50/nm (r - 1.8 r0))) over the pairs of `native_pairs`."""
    pairs = native_pairs(molecule)
    if not len(pairs):
        raise NotApplicable("no residues four or more apart touch each other in the reference")
    atoms, places = np.unique(pairs, return_inverse=True)
    places = places.reshape(pairs.shape)
    native_nm = np.linalg.norm(np.diff(molecule.at_reference(pairs), axis=1)[:, 0], axis=-1)
    step = max(1, CHUNK_DISTANCES // len(pairs))

    def measure(positions_nm: Positions) -> Float[np.ndarray, "frame quantity"]:
        found = []
        for start in range(0, len(positions_nm), step):
            piece = mdtraj.Trajectory(positions_nm[start : start + step], topology=None)
            excess_nm = mdtraj.compute_distances(piece, places, periodic=False) - NATIVE_FACTOR * native_nm
            # tanh does not overflow where exp would.
            found.append((0.5 - 0.5 * np.tanh(NATIVE_STEEPNESS_PER_NM / 2 * excess_nm)).mean(axis=1))
        return np.concatenate(found)[:, None]

    return Measurement(("native_contacts",), ("1",), atoms, measure)


def secondary_structure(molecule: Molecule) -> Measurement:
    """Fractions of the amino acids that DSSP (Kabsch & Sander 1983, as in MDTraj) calls helix, strand and coil."""
    whole = [
        residue
        for residue in molecule.residues
        if residue.is_protein and {atom.name for atom in residue.atoms} >= set(BACKBONE)
    ]
    if len(whole) < MIN_DSSP_RESIDUES:
        raise NotApplicable(f"{len(whole)} amino acids with a whole backbone are too few for secondary structure")
    atoms = np.array([atom.index for residue in whole for atom in residue.atoms if atom.name in BACKBONE])
    backbone = molecule.topology.subset(atoms)

    def measure(positions_nm: Positions) -> Float[np.ndarray, "frame quantity"]:
        codes = mdtraj.compute_dssp(mdtraj.Trajectory(positions_nm, backbone), simplified=True)
        return np.stack([(codes == code).mean(axis=1) for code in "HEC"], axis=1)

    return Measurement(("helix", "strand", "coil"), ("1", "1", "1"), atoms, measure)


def accessible_surface(molecule: Molecule, *, every: int) -> Measurement:
    """Solvent-accessible surface (Shrake & Rupley 1973) of the residues, hydrogens included if they were saved."""
    atoms = molecule.residue_atoms
    atoms = atoms[[atomic_number(molecule.topology.atom(int(atom))) > 0 for atom in atoms]]
    known = molecule.topology.subset(atoms)

    def measure(positions_nm: Positions) -> Float[np.ndarray, "frame quantity"]:
        # One by one: what MDTraj finds for a frame depends, by 0.1 %, on the frame before in the same call.
        frames = (mdtraj.Trajectory(frame[None], known) for frame in positions_nm)
        return np.array([mdtraj.shrake_rupley(frame).sum(axis=1) for frame in frames])

    try:
        measure(np.arange(3.0 * len(atoms), dtype=np.float32).reshape(1, -1, 3))
    except KeyError as error:
        raise NotApplicable(f"no radius is known of the element {error}") from error
    return Measurement(("sasa",), ("nm²",), atoms, measure, every)


def end_to_end(molecule: Molecule) -> Measurement:
    """Distance from the first to the last C-alpha (C1' of nucleotides) of each chain."""
    chains = {chain: atoms for chain, atoms in molecule.chain_atoms().items() if len(atoms) > 1}
    if not chains:
        raise NotApplicable("there is no chain of two amino acids or nucleotides")
    ends = np.array([[atoms[0], atoms[-1]] for atoms in chains.values()])
    atoms, places = np.unique(ends, return_inverse=True)
    names = ("end_to_end",) if len(chains) == 1 else tuple(f"end_to_end_{label}" for label in chains)

    def measure(positions_nm: Positions) -> Float[np.ndarray, "frame quantity"]:
        frames = mdtraj.Trajectory(positions_nm, topology=None)
        return mdtraj.compute_distances(frames, places.reshape(ends.shape), periodic=False)

    return Measurement(names, ("nm",) * len(names), atoms, measure)


STANDARD = {
    "RMSD of heavy atoms": rmsd_heavy, "RMSD of the chain": rmsd_calpha, "radius of gyration": radius_of_gyration,
    "native contacts": native_contacts, "secondary structure": secondary_structure, "end-to-end distance": end_to_end,
}  # fmt: skip


def standard_measurements(molecule: Molecule, *, sasa_every: int) -> list[Measurement]:
    """All measurements that mean something for the molecule; the log says which do not, and why."""
    found = []
    builders = STANDARD | {"surface": lambda subject: accessible_surface(subject, every=sasa_every)}
    for name, build in builders.items():
        try:
            found.append(build(molecule))
        except NotApplicable as reason:
            logging.info("%s left out: %s", name, reason)
    return found


def described(measurements: Sequence[Measurement]) -> dict[str, list]:
    """Names, units and periodicity of all quantities, and in every which frame each is measured."""
    return {
        "names": [name for each in measurements for name in each.names],
        "units": [unit for each in measurements for unit in each.units],
        "periodic": [each.periodic for each in measurements for _ in each.names],
        "every": [each.every for each in measurements for _ in each.names],
    }


def measured(
    path: str, topology: mdtraj.Topology, measurements: Sequence[Measurement],
    *, first_frame: int, stride: int, make_whole: bool,
) -> Iterator[Float32[np.ndarray, "_ quantity"]]:  # fmt: skip
    """All quantities in every stride-th frame, piece by piece as the trajectory is read, from `first_frame` on."""
    atoms = np.unique(np.concatenate([each.atoms for each in measurements]))
    for piece in iterate_frames(path, topology, atoms, first_frame=first_frame, stride=stride, make_whole=make_whole):
        frames = np.arange(piece.first, piece.first + len(piece.positions_nm))
        values = [_values(each, piece.positions_nm, atoms, frames) for each in measurements]
        yield np.concatenate(values, axis=1)


def _values(
    measurement: Measurement, positions_nm: Positions, atoms: Int[np.ndarray, " all"], frames: Int[np.ndarray, " frame"]
) -> Float32[np.ndarray, "frame quantity"]:
    """The quantities of one measurement, NaN in the frames that it passes over."""
    values = np.full((len(frames), len(measurement.names)), np.nan, dtype=np.float32)
    chosen = np.flatnonzero(frames % measurement.every == 0)
    if len(chosen):
        places = np.searchsorted(atoms, measurement.atoms)
        values[chosen] = measurement.measure(positions_nm[np.ix_(chosen, places)])
    return values
