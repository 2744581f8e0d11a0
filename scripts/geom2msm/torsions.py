"""Backbone torsions: the baseline features, on the same frames as the tokens."""

import mdtraj
import numpy as np
from jaxtyping import Float32, Int
from mdtraj.geometry.dihedral import indices_phi, indices_psi

from geom2msm.residues import chain_letter, distinct
from geom2msm.trajectory import iterate_frames


def backbone_torsions(topology: mdtraj.Topology, *, file: str) -> tuple[list[str], Int[np.ndarray, "torsion 4"]]:
    """Names such as 'phi ALA2' and the four atoms of every backbone phi and psi, along the chain.

    With several chains the name begins with the chain: 'B phi ALA2'. No two are alike.
    """
    found = []
    chains = [chain_letter(each.chain) if topology.n_chains > 1 else "" for each in topology.residues]
    names = distinct(f"{chain} {each.name}{each.resSeq}" for chain, each in zip(chains, topology.residues, strict=True))
    for angle, quartets, own in (("phi", indices_phi(topology), 2), ("psi", indices_psi(topology), 1)):
        for quartet in quartets:
            residue = topology.atom(int(quartet[own])).residue
            chain, name = names[residue.index].split(" ", maxsplit=1)
            found.append((residue.index, angle, f"{chain} {angle} {name}".strip(), quartet))
    if not found:
        raise ValueError(
            f"{file}: the topology has no backbone torsions phi or psi, which the feature 'torsions' needs; "
            "remove the models with feature: torsions from the config of this system."
        )
    found.sort(key=lambda torsion: torsion[:2])
    return [name for *_, name, _ in found], np.array([quartet for *_, quartet in found], dtype=np.int64)


def feature_names(torsions: list[str]) -> list[str]:
    """Names of the columns of `torsion_features`."""
    return [f"{function} {torsion}" for torsion in torsions for function in ("cos", "sin")]


def torsion_features(
    path: str,
    topology: mdtraj.Topology,
    quartets: Int[np.ndarray, "torsion 4"],
    *,
    stride: int = 1,
    make_whole: bool = True,
) -> Float32[np.ndarray, "frame channel"]:
    """Cosine and sine of each torsion in turn, in every stride-th frame; the trajectory is read in pieces."""
    atoms, places = np.unique(quartets, return_inverse=True)
    places = places.reshape(quartets.shape)
    features = []
    for frames in iterate_frames(path, topology, atoms, stride=stride, make_whole=make_whole):
        piece = mdtraj.Trajectory(frames.positions_nm, topology=None)
        angles = mdtraj.compute_dihedrals(piece, places, periodic=False)
        features.append(np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(len(angles), -1))
    return np.concatenate(features).astype(np.float32)
