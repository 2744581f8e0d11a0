"""Tokens are residues, whatever their numbers; atoms without an element are refused."""

import mdtraj
import numpy as np
import pytest
from mdtraj.core import element

from geom2msm.topology import (
    atomic_numbers,
    insertion_codes,
    load_topology,
    read_token_table,
    select_atoms,
    token_atoms,
    token_table,
)

AMINO_ACID = ["N", "CA", "C", "O"]
SUGAR = ["C1'", "C3'", "C4'", "C5'", "O4'"]


def molecule(*residues, chain_id="A", topology=None):
    """A topology of residues (name, number, atom names); elements from the first letter."""
    topology = topology or mdtraj.Topology()
    chain = topology.add_chain(chain_id)
    for name, number, atoms in residues:
        residue = topology.add_residue(name, chain, resSeq=number)
        for atom in atoms:
            topology.add_atom(atom, element.get_by_symbol(atom[0]), residue)
    return topology


def table_of(topology, selection="all"):
    atoms = select_atoms(topology, selection, file="x.pdb")
    return token_table(topology, atoms, insertion_codes=[""] * topology.n_residues)


@pytest.fixture(scope="module")
def alanine_dipeptide(repository):
    return load_topology(str(repository / "resources/structures/alanine_dipeptide.pdb"))


def test_alanine_dipeptide_has_three_tokens_of_ten_heavy_atoms(alanine_dipeptide):
    table = table_of(alanine_dipeptide, "not element H")
    assert list(table.residue_name) == ["ACE", "ALA", "NME"]
    assert list(table.n_atoms) == [3, 5, 2]
    assert list(table.kind) == ["protein"] * 3
    assert alanine_dipeptide.atom(table.position_atom[1]).name == "CA"
    # The caps have no C-alpha.
    assert list(table.position_atom[[0, 2]]) == [-1, -1]


def test_the_default_selection_drops_exactly_the_hydrogens(alanine_dipeptide):
    atoms = select_atoms(alanine_dipeptide, "not element H", file="x.pdb")
    assert set(atomic_numbers(alanine_dipeptide, atoms)) == {6, 7, 8}
    assert len(atoms) == sum(atom.element.symbol != "H" for atom in alanine_dipeptide.atoms)


def test_equal_residue_numbers_in_two_chains_are_two_tokens():
    topology = molecule(("ALA", 1, AMINO_ACID), chain_id="A")
    table = table_of(molecule(("ALA", 1, AMINO_ACID), chain_id="B", topology=topology))
    assert list(table.chain) == ["A", "B"]
    assert list(table.residue_number) == [1, 1]
    np.testing.assert_array_equal(np.concatenate(token_atoms(table)), range(8))


def test_equal_residue_numbers_within_a_chain_are_two_tokens():
    assert len(table_of(molecule(("HOH", 9999, ["O"]), ("HOH", 1, ["O"]), ("HOH", 1, ["O"])))) == 3


@pytest.mark.parametrize(
    ("residue", "atoms", "kind", "position"),
    [
        ("ALA", AMINO_ACID, "protein", "CA"),
        ("HID", AMINO_ACID, "protein", "CA"),  # not protein to MDTraj
        ("DA", ["P", *SUGAR], "nucleic", "C1'"),
        ("T", SUGAR, "nucleic", "C1'"),  # not nucleic to MDTraj
        ("ATP", ["PA", "PB", *SUGAR], "ligand", None),
        ("HOH", ["O"], "water", None),
        ("CL", ["C"], "ion", None),
        ("POPC", ["C1", "C2", "P"], "lipid", None),
        ("LIG", ["C1", "N2"], "ligand", None),
        ("PO4", ["P", "O1"], "other", None),
    ],
)
def test_kind_and_position_follow_from_the_atoms(residue, atoms, kind, position):
    topology = molecule((residue, 1, atoms))
    row = table_of(topology).iloc[0]
    assert row.kind == kind
    assert row.position_atom == (-1 if position is None else atoms.index(position))


def test_a_position_atom_outside_the_selection_is_replaced_by_the_centroid():
    assert table_of(molecule(("ALA", 1, AMINO_ACID)), "name N or name C").position_atom[0] == -1


def test_residues_without_selected_atoms_are_no_tokens():
    table = table_of(molecule(("ALA", 1, AMINO_ACID), ("HOH", 2, ["O"]), ("GLY", 3, AMINO_ACID)), "protein")
    assert list(table.residue_name) == ["ALA", "GLY"]
    assert list(table.token) == [0, 1]
    assert table.atoms[1] == "5 6 7 8"


def test_an_empty_selection_is_an_error_that_names_it():
    with pytest.raises(
        ValueError, match=r"x\.pdb: trajectories\.selection = 'resname HOH' selects none of its 4 atoms"
    ):
        select_atoms(molecule(("ALA", 1, AMINO_ACID)), "resname HOH", file="x.pdb")


def test_a_misspelt_selection_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="'protien and name' is not an MDTraj selection"):
        select_atoms(molecule(("ALA", 1, AMINO_ACID)), "protien and name", file="x.pdb")


def test_virtual_sites_are_refused_by_name():
    topology = molecule(("HOH", 7, ["O"]))
    topology.add_atom("MW", element.virtual, topology.residue(0))
    with pytest.raises(ValueError, match=r"1 atom\(s\) without an element \(HOH7-MW\)"):
        atomic_numbers(topology, np.array([0, 1]))


def test_insertion_codes_are_read_from_the_pdb_file(tmp_path):
    line = "ATOM  {:5d}  CA  ALA A  52{}   {:8.3f}   0.000   0.000  1.00  0.00           C\n"
    path = tmp_path / "antibody.pdb"
    path.write_text("".join(line.format(i + 1, code, 3.8 * i) for i, code in enumerate(" AB")))
    topology = load_topology(str(path))
    codes = insertion_codes(str(path), topology)
    assert codes == ["", "A", "B"]
    table = token_table(topology, np.arange(3), insertion_codes=codes)
    assert list(table.residue_number) == [52, 52, 52]
    assert list(table.insertion_code) == ["", "A", "B"]


def test_a_token_table_survives_writing_and_reading(tmp_path):
    table = table_of(molecule(("ALA", 1, AMINO_ACID), chain_id="NA"))
    table.to_csv(tmp_path / "tokens.csv", index=False)
    again = read_token_table(str(tmp_path / "tokens.csv"))
    assert again.to_dict("records") == table.to_dict("records")


# MDTraj leaves the unreadable file open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_unreadable_topology_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "broken.pdb"
    path.write_text("nothing\n")
    with pytest.raises(ValueError, match=r"broken\.pdb: MDTraj cannot read a topology"):
        load_topology(str(path))
    with pytest.raises(ValueError, match=r"absent\.pdb: there is no such file"):
        load_topology(str(tmp_path / "absent.pdb"))
