"""Observables of every frame: laws they obey, references, and molecules to which some of them mean nothing."""

import logging

import mdtraj
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geom2msm.contacts import find_contacts, pair_names, touching_pairs
from geom2msm.named_observables import Table, described_with, named_measurements, read_table
from geom2msm.observables import (
    described,
    end_to_end,
    load_molecule,
    measured,
    radius_of_gyration,
    standard_measurements,
)
from molecules import pdb_line

NOTHING = {"distances": {}, "angles": {}, "dihedrals": {}, "rmsd": {}}
# The PDB files bring the dummy cell of crystallography programs.
pytestmark = pytest.mark.filterwarnings("ignore:Unlikely unit cell vectors")
ALANINE = "resources/structures/alanine_dipeptide.pdb"


def quantities(path, molecule, measurements, *, first_frame=0, stride=1):
    """Every quantity by its name."""
    reading = {"first_frame": first_frame, "stride": stride, "make_whole": True}
    pieces = list(measured(str(path), molecule.topology, measurements, **reading))
    return dict(zip(described(measurements)["names"], np.concatenate(pieces).T, strict=True))


def moved_frames(path, folder, *, n_frames, noise_nm, seed=0):
    """A trajectory of a structure with noise, each frame turned and moved; the first frame without noise."""
    structure, rng = mdtraj.load(str(path)), np.random.default_rng(seed)
    frames = np.repeat(structure.xyz, n_frames, axis=0).astype(float)
    frames[1:] += rng.normal(0, noise_nm, frames[1:].shape)
    turns = Rotation.random(n_frames, random_state=seed).as_matrix()
    moved = np.einsum("fij,faj->fai", turns, frames) + rng.normal(0, 3, (n_frames, 1, 3))
    file = str(folder / "moved.dcd")
    mdtraj.Trajectory(moved.astype(np.float32), structure.topology).save_dcd(file)
    return file, mdtraj.Trajectory(frames.astype(np.float32), structure.topology)


@pytest.fixture
def trp_cage(repository):
    """A folded miniprotein of 20 residues: its structure and its trajectory."""
    folder = repository / "data/trpcage_native"
    if not folder.exists():
        pytest.skip("data/trpcage_native is not here")
    return str(folder / "trp_cage.pdb")


def test_turning_and_moving_a_molecule_changes_nothing(repository, tmp_path):
    structure = str(repository / ALANINE)
    file, still = moved_frames(structure, tmp_path, n_frames=6, noise_nm=0.01)
    still.save_dcd(str(tmp_path / "still.dcd"))
    molecule = load_molecule(structure, "not element H", reference_file=structure, make_whole=True)
    settings = NOTHING | {
        "distances": {"ends": ["resname ACE", "resname NME"]},
        "angles": {"bend": ["name CB", "name CA", "resname ALA and name N"]},
        "dihedrals": {"turn": ["resname ACE", "name CA", "name CB", "resname NME"]},
        "rmsd": {"caps": "resname ACE NME and not element H"},
    }
    measurements = [
        *standard_measurements(molecule, sasa_every=1),
        *named_measurements(molecule, settings, file=structure),
    ]
    moved, unmoved = (quantities(path, molecule, measurements) for path in (file, tmp_path / "still.dcd"))
    assert list(moved) == ["rmsd", "radius_of_gyration", "sasa", "ends", "bend", "turn", "caps"]
    for name, values in moved.items():
        # Points on the spheres of the surface do not turn with the molecule.
        np.testing.assert_allclose(values, unmoved[name], rtol=0.02 if name == "sasa" else 2e-4, atol=1e-4)
    assert moved["rmsd"][0] < 1e-5
    assert moved["caps"][0] < 1e-5
    assert (moved["rmsd"][1:] > 0.005).all()


def test_the_rmsd_is_that_of_mdtraj_and_a_mirror_image_differs(repository, tmp_path):
    structure = str(repository / ALANINE)
    file, still = moved_frames(structure, tmp_path, n_frames=50, noise_nm=0.05)
    molecule = load_molecule(structure, "not element H", reference_file=structure, make_whole=True)
    found = quantities(file, molecule, standard_measurements(molecule, sasa_every=1))
    np.testing.assert_allclose(found["rmsd"], mdtraj.rmsd(still, still[:1], atom_indices=molecule.heavy), atol=5e-4)
    still.xyz = still.xyz * np.float32([-1, 1, 1])
    still[:1].save_dcd(str(tmp_path / "mirror.dcd"))
    assert quantities(tmp_path / "mirror.dcd", molecule, standard_measurements(molecule, sasa_every=1))["rmsd"] > 0.03


def test_a_frame_is_measured_alike_whatever_is_read_with_it(repository, tmp_path):
    structure = str(repository / ALANINE)
    file, _ = moved_frames(structure, tmp_path, n_frames=90, noise_nm=0.03)
    molecule = load_molecule(structure, "not element H", reference_file=structure, make_whole=True)
    measurements = standard_measurements(molecule, sasa_every=3)
    whole, rest = (quantities(file, molecule, measurements, first_frame=first) for first in (0, 37))
    for name, values in rest.items():
        np.testing.assert_array_equal(values, whole[name][37:])


def test_named_observables_are_those_of_mdtraj(repository, tmp_path):
    structure = str(repository / ALANINE)
    file, still = moved_frames(structure, tmp_path, n_frames=40, noise_nm=0.02)
    molecule = load_molecule(structure, "not element H", reference_file=structure, make_whole=True)
    atoms, phi = mdtraj.compute_phi(still)
    phi_atoms = [f"index {atom}" for atom in atoms[0]]
    settings = NOTHING | {
        "dihedrals": {"phi": phi_atoms}, "angles": {"corner": phi_atoms[:3]}, "distances": {"bond": phi_atoms[:2]},
    }  # fmt: skip
    found = quantities(file, molecule, named_measurements(molecule, settings, file=structure))
    np.testing.assert_allclose(found["phi"], np.degrees(phi[:, 0]), atol=0.05)
    np.testing.assert_allclose(found["corner"], np.degrees(mdtraj.compute_angles(still, atoms[:, :3]))[:, 0], atol=0.05)
    np.testing.assert_allclose(found["bond"], mdtraj.compute_distances(still, atoms[:, :2])[:, 0], atol=1e-4)


def test_a_group_of_atoms_counts_with_its_center(repository, tmp_path):
    structure = str(repository / ALANINE)
    file, still = moved_frames(structure, tmp_path, n_frames=3, noise_nm=0.02)
    molecule = load_molecule(structure, "all", reference_file="", make_whole=True)
    settings = NOTHING | {"distances": {"caps": ["resname ACE", "resname NME"]}}
    found = quantities(file, molecule, named_measurements(molecule, settings, file=structure))
    centers = [still.xyz[:, still.topology.select(f"resname {name}")].mean(axis=1) for name in ("ACE", "NME")]
    np.testing.assert_allclose(found["caps"], np.linalg.norm(centers[0] - centers[1], axis=1), atol=1e-4)


def test_a_protein_has_all_observables_and_its_native_state_all_contacts(trp_cage, tmp_path):
    file, _ = moved_frames(trp_cage, tmp_path, n_frames=3, noise_nm=0.0)
    molecule = load_molecule(trp_cage, "not element H", reference_file=trp_cage, make_whole=True)
    found = quantities(file, molecule, standard_measurements(molecule, sasa_every=1))
    assert list(found) == [
        "rmsd", "rmsd_chain", "radius_of_gyration", "native_contacts", "helix", "strand", "coil", "end_to_end", "sasa",
    ]  # fmt: skip
    # 1 / (1 + exp(-50 * 0.8 r0)) is above 0.9999 for any r0 beyond 0.25 nm.
    np.testing.assert_allclose(found["native_contacts"], 1, atol=1e-3)
    np.testing.assert_allclose(found["helix"] + found["strand"] + found["coil"], 1)
    # Residues 2 to 8 are the helix, 11 to 14 a 3-10 helix (Neidigh et al. 2002).
    assert 0.3 < found["helix"][0] < 0.7


def test_contacts_vanish_when_the_molecule_is_pulled_apart(trp_cage, tmp_path):
    structure = mdtraj.load(trp_cage)
    structure.xyz = 3 * structure.xyz
    structure.save_dcd(str(tmp_path / "swollen.dcd"))
    molecule = load_molecule(trp_cage, "not element H", reference_file=trp_cage, make_whole=True)
    found = quantities(tmp_path / "swollen.dcd", molecule, standard_measurements(molecule, sasa_every=1))
    assert found["native_contacts"][0] < 1e-6
    assert found["radius_of_gyration"][0] == pytest.approx(3 * 0.7, rel=0.1)


def test_the_radius_of_gyration_is_about_the_center_of_mass(repository, tmp_path):
    structure = str(repository / ALANINE)
    file, moved = moved_frames(structure, tmp_path, n_frames=3, noise_nm=0.02)
    molecule = load_molecule(structure, "all", reference_file=structure, make_whole=True)
    found = quantities(file, molecule, [radius_of_gyration(molecule)])["radius_of_gyration"]
    # By all pairs, without a center: Rg^2 = sum m_i m_j r_ij^2 / (2 M^2).
    masses = np.array([atom.element.mass for atom in moved.topology.atoms])
    squares = ((moved.xyz[:, :, None] - moved.xyz[:, None]) ** 2).sum(axis=-1)
    expected = np.sqrt(np.einsum("i,j,fij->f", masses, masses, squares) / 2) / masses.sum()
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_two_molecules_with_one_letter_have_an_end_to_end_distance_each(tmp_path):
    text = ""
    for first in (0, 10):
        for number in range(3):
            x = 3.8 * number + 5 * first
            text += "".join(pdb_line(name, "ALA", first + number, x=x) for name in ("N", "CA", "C"))
        text += "TER\n"
    (tmp_path / "two.pdb").write_text(text + "END\n")
    structure = str(tmp_path / "two.pdb")
    found = end_to_end(load_molecule(structure, "all", reference_file=structure, make_whole=False))
    assert found.names == ("end_to_end_A", "end_to_end_A-2")
    np.testing.assert_allclose(found.measure(mdtraj.load(structure).xyz[:, found.atoms]), [[0.76, 0.76]], atol=1e-3)


def test_contacts_of_residues_with_insertion_codes_are_told_apart(tmp_path):
    text = "".join(pdb_line("CA", "GLY", 100, code=code) for code in " AB")
    (tmp_path / "kabat.pdb").write_text(text + "END\n")
    topology = mdtraj.load_topology(str(tmp_path / "kabat.pdb"))
    pairs = np.array([[0, 1], [0, 2], [1, 2]])
    assert pair_names(topology, pairs) == ["A:GLY100 A:GLY100-2", "A:GLY100 A:GLY100-3", "A:GLY100-2 A:GLY100-3"]


def test_what_means_nothing_for_a_molecule_is_left_out_and_said(repository, caplog):
    structure = str(repository / ALANINE)
    with caplog.at_level(logging.INFO):
        molecule = load_molecule(structure, "not element H", reference_file="top.prmtop", make_whole=True)
        measurements = standard_measurements(molecule, sasa_every=1)
    assert described(measurements)["names"] == ["radius_of_gyration", "sasa"]
    for words in ("RMSD of heavy atoms left out: there is no reference", "secondary structure left out: 1 amino acids",
                  "end-to-end distance left out", "native contacts left out"):  # fmt: skip
        assert words in caplog.text


def test_a_ligand_with_an_element_of_unknown_radius_has_no_surface(tmp_path, caplog):
    lines = [
        pdb_line(name, "LIG", 1, symbol=symbol, x=1.5 * place)
        for place, (name, symbol) in enumerate([("C1", "C"), ("D1", "D"), ("C2", "C"), ("C3", "C")])
    ]
    (tmp_path / "ligand.pdb").write_text("".join([*lines, "END\n"]))
    path = str(tmp_path / "ligand.pdb")
    molecule = load_molecule(path, "all", reference_file=path, make_whole=True)
    with caplog.at_level(logging.INFO):
        measurements = standard_measurements(molecule, sasa_every=1)
    assert described(measurements)["names"] == ["rmsd", "radius_of_gyration"]
    assert "surface left out: no radius is known of the element 'D'" in caplog.text


@pytest.mark.parametrize(("first_frame", "stride"), [(0, 1), (7, 1), (0, 3), (2, 3)])
def test_the_surface_is_measured_in_every_nth_frame_wherever_reading_begins(repository, tmp_path, first_frame, stride):
    structure = str(repository / ALANINE)
    file, _ = moved_frames(structure, tmp_path, n_frames=30, noise_nm=0.01)
    molecule = load_molecule(structure, "not element H", reference_file=structure, make_whole=True)
    found = quantities(
        file, molecule, standard_measurements(molecule, sasa_every=4), first_frame=first_frame, stride=stride
    )
    frames = np.arange(first_frame, -(-30 // stride))
    np.testing.assert_array_equal(np.isfinite(found["sasa"]), frames % 4 == 0)
    assert np.isfinite(found["rmsd"]).all()


def test_mistakes_in_named_observables_name_their_key(repository):
    structure = str(repository / ALANINE)
    molecule = load_molecule(structure, "not element H", reference_file=structure, make_whole=True)
    nobody = NOTHING | {"distances": {"gap": ["name CA", "resname TRP"]}}
    with pytest.raises(ValueError, match=r"observables\.distances\.gap = 'resname TRP' selects none"):
        named_measurements(molecule, nobody, file=structure)
    with pytest.raises(ValueError, match=r"observables\.rmsd\.two: an RMSD needs at least 3 atoms"):
        named_measurements(molecule, NOTHING | {"rmsd": {"two": "name CA CB"}}, file=structure)


def test_a_table_follows_the_stride_and_may_have_gaps(tmp_path):
    (tmp_path / "run.csv").write_text("frame,energy,gap_nm\n0,1.5,0.1\n1,2.5,0.2\n2,3.5,\n3,4.5,0.4\n4,5.5,0.5\n")
    table = read_table(str(tmp_path / "run.csv"), n_saved_frames=5, stride=2)
    assert table.names == ["energy", "gap_nm"]
    np.testing.assert_array_equal(table.values, np.float32([[1.5, 0.1], [3.5, np.nan], [5.5, 0.5]]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("energy\n1\n2\n", r"run\.csv: 2 lines after the first, but .* one line per saved frame .*: 3\.$"),
        ("frame,energy\n0,1\n1,2\n2,low\n", r"run\.csv: line 4, column energy: 'low' is no number"),
        ("energy\n1\n2,5\n3\n", r"run\.csv: line 3 has more fields than the first line names"),
        ("frame\n0\n1\n2\n", r"run\.csv: the first line must name one or more observables"),
        ("a,a\n0,1\n1,1\n2,1\n", r"run\.csv: the first line must name one or more observables, each once"),
        ("", r"run\.csv: the first line must name"),
    ],
)
def test_a_wrong_table_is_refused_in_one_sentence(tmp_path, text, message):
    (tmp_path / "run.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_table(str(tmp_path / "run.csv"), n_saved_frames=3, stride=1)


@pytest.mark.parametrize("n_lines", [3, 4, 6])
def test_the_lines_that_a_table_needs_are_those_before_the_stride(tmp_path, n_lines):
    (tmp_path / "run.csv").write_text("energy\n" + "1\n" * n_lines)
    with pytest.raises(ValueError, match=rf"{n_lines} lines after the .* whatever the stride: 5\.$"):
        read_table(str(tmp_path / "run.csv"), n_saved_frames=5, stride=2)


def test_a_column_without_any_value_is_named_in_the_log(tmp_path, caplog):
    (tmp_path / "run.csv").write_text("energy,gap_nm,angle\n1,,\n2,,5\n3,,\n")
    read_table(str(tmp_path / "run.csv"), n_saved_frames=3, stride=1)
    (record,) = caplog.records
    assert "run.csv: column gap_nm holds no value" in record.getMessage()
    # What stands between the frames that count is not seen.
    read_table(str(tmp_path / "run.csv"), n_saved_frames=3, stride=2)
    assert ["angle" in later.getMessage() for later in caplog.records[1:]] == [False, True]


def test_two_observables_of_one_name_are_refused():
    known = {"names": ["rmsd"], "units": ["nm"], "periodic": [False]}
    with pytest.raises(ValueError, match="there are two of the name rmsd"):
        described_with(Table(["rmsd"], np.zeros((1, 1), np.float32)), known)


def test_contacts_are_all_pairs_of_residues_that_come_close():
    rng = np.random.default_rng(3)
    positions_nm = rng.uniform(0, 1.5, (60, 3)).astype(np.float32)
    residue, chain = np.repeat(np.arange(20), 3), np.repeat([0, 1], 30)
    distances = np.linalg.norm(positions_nm[:, None] - positions_nm, axis=-1)
    expected = {
        (a, b)
        for a in range(20)
        for b in range(a + 1, 20)
        if (b - a >= 2 or a // 10 != b // 10) and distances[np.ix_(residue == a, residue == b)].min() < 0.3
    }
    assert expected
    found = touching_pairs(positions_nm, residue, chain, cutoff_nm=0.3)
    assert {tuple(pair) for pair in found.tolist()} == expected


def test_sampled_contacts_agree_with_mdtraj(trp_cage, tmp_path):
    path = trp_cage.replace(".pdb", ".xtc")
    molecule = load_molecule(trp_cage, "not element H", reference_file="", make_whole=True)
    found = find_contacts(path, molecule, cutoff_nm=0.45, n_frames=4999, n_samples=5, stride=1, make_whole=True)
    assert found.frames.tolist() == [0, 1000, 2000, 3000, 4000]
    frames = mdtraj.load(path, top=trp_cage)[found.frames]
    distances, pairs = mdtraj.compute_contacts(frames, contacts="all", scheme="closest-heavy", ignore_nonprotein=False)
    # MDTraj leaves out the next two residues of the chain, not just the next.
    expected = {tuple(pair): (distances[:, place] <= 0.45) for place, pair in enumerate(pairs.tolist())}
    far = [place for place, (a, b) in enumerate(found.pairs.tolist()) if b - a >= 3]
    for place in far:
        np.testing.assert_array_equal(found.touching[:, place], expected[tuple(found.pairs[place])])
    assert len(far) == sum(touching.any() for touching in expected.values())
    assert pair_names(molecule.topology, found.pairs[:1])[0].split()[0] == "A:ASN1"
