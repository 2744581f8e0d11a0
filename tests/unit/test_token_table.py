"""Tokens are residues of any molecule, whatever their names and numbers; where they sit is recorded."""

import numpy as np
import pytest

from geom2msm.token_rules import TokenRule
from geom2msm.token_table import read_token_table, token_atoms, token_of_atoms, token_table
from geom2msm.topology import load_topology, select_atoms
from geom2msm.topology_files import residue_labels
from molecules import AMINO_ACID, SUGAR, gro_file, mmcif_file, molecule, pdb_line, prmtop_file

NUCLEOTIDE = ["P", *SUGAR]


def table_of(topology, selection="all", *, file="x.h5", per="residue"):
    atoms = select_atoms(topology, selection, file=file)
    rules = [TokenRule("all", per)]
    return token_table(topology, atoms, labels=residue_labels(file, topology), rules=rules, file=file)


def table_of_file(path, text, selection="all"):
    path.write_text(text)
    return table_of(load_topology(str(path)), selection, file=str(path))


@pytest.fixture(scope="module")
def alanine_dipeptide(repository):
    return load_topology(str(repository / "resources/structures/alanine_dipeptide.pdb"))


def test_alanine_dipeptide_has_three_tokens_of_ten_heavy_atoms(alanine_dipeptide):
    table = table_of(alanine_dipeptide, "not element H")
    assert list(table.residue_name) == ["ACE", "ALA", "NME"]
    assert list(table.n_atoms) == [3, 5, 2]
    assert list(table.kind) == ["cap", "protein", "cap"]
    assert list(table.position) == ["centroid", "CA", "centroid"]
    assert alanine_dipeptide.atom(table.position_atom[1]).name == "CA"
    assert list(table.stretch) == [0, 0, 0]


def test_equal_residue_numbers_in_two_chains_are_two_tokens():
    topology = molecule(("ALA", 1, AMINO_ACID), chain_id="A")
    table = table_of(molecule(("ALA", 1, AMINO_ACID), chain_id="B", topology=topology))
    assert list(table.chain) == ["A", "B"]
    assert list(table.residue_number) == [1, 1]
    np.testing.assert_array_equal(np.concatenate(token_atoms(table)), range(8))


def test_equal_residue_numbers_within_a_chain_are_two_tokens():
    assert len(table_of(molecule(("HOH", 9999, ["O"]), ("HOH", 1, ["O"]), ("HOH", 1, ["O"])))) == 3


def test_chains_of_a_pdb_file_without_ter_are_told_apart_by_their_letters(tmp_path):
    lines = [pdb_line(atom, "GLY", 1, chain=chain, symbol=atom[0]) for chain in "AB" for atom in AMINO_ACID]
    table = table_of_file(tmp_path / "x.pdb", "".join(lines))
    assert list(table.chain) == ["A", "B"]
    assert list(table.stretch) == [0, 1]


def test_two_residues_that_share_number_and_chain_are_refused(tmp_path):
    lines = [pdb_line(atom, "GLY", 1, segment=s, symbol=atom[0]) for s in ("PROA", "PROB") for atom in AMINO_ACID]
    with pytest.raises(ValueError, match=r"residue A:GLY1 has atom C twice"):
        table_of_file(tmp_path / "x.pdb", "".join(lines))


def test_two_ions_that_share_number_and_chain_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"residue A:CAL1 has atom CAL twice"):
        table_of_file(tmp_path / "x.pdb", pdb_line("CAL", "CAL", 1, symbol="CA") * 2)


@pytest.mark.parametrize(
    ("residue", "atoms", "kind", "position"),
    [
        ("ALA", AMINO_ACID, "protein", "CA"),
        *[
            (name, AMINO_ACID, "protein", "CA")
            for name in ("HID", "HSD", "CYX", "LYN", "ASH", "NALA", "SEP", "MSE", "NLE")
        ],
        *[(name, NUCLEOTIDE, "nucleic", "C1'") for name in ("DA", "DA5", "RA3", "RA", "A", "T", "5MC", "PSU")],
        ("DT", ["P"], "nucleic", "P"),
        ("C", [name.replace("'", "*") for name in SUGAR], "nucleic", "C1*"),
        ("ACE", ["CH3", "C", "O"], "cap", None),
        ("NME", ["N", "C"], "cap", None),
        ("NH2", ["N"], "cap", None),
        *[(name, ["PA", "PB", *SUGAR], "cofactor", None) for name in ("ATP", "ADP", "AGS")],
        ("AMP", NUCLEOTIDE, "cofactor", None),
        ("SAM", [*AMINO_ACID, *SUGAR], "cofactor", None),
        ("HOH", ["O"], "water", None),
        ("TIP3", ["OH2"], "water", None),
        ("SPC", ["OW"], "water", None),
        ("CL", ["CL"], "ion", None),
        ("CLA", ["CLA"], "ion", None),
        ("CAL", ["CAL"], "ion", None),
        ("POPC", ["C1", "C2", "P"], "lipid", None),
        ("LIG", ["C1", "N2"], "ligand", None),
        ("PO4", ["P", "O1"], "other", None),
    ],
)
def test_kind_and_position_follow_from_the_atoms(residue, atoms, kind, position):
    row = table_of(molecule((residue, 1, atoms))).iloc[0]
    assert row.kind == kind
    assert row.position_atom == (-1 if position is None else atoms.index(position))
    assert row.position == (position or "centroid")


def test_a_position_atom_outside_the_selection_is_replaced_by_the_centroid():
    assert table_of(molecule(("ALA", 1, AMINO_ACID)), "name N or name C").position_atom[0] == -1


def test_residues_without_selected_atoms_are_no_tokens():
    table = table_of(molecule(("ALA", 1, AMINO_ACID), ("HOH", 2, ["O"]), ("GLY", 3, AMINO_ACID)), "protein")
    assert list(table.residue_name) == ["ALA", "GLY"]
    assert list(table.token) == [0, 1]
    assert table.atoms[1] == "5 6 7 8"


def test_insertion_codes_are_read_from_a_pdb_file(tmp_path):
    lines = [pdb_line("CA", "ALA", 52, code=code, symbol="C", x=3.8 * i) for i, code in enumerate(" AB")]
    table = table_of_file(tmp_path / "antibody.pdb", "".join(lines))
    assert list(table.residue_number) == [52, 52, 52]
    assert list(table.insertion_code) == ["", "A", "B"]
    assert list(table.stretch) == [0, 0, 0]


def test_insertion_codes_are_read_from_an_mmcif_file(tmp_path):
    residues = [("H", 52, ""), ("H", 52, "A"), ("L", 52, "A")]
    table = table_of_file(
        tmp_path / "antibody.cif",
        mmcif_file(*[(*residue, "ALA", atom, atom[0]) for residue in residues for atom in AMINO_ACID]),
    )
    assert list(table.chain) == ["H", "H", "L"]
    assert list(table.insertion_code) == ["", "A", "A"]
    # MDTraj puts the insertion code into the segment.
    assert list(table.segment) == ["", "", ""]


def test_a_prmtop_file_has_ambers_numbers_and_its_pdb_codes_if_kept(tmp_path):
    residues = [("ALA", [("N", 7), ("CA", 6), ("C", 6)])] * 22
    table = table_of_file(tmp_path / "x.prmtop", prmtop_file(residues))
    assert list(table.residue_number) == list(range(1, 23))
    assert set(table.insertion_code) == {""}
    kept = prmtop_file(residues, numbers=[*range(50, 71), 70], codes=[""] * 21 + ["A"])
    table = table_of_file(tmp_path / "y.prmtop", kept)
    assert list(table.residue_number[:2]) == [50, 51]
    assert list(table.insertion_code[-2:]) == ["", "A"]


def test_a_gro_file_has_no_insertion_codes(tmp_path):
    table = table_of_file(tmp_path / "x.gro", gro_file(*[(5, "ALA", atom) for atom in AMINO_ACID]))
    assert (table.residue_number[0], table.insertion_code[0]) == (5, "")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("ALA", 1, AMINO_ACID), ("ALA", 3, AMINO_ACID)),  # a gap in the numbering
        (("ALA", 7, AMINO_ACID), ("ALA", 1, AMINO_ACID)),  # a second chain, numbered anew
        (("ALA", 7, [*AMINO_ACID, "OXT"]), ("ALA", 8, AMINO_ACID)),  # a second chain, numbered on
        (("NME", 7, ["N", "C"]), ("ACE", 8, ["C", "O", "CH3"])),
        (("DA3", 7, NUCLEOTIDE), ("DT5", 8, SUGAR)),
        (("DA3", 7, NUCLEOTIDE), ("ALA", 8, AMINO_ACID)),
    ],
)
def test_a_stretch_of_chain_ends_where_the_chain_does(first, second):
    assert list(table_of(molecule(first, second)).stretch) == [0, 1]


@pytest.mark.parametrize("other", [{"chain_id": "B"}, {"segment": "PROB"}])
def test_a_stretch_does_not_go_on_in_the_next_chain_or_segment(other):
    topology = molecule(("ALA", 7, AMINO_ACID), segment="PROA")
    if "segment" in other:
        residue = topology.add_residue("ALA", topology.chain(0), resSeq=8, segment_id="PROB")
        for name in AMINO_ACID:
            topology.add_atom(name, topology.atom(0).element, residue)
    else:
        molecule(("ALA", 8, AMINO_ACID), segment="PROA", topology=topology, **other)
    assert list(table_of(topology).stretch) == [0, 1]


def test_a_fragment_sits_at_its_centroid_and_in_no_stretch():
    topology = molecule(("ALA", 1, AMINO_ACID))
    rules = [TokenRule("all", "fragment", "site")]
    table = token_table(topology, np.arange(4), labels=residue_labels("x.h5", topology), rules=rules, file="x.h5")
    assert (table.position[0], table.position_atom[0], table.stretch[0]) == ("centroid", -1, -1)


def test_ligands_ions_and_water_are_in_no_stretch():
    table = table_of(molecule(("ALA", 1, AMINO_ACID), ("LIG", 2, ["C1"]), ("NA", 3, ["NA"]), ("ALA", 2, AMINO_ACID)))
    assert list(table.stretch) == [0, -1, -1, 0]


def test_context_atoms_have_token_minus_one():
    table = table_of(molecule(("ALA", 1, AMINO_ACID), ("LIG", 2, ["C1"])), "protein")
    np.testing.assert_array_equal(token_of_atoms(table, np.arange(5)), [0, 0, 0, 0, -1])


def test_a_token_table_survives_writing_and_reading(tmp_path):
    table = table_of(molecule(("ALA", 1, AMINO_ACID), chain_id="NA"))
    table.to_csv(tmp_path / "tokens.csv", index=False)
    again = read_token_table(str(tmp_path / "tokens.csv"))
    assert again.to_dict("records") == table.to_dict("records")
