"""Backbone torsions: the baseline features, on the same frames as the tokens."""

import logging
from collections.abc import Iterator

import mdtraj
import numpy as np
from jaxtyping import Bool, Float32, Int
from mdtraj.geometry.dihedral import indices_phi, indices_psi

from geom2msm.residues import chain_letter, distinct
from geom2msm.trajectory import iterate_frames

# Nearly twice a peptide bond, and less than any contact.
LONGEST_BOND_NM = 0.25


def backbone_torsions(
    topology: mdtraj.Topology, selected: Int[np.ndarray, " atom"], *, file: str
) -> tuple[list[str], Int[np.ndarray, "torsion 4"]]:
    """Names such as 'phi ALA2' and the four atoms of every backbone phi and psi, along the chain.

    All four atoms are of residues that have a selected atom. With several chains the name begins with the chain: 'B phi
    ALA2'. No two are alike.
    """
    found, residues = [], {topology.atom(int(atom)).residue.index for atom in selected}
    chains = [chain_letter(each.chain) if topology.n_chains > 1 else "" for each in topology.residues]
    names = distinct(f"{chain} {each.name}{each.resSeq}" for chain, each in zip(chains, topology.residues, strict=True))
    for angle, quartets, own in (("phi", indices_phi(topology), 2), ("psi", indices_psi(topology), 1)):
        for quartet in quartets:
            if not {topology.atom(int(atom)).residue.index for atom in quartet} <= residues:
                continue
            residue = topology.atom(int(quartet[own])).residue
            chain, name = names[residue.index].split(" ", maxsplit=1)
            found.append((residue.index, angle, f"{chain} {angle} {name}".strip(), quartet))
    if not found:
        raise ValueError(
            f"{file}: the selected residues have no backbone torsions phi or psi, which the feature 'torsions' needs; "
            "remove the models with feature: torsions from the config of this system."
        )
    found.sort(key=lambda torsion: torsion[:2])
    return [name for *_, name, _ in found], np.array([quartet for *_, quartet in found], dtype=np.int64)


def along_bonds(
    path: str,
    topology: mdtraj.Topology,
    names: list[str],
    quartets: Int[np.ndarray, "torsion 4"],
    *,
    make_whole: bool,
) -> Bool[np.ndarray, " torsion"]:
    """Which torsions run along bonds in the first frame; MDTraj has some across missing residues, too."""
    atoms, places = np.unique(quartets, return_inverse=True)
    first = next(iterate_frames(path, topology, atoms, make_whole=make_whole)).positions_nm[0]
    steps_nm = np.linalg.norm(np.diff(first[places.reshape(quartets.shape)], axis=1), axis=-1)
    along = steps_nm.max(axis=1) <= LONGEST_BOND_NM
    if not along.any():
        raise ValueError(
            f"{path}: no backbone torsion of the selected residues runs along bonds in the first frame, for each has "
            f"two atoms in a row that are {steps_nm.max(axis=1).min():.2f} nm or more apart; check that "
            "trajectories.topology lists the atoms as this file does, or remove the models with feature: torsions from "
            "the config of this system."
        )
    for name, step_nm in zip(np.array(names)[~along], steps_nm.max(axis=1)[~along], strict=True):
        logging.warning("%s: %s is left out, for two of its atoms in a row are %.2f nm apart", path, name, step_nm)
    return along


def feature_names(torsions: list[str]) -> list[str]:
    """Names of the columns of `torsion_pieces`."""
    return [f"{function} {torsion}" for torsion in torsions for function in ("cos", "sin")]


def torsion_pieces(
    path: str,
    topology: mdtraj.Topology,
    quartets: Int[np.ndarray, "torsion 4"],
    *,
    first_frame: int = 0,
    stride: int = 1,
    make_whole: bool = True,
) -> Iterator[Float32[np.ndarray, "_ channel"]]:
    """Cosine and sine of each torsion in turn, in every stride-th frame from `first_frame` on, piece by piece."""
    atoms, places = np.unique(quartets, return_inverse=True)
    places = places.reshape(quartets.shape)
    for frames in iterate_frames(path, topology, atoms, first_frame=first_frame, stride=stride, make_whole=make_whole):
        piece = mdtraj.Trajectory(frames.positions_nm, topology=None)
        angles = mdtraj.compute_dihedrals(piece, places, periodic=False)
        features = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        yield features.reshape(len(angles), -1).astype(np.float32)
