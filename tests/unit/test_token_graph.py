import pytest
import torch
from torch import nn

from geom2msm.mixers import token_graph
from geom2msm.mixers.gvp import GvpSettings, SubGvp, TokenEdges
from geom2msm.mixers.gvp_layers import GvpConvolution
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.token_graph import TokenNeighbors, chain_neighbors, neighbors_within


def edges_of(neighbors: TokenNeighbors) -> set[tuple[int, int, int]]:
    """Frame, token and neighbor of every edge; each must be there once."""
    found = [
        (frame, token, int(neighbors.indices[frame, token, slot]))
        for frame, token, slot in neighbors.mask.nonzero().tolist()
    ]
    assert len(set(found)) == len(found)
    return set(found)


# Two frames at a time; three tokens of a frame at a time; everything at once.
@pytest.mark.parametrize("chunk_pairs", [2 * 7**2, 3 * 7, 10**6])
def test_neighbors_are_all_tokens_within_the_radius(monkeypatch, chunk_pairs):
    monkeypatch.setattr(token_graph, "CHUNK_PAIRS", chunk_pairs)
    positions = torch.rand(5, 7, 3)
    expected = {
        (frame, i, j)
        for frame in range(5)
        for i in range(7)
        for j in range(7)
        if i != j and (positions[frame, i] - positions[frame, j]).norm() < 0.5
    }
    assert 20 < len(expected) < 190
    assert edges_of(neighbors_within(positions, radius_nm=0.5)) == expected


def test_no_number_of_neighbors_is_too_large():
    neighbors = neighbors_within(torch.zeros(1, 200, 3), radius_nm=0.1)
    assert neighbors.mask.sum() == 200 * 199


def test_far_tokens_have_no_neighbors_and_receive_zero():
    positions = torch.arange(4.0)[None, :, None].expand(2, 4, 3)
    neighbors = neighbors_within(positions, radius_nm=0.5)
    assert not neighbors.mask.any()
    assert (neighbors.total(positions) == 0).all()
    assert (neighbors.receive(lambda sent: (sent,), own=[], sent=[positions])[0] == 0).all()


def test_values_are_gathered_from_the_own_frame():
    values = torch.arange(3 * 5 * 2.0).view(3, 5, 2)
    neighbors = neighbors_within(torch.zeros(3, 5, 3), radius_nm=0.1)
    for frame in range(3):
        for token in range(5):
            others = [values[frame, j] for j in range(5) if j != token]
            assert torch.equal(neighbors.gather(values)[frame, token], torch.stack(others))


def test_chain_neighbors_stay_in_their_chain():
    neighbors = chain_neighbors((0, 0, 0, 1, 1, 2), half_window=2)
    pairs = {(i, j) for _, i, j in edges_of(neighbors)}
    assert pairs == {(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1), (3, 4), (4, 3)}


def test_edges_point_from_a_token_to_its_neighbor():
    positions = torch.tensor([[[0.0, 0, 0], [0.3, 0, 0], [0.3, 0.4, 0]]])
    neighbors, radial, direction = TokenEdges(radius_nm=0.45, n_radial=4)(positions)
    assert edges_of(neighbors) == {(0, 0, 1), (0, 1, 0), (0, 1, 2), (0, 2, 1)}
    slot = neighbors.indices[0, 1].tolist().index(2)
    torch.testing.assert_close(direction[0, 1, slot, :, 0], torch.tensor([0.0, 1.0, 0.0]), rtol=0, atol=1e-4)
    # Centers 0, 0.15, 0.3, 0.45 nm, width 0.45 / 4 nm.
    expected = torch.exp(-(((0.4 - torch.tensor([0, 0.15, 0.3, 0.45])) / 0.1125) ** 2))
    torch.testing.assert_close(radial[0, 1, slot], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("window", [2, 4, 8])
def test_merged_tokens_in_a_volume_as_much_larger_have_the_same_neighbors(window):
    positions = 2 * torch.rand(2, 40, 3)
    edges, merged_edges = (
        SubGvp(GvpSettings(), TokenLayout(4, (0,) * 40, window=merged)).edges for merged in (1, window)
    )
    assert edges_of(merged_edges(positions * window ** (1 / 3))[0]) == edges_of(edges(positions)[0])


def test_perceptrons_average_the_messages_of_the_neighbors():
    layer = GvpConvolution((3, 2), (1, 1), dropout=0.0).eval()
    layer.norms = nn.ModuleList([Same(), Same()])
    layer.update = Nothing()
    scalars, vectors = torch.randn(1, 4, 3), torch.randn(1, 4, 3, 2)
    neighbors = chain_neighbors((0, 0, 0, 1), half_window=1)
    edges = torch.randn(1, 4, 2, 1), torch.randn(1, 4, 2, 3, 1)
    new_scalars, new_vectors = layer(scalars, vectors, neighbors, *edges)
    for token in range(4):
        messages = []
        for slot in neighbors.mask[0, token].nonzero().flatten().tolist():
            j = int(neighbors.indices[0, token, slot])
            pair = torch.cat([scalars[0, token], scalars[0, j], edges[0][0, token, slot]])
            pair_vectors = torch.cat([vectors[0, token], vectors[0, j], edges[1][0, token, slot]], dim=-1)
            messages.append(layer.message(pair, pair_vectors))
        n = max(1, len(messages))
        expected = (
            sum((m[0] for m in messages), torch.zeros(3)) / n,
            sum((m[1] for m in messages), torch.zeros(3, 2)) / n,
        )
        torch.testing.assert_close(new_scalars[0, token] - scalars[0, token], expected[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(new_vectors[0, token] - vectors[0, token], expected[1], rtol=0, atol=1e-5)


class Same(nn.Module):
    def forward(self, scalars, vectors):
        return scalars, vectors


class Nothing(nn.Module):
    def forward(self, scalars, vectors):
        return torch.zeros_like(scalars), torch.zeros_like(vectors)


@pytest.mark.parametrize("block_slots", [1, 16])
def test_sums_in_blocks_and_their_gradients_are_those_of_all_at_once(monkeypatch, block_slots):
    neighbors = neighbors_within(torch.rand(3, 7, 3), radius_nm=0.5)
    weight = torch.randn(2, 2, requires_grad=True)
    arrays = [torch.randn(*shape, requires_grad=True) for shape in ((3, 7, 2), (3, 7, 3, 2), neighbors.mask.shape)]

    def messages(own, scalars, vectors, of_edge):
        return own @ weight * scalars * of_edge[..., None], vectors * scalars[..., None, :]

    def everything():
        sums = neighbors.receive(messages, own=arrays[:1], sent=arrays[:2], of_edge=arrays[2:])
        return *sums, *torch.autograd.grad(sum(values.square().sum() for values in sums), [weight, *arrays])

    expected = everything()
    monkeypatch.setattr(token_graph, "SMALLEST_BLOCK_SLOTS", block_slots)
    torch.testing.assert_close(everything(), expected)
    gathered = messages(arrays[0][:, :, None], *(neighbors.gather(values) for values in arrays[:2]), arrays[2])
    for sums, edges in zip(expected[:2], gathered, strict=True):
        mask = neighbors.mask.view(*neighbors.mask.shape, *[1] * (edges.ndim - 3))
        torch.testing.assert_close(sums, (edges * mask).sum(dim=2))
