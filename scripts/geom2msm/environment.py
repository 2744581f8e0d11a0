"""What surrounds each token: soft counts and directions of water, ions and lipids, in any periodic box.

For token i at r_i and a species S with atoms at r_a, with x = r_a - r_i (nearest periodic image), the cutoff r_c and
u = |x|^2 / r_c^2,

    scalars[i, S, m] = sum_a  w_m(u)              vectors[i, S, m] = sum_a  w_m(u) x / r_c

    w_m(u) = sum_{k <= m}  (6 over k) u^k (1 - u)^(6 - k)   for u < 1, else 0;   m = 0, 1, 2, 3

w_m is a cumulative sum of Bernstein polynomials: a smooth step from one to zero, so that scalar m counts the atoms
within a soft radius (SOFT_RADII, in units of the cutoff: where w_m is one half) and vector m is the sum of their
relative positions. Polynomials in x, y and z with two continuous derivatives at the cutoff: moments have no kinks.
Scalars are invariant under rotations, vectors turn with the system. geom2vec has Gaussian shells
instead, of which many are needed and which jump at the cutoff. Frames are never averaged over time: a moving average
would carry the past into a frame and spoil every statistic of the lag.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

import mdtraj
import numpy as np
from jaxtyping import Float, Float32, Int
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from geom2msm.periodic import reduced_cells
from geom2msm.store import ArrayLayout
from geom2msm.topology import select_atoms

DEGREE = 6
N_MOMENTS = 4
SOFT_RADII = (0.33, 0.51, 0.65, 0.76)
BINOMIALS = np.array([comb(DEGREE, k) for k in range(N_MOMENTS)], dtype=np.float64)
SHIFTS = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


@dataclass(frozen=True)
class Surroundings:
    """The species around the modeled atoms: their names, and their atoms in the topology file."""

    cutoff_nm: float
    names: tuple[str, ...]
    atoms: tuple[Int[np.ndarray, " _"], ...]

    @property
    def all_atoms(self) -> Int[np.ndarray, " atom"]:
        """The atoms of all species, ascending, each once."""
        return np.unique(np.concatenate(self.atoms))

    def split(self, positions_nm: Float[np.ndarray, "frame atom 3"]) -> list[Float[np.ndarray, "frame _ 3"]]:
        """The positions of each species, from those of all atoms."""
        return [positions_nm[:, np.searchsorted(self.all_atoms, atoms)] for atoms in self.atoms]


def find_surroundings(
    topology: mdtraj.Topology, modeled: Int[np.ndarray, " atom"], settings: Mapping, *, file: str
) -> Surroundings:
    """The atoms of each species in the config section `environment`, none of which may be a modeled atom."""
    atoms = tuple(
        _species_atoms(topology, modeled, name, selection, file=file) for name, selection in settings["species"].items()
    )
    return Surroundings(float(settings["cutoff_nm"]), tuple(settings["species"]), atoms)


def _species_atoms(
    topology: mdtraj.Topology, modeled: Int[np.ndarray, " atom"], name: str, selection: str, *, file: str
) -> Int[np.ndarray, " chosen"]:
    key = f"environment.species.{name}"
    atoms = select_atoms(topology, selection, file=file, key=key)
    shared = np.intersect1d(atoms, modeled)
    if len(shared):
        raise ValueError(
            f"{file}: {key} = '{selection}' selects {len(shared)} atom(s) that are modeled as tokens (such as "
            f"{topology.atom(int(shared[0]))}), which would surround themselves; take them out of the species, or "
            "out of trajectories.selection."
        )
    return atoms


def environment_layout(n_tokens: int, n_species: int, *, dtype: str = "float16") -> dict[str, ArrayLayout]:
    """The arrays that the environment adds to a token store."""
    axes = ("species", "moment")
    shape = (n_species, N_MOMENTS)
    return {
        "environment_scalars": ArrayLayout(("frame", "token", *axes), (n_tokens, *shape), dtype),
        "environment_vectors": ArrayLayout(("frame", "token", "3", *axes), (n_tokens, 3, *shape), dtype),
    }


def environment_moments(
    token_positions_nm: Float[np.ndarray, "frame token 3"],
    species_positions_nm: Sequence[Float[np.ndarray, "frame _ 3"]],
    cell_nm: Float[np.ndarray, "frame 3 3"] | None,
    *,
    cutoff_nm: float,
) -> tuple[Float32[np.ndarray, "frame token species moment"], Float32[np.ndarray, "frame token 3 species moment"]]:
    """Scalar and vector moments of every token and species, frame by frame; equations at the top of the module.

    Atoms may be in any periodic image; `cell_nm` holds the vectors of any cell of the lattice as rows, None is no box.
    """
    n_frames, n_tokens = token_positions_nm.shape[:2]
    n_species = len(species_positions_nm)
    species = np.repeat(np.arange(n_species), [positions.shape[1] for positions in species_positions_nm])
    # The same lattice by its shortest vectors: its cell is as compact as can be.
    cells = None if cell_nm is None else reduced_cells(cell_nm)
    moments = np.empty((n_frames, n_tokens, n_species, 4, N_MOMENTS), dtype=np.float32)
    for frame in range(n_frames):
        atoms = np.concatenate([positions[frame] for positions in species_positions_nm]).astype(np.float64)
        tokens = token_positions_nm[frame].astype(np.float64)
        cell = None if cells is None else cells[frame]
        token, atom, displacement = near_pairs(tokens, atoms, cell, cutoff_nm=cutoff_nm)
        terms = pair_terms(displacement / cutoff_nm)
        group = token * n_species + species[atom]
        sums = csr_array((np.ones(len(group)), (group, np.arange(len(group)))), (n_tokens * n_species, len(group)))
        moments[frame] = (sums @ terms).reshape(moments.shape[1:])
    return moments[:, :, :, 0], np.ascontiguousarray(np.moveaxis(moments[:, :, :, 1:], 3, 2))


def pair_terms(relative: Float[np.ndarray, "pair 3"]) -> Float[np.ndarray, "pair term"]:
    """What one atom adds to the scalars, and to the x, y and z of the vectors, at x / r_c = `relative`."""
    u = np.einsum("pi,pi->p", relative, relative)
    bernstein = BINOMIALS * np.vander(u, N_MOMENTS, increasing=True) * np.vander(1 - u, DEGREE + 1)[:, :N_MOMENTS]
    weights = np.cumsum(bernstein, axis=1)
    return np.concatenate([weights, *(relative[:, axis, None] * weights for axis in range(3))], axis=1)


def near_pairs(
    tokens: Float[np.ndarray, "token 3"],
    atoms: Float[np.ndarray, "atom 3"],
    cell: Float[np.ndarray, "3 3"] | None,
    *,
    cutoff_nm: float,
) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"], Float[np.ndarray, "pair 3"]]:
    """Token, atom and displacement from token to atom of all pairs within the cutoff."""
    owner, images = np.arange(len(tokens)), tokens
    if cell is not None:
        atoms = wrapped_fractions(atoms, cell) @ cell
        owner, images = token_images(tokens, cell, cutoff_nm=cutoff_nm)
    # Neither tree is searched often enough to repay balancing it.
    trees = [cKDTree(points, balanced_tree=False, compact_nodes=False) for points in (images, atoms)]
    found = trees[0].sparse_distance_matrix(trees[1], cutoff_nm, output_type="ndarray")
    image, atom = found["i"], found["j"]
    return owner[image], atom, atoms[atom] - images[image]


def wrapped_fractions(points: Float[np.ndarray, "point 3"], cell: Float[np.ndarray, "3 3"]) -> np.ndarray:
    """Fractional coordinates of the points, moved into the cell."""
    fractions = points @ np.linalg.inv(cell)
    return fractions - np.floor(fractions)


def token_images(
    tokens: Float[np.ndarray, "token 3"], cell: Float[np.ndarray, "3 3"], *, cutoff_nm: float
) -> tuple[Int[np.ndarray, " image"], Float[np.ndarray, "image 3"]]:
    """Periodic images of the tokens in the reduced cell and in a margin of one cutoff around it.

    Every image of a token that is within the cutoff of an atom in the cell is among them: the margin is measured
    along the normals of the cell's faces, and is less than the cell. Tokens are copied, not atoms, because they
    are fewer.
    """
    nearest_image_nm = np.linalg.norm(cell[0])
    if cutoff_nm > nearest_image_nm / 2:
        raise ValueError(
            f"environment.cutoff_nm = {cutoff_nm:g}, but in the periodic box every atom has an image of itself only "
            f"{nearest_image_nm:.3f} nm away, and with more than half of that it is counted twice; set at most "
            f"{np.floor(50 * nearest_image_nm) / 100:g}."
        )
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    fractions = wrapped_fractions(tokens, cell) + SHIFTS[:, None]
    margin = cutoff_nm / heights
    near = ((fractions >= -margin) & (fractions <= 1 + margin)).all(axis=-1)
    owner = np.broadcast_to(np.arange(len(tokens)), near.shape)[near]
    return owner, fractions[near] @ cell
