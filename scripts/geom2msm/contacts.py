"""Which residues touch each other, in frames spread evenly over a trajectory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import mdtraj
import numpy as np
from jaxtyping import Bool, Float32, Int
from scipy.spatial import cKDTree

from geom2msm.observables import Molecule
from geom2msm.provenance import replace_when_complete
from geom2msm.residues import describe, distinct
from geom2msm.trajectory import iterate_frames

# Neighbors in a chain always touch.
MIN_SEPARATION = 2


@dataclass(frozen=True)
class Contacts:
    """Whether residues touch in some frames, for all pairs that touch in any of them."""

    frames: Int[np.ndarray, " sample"]
    pairs: Int[np.ndarray, "pair 2"]
    touching: Bool[np.ndarray, "sample pair"]


def touching_pairs(
    positions_nm: Float32[np.ndarray, "atom 3"],
    residue: Int[np.ndarray, " atom"],
    chain: Int[np.ndarray, " atom"],
    *,
    cutoff_nm: float,
) -> Int[np.ndarray, "pair 2"]:
    """Residues (the lower one first) with atoms within the cutoff, two or more apart in a chain or in different ones.

    `residue` counts along the topology.
    """
    first, second = cKDTree(positions_nm).query_pairs(cutoff_nm, output_type="ndarray").reshape(-1, 2).T
    apart = (np.abs(residue[first] - residue[second]) >= MIN_SEPARATION) | (chain[first] != chain[second])
    touching = np.stack([residue[first[apart]], residue[second[apart]]], axis=1)
    return np.unique(np.sort(touching, axis=1), axis=0)


def find_contacts(
    path: str,
    molecule: Molecule,
    *,
    cutoff_nm: float,
    n_frames: int,
    n_samples: int,
    stride: int,
    make_whole: bool,
) -> Contacts:
    """Contacts of heavy atoms in at most about `n_samples` of the trajectory's frames, evenly spaced."""
    every = max(1, -(-n_frames // n_samples))
    atoms = [molecule.topology.atom(int(atom)) for atom in molecule.heavy]
    residue = np.array([atom.residue.index for atom in atoms], dtype=np.int64)
    chain = np.array([atom.residue.chain.index for atom in atoms], dtype=np.int64)
    found = [
        touching_pairs(positions_nm, residue, chain, cutoff_nm=cutoff_nm)
        for piece in iterate_frames(
            path, molecule.topology, molecule.heavy, stride=stride * every, make_whole=make_whole
        )
        for positions_nm in piece.positions_nm
    ]
    pairs, column = np.unique(np.concatenate(found), axis=0, return_inverse=True)
    touching = np.zeros((len(found), len(pairs)), dtype=bool)
    touching[np.repeat(np.arange(len(found)), [len(each) for each in found]), column.reshape(-1)] = True
    return Contacts(every * np.arange(len(found)), pairs, touching)


def pair_names(topology: mdtraj.Topology, pairs: Int[np.ndarray, "pair 2"]) -> list[str]:
    """Names such as 'A:TRP1 A:LEU5', no two alike."""
    residues = distinct(map(describe, topology.residues))
    return [" ".join(residues[int(index)] for index in pair) for pair in pairs]


def write_contacts(path: str, molecule: Molecule, known: Mapping, *, settings: Mapping, made_from: Mapping) -> None:
    """Look at `contact_frames` frames at most, evenly spaced; residues with heavy atoms within `contact_nm` touch."""
    found = find_contacts(
        known["file"],
        molecule,
        cutoff_nm=settings["contact_nm"],
        n_frames=known["n_frames"],
        n_samples=settings["contact_frames"],
        stride=known["stride"],
        make_whole=known["make_whole"],
    )
    with replace_when_complete(path) as part, part.open("wb") as output:
        np.savez_compressed(
            output,
            trajectory=known["trajectory"],
            frames=found.frames,
            names=np.array(pair_names(molecule.topology, found.pairs), dtype=str),
            touching=found.touching,
            provenance=json.dumps(made_from),
        )
