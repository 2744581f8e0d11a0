"""Token rules share out the atoms: each belongs to one rule, and to one token or to the context."""

import pytest

from geom2msm.token_rules import TokenRule
from geom2msm.token_table import token_table
from geom2msm.topology import load_topology, select_atoms
from geom2msm.topology_files import residue_labels
from molecules import AMINO_ACID, SUGAR, molecule

LIGAND = ["C1", "C2", "O1"]


def tokens(topology, *rules, selection="all"):
    """Part and atom names of each token."""
    atoms = select_atoms(topology, selection, file="x.pdb")
    labels = residue_labels("x.h5", topology)
    table = token_table(topology, atoms, labels=labels, rules=[TokenRule(*rule) for rule in rules], file="x.pdb")
    members = [[topology.atom(int(atom)).name for atom in row.split()] for row in table.atoms]
    return list(zip(table.part, members, strict=True))


def protein_with_ligand():
    return molecule(("ALA", 1, [*AMINO_ACID, "CB"]), ("GLY", 2, [*AMINO_ACID, "OXT"]), ("LIG", 3, LIGAND))


def test_an_amino_acid_divides_into_backbone_and_side_chain_and_glycine_does_not():
    assert tokens(protein_with_ligand(), ("all", "backbone_sidechain")) == [
        ("backbone", AMINO_ACID), ("sidechain", ["CB"]), ("backbone", [*AMINO_ACID, "OXT"]), ("residue", LIGAND),
    ]  # fmt: skip


def test_hydrogens_go_with_the_atom_that_they_sit_on(repository):
    topology = load_topology(str(repository / "resources/structures/alanine_dipeptide.pdb"))
    parts = tokens(topology, ("all", "backbone_sidechain"))
    assert [part for part, _ in parts] == ["residue", "backbone", "sidechain", "residue"]
    assert set(parts[1][1]) == {"N", "H", "CA", "HA", "C", "O"}
    assert set(parts[2][1]) == {"CB", "HB1", "HB2", "HB3"}


def test_a_nucleotide_divides_into_phosphate_with_sugar_and_base():
    base = ["N9", "C8", "H8", "N6", "H61"]
    backbone = ["P", "OP1", "O1P", "O5'", *SUGAR, "H5''", "HO3'", "O2*", "H5T"]
    assert tokens(molecule(("DA", 1, [*backbone, *base])), ("all", "backbone_sidechain")) == [
        ("backbone", backbone), ("base", base),
    ]  # fmt: skip


def test_a_fragment_is_one_token_across_residues_and_keeps_its_name():
    found = tokens(protein_with_ligand(), ("resname ALA GLY", "fragment", "hinge"), ("resname LIG", "residue"))
    assert found == [("hinge", [*AMINO_ACID, "CB", *AMINO_ACID, "OXT"]), ("residue", LIGAND)]


def test_context_atoms_are_in_no_token():
    assert tokens(protein_with_ligand(), ("resname LIG", "residue"), ("protein", "context")) == [("residue", LIGAND)]
    with pytest.raises(ValueError, match="leave no token"):
        tokens(protein_with_ligand(), ("all", "context"))


def test_rules_count_only_selected_atoms():
    rules = (("protein", "residue"), ("resname LIG", "residue"))
    assert tokens(protein_with_ligand(), rules[0], selection="name CA") == [("residue", ["CA"])] * 2
    with pytest.raises(ValueError, match=r"'resname LIG' selects none of trajectories\.selection's atoms"):
        tokens(protein_with_ligand(), *rules, selection="protein")


def test_atoms_in_two_rules_are_an_error_that_names_atoms_and_rules():
    message = r"5 atom\(s\) \(A:ALA1-N, .*, …?.*\) are in two of tokens\.rules, 'protein' and 'resname ALA'"
    with pytest.raises(ValueError, match=message):
        tokens(
            protein_with_ligand(), ("protein", "residue"), ("resname ALA", "fragment", "a"), ("resname LIG", "residue")
        )


def test_atoms_in_no_rule_are_an_error_with_count_and_example():
    with pytest.raises(ValueError, match=r"x\.pdb: 3 atom\(s\) .*\(A:LIG3-C1, A:LIG3-C2, A:LIG3-O1\) are in none"):
        tokens(protein_with_ligand(), ("protein", "residue"))


def test_a_rule_that_makes_no_sense_is_refused():
    for arguments in [
        ("all", "residue", "name"),
        ("all", "fragment"),
        ("all", "atom"),
        ("all", "fragment", "backbone"),
    ]:
        with pytest.raises(ValueError, match=r"tokens\.rules"):
            TokenRule(*arguments)
