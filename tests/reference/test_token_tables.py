"""Tokens of real structures, counted by hand or stated by their depositors."""

from collections import Counter

import pytest

from geom2msm.encoder.windows import tokens_in_windows
from geom2msm.token_rules import TokenRule
from geom2msm.token_table import token_table
from geom2msm.topology import atomic_numbers, load_topology, select_atoms
from geom2msm.topology_files import residue_labels

# Deposited files state a dummy cell, which MDTraj drops with a warning.
pytestmark = pytest.mark.filterwarnings("ignore:Unlikely unit cell vectors:UserWarning")

PROTEIN_CA, NUCLEIC_C1 = ("protein", "CA"), ("nucleic", "C1'")


def system(repository, name, selection, per="residue"):
    path = repository / "data" / name
    if not path.exists():
        pytest.skip(f"data/{name} is not here; see docs/data.md for where the data comes from")
    topology = load_topology(str(path))
    atoms = select_atoms(topology, selection, file=str(path))
    labels = residue_labels(str(path), topology)
    table = token_table(topology, atoms, labels=labels, rules=[TokenRule("all", per)], file=str(path))
    return topology, atoms, table


# File, selection, heavy atoms, tokens by kind and position, unbroken stretches of chain, elements.
STRUCTURES = [
    ("trpcage_native/trp_cage.pdb", "not element H", 154, {PROTEIN_CA: 20}, 1, "CNO"),
    ("pentapeptide/pentapeptide.pdb", "not element H", 44, {PROTEIN_CA: 5}, 1, "CNO"),
    ("ala2_implicit/ala2.pdb", "not element H", 10, {("cap", "centroid"): 2, PROTEIN_CA: 1}, 1, "CNO"),
    ("adk_dims/adk.psf", "not element H", 1656, {PROTEIN_CA: 214}, 1, "CNOS"),
    # No element columns: MDTraj alone reads 214 calcium, 179 mercury and 140 cadmium atoms.
    ("adk_dims/adk_closed.pdb", "not element H", 1656, {PROTEIN_CA: 214}, 1, "CNOS"),
    ("structures/4ake.cif", "not element H and not water", 3312, {PROTEIN_CA: 428}, 2, "CNOS"),
    # The receptor's third intracellular loop is missing: two chains.
    ("gpcr_5ht1b/top.pdb", "not element H", 2486, {PROTEIN_CA: 302, ("ligand", "centroid"): 1}, 2, "CNOS"),
    (
        "structures/1lmb.pdb",
        "not element H and not water",
        2194,
        {PROTEIN_CA: 179, NUCLEIC_C1: 29, ("nucleic", "C1*"): 11},
        4,
        "CNOPS",
    ),
    (
        "structures/7pbl.pdb.gz",
        "not element H",
        15879,
        {PROTEIN_CA: 1918, NUCLEIC_C1: 30, ("cofactor", "centroid"): 6, ("ion", "centroid"): 3},
        10,
        ("C", "N", "O", "S", "P", "Mg"),
    ),
    ("structures/7q5b.pdb.gz", "not element H", 21746, {PROTEIN_CA: 2255, NUCLEIC_C1: 168}, 22, "CNOPS"),
]


@pytest.mark.parametrize(
    ("name", "selection", "n_atoms", "tokens", "n_stretches", "elements"),
    STRUCTURES,
    ids=[row[0] for row in STRUCTURES],
)
def test_tokens_of_a_structure(repository, name, selection, n_atoms, tokens, n_stretches, elements):
    topology, atoms, table = system(repository, name, selection)
    assert Counter(zip(table.kind, table.position, strict=True)) == tokens
    assert len(atoms) == table.n_atoms.sum() == n_atoms
    assert table.stretch.max() + 1 == n_stretches
    assert {topology.atom(int(atom)).element.symbol for atom in atoms} == set(elements)
    assert set(table.insertion_code) == {""}
    # No residue is in two tokens, and none is lost.
    assert table.residue_index.is_unique
    assert len(table) == len({topology.atom(int(atom)).residue.index for atom in atoms})


def test_the_two_files_of_adenylate_kinase_agree(repository):
    psf, pdb = (system(repository, f"adk_dims/{name}", "not element H") for name in ("adk.psf", "adk_closed.pdb"))
    assert atomic_numbers(psf[0], psf[1]).tolist() == atomic_numbers(pdb[0], pdb[1]).tolist()
    assert psf[2].to_dict("list") == pdb[2].to_dict("list")


def test_nucleotides_of_the_operator_are_forty_tokens_of_two_strands(repository):
    _, _, table = system(repository, "structures/1lmb.pdb", "not element H and not water")
    bases = table[table.kind == "nucleic"]
    assert Counter(bases.chain) == {"1": 20, "2": 20}
    assert set(bases.residue_name) == set("ACGT")
    # One strand's end does not see the other's start, which follows it in the file.
    assert tokens_in_windows(table, 2)[19] == [17, 18, 19]


def test_cofactors_and_ions_of_ruvab_are_named(repository):
    topology, _, table = system(repository, "structures/7pbl.pdb.gz", "not element H")
    others = table[~table.kind.isin(["protein", "nucleic"])]
    assert Counter(others.residue_name) == {"AGS": 3, "ADP": 3, "MG": 3}
    assert set(others.n_atoms) == {31, 27, 1}
    magnesium = others[others.residue_name == "MG"].atoms.astype(int)
    assert {topology.atom(atom).element.symbol for atom in magnesium} == {"Mg"}


def test_glycines_have_no_side_chain(repository):
    _, _, whole = system(repository, "structures/1lmb.pdb", "not element H and not water")
    topology, _, table = system(repository, "structures/1lmb.pdb", "not element H and not water", "backbone_sidechain")
    n_glycines = (whole.residue_name == "GLY").sum()
    assert Counter(zip(table.kind, table.part, strict=True)) == {
        ("protein", "backbone"): 179,
        ("protein", "sidechain"): 179 - n_glycines,
        ("nucleic", "backbone"): 40,
        ("nucleic", "base"): 40,
    }
    names = {topology.atom(int(row.split()[0])).name for row in table[table.part == "sidechain"].atoms}
    assert names == {"CB"}


def test_conformations_without_letters_are_refused(repository):
    with pytest.raises(ValueError, match=r"residue A:ARG167 has atom CD twice"):
        system(repository, "structures/1ake_A.pdb", "not element H")
