"""Our forward pass against PyG's own, on the same edges and the same weights."""

import pytest
import torch

from geom2msm.encoder.neighbors import RULES, neighbor_table
from geom2msm.encoder.visnet import ViSNet, ViSNetConfig
from geom2msm.units import ANGSTROM_PER_NM
from pyg_edges import FixedEdges


def randomized(encoder: ViSNet, seed: int) -> ViSNet:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return encoder.eval()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 5e-5)])
@pytest.mark.parametrize("gradients", [False, True], ids=["in blocks", "recording gradients"])
def test_forward_equals_that_of_torch_geometric(rule, dtype, tolerance, gradients):
    generator = torch.Generator().manual_seed(1)
    n_atoms = 70
    numbers = torch.randint(1, 18, (n_atoms,), generator=generator)
    positions = torch.rand(n_atoms, 3, generator=generator, dtype=torch.float64)
    encoder = randomized(ViSNet(ViSNetConfig(3, 32, 4, 16, 0.45)).double(), seed=2).to(dtype)
    table = neighbor_table(positions[None], cutoff=0.45, rule=rule)
    encoder.block.distance = FixedEdges(table)
    with torch.set_grad_enabled(gradients):
        scalars, vectors = encoder(numbers, positions.to(dtype), table)
    with torch.no_grad():
        expected = encoder.block(numbers, positions.to(dtype) * ANGSTROM_PER_NM, torch.zeros(n_atoms, dtype=torch.long))
    torch.testing.assert_close(scalars, expected[0], rtol=0, atol=tolerance)
    torch.testing.assert_close(vectors, expected[1], rtol=0, atol=tolerance)


def test_blocks_of_centers_do_not_change_the_result(monkeypatch):
    encoder = randomized(ViSNet(ViSNetConfig(3, 16, 4, 8, 0.5)).double(), seed=0)
    positions = torch.rand(40, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    numbers = torch.full((40,), 6)
    table = neighbor_table(positions[None], cutoff=0.5, rule="all")
    with torch.no_grad():
        whole = encoder(numbers, positions, table)
        monkeypatch.setattr("geom2msm.encoder.edges.BLOCK_EDGES", 3 * table.mask.shape[1])
        pieces = encoder(numbers, positions, table)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-12)
