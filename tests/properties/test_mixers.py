import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer_cases import ATTENDING, CASES, WITHOUT_VECTORS, random_normal, random_tokens, randomized, small_lobe

seeds = st.integers(0, 2**31)
chains = st.lists(st.integers(0, 1), min_size=1, max_size=6).map(lambda numbers: tuple(sorted(numbers)))
every_mixer = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
every_mixer_of_tokens = pytest.mark.parametrize("case", [case for case in CASES if case[0] != "mlp"], ids=str)
few = settings(max_examples=10)


@every_mixer
@few
@given(seed=seeds, chain=chains)
def test_outputs_do_not_change_when_frames_are_rotated_mirrored_or_moved(case, seed, chain):
    lobe = randomized(small_lobe(case, chain=chain), seed)
    scalars, vectors, positions = random_tokens(seed, n_frames=4, n_tokens=len(chain))
    # One orthogonal matrix per frame, reflections included.
    orthogonal, _ = torch.linalg.qr(random_normal(seed + 3, 4, 3, 3))
    orthogonal[::2] *= -1
    turned = torch.einsum("fij,ftjc->ftic", orthogonal, vectors)
    moved = torch.einsum("fij,ftj->fti", orthogonal, positions) + 5 * random_normal(seed + 4, 4, 1, 3)
    torch.testing.assert_close(lobe(scalars, turned, moved), lobe(scalars, vectors, positions), rtol=0, atol=1e-9)


@every_mixer
@few
@given(seed=seeds, n_frames=st.integers(2, 9), chain=chains)
def test_a_frame_alone_gives_what_it_gives_in_a_batch(case, seed, n_frames, chain):
    lobe = randomized(small_lobe(case, chain=chain), seed)
    tokens = random_tokens(seed, n_frames=n_frames, n_tokens=len(chain))
    alone = torch.cat([lobe(*(array[frame, None] for array in tokens)) for frame in range(n_frames)])
    torch.testing.assert_close(lobe(*tokens), alone, rtol=0, atol=1e-9)


@given(seed=seeds, chain=chains)
def test_the_order_of_tokens_does_not_matter_to_the_sum(seed, chain):
    lobe = randomized(small_lobe(("sum", 0), chain=chain), seed)
    tokens = random_tokens(seed, n_frames=4, n_tokens=len(chain))
    order = torch.randperm(len(chain), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(lobe(*(array[:, order] for array in tokens)), lobe(*tokens), rtol=0, atol=1e-9)


@pytest.mark.parametrize("case", [("mixer", 0), ("transformer", 0), ("sum", 2)], ids=str)
@few
@given(seed=seeds)
def test_the_order_of_tokens_matters_to_what_knows_the_sequence(case, seed):
    lobe = randomized(small_lobe(case, chain=(0, 0, 0)), seed)
    tokens = random_tokens(seed, n_frames=4, n_tokens=3)
    assert (lobe(*(array.flip(1) for array in tokens)) - lobe(*tokens)).abs().max() > 1e-6


@few
@given(seed=seeds)
def test_a_transformer_that_is_not_told_the_places_treats_all_tokens_alike(seed):
    lobe = randomized(small_lobe(("transformer", 0), chain=(0, 0, 0), positions="learned"), seed)
    torch.nn.init.zeros_(lobe.mixer.places)
    tokens = random_tokens(seed, n_frames=4, n_tokens=3)
    torch.testing.assert_close(lobe(*(array.flip(1) for array in tokens)), lobe(*tokens), rtol=0, atol=1e-9)


@every_mixer_of_tokens
@few
@given(seed=seeds, chain=chains)
def test_every_token_counts_by_its_scalars_and_by_its_vectors(case, seed, chain):
    lobe = randomized(small_lobe(case, chain=chain), seed)
    scalars, vectors, positions = random_tokens(seed, n_frames=8, n_tokens=len(chain))
    scalars.requires_grad_()
    vectors.requires_grad_()
    lobe(scalars, vectors, positions)[:, 0].sum().backward()
    # A single frame may sit where an activation is flat.
    assert (scalars.grad.abs().amax(dim=(0, 2)) > 1e-9).all()
    if case[0] in WITHOUT_VECTORS:
        return
    assert (vectors.grad.abs().amax(dim=(0, 2, 3)) > 1e-9).all()


@pytest.mark.parametrize("case", [case for case in CASES if case[1]], ids=lambda case: case[0])
@few
@given(seed=seeds, n_tokens=st.integers(2, 6))
def test_every_position_counts_where_there_are_global_tokens(case, seed, n_tokens):
    lobe = randomized(small_lobe(case, chain=(0,) * n_tokens), seed)
    scalars, vectors, positions = random_tokens(seed, n_frames=8, n_tokens=n_tokens)
    positions.requires_grad_()
    lobe(scalars, vectors, positions)[:, 0].sum().backward()
    assert (positions.grad.abs().amax(dim=(0, 2)) > 1e-9).all()


@pytest.mark.parametrize("case", ATTENDING, ids=lambda case: f"{case[0]}-{case[1]}")
@few
@given(seed=seeds, chain=chains)
def test_rows_of_the_attention_sum_to_one_in_every_layer(case, seed, chain):
    lobe = randomized(small_lobe(case, chain=chain), seed)
    weights = lobe.layer_attention(*random_tokens(seed, n_frames=3, n_tokens=len(chain)))
    assert weights.shape[:3] == (2, 3, 2)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones_like(weights[..., 0]), rtol=0, atol=1e-9)
