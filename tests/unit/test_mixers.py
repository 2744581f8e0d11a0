import numpy as np
import pytest
import torch

from geom2msm.mixers import SumMixer, SumMixerConfig

CONFIG = SumMixerConfig(channels=4, hidden_channels=8, dimensions=3)


@pytest.fixture
def tokens():
    """Scalars and vectors of 50 frames of 5 tokens, with unequal means and sizes of the channels."""
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor([0.1, 1.0, 3.0, 10.0])
    scalars = torch.randn(50, 5, 4, generator=generator) * size + 2 * size
    return scalars, torch.randn(50, 5, 3, 4, generator=generator) * size


def test_a_frame_becomes_d_outputs(tokens):
    outputs = SumMixer(CONFIG)(*tokens)
    assert outputs.shape == (50, 3)
    assert (outputs.std(dim=0) > 0).all()


def test_tokens_are_standardized_with_what_training_data_fixed(tokens):
    scalars, vectors = tokens
    lobe = SumMixer(CONFIG)
    lobe.standardize(scalars, vectors)
    flat = scalars.reshape(-1, 4).numpy()
    np.testing.assert_allclose(lobe.scalar_mean, flat.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(lobe.scalar_scale, flat.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(lobe.vector_scale, np.sqrt((vectors.numpy() ** 2).mean(axis=(0, 1, 2))), rtol=1e-5)


def test_the_scale_of_the_channels_does_not_matter_once_standardized(tokens):
    scalars, vectors = tokens
    lobe = SumMixer(CONFIG)
    lobe.standardize(scalars, vectors)
    expected = lobe(scalars, vectors)
    lobe.standardize(100 * scalars - 7, 0.01 * vectors)
    torch.testing.assert_close(lobe(100 * scalars - 7, 0.01 * vectors), expected, rtol=1e-3, atol=1e-5)


def test_a_channel_that_never_changes_does_no_harm(tokens):
    scalars, vectors = (array.clone() for array in tokens)
    scalars[..., 0], vectors[..., 0] = 3.0, 0.0
    lobe = SumMixer(CONFIG)
    lobe.standardize(scalars, vectors)
    assert torch.isfinite(lobe(scalars, vectors)).all()
    assert lobe.scalar_scale[0] == lobe.vector_scale[0] == 1


def test_statistics_of_half_precision_tokens_do_not_overflow():
    scalars = torch.full((30_000, 3, 4), 15.0, dtype=torch.float16)
    lobe = SumMixer(CONFIG)
    lobe.standardize(scalars, torch.full((30_000, 3, 3, 4), 15.0, dtype=torch.float16))
    torch.testing.assert_close(lobe.scalar_mean, torch.full((4,), 15.0))
    torch.testing.assert_close(lobe.vector_scale, torch.full((4,), 15.0))


def test_gradients_are_finite_where_vectors_are_zero(tokens):
    scalars, vectors = tokens
    lobe = SumMixer(CONFIG)
    lobe(scalars, torch.zeros_like(vectors)).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in lobe.parameters())


def test_every_parameter_is_trained(tokens):
    lobe = SumMixer(CONFIG)
    lobe(*tokens).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in lobe.parameters())


def test_a_saved_and_reloaded_lobe_gives_the_same_outputs(tokens):
    lobe = SumMixer(CONFIG)
    lobe.standardize(*tokens)
    reloaded = SumMixer(CONFIG)
    reloaded.load_state_dict(lobe.state_dict())
    torch.testing.assert_close(reloaded(*tokens), lobe(*tokens), rtol=0, atol=0)
