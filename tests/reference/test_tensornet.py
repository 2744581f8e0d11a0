"""Our TensorNet against full 3 x 3 tensors edge by edge as the paper writes them, and against torchmd-net's."""

import math

import pytest
import torch
from torch.nn.functional import layer_norm, linear, silu

from geom2msm.encoder.neighbors import RULES, neighbor_table, transposed
from geom2msm.encoder.tensornet import (
    TensorNet,
    TensorNetConfig,
    anticommutator,
    squared_norms,
    symmetric_matrix,
    tensornet_weights,
)
from torchmd_net import job, reference_outputs

CONFIG = TensorNetConfig(3, 32, 16, 0.45)


def randomized(encoder: torch.nn.Module, seed: int) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return encoder.eval()


def random_molecule(n_atoms: int = 70):
    generator = torch.Generator().manual_seed(1)
    numbers = torch.randint(1, 18, (n_atoms,), generator=generator)
    return numbers, torch.rand(n_atoms, 3, generator=generator, dtype=torch.float64)


def parts(x):
    """I, A, S of tensors [... channel 3 3] (equation 1)."""
    isotropic = torch.einsum("...ii->...", x)[..., None, None] * torch.eye(3, dtype=x.dtype) / 3
    return isotropic, (x - x.mT) / 2, (x + x.mT) / 2 - isotropic


def norm(x):
    """Squared Frobenius norm."""
    return (x * x).sum((-2, -1))


def channels_mixed(x, weights):
    return sum(torch.einsum("oc,...cxy->...oxy", w, part) for w, part in zip(weights, parts(x), strict=True))


def full_tensors(w, config, numbers, positions_nm, table):
    """Scalars and vectors by section 3 of the paper, one 3 x 3 matrix per edge and channel."""
    cutoff, width = 10 * config.cutoff_nm, config.hidden_channels
    target = torch.arange(len(numbers))[:, None].expand_as(table.indices)[table.mask]
    center, other = table.indices[table.mask], target
    displacement = 10 * (positions_nm[other] - positions_nm[center])
    r = displacement.norm(dim=-1)
    d = torch.where(r[:, None] > 0, displacement / r[:, None], torch.zeros(3, dtype=r.dtype))
    near = 0.5 * (torch.cos(math.pi * r / cutoff) + 1) * (r < cutoff)
    # Single precision in the weights, as in checkpoints.
    mu = torch.linspace(math.exp(-cutoff), 1, config.n_radial).to(r.dtype)
    beta = torch.tensor((2 / config.n_radial * (1 - math.exp(-cutoff))) ** -2).to(r.dtype)
    phi = near[:, None] * torch.exp(-beta * (torch.exp(-5 * r / cutoff)[:, None] - mu) ** 2)

    def layer(name, x):
        return linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def summed(messages):
        return torch.zeros(len(numbers), width, 3, 3, dtype=r.dtype).index_add_(0, center, messages)

    def gates(x):
        """f_I, f_A, f_S [... 3 channel], each to be multiplied with a 3 x 3 matrix."""
        return x.reshape(*x.shape[:-1], 3, width)[..., None, None].unbind(-4)

    # 3.2: X = Σ C Z (f_I 1 + f_A A + f_S S); A v = d x v up to sign, S = d dᵀ - 1/3.
    x, y, z = d.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, z, -y, -z, zero, x, y, -x, zero], dim=-1).reshape(-1, 1, 3, 3)
    eye = torch.eye(3, dtype=r.dtype).expand(len(d), 1, 3, 3)
    outer = (d[:, :, None] * d[:, None])[:, None]
    outer = outer - torch.einsum("ecii->ec", outer)[..., None, None] * eye / 3
    e = "tensor_embedding"
    pair = layer(f"{e}.emb2", torch.cat([w[f"{e}.emb.weight"][numbers[i]] for i in (center, other)], dim=-1))
    f = [(near[:, None] * pair * layer(f"{e}.distance_proj{i}", phi))[..., None, None] for i in (1, 2, 3)]
    tensors = summed(f[0] * eye + f[1] * skew + f[2] * outer)
    g = layer_norm(norm(tensors), (width,), w[f"{e}.init_norm.weight"], w[f"{e}.init_norm.bias"])
    g = gates(silu(layer(f"{e}.linears_scalar.1", silu(layer(f"{e}.linears_scalar.0", g)))))
    mixed = parts(channels_mixed(tensors, [w[f"{e}.linears_tensor.{i}.weight"] for i in range(3)]))
    tensors = sum(gate * part for gate, part in zip(g, mixed, strict=True))
    # 3.3: messages, products under O(3), update.
    for n in range(config.n_layers):
        f = phi
        for i in range(3):
            f = silu(layer(f"layers.{n}.linears_scalar.{i}", f))
        f = gates(f * near[:, None])
        tensors = tensors / (norm(tensors) + 1)[..., None, None]
        own = channels_mixed(tensors, [w[f"layers.{n}.linears_tensor.{i}.weight"] for i in range(3)])
        message = summed(sum(gate * part for gate, part in zip(f, parts(own[other]), strict=True)))
        product = own @ message + message @ own
        product = product / (norm(product) + 1)[..., None, None]
        change = channels_mixed(product, [w[f"layers.{n}.linears_tensor.{i}.weight"] for i in range(3, 6)])
        tensors = tensors + change + change @ change
    invariants = torch.cat([norm(part) for part in parts(tensors)], dim=-1)
    skew = parts(tensors)[1]
    scalars = silu(layer("linear", layer_norm(invariants, (3 * width,), w["out_norm.weight"], w["out_norm.bias"])))
    return scalars, torch.stack([skew[..., 1, 2], skew[..., 2, 0], skew[..., 0, 1]], dim=1)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 5e-5)])
@pytest.mark.parametrize("gradients", [False, True], ids=["in blocks", "recording gradients"])
def test_forward_equals_that_with_full_tensors(rule, dtype, tolerance, gradients):
    encoder = randomized(TensorNet(CONFIG).double(), seed=2)
    numbers, positions = random_molecule()
    table = neighbor_table(positions[None], cutoff=CONFIG.cutoff_nm, rule=rule)
    with torch.no_grad():
        expected = full_tensors(encoder.state_dict(), CONFIG, numbers, positions, table)
    with torch.set_grad_enabled(gradients):
        found = encoder.to(dtype)(numbers, positions.to(dtype), table)
    assert expected[1].abs().max() > 0.1
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 5e-5)])
def test_forward_and_head_equal_those_of_torchmd_net(dtype, tolerance, uv, tmp_path):
    encoder = randomized(TensorNet(CONFIG).double(), seed=2).to(dtype)
    numbers, positions = random_molecule()
    tables = [neighbor_table(positions[None], cutoff=CONFIG.cutoff_nm, rule=rule) for rule in RULES]
    positions = positions.to(dtype)
    expected = reference_outputs(
        [job("tensornet", encoder, numbers, positions, table) for table in tables], uv=uv, folder=tmp_path
    )
    for table, (scalars, vectors, displacement) in zip(tables, expected, strict=True):
        with torch.no_grad():
            ours = encoder(numbers, positions, table)
        torch.testing.assert_close(ours[0], scalars, rtol=0, atol=tolerance)
        torch.testing.assert_close(ours[1], vectors, rtol=0, atol=tolerance)
        torch.testing.assert_close(encoder.displacement(*ours), displacement, rtol=0, atol=tolerance)


def matrices(components):
    """Components [atom 9 channel] as matrices [atom channel 3 3]."""
    t, (x, y, z) = components[:, 0], components[:, 1:4].unbind(1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, z, -y, -z, zero, x, y, -x, zero], dim=-1).unflatten(-1, (3, 3))
    return t[..., None, None] * torch.eye(3, dtype=t.dtype) + skew + symmetric_matrix(components).permute(0, 3, 1, 2)


def test_components_multiply_and_measure_as_their_matrices_do():
    first, second = torch.randn(2, 5, 9, 4, dtype=torch.float64)
    x, y = matrices(first), matrices(second)
    torch.testing.assert_close(matrices(anticommutator(first, second)), x @ y + y @ x, rtol=0, atol=1e-12)
    expected = torch.stack([norm(part) for part in parts(x)], dim=1)
    torch.testing.assert_close(squared_norms(first), expected, rtol=0, atol=1e-12)


def test_blocks_of_centers_do_not_change_the_result(monkeypatch):
    encoder = randomized(TensorNet(CONFIG).double(), seed=0)
    numbers, positions = random_molecule()
    table = neighbor_table(positions[None], cutoff=CONFIG.cutoff_nm, rule="all")
    with torch.no_grad():
        whole = encoder(numbers, positions, table)
        monkeypatch.setattr("geom2msm.encoder.edges.BLOCK_EDGES", 3 * table.mask.shape[1])
        pieces = encoder(numbers, positions, table)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-12)


def test_gradients_are_those_of_the_function():
    encoder = randomized(TensorNet(TensorNetConfig(2, 8, 4, 0.45)).double(), seed=0)
    numbers, positions = random_molecule(6)
    positions = 0.5 * positions
    table = neighbor_table(positions[None], cutoff=0.45, rule="all")
    assert torch.autograd.gradcheck(lambda xyz: encoder(numbers, xyz, table), positions.requires_grad_())


def test_rows_of_the_gates_of_a_checkpoint_go_from_channel_and_part_to_part_and_channel():
    names = (
        "tensor_embedding.linears_scalar.1.weight",
        "layers.11.linears_scalar.2.bias",
        "layers.0.linears_scalar.1.bias",
    )
    state = {name: torch.arange(6) for name in names}
    moved = tensornet_weights(state)
    assert [moved[name].tolist() for name in names] == [[0, 3, 1, 4, 2, 5], [0, 3, 1, 4, 2, 5], [0, 1, 2, 3, 4, 5]]


def test_a_table_transposed_twice_holds_the_same_edges():
    _, positions = random_molecule()
    table = neighbor_table(positions[None], cutoff=0.45, rule="nearest32")

    def edges(t):
        return {(i, j) for i, row in enumerate(t.indices) for j in row[t.mask[i]].tolist()}

    assert {(j, i) for i, j in edges(table)} == edges(transposed(table))
    assert edges(transposed(transposed(table))) == edges(table)
