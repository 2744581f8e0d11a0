"""Which atoms form a molecule, and the tree of bonds along which a molecule broken by a periodic box is mended."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import mdtraj
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, depth_first_order, minimum_spanning_tree

from geom2msm.periodic import nearest_lengths, reduced_cells

# Covalent bonds are shorter, 1-3 distances and hydrogen bonds longer; a hydrogen bonds to no other hydrogen.
LONGEST_BOND_NM = 0.22
LONGEST_BOND_TO_HYDROGEN_NM = 0.14
# MDTraj bonds consecutive residues whether or not some are missing between them; such bonds hold nothing together.
LONGEST_TOPOLOGY_BOND_NM = 0.4
# Molecules of up to so many atoms are solvent or salt if there are more of one size than this: they touch everything.
LARGEST_SOLVENT_ATOMS = 19
MOST_LIGANDS = 16


@dataclass(frozen=True)
class Molecules:
    """Tree of bonds over whole molecules; every branch is a range of `order`.

    Moving the atom order[start[k]] across its bond to parent[k] moves order[start[k]:stop[k]].
    Molecule m is order[first[m]:first[m + 1]]; others are brought to it if it binds[m].
    """

    atoms: Int[np.ndarray, " atom"]
    order: Int[np.ndarray, " atom"]
    parent: Int[np.ndarray, " bond"]
    start: Int[np.ndarray, " bond"]
    stop: Int[np.ndarray, " bond"]
    first: Int[np.ndarray, " molecule_and_end"]
    binds: Bool[np.ndarray, " molecule"]


def find_molecules(
    topology: mdtraj.Topology,
    selected: Int[np.ndarray, " _"],
    positions_nm: Float[np.ndarray, "_ 3"],
    cell_nm: Float[np.ndarray, "3 3"],
) -> Molecules:
    """The molecules that the selected atoms belong to, whole, as bonded in one frame of all atoms."""
    cell = reduced_cells(cell_nm[None])[0]
    bonds, length = found_bonds(topology, positions_nm, cell)
    n_atoms = topology.n_atoms
    graph = coo_matrix((length + 1e-6, bonds.T), shape=(n_atoms, n_atoms))
    labels = connected_components(graph, directed=False)[1]
    atoms = np.flatnonzero(np.isin(labels, labels[selected]))
    return spanning_tree(atoms, graph.tocsr()[atoms][:, atoms])


def found_bonds(
    topology: mdtraj.Topology, positions_nm: Float[np.ndarray, "atom 3"], cell_nm: Float[np.ndarray, "3 3"]
) -> tuple[Int[np.ndarray, "bond 2"], Float[np.ndarray, " bond"]]:
    """Bonds of the topology unless absurdly long, others by distance where a residue would fall apart; lengths."""
    bonds = np.array([(one.index, other.index) for one, other in topology.bonds], dtype=np.int64).reshape(-1, 2)
    bonds, length = shorter(bonds, positions_nm, cell_nm, limits_nm=np.full(len(bonds), LONGEST_TOPOLOGY_BOND_NM))
    n_atoms = topology.n_atoms
    graph = coo_matrix((np.ones(len(bonds)), bonds.T), shape=(n_atoms, n_atoms))
    labels = connected_components(graph, directed=False)[1]
    pairs = np.concatenate([np.zeros((0, 2), dtype=np.int64), *loose_pairs(topology, labels)])
    is_hydrogen = np.array([atom.element is not None and atom.element.atomic_number == 1 for atom in topology.atoms])
    limits = np.array([LONGEST_BOND_NM, LONGEST_BOND_TO_HYDROGEN_NM, 0.0])[is_hydrogen[pairs].sum(axis=1)]
    added, added_length = shorter(pairs, positions_nm, cell_nm, limits_nm=limits)
    return np.concatenate([bonds, added]), np.concatenate([length, added_length])


def shorter(
    pairs: Int[np.ndarray, "pair 2"],
    positions_nm: Float[np.ndarray, "atom 3"],
    cell_nm: Float[np.ndarray, "3 3"],
    *,
    limits_nm: Float[np.ndarray, " pair"],
) -> tuple[Int[np.ndarray, "bond 2"], Float[np.ndarray, " bond"]]:
    """The pairs whose nearest images are within their limits, and their lengths."""
    length = nearest_lengths(positions_nm[pairs[:, 1]] - positions_nm[pairs[:, 0]], cell_nm)
    return pairs[length <= limits_nm], length[length <= limits_nm]


def loose_pairs(topology: mdtraj.Topology, labels: Int[np.ndarray, " atom"]) -> Iterator[Int[np.ndarray, "pair 2"]]:
    """Pairs of atoms that may be bonded although the topology does not say so.

    Within residues that are in several parts, and between a residue and the next one of its chain
    where no bond joins them; single atoms and water are left alone.
    """
    members = [np.array([atom.index for atom in residue.atoms]) for residue in topology.residues]
    parts = [set(labels[atoms].tolist()) if len(atoms) else set() for atoms in members]
    for atoms, found in zip(members, parts, strict=True):
        if len(found) > 1:
            yield np.stack([index[np.triu_indices(len(atoms), 1)] for index in np.meshgrid(atoms, atoms)], axis=1)
    for one, other in pairwise(topology.residues):
        bondable = one.chain is other.chain and min(one.n_atoms, other.n_atoms) > 1
        if bondable and not one.is_water and parts[one.index].isdisjoint(parts[other.index]):
            pairs = np.meshgrid(members[one.index], members[other.index])
            yield np.stack([index.ravel() for index in pairs], axis=1)


def spanning_tree(atoms: Int[np.ndarray, " atom"], graph: csr_matrix) -> Molecules:
    """Shortest bonds that hold each molecule together, in depth-first order from its first atom."""
    n_atoms = len(atoms)
    tree = minimum_spanning_tree(graph).tocoo()
    labels = connected_components(tree, directed=False)[1]
    roots = np.unique(labels, return_index=True)[1]
    # A node bonded to the first atom of every molecule makes one tree of them.
    rows = np.concatenate([tree.row, np.full(len(roots), n_atoms)])
    joined = coo_matrix((np.ones(len(rows)), (rows, np.concatenate([tree.col, roots]))), shape=(n_atoms + 1,) * 2)
    order, predecessor = depth_first_order(joined.tocsr(), n_atoms, directed=False)
    order, predecessor = order[1:].astype(np.int64), predecessor.astype(np.int64)
    is_root = predecessor[order] == n_atoms
    start, first = np.flatnonzero(~is_root), np.append(np.flatnonzero(is_root), n_atoms)
    return Molecules(
        atoms=atoms,
        order=order,
        parent=predecessor[order[start]],
        start=start,
        stop=start + branch_sizes(order, predecessor)[order[start]],
        first=first,
        binds=is_binding(np.diff(first)),
    )


def is_binding(sizes: Int[np.ndarray, " molecule"]) -> Bool[np.ndarray, " molecule"]:
    """Whether others are brought to a molecule: to all but solvent and salt, and to the largest one in any case."""
    n_alike = np.bincount(sizes)[sizes]
    binds = (sizes > LARGEST_SOLVENT_ATOMS) | (n_alike <= MOST_LIGANDS)
    binds[sizes.argmax()] = True
    return binds


def branch_sizes(
    order: Int[np.ndarray, " atom"], predecessor: Int[np.ndarray, " atom_and_root"]
) -> Int[np.ndarray, " atom_and_root"]:
    """How many atoms hang on each atom, itself included."""
    sizes = np.ones(len(predecessor), dtype=np.int64)
    for atom in order[::-1].tolist():
        sizes[predecessor[atom]] += sizes[atom]
    return sizes
