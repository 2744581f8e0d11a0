"""Species are found by selection and refused with the config key, and the store's arrays fit the moments."""

import mdtraj
import numpy as np
import pytest

from geom2msm.environment import environment_layout, environment_moments, find_surroundings


@pytest.fixture
def solvated():
    """Alanine's backbone, two waters and a sodium ion."""
    topology = mdtraj.Topology()
    chain = topology.add_chain("A")
    for residue, names in (("ALA", "N CA C O"), ("HOH", "O H1 H2"), ("HOH", "O H1 H2"), ("NA", "NA")):
        added = topology.add_residue(residue, chain)
        for name in names.split():
            element = mdtraj.element.sodium if name == "NA" else mdtraj.element.get_by_symbol(name[0])
            topology.add_atom(name, element, added)
    return topology


def settings(**species: str) -> dict:
    return {"cutoff_nm": 0.6, "species": species}


def test_species_keep_their_names_and_order(solvated):
    found = find_surroundings(solvated, np.arange(4), settings(water="water and name O", ion="name NA"), file="top.pdb")
    assert found.names == ("water", "ion")
    assert found.cutoff_nm == 0.6
    np.testing.assert_array_equal(found.atoms[0], [4, 7])
    np.testing.assert_array_equal(found.atoms[1], [10])


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("resname POPC", r"top.pdb: environment.species.lipid = 'resname POPC' selects none of its 11"),
        ("water and O", r"environment.species.lipid = 'water and O' is not an MDTraj selection"),
        ("name O", r"environment.species.lipid.* 1 atom\(s\) that are modeled as tokens \(such as ALA0-O\)"),
    ],
)
def test_a_wrong_selection_is_named_with_its_key(solvated, selection, message):
    with pytest.raises(ValueError, match=message):
        find_surroundings(solvated, np.arange(4), settings(lipid=selection), file="top.pdb")


def test_the_layout_is_the_shape_of_the_moments():
    tokens, species = np.zeros((3, 5, 3)), [np.ones((3, n, 3)) for n in (2, 4)]
    layout = environment_layout(5, 2)
    for array, part in zip(layout.values(), environment_moments(tokens, species, None, cutoff_nm=1.0), strict=True):
        assert part.shape[1:] == array.frame_shape
        assert len(array.axes) == part.ndim
