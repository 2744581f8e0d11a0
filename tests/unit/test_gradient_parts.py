"""Gradients in parts: the same outputs and gradients, in the memory that was given."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from geom2msm.gradient_parts import GradientParts, kept_bytes
from geom2msm.mixers.build import build_lobe, split_settings
from geom2msm.mixers.layout import TokenLayout
from geom2msm.token_pairs import MEGABYTE

N_FRAMES, N_TOKENS, CHANNELS = 60, 4, 8
MIXERS = ("sum", "mixer", "transformer", "gvp", "equivariant")


def lobe_of(mixer: str, dropout: float = 0.0) -> torch.nn.Module:
    """A small network in double precision."""
    torch.manual_seed(0)
    settings = {"mixer": mixer, "dimensions": 3, "hidden_channels": 16}
    config, _ = split_settings(settings | ({} if mixer == "sum" else {"dropout": dropout}))
    return build_lobe(config, TokenLayout(CHANNELS, (0,) * N_TOKENS)).double().train()


@pytest.fixture
def tokens():
    generator = torch.Generator().manual_seed(1)
    shapes = ((N_TOKENS, CHANNELS), (N_TOKENS, 3, CHANNELS), (N_TOKENS, 3))
    return [torch.randn(N_FRAMES, *shape, generator=generator, dtype=torch.float64) for shape in shapes]


def gradients(network, apply, tokens) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Outputs and the gradients of something that all of them enter together."""
    network.zero_grad()
    outputs = apply(network, tokens)
    (outputs.T @ outputs).inverse().trace().backward()
    return outputs.detach(), [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]


def memory_of(network, tokens, *, share: float) -> float:
    """This share of what the network keeps of all frames, in MiB."""
    return share * kept_bytes(network, tokens) / MEGABYTE


@pytest.mark.parametrize("mixer", MIXERS)
def test_outputs_and_gradients_are_those_of_the_whole_batch(mixer, tokens):
    network = lobe_of(mixer)
    whole = gradients(network, lambda net, arrays: net(*arrays), tokens)
    parts = gradients(network, GradientParts(memory_of(network, tokens, share=0.3)), tokens)
    for one, other in zip((whole[0], *whole[1]), (parts[0], *parts[1]), strict=True):
        # Some are zero but for rounding, such as those of the keys' bias, to which softmax is blind.
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("mixer", MIXERS)
def test_what_is_kept_stays_within_the_memory(mixer, tokens):
    network, kept = lobe_of(mixer), {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    memory_mb = memory_of(network, tokens, share=0.5)
    apply = GradientParts(memory_mb)
    apply(network, tokens)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = apply(network, tokens)
    assert len(outputs) == N_FRAMES
    assert sum(kept.values()) <= memory_mb * MEGABYTE


def test_a_batch_that_fits_is_computed_once(tokens):
    network, calls = lobe_of("sum"), []
    network.register_forward_hook(lambda *_: calls.append(1))
    apply = GradientParts(memory_of(network, tokens, share=3.0))
    calls.clear()
    for _ in range(3):
        gradients(network, apply, tokens)
    # Once more to see how much is kept.
    assert len(calls) == 3 + 1


def test_dropout_is_the_same_in_both_passes(tokens):
    network = lobe_of("transformer", dropout=0.5)
    apply = GradientParts(memory_of(network, tokens, share=0.2))
    apply(network, tokens)
    size = apply._frames_per_part
    assert size < N_FRAMES

    def by_hand(net, arrays):
        return torch.cat([net(*part) for part in zip(*(array.split(size) for array in arrays), strict=True)])

    torch.manual_seed(5)
    expected = gradients(network, by_hand, tokens)
    torch.manual_seed(5)
    found = gradients(network, apply, tokens)
    for one, other in zip((expected[0], *expected[1]), (found[0], *found[1]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_random_numbers_of_the_training_do_not_depend_on_when_the_memory_is_looked_at(tokens):
    network = lobe_of("transformer", dropout=0.5)
    known, new = GradientParts(1e6), GradientParts(1e6)
    known(network, tokens)
    torch.manual_seed(5)
    expected = known(network, tokens)
    torch.manual_seed(5)
    torch.testing.assert_close(new(network, tokens), expected, rtol=0, atol=0)


def test_without_gradients_nothing_is_tried(tokens):
    network, calls = lobe_of("sum"), []
    network.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        GradientParts(1e-6)(network, tokens)
    assert len(calls) == 1
