"""A topology is read, selected from and refused in clear sentences; atoms without an element are no atoms."""

import mdtraj
import numpy as np
import pytest
from mdtraj.core import element

from geom2msm.topology import atomic_numbers, load_topology, select_atoms
from molecules import AMINO_ACID, molecule


@pytest.fixture(scope="module")
def alanine_dipeptide(repository):
    return load_topology(str(repository / "resources/structures/alanine_dipeptide.pdb"))


def test_the_default_selection_drops_exactly_the_hydrogens(alanine_dipeptide):
    atoms = select_atoms(alanine_dipeptide, "not element H", file="x.pdb")
    assert set(atomic_numbers(alanine_dipeptide, atoms)) == {6, 7, 8}
    assert len(atoms) == sum(atom.element.symbol != "H" for atom in alanine_dipeptide.atoms)


def test_an_empty_selection_is_an_error_that_names_it():
    with pytest.raises(
        ValueError, match=r"x\.pdb: trajectories\.selection = 'resname HOH' selects none of its 4 atoms"
    ):
        select_atoms(molecule(("ALA", 1, AMINO_ACID)), "resname HOH", file="x.pdb")


def test_a_misspelt_selection_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="'protien and name' is not an MDTraj selection"):
        select_atoms(molecule(("ALA", 1, AMINO_ACID)), "protien and name", file="x.pdb")


@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        ("protein and", "something is missing at the end"),
        ("name CA or (", "something is missing at the end"),
        ("", "something is missing at the end"),
        ("resname ALA) and name CA", "cannot be read from ') and name CA' on, character 12"),
        ("name CA & & resid 3", "cannot be read from '& & resid 3' on, character 9"),
    ],
)
def test_a_mistake_in_a_selection_is_cut_to_its_place(selection, reason):
    with pytest.raises(ValueError, match="is not an MDTraj selection") as caught:
        select_atoms(molecule(("ALA", 1, AMINO_ACID)), selection, file="x.pdb")
    assert f"({reason})" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_virtual_sites_are_refused_by_name():
    topology = molecule(("HOH", 7, ["O"]))
    topology.add_atom("MW", element.virtual, topology.residue(0))
    with pytest.raises(ValueError, match=r"1 atom\(s\) without an element \(HOH7-MW\)"):
        atomic_numbers(topology, np.array([0, 1]))


# MDTraj leaves the unreadable file open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_unreadable_topology_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "broken.pdb"
    path.write_text("nothing\n")
    with pytest.raises(ValueError, match=r"broken\.pdb: MDTraj cannot read a topology"):
        load_topology(str(path))
    with pytest.raises(ValueError, match=r"absent\.pdb: there is no such file"):
        load_topology(str(tmp_path / "absent.pdb"))


def test_an_hdf5_topology_keeps_its_elements(tmp_path, alanine_dipeptide):
    pytest.importorskip("tables", reason="MDTraj writes HDF5 with PyTables only")
    path = str(tmp_path / "frame.h5")
    mdtraj.Trajectory(np.zeros((1, alanine_dipeptide.n_atoms, 3)), alanine_dipeptide).save(path)
    again = load_topology(path)
    assert [atom.element for atom in again.atoms] == [atom.element for atom in alanine_dipeptide.atoms]
