"""The compiled forward pass against the readable one, which test_visnet.py holds to PyG's."""

import ctypes
import platform
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from geom2msm.encoder import c_library
from geom2msm.encoder.c_library import load_c_library
from geom2msm.encoder.neighbors import NeighborTable, neighbor_table
from geom2msm.encoder.visnet import ViSNet, ViSNetConfig
from geom2msm.encoder.visnet_fused import SOURCE, FusedViSNet

try:
    c_library.find_compiler()
except ValueError as error:
    pytest.skip(str(error), allow_module_level=True)

CUTOFF_NM = 0.45
TOLERANCE = 2e-5
X86 = platform.machine() in ("x86_64", "AMD64")


def network(config: ViSNetConfig) -> ViSNet:
    """A network whose biases and norms are not at their initial zeros and ones either."""
    generator = torch.Generator().manual_seed(2)
    encoder = ViSNet(config).requires_grad_(False)
    for parameter in encoder.parameters():
        parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return encoder.eval()


@cache
def networks(width: int, heads: int, layers: int, radial: int) -> tuple[ViSNet, FusedViSNet]:
    encoder = network(ViSNetConfig(layers, width, heads, radial, CUTOFF_NM))
    return encoder, FusedViSNet(encoder)


def atoms(n_frames: int, n_atoms: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Elements and positions; the last atom of each frame is out of every other's reach."""
    generator = torch.Generator().manual_seed(1)
    positions = (n_atoms / 90) ** (1 / 3) * torch.rand(n_frames, n_atoms, 3, generator=generator)
    positions[:, -1] += 10
    return torch.randint(1, 18, (n_frames * n_atoms,), generator=generator), positions


def assert_same(found: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, ...]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert float((one - other).abs().max()) <= TOLERANCE * float(other.abs().max())


@pytest.mark.parametrize("rule", ["nearest32", "all", "first32"])
@pytest.mark.parametrize(
    ("width", "heads", "layers", "radial"),
    [
        (64, 8, 6, 64),
        (64, 8, 1, 32),
        (128, 8, 10, 32),
        (16, 2, 2, 20),
        (48, 16, 3, 16),
        (96, 1, 3, 16),
        (256, 32, 3, 8),
    ],
)
def test_fused_equals_the_reference(width, heads, layers, radial, rule):
    encoder, fused = networks(width, heads, layers, radial)
    numbers, positions = atoms(1, 71)
    table = neighbor_table(positions, cutoff=CUTOFF_NM, rule=rule)
    with torch.no_grad():
        expected = encoder(numbers, positions[0], table)
        found = fused(numbers, positions[0], table)
        assert_same(found, expected)
        assert_same((fused.displacement(*found),), (encoder.displacement(*expected),))
    assert fused.config == encoder.config


def test_many_small_molecules_of_different_size_in_one_call():
    encoder, fused = networks(64, 8, 6, 64)
    numbers, positions = atoms(40, 11)
    present = torch.arange(11)[None] < torch.randint(1, 12, (40, 1), generator=torch.Generator().manual_seed(0))
    table = neighbor_table(positions, cutoff=CUTOFF_NM, rule="all", present=present)
    flat, chosen = positions[present], numbers[present.flatten()]
    assert not table.mask.all()
    with torch.no_grad():
        assert_same(fused(chosen, flat, table), encoder(chosen, flat, table))


def test_company_and_repetition_change_no_bit():
    _, fused = networks(64, 8, 6, 64)
    numbers, positions = atoms(7, 23)
    table = neighbor_table(positions, cutoff=CUTOFF_NM, rule="all")
    together = fused(numbers, positions.flatten(0, 1), table)
    again = fused(numbers, positions.flatten(0, 1), table)
    for frame in range(7):
        rows = slice(frame * 23, (frame + 1) * 23)
        own = neighbor_table(positions[frame : frame + 1], cutoff=CUTOFF_NM, rule="all")
        alone = fused(numbers[rows], positions[frame], own)
        for one, first, second in zip(alone, together, again, strict=True):
            assert torch.equal(one, first[rows])
            assert torch.equal(first[rows], second[rows])


def test_empty_slots_of_a_table_change_no_bit():
    _, fused = networks(16, 2, 2, 20)
    numbers, positions = atoms(1, 30)
    table = neighbor_table(positions, cutoff=CUTOFF_NM, rule="all")
    own = torch.arange(30)[:, None].expand(30, 5)
    wider = NeighborTable(
        torch.cat([own, table.indices], dim=1), torch.cat([torch.zeros(30, 5, dtype=torch.bool), table.mask], dim=1)
    )
    narrow, wide = fused(numbers, positions[0], table), fused(numbers, positions[0], wider)
    assert torch.equal(narrow[0], wide[0])
    assert torch.equal(narrow[1], wide[1])


def test_atoms_see_each_other_through_the_faces_of_a_box():
    encoder, fused = networks(64, 8, 6, 64)
    numbers, positions = atoms(1, 60)
    cell = torch.tensor([[[1.0, 0, 0], [0.2, 1.1, 0], [-0.1, 0.3, 0.95]]])
    table = neighbor_table(positions, cutoff=CUTOFF_NM, rule="all", cell_nm=cell)
    assert table.shift is not None
    assert table.shift.any()
    with torch.no_grad():
        assert_same(fused(numbers, positions[0], table), encoder(numbers, positions[0], table))


def test_no_atoms_and_atoms_without_any_edge():
    encoder, fused = networks(16, 2, 2, 20)
    nothing = NeighborTable(torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0, 1, dtype=torch.bool))
    scalars, vectors = fused(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3), nothing)
    assert (scalars.shape, vectors.shape) == ((0, 16), (0, 3, 16))
    lonely = NeighborTable(torch.arange(3)[:, None], torch.zeros(3, 1, dtype=torch.bool))
    numbers, positions = torch.tensor([1, 6, 8]), torch.rand(3, 3)
    with torch.no_grad():
        assert_same(fused(numbers, positions, lonely), encoder(numbers, positions, lonely))


@pytest.mark.skipif(not X86, reason="options of x86 compilers")
@pytest.mark.parametrize(("flag", "name"), [("-march=x86-64-v3", "avx2"), ("-march=x86-64", "128 bit")])
def test_other_instruction_sets_give_the_same(flag, name):
    if flag.endswith("v3") and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("this processor has no AVX2")
    encoder = networks(64, 8, 6, 64)[0]
    fused = FusedViSNet(encoder, machine_flags=[flag])
    assert name in fused.path
    numbers, positions = atoms(2, 40)
    table = neighbor_table(positions, cutoff=CUTOFF_NM, rule="nearest32")
    with torch.no_grad():
        assert_same(fused(numbers, positions.flatten(0, 1), table), encoder(numbers, positions.flatten(0, 1), table))


def test_silu_holds_far_beyond_all_activations(tmp_path):
    source = tmp_path / "silu.c"
    body = "void all(float *x, long n) { for (long i = 0; i < n; i += LANES) store(x + i, silu(load(x + i))); }"
    source.write_text(f'#include "{SOURCE.parent / "lanes.h"}"\n{body}\n')
    library = load_c_library(source, definitions={"WIDTH": 16})
    sizes = np.concatenate([np.linspace(0, 100, 1600), np.geomspace(1e-30, 1e9, 1600)])
    values = np.concatenate([sizes, -sizes]).astype(np.float32)
    found = values.copy()
    library.all(ctypes.c_void_p(found.ctypes.data), ctypes.c_long(len(found)))
    expected = torch.nn.functional.silu(torch.from_numpy(values).double()).numpy()
    np.testing.assert_allclose(found, expected, rtol=4e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_channels": 24, "n_heads": 2}, "multiple of 16 channels, not 24"),
        ({"hidden_channels": 48, "n_heads": 3}, "1, 2, 4, 8 or a multiple of 16 heads, not 3"),
    ],
)
def test_shapes_that_do_not_fit_registers_are_refused(change, message):
    encoder = ViSNet(replace(ViSNetConfig(2, 32, 4, 8, CUTOFF_NM), **change))
    with pytest.raises(ValueError, match=message):
        FusedViSNet(encoder)


def test_double_precision_is_refused():
    encoder, fused = networks(16, 2, 2, 20)
    numbers, positions = atoms(1, 5)
    table = neighbor_table(positions, cutoff=CUTOFF_NM, rule="all")
    with pytest.raises(ValueError, match=r"float32 positions on the CPU, not torch\.float64"):
        fused(numbers, positions[0].double(), table)
    with pytest.raises(ValueError, match="float32 weights on the CPU"):
        FusedViSNet(network(encoder.config).double())


def test_numbers_that_would_be_read_beyond_an_array_are_refused():
    _, fused = networks(16, 2, 2, 20)
    numbers, positions = atoms(1, 5)
    table = neighbor_table(positions, cutoff=CUTOFF_NM, rule="all")
    with pytest.raises(ValueError, match=r"an atomic number is 100 .* not in 0 … 99"):
        fused(torch.full((5,), 100), positions[0], table)
    with pytest.raises(ValueError, match=r"a neighbor is 1 or 5, .* not in 0 … 4"):
        fused(numbers, positions[0], NeighborTable(table.indices + 1, table.mask))
    with pytest.raises(ValueError, match="do not belong together"):
        fused(numbers, positions[0], NeighborTable(table.indices[:4], table.mask[:4]))


def test_a_missing_compiler_is_one_clear_sentence(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(ValueError, match=r"\$CC names 'no-such-compiler', which is not a command here"):
        c_library.find_compiler()
    monkeypatch.delenv("CC")
    monkeypatch.setattr(c_library, "COMPILERS", ("no-such-compiler",))
    with pytest.raises(ValueError, match=r"none of cc, gcc and clang .* install one or set \$CC"):
        FusedViSNet(networks(16, 2, 2, 20)[0])


def test_a_failed_compilation_is_one_clear_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("CC", c_library.find_compiler()[0] + " -Wall")
    source = tmp_path / "broken.c"
    source.write_text("int broken(void) { return nothing; }\n")
    with pytest.raises(ValueError, match=r"broken\.c could not be compiled by .* -Wall .*nothing"):
        load_c_library(source, definitions={})
    source.write_text("int answer(void) { return ANSWER; }\n")
    assert load_c_library(source, definitions={"ANSWER": 42}).answer() == 42
    assert list(tmp_path.iterdir()) == [source]
