"""Laws of token merging: graph convolutions, windows and what they leave."""

import pytest
import torch
from torch import nn
from torch_geometric.nn import GraphConv, ResGatedGraphConv

from geom2msm.mixers.graph_convolution import OPERATORS, GraphLayer
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.library_convolution import LIBRARY_OPERATORS
from geom2msm.mixers.merging import MERGERS, MergingSettings, TokenMerging, chain_windows, in_windows
from geom2msm.mixers.token_graph import TokenNeighbors, neighbors_within

LAYOUT = TokenLayout(channels=4, chain=(0, 0, 0, 0, 0, 1, 1, 2))
WIDTH = 6


def random_normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_tokens(seed: int, *, n_frames: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    shape = (n_frames, LAYOUT.n_tokens)
    scalars, vectors = random_normal(seed, *shape, LAYOUT.channels), random_normal(seed + 1, *shape, 3, LAYOUT.channels)
    return scalars, vectors, 0.4 * random_normal(seed + 2, *shape, 3)


def randomized(module: nn.Module) -> nn.Module:
    for shift, parameter in enumerate(module.double().parameters()):
        with torch.no_grad():
            parameter.copy_(random_normal(1000 + shift, *parameter.shape))
    return module.eval()


def random_merging(**settings: object) -> TokenMerging:
    chosen = {"window": 2, "operator": "rggc", "n_graph_layers": 2, "radius_nm": 0.7}
    return randomized(TokenMerging(MergingSettings(**chosen | settings), LAYOUT, WIDTH))


def orthogonal(seed: int) -> torch.Tensor:
    """A rotation with a reflection."""
    matrix, _ = torch.linalg.qr(random_normal(seed, 3, 3))
    return -matrix * torch.linalg.det(matrix).sign()


every_kind = pytest.mark.parametrize(
    ("operator", "merger"), [(operator, merger) for operator in ("none", *OPERATORS) for merger in MERGERS]
)


@every_kind
def test_merged_tokens_turn_with_the_frame(operator, merger):
    merging, (scalars, vectors, positions) = random_merging(operator=operator, merger=merger), random_tokens(1)
    matrix, shift = orthogonal(4), random_normal(5, 3)
    expected = merging(scalars, vectors, positions)
    actual = merging(scalars, torch.einsum("ij,ftjc->ftic", matrix, vectors), positions @ matrix.T + shift)
    turned = torch.einsum("ij,ftjc->ftic", matrix, expected[1])
    torch.testing.assert_close(actual, (expected[0], turned, expected[2] @ matrix.T + shift), rtol=0, atol=1e-8)
    assert (expected[1].abs().max() > 0) == (merger == "equivariant")


@every_kind
def test_a_frame_alone_is_merged_as_in_a_batch(operator, merger):
    merging, tokens = random_merging(operator=operator, merger=merger), random_tokens(1)
    tokens = tuple(torch.cat([values, 100 * values[:1]]) for values in tokens)
    alone = [merging(*(values[frame, None] for values in tokens)) for frame in range(4)]
    for together, one_by_one in zip(merging(*tokens), zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(together, torch.cat(one_by_one), rtol=0, atol=1e-8)


@every_kind
def test_gradients_are_finite_at_zero_vectors_and_at_tokens_in_one_place(operator, merger):
    merging, (scalars, vectors, positions) = random_merging(operator=operator, merger=merger), random_tokens(1)
    vectors[0], vectors[:, 2], positions[:, :3] = 0, vectors[:, 3], positions[:, 3:4]
    merged = merging(scalars.requires_grad_(), vectors.requires_grad_(), positions)
    sum(values.square().sum() for values in merged[:2]).backward()
    for values in (scalars, vectors, *merging.parameters()):
        assert torch.isfinite(values.grad).all()
        assert values.grad.abs().max() > 0


def test_windows_are_consecutive_tokens_of_one_chain():
    assert chain_windows(LAYOUT.chain, window=1).tolist() == [[token] for token in range(8)]
    assert chain_windows(LAYOUT.chain, window=2).tolist() == [[0, 1], [2, 3], [4, -1], [5, 6], [7, -1]]
    assert chain_windows(LAYOUT.chain, window=3).tolist() == [[0, 1, 2], [3, 4, -1], [5, 6, -1], [7, -1, -1]]
    assert random_merging(window=2).layout == TokenLayout(WIDTH, (0, 0, 0, 1, 2), window=2)


@pytest.mark.parametrize("merger", MERGERS)
def test_without_a_graph_a_window_depends_on_its_members_only(merger):
    merging, tokens = random_merging(window=3, operator="none", merger=merger), random_tokens(1)
    expected, windows = merging(*tokens), chain_windows(LAYOUT.chain, window=3)
    for token in range(LAYOUT.n_tokens):
        changed = [values.clone() for values in tokens]
        for values in changed:
            values[:, token] += 1
        own = (windows == token).any(dim=1)
        for before, after in zip(expected, merging(*changed), strict=True):
            assert torch.equal(before[:, ~own], after[:, ~own])
        assert (merging(*changed)[0][:, own] - expected[0][:, own]).abs().max() > 1e-3


def test_empty_slots_repeat_no_token():
    merging = random_merging(window=3, operator="none").merger.window_scalars
    scalars = random_normal(1, 2, 8, WIDTH)
    joined = merging(scalars).unflatten(-1, (3, WIDTH))
    assert torch.equal(joined[:, 0], scalars[:, :3])
    assert torch.equal(joined[:, 1, :2], scalars[:, 3:5])
    assert torch.equal(joined[:, 3, 1:], merging.padding.expand(2, 2, WIDTH))
    # Zero is a value that a token can have; the learned row tells an empty slot from it.
    assert merging.padding.abs().min() > 0


def test_positions_are_the_means_of_the_members():
    positions = random_tokens(1)[2]
    merged = random_merging(window=3)(*random_tokens(1))[2]
    expected = [positions[:, 0:3].mean(1), positions[:, 3:5].mean(1), positions[:, 5:7].mean(1), positions[:, 7]]
    torch.testing.assert_close(merged, torch.stack(expected, dim=1), rtol=0, atol=1e-12)


def test_the_places_of_windows_are_told_apart():
    merging = random_merging(window=2, operator="none")
    same = [torch.ones(1, 8, *shape).double() for shape in ((4,), (3, 4), (3,))]
    merged = merging(*same)[0][0]
    assert torch.pdist(merged).min() > 1e-3


def test_other_positions_are_another_graph():
    merging, (scalars, vectors, positions) = random_merging(), random_tokens(1)
    line = torch.zeros_like(positions)
    line[..., 0] = torch.arange(8)
    assert (merging(scalars, vectors, positions)[0] - merging(scalars, vectors, line)[0]).abs().max() > 1e-3


def edge_index(neighbors: TokenNeighbors) -> torch.Tensor:
    frame, token, slot = neighbors.mask.nonzero(as_tuple=True)
    n_tokens = neighbors.indices.shape[1]
    return torch.stack([frame * n_tokens + neighbors.indices[frame, token, slot], frame * n_tokens + token])


def copied(layer: nn.Linear, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_(torch.zeros_like(layer.bias) if bias is None else bias)


def graph() -> tuple[torch.Tensor, torch.Tensor, TokenNeighbors]:
    neighbors = neighbors_within(0.4 * random_normal(3, 3, 8, 3), radius_nm=0.7)
    assert 10 < neighbors.mask.sum() < 160
    return random_normal(1, 3, 8, WIDTH), random_normal(2, 3, 8, 3, WIDTH), neighbors


def test_graphconv_is_that_of_the_library():
    ours, theirs = randomized(OPERATORS["graphconv"](WIDTH)), GraphConv(WIDTH, WIDTH).double()
    scalars, vectors, neighbors = graph()
    copied(theirs.lin_root, ours.own_scalars.weight)
    copied(theirs.lin_rel, ours.sent_scalars.weight, ours.own_scalars.bias)
    expected = theirs(scalars.flatten(0, 1), edge_index(neighbors)).view_as(scalars)
    torch.testing.assert_close(ours(scalars, vectors, neighbors)[0], expected, rtol=0, atol=1e-10)


def test_rggc_is_that_of_the_library():
    ours, theirs = randomized(OPERATORS["rggc"](WIDTH)), ResGatedGraphConv(WIDTH, WIDTH).double()
    scalars, vectors, neighbors = graph()
    gate_own, gate_sent = ours.gate_own.weight[:WIDTH], ours.gate_sent.weight[:WIDTH]
    copied(theirs.lin_key, gate_own, ours.gate_own.bias[:WIDTH])
    copied(theirs.lin_query, gate_sent)
    copied(theirs.lin_value, ours.sent_scalars.weight, ours.sent_scalars.bias)
    copied(theirs.lin_skip, ours.own_scalars.weight)
    with torch.no_grad():
        theirs.bias.copy_(ours.own_scalars.bias)
    expected = theirs(scalars.flatten(0, 1), edge_index(neighbors)).view_as(scalars)
    torch.testing.assert_close(ours(scalars, vectors, neighbors)[0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_layer_reaches_the_neighbors_and_no_further(operator):
    layer = randomized(OPERATORS[operator](WIDTH))
    positions = torch.arange(6.0).double()[None, :, None] * torch.tensor([0.3, 0.0, 0.0])
    neighbors = neighbors_within(positions, radius_nm=0.4)
    scalars, vectors = random_normal(1, 1, 6, WIDTH), random_normal(2, 1, 6, 3, WIDTH)
    other = scalars.clone()
    other[:, 2] += 1
    felt = (layer(other, vectors, neighbors)[0] - layer(scalars, vectors, neighbors)[0]).abs().amax(dim=(0, 2)) > 1e-9
    assert felt.nonzero().flatten().tolist() == [1, 2, 3]


@pytest.mark.parametrize("operator", sorted(set(OPERATORS) - set(LIBRARY_OPERATORS)))
def test_tokens_alone_keep_what_is_their_own(operator):
    layer = randomized(GraphLayer(operator, WIDTH))
    neighbors = neighbors_within(torch.arange(24.0).view(2, 4, 3), radius_nm=0.5)
    scalars, vectors = random_normal(1, 2, 4, WIDTH), random_normal(2, 2, 4, 3, WIDTH)
    normed = layer.norm(scalars, vectors)
    expected = scalars + layer.operator.own_scalars(normed[0]), vectors + layer.operator.own_vectors(normed[1])
    torch.testing.assert_close(layer(scalars, vectors, neighbors), expected, rtol=0, atol=1e-12)


def test_values_of_empty_slots_are_zero():
    values = random_normal(1, 2, 8, 3)
    found = in_windows(values, chain_windows(LAYOUT.chain, window=3))
    assert torch.equal(found[:, 3, 0], values[:, 7])
    assert (found[:, 3, 1:] == 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"operator": "gnn"}, "operator: gnn is unknown"), ({"merger": "mean"}, "merger: mean is unknown")],
)
def test_unknown_kinds_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MergingSettings(window=2, **settings)
