import torch
from hypothesis import given
from hypothesis import strategies as st

from geom2msm.mixers import SumMixer, SumMixerConfig

seeds = st.integers(0, 2**31)
sizes = st.integers(1, 6)


def random_normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_tokens(seed: int, *, n_frames: int, n_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    return random_normal(seed, n_frames, n_tokens, 4), random_normal(seed + 1, n_frames, n_tokens, 3, 4)


def randomized_lobe(seed: int) -> SumMixer:
    """A lobe whose every weight and statistic is random: what holds by chance at the start must hold later."""
    lobe = SumMixer(SumMixerConfig(channels=4, hidden_channels=8, dimensions=2)).double()
    for shift, (name, tensor) in enumerate(lobe.state_dict().items()):
        values = random_normal(seed + shift, *tensor.shape)
        tensor.copy_(values.abs() + 0.5 if name.endswith("scale") else values)
    return lobe


@given(seed=seeds, n_tokens=sizes)
def test_outputs_do_not_change_when_frames_are_rotated_or_mirrored(seed, n_tokens):
    lobe, (scalars, vectors) = randomized_lobe(seed), random_tokens(seed, n_frames=4, n_tokens=n_tokens)
    # One orthogonal matrix per frame, reflections included.
    orthogonal, _ = torch.linalg.qr(random_normal(seed + 2, 4, 3, 3))
    orthogonal[::2] *= -1
    turned = torch.einsum("fij,ftjc->ftic", orthogonal, vectors)
    torch.testing.assert_close(lobe(scalars, turned), lobe(scalars, vectors), rtol=0, atol=1e-9)


@given(seed=seeds, n_tokens=sizes)
def test_outputs_do_not_depend_on_the_order_of_tokens(seed, n_tokens):
    lobe, (scalars, vectors) = randomized_lobe(seed), random_tokens(seed, n_frames=4, n_tokens=n_tokens)
    order = torch.randperm(n_tokens, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(lobe(scalars[:, order], vectors[:, order]), lobe(scalars, vectors), rtol=0, atol=1e-9)


@given(seed=seeds, n_frames=st.integers(2, 9))
def test_a_frame_alone_gives_what_it_gives_in_a_batch(seed, n_frames):
    lobe, (scalars, vectors) = randomized_lobe(seed), random_tokens(seed, n_frames=n_frames, n_tokens=3)
    alone = torch.cat([lobe(scalars[frame, None], vectors[frame, None]) for frame in range(n_frames)])
    torch.testing.assert_close(lobe(scalars, vectors), alone, rtol=0, atol=1e-9)


@given(seed=seeds)
def test_outputs_depend_on_scalars_and_on_vectors(seed):
    lobe, (scalars, vectors) = randomized_lobe(seed), random_tokens(seed, n_frames=4, n_tokens=3)
    assert (lobe(scalars + 0.1, vectors) - lobe(scalars, vectors)).abs().max() > 1e-6
    assert (lobe(scalars, 1.1 * vectors) - lobe(scalars, vectors)).abs().max() > 1e-6
