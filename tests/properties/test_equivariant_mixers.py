"""Laws of the two mixers that carry vectors along, with random parameters that were trained for some steps.

The published network was equivariant at its initialization only: its vector norm had a learned scale for each of x, y
and z, which are all 1 there.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from geom2msm.mixers.build import LobeConfig, build_lobe
from geom2msm.mixers.edge_geometry import EdgeGeometry
from geom2msm.mixers.equivariant import EquivariantSettings
from geom2msm.mixers.equivariant_layers import (
    EquivariantAttention,
    EquivariantBlock,
    EquivariantFeedForward,
    EquivariantNorm,
    attend,
)
from geom2msm.mixers.gvp import GvpSettings
from geom2msm.mixers.gvp_layers import GeometricVectorPerceptron, GvpConvolution, GvpNorm
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.local_convolution import LocalConvolution
from geom2msm.mixers.token_graph import chain_neighbors, neighbors_within
from geom2msm.mixers.vector_layers import VectorDropout

# A chain of four, one of three, and a ligand.
LAYOUT = TokenLayout(channels=4, chain=(0, 0, 0, 0, 1, 1, 1, 2))
WIDTH = 8
SMALL = {"hidden_channels": WIDTH, "n_layers": 2, "dropout": 0.2}
SETTINGS = {
    "gvp": GvpSettings(**SMALL, vector_channels=4, radius_nm=0.7),
    "gvp, global tokens": GvpSettings(**SMALL, vector_channels=4, radius_nm=0.7, global_tokens=2),
    "equivariant": EquivariantSettings(**SMALL, n_heads=2),
    "equivariant, global tokens, mean": EquivariantSettings(**SMALL, n_heads=2, pooling="mean", global_tokens=2),
    "equivariant, convolution": EquivariantSettings(**SMALL, n_heads=2, qk_convolution=2, global_tokens=1),
    "equivariant, chiral": EquivariantSettings(**SMALL, n_heads=2, qk_convolution=2, chiral=True),
}
ACHIRAL = [name for name in SETTINGS if "chiral" not in name]


def random_normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_tokens(seed: int, *, n_frames: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    n_tokens, channels = LAYOUT.n_tokens, LAYOUT.channels
    scalars, vectors = (
        random_normal(seed, n_frames, n_tokens, channels),
        random_normal(seed + 1, n_frames, n_tokens, 3, channels),
    )
    return scalars, vectors, 0.4 * random_normal(seed + 2, n_frames, n_tokens, 3)


def orthogonal(seed: int, *, determinant: int) -> torch.Tensor:
    matrix, _ = torch.linalg.qr(random_normal(seed, 3, 3))
    return matrix * torch.linalg.det(matrix).sign() * determinant


def turned(matrix: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    return torch.einsum("ij,...jc->...ic", matrix, vectors)


def randomized(module: nn.Module) -> nn.Module:
    for shift, (name, parameter) in enumerate(module.double().named_parameters()):
        fan_in = parameter.shape[-1] ** 0.5 if parameter.ndim > 1 else 1.0
        with torch.no_grad():
            parameter.copy_(random_normal(1000 + shift, *parameter.shape) / fan_in + ("norm" in name))
    return module


def trained(module: nn.Module, *inputs: object) -> nn.Module:
    """The module with random parameters and after some steps towards random targets that no symmetry respects."""
    optimizer = torch.optim.Adam(randomized(module).parameters(), lr=1e-2)
    for step in range(5):
        outputs = module(*inputs)
        parts = outputs if isinstance(outputs, tuple) else (outputs,)
        sum((part - random_normal(step, *part.shape)).square().mean() for part in parts).backward()
        optimizer.step()
        optimizer.zero_grad()
    return module.eval()


def trained_lobe(name: str) -> nn.Module:
    kind = name.split(",")[0]
    lobe = build_lobe(LobeConfig(kind, dimensions=3, mixer_settings=SETTINGS[name]), LAYOUT).double()
    tokens = random_tokens(5)
    lobe.standardize([tokens[:2]])
    return trained(lobe, *tokens)


def local_convolution(*, chiral: bool) -> LocalConvolution:
    return LocalConvolution(WIDTH, LAYOUT.chain, half_window=2, chiral=chiral)


@pytest.mark.parametrize("determinant", [1, -1], ids=["rotation", "reflection"])
@pytest.mark.parametrize("name", ACHIRAL)
def test_outputs_do_not_change_when_frames_are_rotated_mirrored_and_moved(name, determinant):
    lobe, (scalars, vectors, positions) = trained_lobe(name), random_tokens(20)
    matrix = orthogonal(7, determinant=determinant)
    moved = positions @ matrix.T + random_normal(8, 3)
    torch.testing.assert_close(
        lobe(scalars, turned(matrix, vectors), moved), lobe(scalars, vectors, positions), rtol=0, atol=1e-9
    )


def test_a_chiral_mixer_sees_mirror_images_but_no_rotation():
    lobe, (scalars, vectors, positions) = trained_lobe("equivariant, chiral"), random_tokens(20)
    rotation, mirror = (orthogonal(7, determinant=determinant) for determinant in (1, -1))
    expected = lobe(scalars, vectors, positions)
    torch.testing.assert_close(
        lobe(scalars, turned(rotation, vectors), positions @ rotation.T), expected, rtol=0, atol=1e-9
    )
    difference = lobe(scalars, turned(mirror, vectors), positions @ mirror.T) - expected
    assert (difference.abs().amax(dim=1) > 1e-5).all()


@pytest.mark.parametrize("determinant", [1, -1], ids=["rotation", "reflection"])
@pytest.mark.parametrize("layer", ["attention", "convolution", "feed-forward", "norm", "block"])
def test_layers_of_attention_turn_with_their_vectors(layer, determinant):
    scalars, vectors = random_normal(1, 3, 8, WIDTH), random_normal(2, 3, 8, 3, WIDTH)
    attention = EquivariantAttention(WIDTH, 2, local_convolution(chiral=False) if layer == "convolution" else None)
    modules = {
        "attention": attention,
        "convolution": attention,
        "feed-forward": EquivariantFeedForward(WIDTH),
        "norm": EquivariantNorm(WIDTH),
        "block": EquivariantBlock(attention, WIDTH, dropout=0.2),
    }
    assert_equivariant(trained(modules[layer], scalars, vectors), scalars, vectors, determinant=determinant)


@pytest.mark.parametrize("determinant", [1, -1], ids=["rotation", "reflection"])
def test_layers_of_perceptrons_turn_with_their_vectors(determinant):
    scalars, vectors = random_normal(1, 3, 8, WIDTH), random_normal(2, 3, 8, 3, 4)
    perceptron = trained(GeometricVectorPerceptron((WIDTH, 4), (5, 6)), scalars, vectors)
    assert_equivariant(perceptron, scalars, vectors, determinant=determinant)
    assert_equivariant(trained(GvpNorm(WIDTH), scalars, vectors), scalars, vectors, determinant=determinant)
    neighbors = neighbors_within(0.4 * random_normal(3, 3, 8, 3), radius_nm=0.7)
    shape = neighbors.indices.shape
    edges = random_normal(4, *shape, 5), random_normal(5, *shape, 3, 1)
    layer = trained(GvpConvolution((WIDTH, 4), (5, 1), dropout=0.2), scalars, vectors, neighbors, *edges)
    matrix = orthogonal(7, determinant=determinant)
    expected = layer(scalars, vectors, neighbors, *edges)
    actual = layer(scalars, turned(matrix, vectors), neighbors, edges[0], turned(matrix, edges[1]))
    torch.testing.assert_close(actual, (expected[0], turned(matrix, expected[1])), rtol=0, atol=1e-9)


def assert_equivariant(layer, scalars, vectors, *, determinant: int) -> None:
    matrix = orthogonal(7, determinant=determinant)
    expected = layer(scalars, vectors)
    actual = layer(scalars, turned(matrix, vectors))
    torch.testing.assert_close(actual, (expected[0], turned(matrix, expected[1])), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["gvp", "equivariant"])
def test_dropout_takes_the_same_numbers_and_vectors_however_a_frame_is_turned(kind):
    lobe, (scalars, vectors, positions) = trained_lobe(kind).train(), random_tokens(20)
    matrix, outputs = orthogonal(7, determinant=-1), []
    for tokens in ((scalars, vectors, positions), (scalars, turned(matrix, vectors), positions @ matrix.T)):
        torch.manual_seed(3)
        outputs.append(lobe(*tokens))
    torch.testing.assert_close(outputs[1], outputs[0], rtol=0, atol=1e-9)
    assert (lobe(scalars, vectors, positions) - outputs[0]).abs().max() > 1e-6


def test_dropout_removes_whole_vectors():
    scalars, vectors = VectorDropout(0.5).train()(torch.ones(4, 50, 8), torch.ones(4, 50, 3, 8))
    assert ((vectors == 0).all(dim=2) | (vectors == 2).all(dim=2)).all()
    # Of 1600 each; four standard deviations are 80.
    assert abs(int((vectors[:, :, 0] == 0).sum()) - 800) < 80
    assert abs(int((scalars == 0).sum()) - 800) < 80


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_frame_alone_gives_what_it_gives_in_a_batch(name, mode):
    lobe, tokens = trained_lobe(name), random_tokens(20)
    for module in lobe.modules():
        # Without dropout, whose numbers depend on the batch, training and evaluation are the same function.
        module.train(mode == "train" and not isinstance(module, VectorDropout))
    # One frame is very different from the others: statistics over the batch would be felt.
    tokens = tuple(torch.cat([values, 100 * values[:1]]) for values in tokens)
    alone = torch.cat([lobe(*(values[frame, None] for values in tokens)) for frame in range(len(tokens[0]))])
    torch.testing.assert_close(lobe(*tokens), alone, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", SETTINGS)
def test_outputs_depend_on_every_token(name):
    lobe, tokens = trained_lobe(name), random_tokens(20)
    expected = lobe(*tokens)
    for token in range(LAYOUT.n_tokens):
        for changed in range(2):
            other = [values.clone() for values in tokens]
            other[changed][:, token] *= 1.1
            assert (lobe(*other) - expected).abs().max() > 1e-7, (token, changed)


@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_are_finite_at_zero_vectors_and_at_tokens_in_one_place(name):
    lobe, (scalars, vectors, positions) = trained_lobe(name), random_tokens(20)
    vectors[:, :3], vectors[:, 3], vectors[0] = 0, vectors[:, 4], 0
    positions[:, :3], positions[0] = positions[:, 3:4], 0
    tokens = [values.requires_grad_() for values in (scalars, vectors, positions)]
    lobe(*tokens).square().sum().backward()
    for values in (*tokens, *lobe.parameters()):
        assert values.grad is None or torch.isfinite(values.grad).all()
    assert vectors.grad.abs().max() < 1e6


@pytest.mark.parametrize("name", SETTINGS)
def test_every_parameter_matters(name):
    lobe = trained_lobe(name)
    lobe(*random_tokens(20)).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in lobe.parameters())


@pytest.mark.parametrize("name", SETTINGS)
def test_half_precision_and_autocast_give_nearly_the_same(name):
    lobe, tokens = trained_lobe(name).float(), [values.half() for values in random_tokens(20)]
    expected = lobe(*(values.float() for values in tokens))
    torch.testing.assert_close(lobe(*tokens), expected, rtol=0, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = lobe(*tokens)
    assert (rough.float() - expected).abs().max() < 0.2 * expected.abs().max()


def explicit_attention(layer: EquivariantAttention, scalars, vectors):
    """Attention as in its equations, one head at a time."""
    weights, width = layer.weights(scalars, vectors), vectors.shape[-1] // layer.n_heads
    values = layer.values(scalars)
    parts = [slice(head * width, (head + 1) * width) for head in range(layer.n_heads)]
    attended = [torch.einsum("fij,fjc->fic", weights[:, h], values[..., part]) for h, part in enumerate(parts)]
    moved = [torch.einsum("fij,fjxc->fixc", weights[:, h], vectors[..., part]) for h, part in enumerate(parts)]
    first, second = layer.vector_products(vectors).chunk(2, dim=-1)
    product, length = (first * second).sum(2), (vectors.square().sum(2) + 1e-6).sqrt()
    alpha = layer.product_weights
    gate = torch.sigmoid(layer.gate(torch.cat([alpha[0] * product, alpha[1] * length], -1)))
    o1, o2, o3 = layer.output(torch.cat(attended, -1)).chunk(3, -1)
    return product * o1 + length * o2 + o3, gate[:, :, None] * torch.cat(moved, -1) + vectors


@pytest.mark.parametrize("convolution", [False, True])
def test_attention_is_what_its_equations_say(convolution):
    layer = randomized(EquivariantAttention(WIDTH, 2, local_convolution(chiral=True) if convolution else None))
    scalars, vectors = random_normal(1, 3, 8, WIDTH), random_normal(2, 3, 8, 3, WIDTH)
    torch.testing.assert_close(layer(scalars, vectors), explicit_attention(layer, scalars, vectors), rtol=0, atol=1e-12)
    torch.testing.assert_close(layer.weights(scalars, vectors).sum(-1), torch.ones(3, 2, 8).double())


def test_zeros_appended_to_queries_and_keys_change_nothing():
    queries, keys, values = random_normal(1, 2, 3, 9, 4), random_normal(2, 2, 3, 9, 4), random_normal(3, 2, 3, 9, 16)
    expected = functional.scaled_dot_product_attention(queries, keys, values)
    torch.testing.assert_close(attend(queries, keys, values), expected, rtol=0, atol=1e-12)


class LargestArray(TorchDispatchMode):
    """Numbers in the largest array that any operation returns."""

    n_numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        sizes = [
            leaf.untyped_storage().nbytes() // leaf.itemsize
            for leaf in tree_leaves(result)
            if isinstance(leaf, torch.Tensor)
        ]
        self.n_numbers = max([self.n_numbers, *sizes])
        return result


@pytest.mark.parametrize("half_window", [0, 1])
def test_no_array_of_tokens_times_tokens_comes_into_being(half_window):
    n_tokens = 2000
    settings = EquivariantSettings(hidden_channels=8, n_layers=1, n_heads=2, qk_convolution=half_window)
    lobe = build_lobe(LobeConfig("equivariant", 2, settings), TokenLayout(4, (0,) * n_tokens))
    tokens = torch.randn(1, n_tokens, 4), torch.randn(1, n_tokens, 3, 4), torch.randn(1, n_tokens, 3)
    with LargestArray() as arrays:
        lobe(*tokens).square().sum().backward()
    # Of the order of tokens times channels; with the convolution, of the features of two edges for each token.
    assert arrays.n_numbers < n_tokens * (100 if half_window == 0 else 600)
    assert arrays.n_numbers < n_tokens**2 / 3
    with LargestArray() as arrays:
        lobe.attention(*tokens)
    assert arrays.n_numbers >= n_tokens**2


def test_chains_do_not_see_each_other_in_the_local_convolution():
    convolution = randomized(local_convolution(chiral=True))
    scalars, vectors = random_normal(1, 2, 8, WIDTH), random_normal(2, 2, 8, 3, WIDTH)
    expected = convolution(scalars, vectors)
    other = scalars.clone(), vectors.clone()
    for values, change in zip(other, (random_normal(3, 2, 4, WIDTH), random_normal(4, 2, 4, 3, WIDTH)), strict=True):
        values[:, 4:] += change
    for before, after in zip(expected, convolution(*other), strict=True):
        torch.testing.assert_close(before[:, :4], after[:, :4], rtol=0, atol=0)
        assert (before[:, 4:] - after[:, 4:]).abs().amin(dim=1).max() > 1e-6


def test_the_convolution_reaches_as_far_as_its_half_window():
    chain = (0,) * 9
    convolution = randomized(LocalConvolution(WIDTH, chain, half_window=2, chiral=False))
    scalars, vectors = random_normal(1, 1, 9, WIDTH), random_normal(2, 1, 9, 3, WIDTH)
    changed = scalars.clone()
    changed[:, 4] += 1
    felt = (convolution(changed, vectors)[0] - convolution(scalars, vectors)[0]).abs().amax(dim=(0, 2)) > 1e-9
    # Not by the token itself.
    assert felt.nonzero().flatten().tolist() == [2, 3, 5, 6]


def test_angles_and_dihedrals_are_those_of_their_definition():
    geometry = randomized(EdgeGeometry(WIDTH, chiral=True))
    chain = (0, 0, 0, 0, 0)
    neighbors = chain_neighbors(chain, half_window=2)
    vectors = 10 * random_normal(2, 1, 5, 3, WIDTH)
    compressed, total = geometry.of_tokens(vectors, neighbors)
    sent = neighbors.gather(compressed)[0], neighbors.gather(total)[0]
    features = geometry(compressed[0, :, None], total[0, :, None], *sent)
    compressed = compressed[0]

    def unit(sender: int, receiver: int) -> torch.Tensor:
        return functional.normalize(compressed[receiver] - compressed[sender], dim=0)

    sums = [sum(unit(i, j) for j in range(5) if 0 < abs(i - j) <= 2) for i in range(5)]
    for receiver, slot in neighbors.mask[0].nonzero().tolist():
        sender = int(neighbors.indices[0, receiver, slot])
        edge = unit(sender, receiver)
        along = (sums[sender] * edge).sum(0) / sums[sender].norm(dim=0)
        first, second = (
            functional.normalize(u - (u * edge).sum(0) * edge, dim=0) for u in (sums[sender], sums[receiver])
        )
        cosine, sine = (first * second).sum(0), (torch.linalg.cross(first, second, dim=0) * edge).sum(0)
        # The small constants in the lengths are felt in the fifth digit.
        expected = torch.stack([along, cosine, sine], dim=-1)
        torch.testing.assert_close(features[receiver, slot], expected, rtol=0, atol=1e-3)


def test_the_order_of_tokens_does_not_matter_to_perceptrons_on_the_graph():
    lobe, tokens = trained_lobe("gvp"), random_tokens(20)
    order = torch.randperm(LAYOUT.n_tokens)
    torch.testing.assert_close(lobe(*(values[:, order] for values in tokens)), lobe(*tokens), rtol=0, atol=1e-9)
