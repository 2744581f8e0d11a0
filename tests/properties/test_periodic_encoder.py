"""Laws of encoders in a periodic box, with randomized weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geom2msm.encoder.architectures import ARCHITECTURES, Encoder, encoder_config, untrained
from geom2msm.encoder.frozen import KERNELS
from geom2msm.encoder.neighbors import neighbor_table

CUTOFF_NM = 0.28
BOX = torch.tensor([[1.0, 0, 0], [-0.4, 0.95, 0], [0.3, -0.25, 0.9]], dtype=torch.float64)
N_ATOMS = 280
SEEDS = st.integers(0, 2**31 - 1)
of_every_kind = pytest.mark.parametrize("kind", ARCHITECTURES)
under_every_fair_rule = pytest.mark.parametrize("rule", ["nearest32", "all"])


def random_encoder(kind: str, seed: int, n_layers: int = 2) -> Encoder:
    torch.manual_seed(seed)
    options = {"kind": kind, "n_layers": n_layers, "hidden_channels": 16, "n_radial": 8, "cutoff_nm": CUTOFF_NM}
    options |= {} if kind == "tensornet" else {"n_heads": 4}
    encoder = untrained(encoder_config(options, origin="test")).double().eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return encoder


def random_liquid(seed: int):
    """Atoms all over a box, so dense that `nearest32` drops some."""
    generator = torch.Generator().manual_seed(seed)
    positions = torch.rand(N_ATOMS, 3, generator=generator, dtype=torch.float64) @ BOX
    return torch.randint(1, 18, (N_ATOMS,), generator=generator), positions


@torch.no_grad()
def encoded(encoder: Encoder, numbers, positions, rule: str, box=BOX):
    cell = None if box is None else box[None]
    return encoder(numbers, positions, neighbor_table(positions[None], cutoff=CUTOFF_NM, rule=rule, cell_nm=cell))


def assert_equal(found, expected, tolerance=1e-9):
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


@of_every_kind
@under_every_fair_rule
@given(seed=SEEDS)
@settings(max_examples=4)
def test_it_does_not_matter_which_image_of_an_atom_was_saved(kind, rule, seed):
    encoder, (numbers, positions) = random_encoder(kind, seed), random_liquid(seed)
    images = torch.from_numpy(np.random.default_rng(seed).integers(-3, 4, (N_ATOMS, 3))).double()
    expected = encoded(encoder, numbers, positions, rule)
    assert_equal(encoded(encoder, numbers, positions + images @ BOX, rule), expected)
    assert_equal(encoded(encoder, numbers, positions + 0.7, rule), expected)


@of_every_kind
@under_every_fair_rule
@given(seed=SEEDS)
@settings(max_examples=2)
def test_a_box_is_as_good_as_many_copies_of_it(kind, rule, seed):
    encoder, (numbers, positions) = random_encoder(kind, seed, n_layers=1), random_liquid(seed)
    # What one layer hears, and who is in whose list, ends three cutoffs away, less than the height of one box.
    steps = torch.cartesian_prod(*[torch.tensor([0.0, -1.0, 1.0])] * 3).double()
    copies = (positions + (steps @ BOX)[:, None]).flatten(0, 1)
    among_copies = encoded(encoder, numbers.repeat(len(steps)), copies, rule, box=None)
    assert_equal(encoded(encoder, numbers, positions, rule), [part[:N_ATOMS] for part in among_copies])


@of_every_kind
@given(seed=SEEDS)
@settings(max_examples=2)
def test_a_molecule_that_the_box_cut_is_encoded_as_if_it_were_whole(kind, seed):
    encoder = random_encoder(kind, seed)
    numbers, positions = random_liquid(seed)
    numbers, positions = numbers[:30], 0.5 * positions[:30]
    box = 2 * torch.eye(3, dtype=torch.float64)
    cut = (positions + 1.9).remainder(2.0)
    assert (cut - positions - 1.9).abs().max() > 1
    whole = encoded(encoder, numbers, positions, "nearest32", box=None)
    assert_equal(encoded(encoder, numbers, cut, "nearest32", box=box), whole)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "kernel"), [(kind, kernel) for kind in KERNELS for kernel in KERNELS[kind]])
@torch.inference_mode()
def test_every_kernel_sees_through_the_box(kind, kernel):
    encoder, (numbers, positions) = random_encoder(kind, seed=0).float(), random_liquid(0)
    try:
        fast = KERNELS[kind][kernel](encoder)
    except ValueError as error:
        pytest.skip(str(error))
    positions = positions.float()
    table = neighbor_table(positions[None], cutoff=CUTOFF_NM, rule="nearest32", cell_nm=BOX.float()[None])
    expected = encoder(numbers, positions, table)
    without = encoder(numbers, positions, replace(table, shift=None))
    for ours, plain, wrong in zip(fast(numbers, positions, table), expected, without, strict=True):
        allowed = 1e-4 * float(plain.abs().max())
        torch.testing.assert_close(ours, plain, rtol=0, atol=allowed)
        assert (wrong - plain).abs().max() > 100 * allowed
