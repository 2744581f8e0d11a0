"""Denoising pretraining: molecules are read right, kept apart, and the task is learned."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from geom2msm.encoder.architectures import ARCHITECTURES, encoder_config, untrained
from geom2msm.encoder.geometries import Molecule, elements_of_mapped_smiles, hold_out, read_molecules
from geom2msm.encoder.pretraining import (
    Denoiser,
    PretrainingConfig,
    batches,
    denoising_r2,
    evaluation_sets,
    padded,
    pretrain,
)

SETTINGS = PretrainingConfig(
    noise_nm=0.02, batch_geometries=8, n_epochs=8.0, learning_rate=5e-3, neighbor_rule="nearest32",
    validation_fraction=0.25, evaluations=2, compile=False, seed=0,
)  # fmt: skip


def chains(n_molecules: int) -> list[Molecule]:
    """Zigzag chains of carbon with a hydrogen on each, at exact bond lengths: noise can be told from geometry."""
    molecules = []
    for n in range(3, 3 + n_molecules):
        carbon = np.stack([0.127 * np.arange(n), 0.085 * (np.arange(n) % 2), np.zeros(n)], axis=1)
        atoms = np.concatenate([carbon, carbon + np.array([0, 0, 0.109])]).astype(np.float32)
        numbers = np.repeat([6, 1], n)
        molecules.append(Molecule(f"C{n}", f"C{n}", numbers, np.repeat(atoms[None], 16, axis=0)))
    return molecules


def test_elements_follow_the_atom_map_of_the_smiles():
    numbers = elements_of_mapped_smiles("[Br:1][C:4]([c:2])([n+:3])[H:5]")
    np.testing.assert_array_equal(numbers, [35, 6, 7, 6, 1])
    with pytest.raises(ValueError, match="does not map every atom exactly once"):
        elements_of_mapped_smiles("[C:1][C:3]")
    with pytest.raises(ValueError, match="elements that are not known here: Xx"):
        elements_of_mapped_smiles("[Xx:1]")


def test_spice_molecules_keep_their_coordinates(tmp_path):
    path = tmp_path / "spice.hdf5"
    conformations = np.random.default_rng(0).random((2, 3, 3)).astype("float32")
    with h5py.File(path, "w") as file:
        group = file.create_group("water")
        group["conformations"] = conformations
        group["smiles"] = [b"[O:1]([H:2])[H:3]"]
    (molecule,) = read_molecules(str(path))
    np.testing.assert_array_equal(molecule.positions_nm, conformations)
    np.testing.assert_array_equal(molecule.atomic_numbers, [8, 1, 1])
    np.testing.assert_array_equal(molecule.without_hydrogens().positions_nm, conformations[:, :1])


def test_a_peptide_grid_is_cut_into_its_molecules(tmp_path):
    path = tmp_path / "grid.npz"
    positions = np.arange(3 * (2 * 2 + 1 * 3), dtype="float32").reshape(-1, 3)
    np.savez(
        path, names=["A_1", "B_1"], n_atoms=[2, 3], n_confs=[2, 1], z=np.array([6, 1, 7, 1, 1], "uint8"), pos=positions
    )
    first, second = read_molecules(str(path))
    np.testing.assert_allclose(first.positions_nm, 0.1 * positions[:4].reshape(2, 2, 3), rtol=1e-6)
    np.testing.assert_allclose(second.positions_nm, 0.1 * positions[4:].reshape(1, 3, 3), rtol=1e-6)


def test_another_format_is_refused():
    with pytest.raises(ValueError, match=r"x.sdf: geometries are read from .hdf5 .* not '.sdf'"):
        read_molecules("x.sdf")


def test_no_validation_molecule_is_trained_on():
    molecules = chains(12)
    training, validation = hold_out(molecules, fraction=0.25, rng=np.random.default_rng(0))
    assert len(validation) == 3
    assert {m.name for m in training} | {m.name for m in validation} == {m.name for m in molecules}
    assert not {m.group for m in training} & {m.group for m in validation}


def test_an_epoch_shows_every_conformer_at_most_once_with_or_without_hydrogens():
    molecules = chains(4)
    for number, molecule in enumerate(molecules):
        molecule.positions_nm[:, 0, 0] = 16 * number + np.arange(16)
    shown = list(batches(molecules, size=8, rng=np.random.default_rng(0)))
    conformers = torch.cat([batch.positions_nm[:, 0, 0] for batch in shown])
    assert sorted(conformers.tolist()) == list(range(4 * 16))
    with_hydrogens = [bool((batch.atomic_numbers == 1).any()) for batch in shown]
    assert any(with_hydrogens)
    assert not all(with_hydrogens)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_denoising_task_is_learned(kind):
    torch.manual_seed(0)
    molecules, lines = chains(4), []
    architecture = {"kind": kind, "n_layers": 2, "hidden_channels": 16, "n_radial": 8, "cutoff_nm": 0.5}
    architecture |= {} if kind == "tensornet" else {"n_heads": 4}
    encoder = untrained(encoder_config(architecture, origin="test"))
    # The first vectors of a TensorNet are so short that it needs longer steps.
    settings = replace(SETTINGS, learning_rate=2e-2) if kind == "tensornet" else SETTINGS
    trained = pretrain(encoder, molecules[1:], molecules[:1], settings, report=lambda line, _: lines.append(line))
    assert [line.epoch for line in lines] == [4.0, 8.0]
    # Untrained, the error is 1 or more: the variance of the noise in its own unit.
    assert lines[1].training_mse < lines[0].training_mse < 1
    assert lines[1].training_mse < 0.95
    # What is returned is the moving average that was reported, not the last step's weights, nor the first's.
    live = {name: not torch.equal(tensor, encoder.state_dict()[name]) for name, tensor in trained.state_dict().items()}
    assert any(live.values())
    all_atom, _ = evaluation_sets(molecules[:1], per_molecule=6, rng=np.random.default_rng(SETTINGS.seed))
    assert denoising_r2(Denoiser(trained), all_atom, SETTINGS, 0.5) == pytest.approx(lines[1].r2_all_atom, abs=1e-6)


def test_explained_fraction_is_one_for_the_truth_and_zero_for_no_answer():
    molecule = chains(1)[0]
    clean = torch.from_numpy(molecule.positions_nm[0]).repeat(5, 1)
    geometries = [padded([(molecule.atomic_numbers, molecule.positions_nm[0])] * 5)]

    def truth(numbers, positions, table):
        return (positions - clean) / SETTINGS.noise_nm

    def nothing(numbers, positions, table):
        return torch.zeros_like(positions)

    assert denoising_r2(truth, geometries, SETTINGS, 0.5) == pytest.approx(1.0, abs=1e-6)
    assert denoising_r2(nothing, geometries, SETTINGS, 0.5) == 0.0
