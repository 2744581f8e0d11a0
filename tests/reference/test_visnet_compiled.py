"""The compiled ViSNet against the readable one, and the pieces that it is made of."""

import pytest
import torch
from torch.nn import functional

from geom2msm.encoder import packed_linear
from geom2msm.encoder.c_library import require_cpp_compiler
from geom2msm.encoder.edge_rows import edge_rows
from geom2msm.encoder.edges import edge_geometry
from geom2msm.encoder.neighbors import NeighborTable, neighbor_table
from geom2msm.encoder.radial_table import node_count, radial_position, radial_table
from geom2msm.encoder.visnet import ViSNet, ViSNetConfig
from geom2msm.encoder.visnet_compiled import CompiledViSNet

# Largest difference that is allowed, as a share of the largest value.
TOLERANCE = 1e-4


def encoder(width: int, n_layers: int, n_heads: int = 8) -> ViSNet:
    """A network with random weights, also where training starts from zeros and ones."""
    torch.manual_seed(7)
    network = ViSNet(ViSNetConfig(n_layers, width, n_heads, 32, 0.5))
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return network.eval().requires_grad_(False)


def molecules(n_frames: int, n_atoms: int, rule: str) -> tuple[torch.Tensor, torch.Tensor, NeighborTable]:
    """Random atoms at the density of heavy atoms in a protein."""
    generator = torch.Generator().manual_seed(n_atoms)
    positions = (n_atoms / 60) ** (1 / 3) * torch.rand(n_frames, n_atoms, 3, generator=generator)
    numbers = torch.randint(1, 18, (n_frames * n_atoms,), generator=generator)
    return numbers, positions.flatten(0, 1), neighbor_table(positions, cutoff=0.5, rule=rule)


# Inductor itself uses what PyTorch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")


def largest_error(fast, reference) -> float:
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(fast, reference, strict=True))


@pytest.fixture
def eager(monkeypatch):
    """The same arithmetic piece by piece, which shows errors of algebra in a second instead of half a minute."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)


@pytest.fixture
def compiled():
    """Compiled code of earlier tests is forgotten: PyTorch allows a piece only a few versions."""
    try:
        require_cpp_compiler()
    except ValueError as error:
        pytest.skip(str(error))
    torch._dynamo.reset()


@pytest.mark.parametrize("rule", ["nearest32", "all", "first32"])
@pytest.mark.parametrize(
    ("width", "n_layers", "n_heads"),
    [(64, 2, 8), (64, 6, 8), (128, 3, 8), (256, 4, 16), (512, 2, 8), (48, 10, 4), (64, 3, 1), (32, 3, 32)],
)
@pytest.mark.parametrize("packed", [True, False], ids=["oneDNN", "plain"])
def test_algebra_equals_that_of_the_readable_network(eager, monkeypatch, rule, width, n_layers, n_heads, packed):
    monkeypatch.setattr(packed_linear, "PACKED", packed and packed_linear.PACKED)
    network = encoder(width, n_layers, n_heads)
    system = molecules(1, 150, rule)
    assert largest_error(CompiledViSNet(network)(*system), network(*system)) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("width", [64, 128, 256])
def test_compiled_equals_the_readable_network(compiled, width):
    network = encoder(width, n_layers=3)
    fast = CompiledViSNet(network)
    systems = [molecules(2, 150, "nearest32")] + ([molecules(20, 10, "nearest32")] if width == 64 else [])
    for system in systems:
        output, expected = fast(*system), network(*system)
        assert largest_error(output, expected) < TOLERANCE
        assert largest_error([fast.displacement(*output)], [network.displacement(*expected)]) < TOLERANCE


@pytest.mark.slow
def test_nothing_is_compiled_again_for_other_molecules_and_frames(compiled):
    network = encoder(64, n_layers=3)
    fast = CompiledViSNet(network)
    fast(*molecules(1, 150, "nearest32"))
    with torch._dynamo.config.patch(error_on_recompile=True):
        for system in (molecules(1, 400, "all"), molecules(3, 61, "nearest32"), molecules(1, 17, "all")):
            assert largest_error(fast(*system), network(*system)) < TOLERANCE


@pytest.mark.slow
def test_same_input_same_bytes_and_company_does_not_matter(compiled):
    network = encoder(64, n_layers=3)
    fast = CompiledViSNet(network)
    numbers, positions, table = molecules(3, 120, "all")
    together = fast(numbers, positions, table)
    for first, second in zip(together, fast(numbers, positions, table), strict=True):
        assert torch.equal(first, second)
    last = slice(240, 360)
    alone = neighbor_table(positions[None, last], cutoff=0.5, rule="all")
    assert largest_error(fast(numbers[last], positions[last], alone), [array[last] for array in together]) < 1e-6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_equals_the_readable_network_on_a_gpu(compiled):
    network = encoder(64, n_layers=3).cuda()
    numbers, positions, table = molecules(2, 150, "all")
    system = numbers.cuda(), positions.cuda(), NeighborTable(table.indices.cuda(), table.mask.cuda())
    assert largest_error(CompiledViSNet(network)(*system), network(*system)) < TOLERANCE


def test_refuses_what_it_cannot_do(eager, monkeypatch):
    network = encoder(32, n_layers=2)
    with pytest.raises(ValueError, match="float32"):
        CompiledViSNet(network.double())
    with pytest.raises(ValueError, match="2 or more layers"):
        CompiledViSNet(encoder(32, n_layers=1))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match="needs a C\\+\\+ compiler, but no-such-compiler"):
        CompiledViSNet(encoder(32, n_layers=2))


@pytest.mark.parametrize("n_radial", [16, 64, 128])
def test_table_of_radial_functions_is_exact_to_single_precision(n_radial):
    network = ViSNet(ViSNetConfig(2, 32, 8, n_radial, 0.75)).requires_grad_(False)
    block = network.block
    distance = torch.linspace(0, block.cutoff * (1 - 1e-6), 5001)
    pairs = torch.stack([torch.zeros(5001, 3), functional.pad(distance[:, None], (0, 2))], dim=1).flatten(0, 1)
    partner = torch.arange(10002).view(-1, 2).flip(1).reshape(-1, 1)
    table = NeighborTable(partner, torch.ones_like(partner, dtype=torch.bool))
    exact = block.edge_embedding.edge_proj(edge_geometry(block, pairs, table).radial[::2, 0])
    alpha, count = block.distance_expansion.alpha, node_count(block)
    node, weights = radial_position(distance, alpha=alpha, cutoff=block.cutoff, count=count)
    values = radial_table(block, block.edge_embedding.edge_proj)
    read = sum(values[node + i] * weights[:, i : i + 1] for i in range(4))
    assert float((read - exact).abs().max() / exact.abs().max()) < 1e-5


@pytest.mark.parametrize("width", [4, 8, 10])
def test_rows_hold_the_edges_of_the_table(width):
    mask = torch.rand(37, 45, generator=torch.Generator().manual_seed(1)) < torch.linspace(0, 1, 37)[:, None]
    mask[:, 0] = True
    table = NeighborTable(torch.randint(37, (37, 45), generator=torch.Generator().manual_seed(2)), mask)
    rows = edge_rows(table, width=width, block_rows=7, atom_multiple=16, part_multiple=4)
    assert len(rows.senders) % 7 == 0
    assert rows.rows_of_atom.shape[0] % 16 == 0
    assert rows.rows_of_atom.shape[1] % 4 == 0
    filled = functional.pad(rows.mask, (0, 0, 0, 1)) > 0
    senders = functional.pad(rows.senders, (0, 0, 0, 1))
    for atom, mine in enumerate(rows.rows_of_atom[:37]):
        assert senders[mine][filled[mine]].tolist() == table.indices[atom, mask[atom]].tolist()
        assert (rows.centers[mine[mine < len(rows.centers)]] == atom).all()
    assert (rows.rows_of_atom[37:] == len(rows.senders)).all()
    assert int(rows.mask.sum()) == int(mask.sum())


def test_packed_linear_equals_plain():
    rows, weight, bias = torch.randn(64, 32), torch.randn(48, 32), torch.randn(48)
    expected = functional.silu(functional.linear(rows, weight, bias))
    torch.testing.assert_close(packed_linear.linear_silu(rows, weight, bias), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(packed_linear.linear_silu(rows[:5], weight, bias), expected[:5], rtol=0, atol=1e-5)


def test_packed_linear_is_not_used_where_it_computes_something_else(monkeypatch):
    assert packed_linear._works() == packed_linear.PACKED
    monkeypatch.setattr(packed_linear.functional, "silu", torch.relu)
    assert not packed_linear._works()
