"""Our TorchMD-ET against torchmd-net's, on the same edges and the same weights."""

from pathlib import Path

import pytest
import torch

from geom2msm.encoder.checkpoints import read_geom2vec
from geom2msm.encoder.neighbors import RULES, neighbor_table
from geom2msm.encoder.torchmd_et import TorchMDET, TorchMDETConfig
from geom2msm.encoder.weights import build_encoder
from torchmd_net import job, reference_outputs

CHECKPOINT = Path(__file__).parents[2] / "data" / "geom2vec_checkpoints" / "et_l6_h64_rbf64_r75.pth"
CONFIG = TorchMDETConfig(3, 32, 4, 16, 0.45)


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


in_both_precisions = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 5e-5)])


@in_both_precisions
def test_forward_and_head_equal_those_of_torchmd_net(dtype, tolerance, uv, tmp_path):
    encoder = randomized(TorchMDET(CONFIG).double(), seed=2).to(dtype)
    numbers, positions = random_molecule()
    tables = [neighbor_table(positions[None], cutoff=CONFIG.cutoff_nm, rule=rule) for rule in RULES]
    positions = positions.to(dtype)
    expected = reference_outputs(
        [job("torchmd_et", encoder, numbers, positions, table) for table in tables], uv=uv, folder=tmp_path
    )
    for table, (scalars, vectors, displacement) in zip(tables, expected, strict=True):
        for gradients in (False, True):
            with torch.set_grad_enabled(gradients):
                ours = encoder(numbers, positions, table)
            torch.testing.assert_close(ours[0], scalars, rtol=0, atol=tolerance)
            torch.testing.assert_close(ours[1], vectors, rtol=0, atol=tolerance)
        torch.testing.assert_close(encoder.displacement(*ours), displacement, rtol=0, atol=tolerance)


@in_both_precisions
def test_the_published_checkpoint_gives_what_it_gives_in_torchmd_net(dtype, tolerance, uv, tmp_path):
    if not CHECKPOINT.exists():
        pytest.skip(f"{CHECKPOINT} is not here; see docs/data.md for where the data comes from")
    config = TorchMDETConfig(6, 64, 8, 64, 0.75)
    weights = read_geom2vec(str(CHECKPOINT), "torchmd_et")
    encoder = build_encoder(config, weights, origin=str(CHECKPOINT)).requires_grad_(False).to(dtype)
    numbers, positions = random_molecule()
    table = neighbor_table(positions[None], cutoff=config.cutoff_nm, rule="nearest32")
    positions = positions.to(dtype)
    ((scalars, vectors, displacement),) = reference_outputs(
        [job("torchmd_et", encoder, numbers, positions, table)], uv=uv, folder=tmp_path
    )
    ours = encoder(numbers, positions, table)
    torch.testing.assert_close(ours[0], scalars, rtol=0, atol=tolerance)
    torch.testing.assert_close(ours[1], vectors, rtol=0, atol=tolerance)
    torch.testing.assert_close(encoder.displacement(*ours), displacement, rtol=0, atol=tolerance)


def test_blocks_of_centers_do_not_change_the_result(monkeypatch):
    encoder = randomized(TorchMDET(CONFIG).double(), seed=0)
    numbers, positions = random_molecule()
    table = neighbor_table(positions[None], cutoff=CONFIG.cutoff_nm, rule="all")
    with torch.no_grad():
        whole = encoder(numbers, positions, table)
        monkeypatch.setattr("geom2msm.encoder.edges.BLOCK_EDGES", 3 * table.mask.shape[1])
        pieces = encoder(numbers, positions, table)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-12)


def test_gradients_are_those_of_the_function():
    encoder = randomized(TorchMDET(TorchMDETConfig(2, 8, 2, 4, 0.45)).double(), seed=0)
    numbers, positions = random_molecule(6)
    positions = 0.5 * positions
    table = neighbor_table(positions[None], cutoff=0.45, rule="all")
    assert torch.autograd.gradcheck(lambda xyz: encoder(numbers, xyz, table), positions.requires_grad_())


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="hidden_channels 30 is not a multiple of n_heads 4"):
        TorchMDETConfig(2, 30, 4, 8, 0.5)
