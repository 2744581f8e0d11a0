"""The fast path of TorchMD-ET against the readable forward pass."""

from pathlib import Path

import pytest
import torch

from geom2msm.encoder.c_library import require_cpp_compiler
from geom2msm.encoder.checkpoints import read_geom2vec
from geom2msm.encoder.neighbors import RULES, NeighborTable, neighbor_table
from geom2msm.encoder.torchmd_et import TorchMDET, TorchMDETConfig
from geom2msm.encoder.torchmd_et_tabulated import TabulatedTorchMDET
from geom2msm.encoder.visnet import ViSNet, ViSNetConfig
from geom2msm.encoder.weights import build_encoder

CHECKPOINT = Path(__file__).parents[2] / "data" / "geom2vec_checkpoints" / "et_l6_h64_rbf64_r75.pth"
ATOMS_PER_NM3 = 90
# Torch's own, while its compiler is imported.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def _compiler():
    try:
        require_cpp_compiler()
    except ValueError as error:
        pytest.skip(str(error))


def random_encoder(config: TorchMDETConfig) -> TorchMDET:
    torch.manual_seed(0)
    encoder = TorchMDET(config).eval().requires_grad_(False)
    for parameter in encoder.parameters():
        parameter += 0.5 / config.hidden_channels**0.5 * torch.randn_like(parameter)
    return encoder


def random_molecule(n_atoms: int, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    positions = (n_atoms / ATOMS_PER_NM3) ** (1 / 3) * torch.rand(n_atoms, 3, generator=generator)
    return torch.tensor([1, 6, 7, 8])[torch.randint(4, (n_atoms,), generator=generator)], positions


def assert_equal_outputs(fast, encoder, numbers, positions, table):
    for ours, expected in zip(fast(numbers, positions, table), encoder(numbers, positions, table), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        TorchMDETConfig(6, 64, 8, 64, 0.75),
        TorchMDETConfig(2, 48, 3, 32, 0.5),
        TorchMDETConfig(3, 128, 8, 32, 0.5),
        TorchMDETConfig(2, 512, 16, 64, 1.0),
    ],
    ids=lambda config: f"width {config.hidden_channels}, {config.n_heads} heads",
)
def test_tables_and_compilation_change_nothing_and_nothing_is_compiled_twice(config):
    torch._dynamo.reset()
    encoder = random_encoder(config)
    fast = TabulatedTorchMDET(encoder)
    numbers, positions = random_molecule(30)
    fast(numbers, positions, neighbor_table(positions[None], cutoff=config.cutoff_nm, rule="all"))
    with torch.compiler.set_stance("fail_on_recompile"):
        for n_atoms, rule in [(2, "all"), (90, "nearest32"), (150, "all"), (150, "first32")]:
            numbers, positions = random_molecule(n_atoms)
            table = neighbor_table(positions[None], cutoff=config.cutoff_nm, rule=rule)
            assert_equal_outputs(fast, encoder, numbers, positions, table)


@pytest.mark.parametrize("rule", RULES)
def test_tables_hold_the_weights_of_the_published_checkpoint(rule):
    if not CHECKPOINT.exists():
        pytest.skip(f"{CHECKPOINT} is not here; see docs/data.md for where the data comes from")
    config = TorchMDETConfig(6, 64, 8, 64, 0.75)
    weights = read_geom2vec(str(CHECKPOINT), "torchmd_et")
    encoder = build_encoder(config, weights, origin=str(CHECKPOINT)).eval().requires_grad_(False)
    numbers, positions = random_molecule(150)
    table = neighbor_table(positions[None], cutoff=0.75, rule=rule)
    assert_equal_outputs(TabulatedTorchMDET(encoder), encoder, numbers, positions, table)


def test_a_lone_atom_and_empty_slots_are_no_special_case():
    encoder = random_encoder(TorchMDETConfig(2, 48, 3, 32, 0.5))
    fast = TabulatedTorchMDET(encoder)
    lone = NeighborTable(torch.tensor([[0]]), torch.tensor([[True]]))
    assert_equal_outputs(fast, encoder, torch.tensor([8]), torch.zeros(1, 3), lone)
    gaps = NeighborTable(torch.tensor([[0, 0, 1], [1, 1, 0]]), torch.tensor([[True, False, True], [False, True, True]]))
    assert_equal_outputs(fast, encoder, torch.tensor([8, 1]), torch.tensor([[0.0, 0, 0], [0, 0, 0.1]]), gaps)


def test_the_head_is_that_of_the_encoder():
    encoder = random_encoder(TorchMDETConfig(2, 48, 3, 32, 0.5))
    features = torch.randn(5, 48), torch.randn(5, 3, 48)
    torch.testing.assert_close(TabulatedTorchMDET(encoder).displacement(*features), encoder.displacement(*features))


def test_what_it_is_not_made_for_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="tabulated filters are for TorchMD-ET, not for ViSNet"):
        TabulatedTorchMDET(ViSNet(ViSNetConfig(2, 16, 4, 8, 0.5)))
    encoder = random_encoder(TorchMDETConfig(2, 48, 3, 32, 0.5))
    with pytest.raises(ValueError, match="for single precision"):
        TabulatedTorchMDET(encoder.double())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match=r"needs a C\+\+ compiler, but .* is not on PATH"):
        TabulatedTorchMDET(encoder.float())
