"""The same moments from MDTraj's displacements, whose periodic images are those of another code."""

import mdtraj
import numpy as np
import pytest

from geom2msm.environment import environment_moments, pair_terms

N_TOKENS, N_WATERS, CUTOFF_NM = 6, 400, 0.9
TRUNCATED_OCTAHEDRON = (70.5288, 109.4712, 70.5288)
DODECAHEDRON = (60.0, 60.0, 90.0)


@pytest.mark.parametrize("angles", [TRUNCATED_OCTAHEDRON, DODECAHEDRON, (90.0, 90.0, 90.0), (80.0, 70.0, 95.0)])
def test_moments_are_those_of_mdtrajs_nearest_images(angles):
    topology = mdtraj.Topology()
    residue = topology.add_residue("X", topology.add_chain())
    for _ in range(N_TOKENS + N_WATERS):
        topology.add_atom("O", mdtraj.element.oxygen, residue)
    rng, n_atoms = np.random.default_rng(0), N_TOKENS + N_WATERS
    # far outside the box, too
    positions = rng.uniform(-3, 6, size=(3, n_atoms, 3)).astype(np.float32)
    trajectory = mdtraj.Trajectory(
        positions, topology, unitcell_lengths=np.full((3, 3), 2.7), unitcell_angles=np.tile(angles, (3, 1))
    )
    pairs = np.array([(i, j) for i in range(N_TOKENS) for j in range(N_TOKENS, n_atoms)])
    displacement = mdtraj.compute_displacements(trajectory, pairs, periodic=True).reshape(3, N_TOKENS, N_WATERS, 3)
    relative = displacement.astype(np.float64) / CUTOFF_NM
    scalars, vectors = environment_moments(
        positions[:, :N_TOKENS], [positions[:, N_TOKENS:]], trajectory.unitcell_vectors, cutoff_nm=CUTOFF_NM
    )
    for frame, token in np.ndindex(3, N_TOKENS):
        near = relative[frame, token][(relative[frame, token] ** 2).sum(-1) < 1]
        expected = pair_terms(near).sum(0).reshape(4, -1)
        np.testing.assert_allclose(scalars[frame, token, 0], expected[0], atol=1e-3)
        np.testing.assert_allclose(vectors[frame, token, :, 0], expected[1:], atol=1e-3)
