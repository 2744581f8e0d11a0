"""Laws of the environment channels, in boxes of any shape and without one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geom2msm.environment import N_MOMENTS, SOFT_RADII, environment_moments, pair_terms

SEEDS = st.integers(0, 2**31 - 1)
# float32 positions of a few nm, float32 sums of up to a hundred terms
TOLERANCE = {"rtol": 0, "atol": 2e-4}
SMALL_CUTOFF_NM = 0.4


def boxes(rng: np.random.Generator, n_frames: int) -> np.ndarray:
    """Cells as MD programs write them: rows of a lower triangle, tilted by up to half an edge."""
    cells = np.zeros((n_frames, 3, 3))
    for cell in cells:
        a, b, c = rng.uniform(1.6, 2.4, size=3)
        tilt = rng.uniform(-0.45, 0.45, size=3)
        cell[:] = [[a, 0, 0], [tilt[0] * a, b, 0], [tilt[1] * a, tilt[2] * b, c]]
    return cells


def largest_cutoff(cells: np.ndarray) -> float:
    """Half of the shortest lattice vector."""
    steps = np.array([step for step in itertools.product(range(-3, 4), repeat=3) if any(step)])
    return float(np.linalg.norm(steps @ cells, axis=-1).min() / 2)


def random_system(seed: int, n_frames: int = 2):
    """Tokens and two species strewn over several boxes, which is how unwrapped trajectories look."""
    rng = np.random.default_rng(seed)
    cells = boxes(rng, n_frames)
    tokens, water, ions = (
        rng.uniform(-2, 3, size=(n_frames, n, 3)) @ cells for n in (5, 120, 7)
    )  # fmt: skip
    return tokens, [water, ions], cells, 0.999 * largest_cutoff(cells)


def moments(tokens, species, cells, cutoff_nm):
    cells = None if cells is None else cells.astype(np.float64)
    return environment_moments(tokens, list(species), cells, cutoff_nm=cutoff_nm)


def brute_force(tokens, species, cells, cutoff_nm, *, reach):
    """The definition: every atom, every periodic image."""
    shifts = np.array(list(itertools.product(range(-reach, reach + 1), repeat=3)))
    scalars = np.zeros((*tokens.shape[:2], len(species), N_MOMENTS))
    vectors = np.zeros((*tokens.shape[:2], 3, len(species), N_MOMENTS))
    for frame, token, kind in np.ndindex(*tokens.shape[:2], len(species)):
        images = (species[kind][frame][None] + (shifts @ cells[frame])[:, None]).reshape(-1, 3)
        relative = (images - tokens[frame, token]) / cutoff_nm
        u = (relative**2).sum(-1)
        for moment in range(N_MOMENTS):
            weight = np.zeros(len(u))
            for k, factor in zip(range(moment + 1), (1, 6, 15, 20), strict=False):
                weight += np.where(u < 1, factor * u**k * (1 - u) ** (6 - k), 0)
            scalars[frame, token, kind, moment] = weight.sum()
            vectors[frame, token, :, kind, moment] = weight @ relative
    return scalars, vectors


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, **TOLERANCE)


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Any element of O(3)."""
    return np.linalg.qr(rng.normal(size=(3, 3)))[0]


@given(seed=SEEDS)
@settings(max_examples=10)
def test_all_images_of_all_atoms_give_the_same_numbers(seed):
    rng = np.random.default_rng(seed)
    cells = boxes(rng, 1)
    # within the first cell, so that a few shells of images are all there are
    tokens, water, ions = (rng.uniform(0, 1, size=(1, n, 3)) @ cells for n in (4, 60, 5))
    cutoff = 0.999 * largest_cutoff(cells)
    found = moments(tokens, [water, ions], cells, cutoff)
    assert found[0].max() > 0.1
    assert_same(found, brute_force(tokens, [water, ions], cells, cutoff, reach=2))


@given(seed=SEEDS)
@settings(max_examples=10)
def test_moving_single_atoms_and_tokens_by_lattice_vectors_changes_nothing(seed):
    tokens, species, cells, cutoff = random_system(seed)
    rng = np.random.default_rng(seed)
    moved = [points + rng.integers(-3, 4, size=points.shape) @ cells for points in (tokens, *species)]
    assert_same(moments(moved[0], moved[1:], cells, cutoff), moments(tokens, species, cells, cutoff))


@given(seed=SEEDS, periodic=st.booleans())
@settings(max_examples=20)
def test_scalars_stay_and_vectors_turn_with_system_and_box(seed, periodic):
    tokens, species, cells, cutoff = random_system(seed)
    rng = np.random.default_rng(seed)
    rotation, shift = random_rotation(rng), rng.normal(size=3)
    scalars, vectors = moments(tokens, species, cells if periodic else None, cutoff)
    moved = [points @ rotation.T + shift for points in (tokens, *species)]
    turned = moments(moved[0], moved[1:], cells @ rotation.T if periodic else None, cutoff)
    assert_same(turned, (scalars, np.einsum("xy,ftysm->ftxsm", rotation, vectors)))


@given(seed=SEEDS)
@settings(max_examples=10)
def test_the_order_of_the_atoms_does_not_matter(seed):
    tokens, species, cells, cutoff = random_system(seed)
    rng = np.random.default_rng(seed)
    shuffled = [positions[:, rng.permutation(positions.shape[1])] for positions in species]
    assert_same(moments(tokens, shuffled, cells, cutoff), moments(tokens, species, cells, cutoff))


@given(seed=SEEDS)
@settings(max_examples=10)
def test_two_species_taken_as_one_give_the_sum_of_both(seed):
    tokens, species, cells, cutoff = random_system(seed)
    scalars, vectors = moments(tokens, species, cells, cutoff)
    together = moments(tokens, [np.concatenate(species, axis=1)], cells, cutoff)
    assert_same(together, (scalars.sum(2, keepdims=True), vectors.sum(3, keepdims=True)))


@given(seed=SEEDS)
@settings(max_examples=10)
def test_a_frame_knows_nothing_of_the_others(seed):
    tokens, species, cells, cutoff = random_system(seed, n_frames=3)
    alone = moments(tokens[1:2], [positions[1:2] for positions in species], cells[1:2], cutoff)
    together = moments(tokens, species, cells, cutoff)
    assert_same(alone, tuple(part[1:2] for part in together))


@given(seed=SEEDS)
@settings(max_examples=10)
def test_without_a_box_it_is_as_in_a_huge_one(seed):
    tokens, species, _, _ = random_system(seed)
    huge = np.broadcast_to(100 * np.eye(3), (2, 3, 3))
    assert_same(
        moments(tokens, species, None, SMALL_CUTOFF_NM), moments(tokens, species, huge, SMALL_CUTOFF_NM)
    )  # fmt: skip


def test_an_atom_fades_out_at_the_cutoff_with_two_continuous_derivatives():
    step = 1e-3
    r = 1 - step * np.arange(4)[::-1]
    terms = pair_terms(np.stack([r, 0 * r, 0 * r], axis=1))
    assert np.abs(terms[-1]).max() < 1e-15
    assert np.abs(np.gradient(terms, step, axis=0)[-1]).max() < 1e-3
    assert np.abs(np.diff(terms, n=2, axis=0)[-1] / step**2).max() < 1


def test_scalar_moments_count_the_atoms_within_the_soft_radii():
    r = np.linspace(0, 1, 2001)
    weights = pair_terms(np.stack([0 * r, r, 0 * r], axis=1))[:, :N_MOMENTS]
    np.testing.assert_allclose(weights[0], 1)
    assert (np.diff(weights, axis=0) <= 1e-12).all()
    half = r[np.argmin(np.abs(weights - 0.5), axis=0)]
    np.testing.assert_allclose(half, SOFT_RADII, atol=6e-3)


def test_more_than_half_the_distance_of_the_nearest_image_is_an_error():
    # The edges are longer, but b - a has only 1.281 nm.
    cell = np.array([[[2, 0, 0], [1.2, 1, 0], [0, 0, 3]]], dtype=np.float64)
    one = np.zeros((1, 1, 3))
    environment_moments(one, [one], cell, cutoff_nm=0.64)
    with pytest.raises(ValueError, match=r"environment.cutoff_nm = 0.65.* 1.281 nm away.*at most 0.64"):
        environment_moments(one, [one], cell, cutoff_nm=0.65)


@given(seed=SEEDS)
@settings(max_examples=10)
def test_any_cell_of_a_lattice_is_as_good_as_another(seed):
    tokens, species, cells, cutoff = random_system(seed)
    sheared = np.array([[1, 0, 0], [1, 1, 0], [-1, 2, 1]]) @ cells
    assert_same(moments(tokens, species, sheared, cutoff), moments(tokens, species, cells, cutoff))


def test_tokens_far_from_everything_have_zero_moments():
    scalars, vectors = environment_moments(
        np.zeros((1, 2, 3)), [np.full((1, 3, 3), 5.0), np.zeros((1, 0, 3))], None, cutoff_nm=1.0
    )
    assert not scalars.any()
    assert not vectors.any()
