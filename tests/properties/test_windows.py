"""Laws of the windowed embedding: a token depends on its window alone, and a wide window is the whole molecule."""

import numpy as np
import pandas as pd
import pytest
import torch

from geom2msm.encoder.neighbors import neighbor_table
from geom2msm.encoder.visnet import ViSNet, ViSNetConfig
from geom2msm.encoder.windows import embed_windows, token_windows, tokens_in_windows

CUTOFF_NM = 0.5
N_FRAMES = 3


def random_encoder() -> ViSNet:
    torch.manual_seed(1)
    encoder = ViSNet(ViSNetConfig(3, 16, 4, 8, CUTOFF_NM)).double().eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return encoder


def table_of(stretches, *, residues=None):
    """What windows need of a token table."""
    return pd.DataFrame({"stretch": stretches, "residue_index": residues or range(len(stretches))})


def peptide(n_residues: int = 7):
    """A random chain of residues of 4 to 9 atoms: elements, positions of some frames, token of each atom."""
    generator = torch.Generator().manual_seed(2)
    sizes = [4 + (3 * residue) % 6 for residue in range(n_residues)]
    token = np.repeat(np.arange(n_residues), sizes)
    positions = 0.35 * torch.rand(N_FRAMES, len(token), 3, generator=generator, dtype=torch.float64)
    positions[:, :, 0] += 0.2 * torch.from_numpy(token)
    numbers = torch.tensor([6, 7, 8, 16])[torch.randint(0, 4, (len(token),), generator=generator)]
    return numbers, positions, token


def embedded(numbers, positions, token, table, neighbors, rule="nearest32"):
    windows = token_windows(table, token, neighbors=neighbors)
    return embed_windows(random_encoder(), positions, numbers, windows, neighbor_rule=rule)


@pytest.mark.parametrize("rule", ["nearest32", "all", "first32"])
def test_a_window_as_long_as_the_chain_is_the_whole_molecule(rule):
    numbers, positions, token = peptide()
    scalars, vectors = embedded(numbers, positions, token, table_of([0] * 7), 6, rule)
    table = neighbor_table(positions, cutoff=CUTOFF_NM, rule=rule)
    with torch.no_grad():
        whole = random_encoder()(numbers.repeat(N_FRAMES), positions.flatten(0, 1), table)
    for ours, atoms in zip((scalars, vectors), whole, strict=True):
        atoms = atoms.unflatten(0, (N_FRAMES, len(token)))
        sums = atoms.new_zeros(N_FRAMES, 7, *atoms.shape[2:]).index_add_(1, torch.from_numpy(token), atoms)
        torch.testing.assert_close(ours, sums, rtol=0, atol=1e-10)


def test_a_narrow_window_is_not_the_whole_molecule():
    narrow, wide = (embedded(*peptide(), table_of([0] * 7), neighbors)[0] for neighbors in (1, 6))
    assert (narrow - wide).abs().max() > 1e-3


def test_each_window_is_a_graph_of_its_own():
    numbers, positions, token = peptide()
    table = table_of([0] * 7)
    windows = token_windows(table, token, neighbors=1)
    scalars, _ = embed_windows(random_encoder(), positions, numbers, windows, neighbor_rule="nearest32")
    for place, (atoms, present) in enumerate(zip(windows.atoms, windows.present, strict=True)):
        alone = torch.from_numpy(atoms[present])
        neighbors = neighbor_table(positions[:1, alone], cutoff=CUTOFF_NM, rule="nearest32")
        with torch.no_grad():
            each = random_encoder()(numbers[alone], positions[0, alone], neighbors)[0]
        expected = each[torch.from_numpy(token)[alone] == place].sum(0)
        torch.testing.assert_close(scalars[0, place], expected, rtol=0, atol=1e-10)


def test_a_token_does_not_depend_on_atoms_outside_its_window():
    numbers, positions, token = peptide()
    before = embedded(numbers, positions, token, table_of([0] * 7), 2)
    moved = positions.clone()
    moved[:, token == 6] *= 1.1
    after = embedded(numbers, moved, token, table_of([0] * 7), 2)
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new[:, :4], old[:, :4], rtol=0, atol=0)
        assert (new[:, 4:] - old[:, 4:]).abs().amax(dim=tuple(set(range(old.ndim)) - {1})).min() > 1e-6


def test_scalars_stay_and_vectors_turn_with_the_molecule():
    numbers, positions, token = peptide()
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    scalars, vectors = embedded(numbers, positions, token, table_of([0] * 7), 2)
    turned = embedded(numbers, positions @ rotation.T + 0.3, token, table_of([0] * 7), 2)
    torch.testing.assert_close(turned[0], scalars, rtol=0, atol=1e-9)
    torch.testing.assert_close(turned[1], torch.einsum("xy,ftyc->ftxc", rotation, vectors), rtol=0, atol=1e-9)


def test_a_molecule_broken_across_a_periodic_box_is_embedded_as_the_whole_one():
    numbers, positions, token = peptide()
    windows = token_windows(table_of([0] * 7), token, neighbors=2)
    cell = torch.diag(torch.tensor([3.0, 2.0, 2.5], dtype=torch.float64)).repeat(N_FRAMES, 1, 1)
    broken = positions.clone()
    broken[1:, 10:30] += torch.tensor([3.0, 0.0, -2.5])
    whole = embed_windows(random_encoder(), positions, numbers, windows, neighbor_rule="nearest32")
    mended = embed_windows(random_encoder(), broken, numbers, windows, neighbor_rule="nearest32", cell_nm=cell)
    for ours, expected in zip(mended, whole, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-9)


def test_renumbering_the_atoms_changes_nothing():
    numbers, positions, token = peptide()
    order = torch.randperm(len(numbers))
    before = embedded(numbers, positions, token, table_of([0] * 7), 2)
    after = embedded(numbers[order], positions[:, order], token[order.numpy()], table_of([0] * 7), 2)
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, old, rtol=0, atol=1e-9)


def test_the_size_of_a_batch_changes_nothing(monkeypatch):
    whole = embedded(*peptide(), table_of([0] * 7), 2)
    monkeypatch.setattr("geom2msm.encoder.windows.BATCH_EDGES", 1)
    for one_by_one, together in zip(embedded(*peptide(), table_of([0] * 7), 2), whole, strict=True):
        torch.testing.assert_close(one_by_one, together, rtol=0, atol=1e-10)


def test_windows_end_with_the_chain_and_ligands_stand_alone():
    assert tokens_in_windows(table_of([0, 0, 0, 0, 1, 1, -1, -1]), 2) == [
        [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3], [4, 5], [4, 5], [6], [7],
    ]  # fmt: skip
    assert tokens_in_windows(table_of([0, -1, 0]), 1) == [[0, 2], [1], [0, 2]]
    assert tokens_in_windows(table_of([0, 0, 1]), 0) == [[0], [1], [2]]


def test_all_tokens_of_a_residue_are_in_its_window():
    # Backbone and side chain of residues 0 and 2, a glycine between them.
    table = table_of([0] * 5, residues=[0, 0, 1, 2, 2])
    assert tokens_in_windows(table, 1) == [[0, 1, 2], [0, 1, 2], [0, 1, 2, 3, 4], [2, 3, 4], [2, 3, 4]]


def test_only_the_atoms_of_the_token_are_summed_and_context_is_left_out():
    token = np.array([0, 0, 1, -1, 2, 2, 2])
    windows = token_windows(table_of([0, 0, -1]), token, neighbors=1)
    np.testing.assert_array_equal(windows.atoms, [[0, 1, 2], [0, 1, 2], [4, 5, 6]])
    np.testing.assert_array_equal(windows.is_center, [[1, 1, 0], [0, 0, 1], [1, 1, 1]])
    windows = token_windows(table_of([0, 0, -1]), token, neighbors=0)
    np.testing.assert_array_equal(windows.present.sum(1), [2, 1, 3])
    np.testing.assert_array_equal(windows.is_center, windows.present)


def test_atoms_of_a_window_keep_the_order_of_the_file():
    # `first32` depends on it; backbone and side chain of a residue alternate.
    windows = token_windows(table_of([0, 0], residues=[0, 0]), np.array([0, 1, 0, 1]), neighbors=0)
    np.testing.assert_array_equal(windows.atoms, [[0, 1, 2, 3]] * 2)
