"""R² of the denoising head means what it says, and each usual mistake is recognized by the numbers it leaves."""

from dataclasses import replace
from types import SimpleNamespace

import mdtraj
import numpy as np
import pytest
import torch

from geom2msm.encoder.diagnosis import causes, implausible_atoms, nearest_neighbor_nm
from geom2msm.encoder.self_check import (
    SELECTED,
    WHOLE,
    EncoderCheck,
    Errors,
    Score,
    Trial,
    check_encoder,
    denoising_errors,
)
from geom2msm.encoder.trial_frames import Sample, structure_sample, trial_atoms

NOISE_NM = 0.02


class Oracle(torch.nn.Module):
    """Knows where the atoms were, and tells a share of it; only as much about element `deaf` as nothing."""

    def __init__(self, clean_nm: np.ndarray, share: float, deaf: int = 0) -> None:
        super().__init__()
        self.clean_nm, self.share, self.deaf = torch.from_numpy(clean_nm), share, deaf
        self.config = SimpleNamespace(cutoff_nm=0.5)

    def forward(self, atomic_numbers, positions_nm, neighbors):
        clean = self.clean_nm if len(self.clean_nm) == len(positions_nm) else positions_nm
        guess = self.share * (positions_nm - clean) / NOISE_NM
        return atomic_numbers, guess * (atomic_numbers != self.deaf)[:, None]

    def displacement(self, scalars, vectors):
        return vectors


@pytest.fixture(scope="module")
def molecule(repository):
    return structure_sample(str(repository / "resources/structures/alanine_dipeptide.pdb"))


def measured(oracle, sample, **changes):
    settings = {"neighbor_rule": "all", "noise_nm": NOISE_NM, "n_evaluations": 50, "seed": 0} | changes
    return denoising_errors(oracle, sample, **settings)


@pytest.mark.parametrize(("share", "r2"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.75), (-1.0, -3.0)])
def test_r2_is_the_explained_fraction_of_the_noise(molecule, share, r2):
    errors = measured(Oracle(molecule.positions_nm[0], share), molecule)
    assert errors.r2(molecule.chosen)[0] == pytest.approx(r2, abs=1e-5)


def test_the_standard_error_is_the_scatter_of_repeated_measurements(molecule):
    oracle = Oracle(molecule.positions_nm[0], 1.0, deaf=1)
    results = [measured(oracle, molecule, seed=seed, n_evaluations=20).r2(molecule.chosen) for seed in range(60)]
    values, errors = np.array(results).T
    assert values.std() == pytest.approx(errors.mean(), rel=0.25)


class Counter(Oracle):
    """Counts the edges that it is given."""

    def __init__(self) -> None:
        super().__init__(np.zeros((0, 3), dtype=np.float32), 0.0)
        self.n_edges = []

    def forward(self, atomic_numbers, positions_nm, neighbors):
        self.n_edges.append(int(neighbors.mask.sum()))
        return super().forward(atomic_numbers, positions_nm, neighbors)


def test_in_a_periodic_box_a_molecule_that_is_cut_has_the_neighbors_of_a_whole_one(molecule):
    box_nm = 3.0
    cell = np.broadcast_to(box_nm * np.eye(3, dtype=np.float32), (len(molecule.positions_nm), 3, 3)).copy()
    moved = molecule.positions_nm - molecule.positions_nm.mean(axis=1, keepdims=True)
    cut = replace(molecule, positions_nm=moved % box_nm)
    whole, open_, periodic = Counter(), Counter(), Counter()
    measured(whole, molecule)
    measured(open_, cut)
    measured(periodic, replace(cut, cell_nm=cell))
    assert periodic.n_edges == whole.n_edges
    assert max(open_.n_edges) < 0.8 * min(whole.n_edges)


def test_elements_are_scored_apart(molecule):
    oracle = Oracle(molecule.positions_nm[0], 1.0, deaf=8)
    check = check_encoder(oracle, molecule, molecule, neighbor_rule="all", noise_nm=NOISE_NM, seed=0)
    scores = {score.element: score for score in check.scores}
    assert scores["O"].r2 == pytest.approx(0, abs=1e-5)
    assert scores["C"].r2 == pytest.approx(1, abs=1e-5)
    assert 0.8 < scores["all"].r2 < 0.95
    assert [(score.element, score.n_atoms) for score in check.scores] == [
        ("all", 22), ("H", 12), ("C", 6), ("N", 2), ("O", 2),
    ]  # fmt: skip


def test_evaluations_go_through_all_frames(molecule):
    shifted = molecule.positions_nm + np.array([0, 1], dtype=np.float32)[:, None, None]
    errors = measured(Oracle(molecule.positions_nm[0], 1.0), replace(molecule, positions_nm=shifted), n_evaluations=4)
    assert (errors.error.max(axis=1) > 1).tolist() == [False, True, False, True]


def test_other_atoms_and_rules_are_tried_where_they_differ(molecule):
    heavy = molecule.atomic_numbers > 1
    oracle = Oracle(molecule.positions_nm[0], 1.0)
    check = check_encoder(
        oracle, replace(molecule, chosen=heavy), molecule, neighbor_rule="all", noise_nm=NOISE_NM, seed=0
    )
    assert [(trial.neighbor_rule, trial.atoms) for trial in check.trials] == [
        ("nearest32", SELECTED), ("first32", SELECTED), ("all", WHOLE),
    ]  # fmt: skip


def test_real_molecules_are_plausible_and_shuffled_ones_are_not(molecule):
    numbers, positions = molecule.atomic_numbers, molecule.positions_nm[0]
    heavy = numbers > 1
    assert not implausible_atoms(numbers, positions).any()
    assert not implausible_atoms(numbers[heavy], positions[heavy]).any()
    assert implausible_atoms(np.roll(numbers, 1), positions).mean() > 0.2
    assert implausible_atoms(np.roll(numbers[heavy], 1), positions[heavy]).mean() > 0.2


@pytest.mark.parametrize(
    ("numbers", "x_nm", "implausible"),
    [
        ([6, 6], [0, 0.15], [False, False]),
        ([6, 6], [0, 0.10], [True, True]),  # no bond is as short
        ([6, 1], [0, 0.109], [False, False]),
        ([6, 1], [0, 0.18], [False, True]),  # a lone hydrogen
        ([1, 6, 1, 1], [-0.109, 0, 0.109, 0.21], [False, False, True, False]),  # a hydrogen with two bonds
        ([6, 8, 6, 6], [-0.15, 0, 0.15, 0.3], [False, False, False, False]),
        ([8, 8], [0, 0.15], [True, True]),
        ([30, 7, 30], [-0.15, 0, 0.1], [False, False, False]),  # metals are always plausible
    ],
)
def test_what_elements_hardly_do(numbers, x_nm, implausible):
    positions = np.zeros((len(numbers), 3))
    positions[:, 0] = x_nm
    assert implausible_atoms(np.array(numbers), positions).tolist() == implausible


def test_nearest_neighbors_are_the_median(molecule):
    assert nearest_neighbor_nm(np.array([[0, 0, 0], [0.1, 0, 0], [0.1, 0.3, 0]])) == pytest.approx(0.1)
    assert nearest_neighbor_nm(np.zeros((1, 3))) == 0
    assert 0.10 < nearest_neighbor_nm(molecule.positions_nm[0]) < 0.12


def check_of(r2: float, reference_r2: float, *trials: Trial) -> EncoderCheck:
    return EncoderCheck((Score("all", 22, r2, 0.01),), trials, reference_r2, n_evaluations=20, n_frames=20)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (check_of(0.1, 0.1), "weights are at fault"),
        (check_of(0.1, 0.8, Trial("all", SELECTED, 0.6, 0.01)), "another neighbor rule: with all R² is 0.60"),
        (check_of(0.1, 0.8, Trial("all", WHOLE, 0.7, 0.01)), "another selection: with all atoms of whole residues"),
        (check_of(0.1, 0.8, Trial("all", SELECTED, 0.2, 0.01)), "None of the usual causes"),
    ],
)
def test_what_the_numbers_point_to_is_the_only_cause_named(molecule, check, words):
    (cause,) = causes(check, molecule, ["A"] * 22)
    assert words in cause


@pytest.mark.parametrize(
    ("scale", "words"),
    [(10, "ten times"), (0.1, "a tenth"), (1.8897, "1.9 times"), (18.897, "19 times")],
)
def test_misread_units_are_told_by_the_distances(molecule, scale, words):
    scaled = replace(molecule, positions_nm=(scale * molecule.positions_nm).astype(np.float32))
    (cause,) = causes(check_of(0.0, 0.8), scaled, ["A"] * 22)
    assert words in cause


def test_trial_atoms_are_whole_residues_without_what_the_encoder_does_not_know(repository):
    topology = mdtraj.load_topology(str(repository / "resources/structures/alanine_dipeptide.pdb"))
    modeled = topology.select("resname ALA and not element H")
    found = trial_atoms(topology, modeled, known=(1, 6, 7), overrides={"O": "skip"}, encoder="small")
    names = [topology.atom(atom).name for atom in found.atoms]
    assert len(names) == 9  # alanine has ten atoms, one of them oxygen
    assert "O" not in names
    assert sorted(np.array(names)[found.chosen]) == ["C", "CA", "CB", "N"]
    others = trial_atoms(topology, topology.select("name CB"), known=(1, 6), overrides={}, encoder="small")
    assert {topology.atom(atom).element.symbol for atom in others.atoms} == {"H", "C"}


def test_a_sample_of_atoms_keeps_only_these():
    sample = Sample(np.array([1, 6, 8]), np.arange(9, dtype=np.float32).reshape(1, 3, 3), np.array([True, False, True]))
    part = sample.of_atoms(sample.chosen)
    assert part.atomic_numbers.tolist() == [1, 8]
    assert part.positions_nm[0, 1].tolist() == [6, 7, 8]
    assert part.chosen.all()


def test_errors_of_a_constant_ratio_have_no_standard_error():
    noise = np.random.default_rng(0).uniform(1, 2, size=(10, 4))
    r2, standard_error = Errors(0.25 * noise, noise).r2(np.ones(4, dtype=bool))
    assert (r2, standard_error) == (pytest.approx(0.75), pytest.approx(0, abs=1e-12))
