"""Elements are those of the file, else those that the names allow; where several are possible, a virtual site."""

import pytest

from geom2msm.topology import atomic_numbers, load_topology, select_atoms
from molecules import gro_file, pdb_line, prmtop_file, psf_file


def symbols(path, text):
    """Residue, atom and element symbol of every atom of a topology file; VS is a virtual site."""
    path.write_text(text)
    return {(atom.residue.name, atom.name): atom.element.symbol for atom in load_topology(str(path)).atoms}


def test_blank_element_columns_do_not_make_metals_of_an_amino_acid(tmp_path):
    names = ["N", "CA", "C", "O", "CB", "CG", "CD", "CE", "NE", "HA", "HG1", "HD2", "HE1", "ND1", "SG", "OXT", "1HB"]
    # Names that begin in column 13, as CHARMM writes them: MDTraj makes Ca, Cd, Ce, Ne, Hg, He, Nd and Sg of them.
    text = "".join(pdb_line(f"{name:<4}", "LYS", 1) for name in names)
    found = symbols(tmp_path / "x.pdb", text)
    assert len(found) == len(names)
    assert all(symbol == name[0] for (_, name), symbol in found.items())


def test_a_wrong_element_column_of_a_standard_residue_is_put_right(tmp_path):
    text = pdb_line("N", "ALA", 1, symbol="N") + pdb_line("CA", "ALA", 1, symbol="CA")
    text += pdb_line("C", "ALA", 1, symbol="C")
    assert symbols(tmp_path / "x.pdb", text)["ALA", "CA"] == "C"


@pytest.mark.parametrize("symbol", ["FE", ""])
def test_an_atom_that_no_amino_acid_has_is_not_taken_for_fluorine(tmp_path, symbol):
    text = "".join(pdb_line(name, "ALA", 1, symbol=name[0]) for name in ("N", "CA", "C", "O"))
    expected = {"FE": "Fe", "": "VS"}[symbol]
    assert symbols(tmp_path / "x.pdb", text + pdb_line("FE", "ALA", 1, symbol=symbol))["ALA", "FE"] == expected


def test_calcium_is_no_c_alpha(tmp_path):
    protein = "".join(pdb_line(name, "ALA", 1) for name in ("N", "CA", "C", "O"))
    # MDTraj and others write C for a calcium that came from a GRO file.
    found = symbols(tmp_path / "x.pdb", protein + pdb_line("CA", "CA", 2, symbol="C") + pdb_line("CAL", "CAL", 3))
    assert (found["ALA", "CA"], found["CA", "CA"], found["CAL", "CAL"]) == ("C", "Ca", "Ca")


@pytest.mark.parametrize(
    ("residue", "atom", "symbol"),
    [("SOD", "SOD", "Na"), ("NA+", "NA+", "Na"), ("CLA", "CLA", "Cl"), ("Cl-", "Cl-", "Cl"), ("CL", "CL", "Cl"),
     ("POT", "POT", "K"), ("CES", "CES", "Cs"), ("LIT", "LIT", "Li"), ("ZN2", "ZN", "Zn"), ("MG", "MG", "Mg"),
     ("ION", "NA", "Na"), ("FE2", "FE", "Fe")],
)  # fmt: skip
def test_ions_of_a_gro_file_are_known_by_name(tmp_path, residue, atom, symbol):
    assert symbols(tmp_path / "x.gro", gro_file((1, residue, atom)))[residue, atom] == symbol


def test_names_of_a_ligand_that_allow_one_element_decide(tmp_path):
    names = {
        "C1": "C",
        "N2": "N",
        "O3'": "O",
        "H12": "H",
        "HG1": "H",
        "S": "S",
        "P1": "P",
        "PA": "P",
        "F2": "F",
        "CA": "C",
    }
    found = symbols(tmp_path / "x.gro", gro_file(*[(1, "LIG", name) for name in names]))
    assert {name: symbol for (_, name), symbol in found.items()} == names


def test_names_of_a_ligand_that_allow_two_elements_are_refused_by_name(tmp_path):
    path = tmp_path / "x.gro"
    path.write_text(gro_file((1, "LIG", "C1"), (1, "LIG", "CL1"), (1, "LIG", "H1")))
    topology = load_topology(str(path))
    atoms = select_atoms(topology, "not element H", file=str(path))
    with pytest.raises(ValueError, match=r"1 atom\(s\) without an element \(LIG1-CL1\)"):
        atomic_numbers(topology, atoms)


def test_the_elements_that_a_file_states_are_believed_for_ligands(tmp_path):
    text = pdb_line("CL1", "LIG", 1, symbol="CL") + pdb_line("C1", "LIG", 1, symbol="C")
    assert symbols(tmp_path / "x.pdb", text) == {("LIG", "CL1"): "Cl", ("LIG", "C1"): "C"}


def test_virtual_sites_of_water_stay_virtual(tmp_path):
    water = gro_file((1, "SOL", "OW"), (1, "SOL", "HW1"), (1, "SOL", "HW2"), (1, "SOL", "MW"))
    assert list(symbols(tmp_path / "x.gro", water).values()) == ["O", "H", "H", "VS"]


def test_repartitioned_masses_of_a_psf_file_do_not_change_elements(tmp_path):
    # Three-dalton hydrogens: MDTraj takes the hydrogens for helium and the methyl carbon for lithium.
    atoms = [("N", 14.007 - 2.016), ("HN", 3.024), ("CA", 12.011 - 2.016), ("HA", 3.024), ("CB", 12.011 - 6.048),
             ("HB1", 3.024), ("C", 12.011), ("O", 15.999)]  # fmt: skip
    ligand = [("C1", 12.011 - 6.048), ("H1", 4.032), ("CL1", 35.45), ("CO1", 12.011 - 2.016)]
    text = psf_file(
        *[("PROA", 1, "ALA", name, mass) for name, mass in atoms],
        *[("LIGA", 1, "LIG", name, mass) for name, mass in ligand],
        ("ION", 1, "CAL", "CAL", 40.08),
    )
    found = symbols(tmp_path / "x.psf", text)
    assert list(found.values()) == ["N", "H", "C", "H", "C", "H", "C", "O", "C", "H", "Cl", "C", "Ca"]


def test_drude_particles_and_lone_pairs_of_a_psf_file_are_virtual_sites(tmp_path):
    # MDTraj takes a Drude particle of 0.8 dalton for hydrogen.
    atoms = [("N", 13.2), ("DN", 0.8), ("CA", 11.2), ("C", 11.2), ("LPOA", 0.0)]
    water = [("OH2", 15.6), ("DOH2", 0.4), ("OM", 0.0), ("H1", 1.008)]
    text = psf_file(
        *[("PROA", 1, "ALA", name, mass) for name, mass in atoms],
        *[("WAT", 2, "SWM4", name, mass) for name, mass in water],
    )
    assert list(symbols(tmp_path / "x.psf", text).values()) == ["N", "VS", "C", "C", "VS", "O", "VS", "VS", "H"]


def test_atomic_numbers_of_a_prmtop_file_are_believed(tmp_path):
    residues = [
        ("HEM", [("NA", 7), ("FE", 26), ("C1", 6)]),
        ("WAT", [("O", 8), ("H1", 1), ("EPW", 0)]),
        ("CA", [("CA", 20)]),
    ]
    assert list(symbols(tmp_path / "x.prmtop", prmtop_file(residues)).values()) == [
        "N",
        "Fe",
        "C",
        "O",
        "H",
        "VS",
        "Ca",
    ]


def test_a_prmtop_file_without_atomic_numbers_goes_by_names(tmp_path):
    residues = [("ALA", [("N", 7), ("CA", 6), ("C", 6)]), ("LIG", [("NA1", 7), ("BR1", 35)]), ("Na+", [("Na+", 11)])]
    found = symbols(tmp_path / "x.prmtop", prmtop_file(residues, atomic_numbers=False))
    # MDTraj makes sodium of a nitrogen named NA1, and boron of bromine.
    assert list(found.values()) == ["N", "C", "C", "N", "VS", "Na"]


def test_selenium_and_phosphorus_of_modified_residues(tmp_path):
    selenium = [(1, "MSE", name) for name in ("N", "CA", "C", "O", "CB", "CG", "SE", "CE")]
    phosphate = [(2, "SEP", name) for name in ("N", "CA", "C", "O", "CB", "OG", "P", "O1P")]
    found = symbols(tmp_path / "x.gro", gro_file(*selenium, *phosphate))
    assert (found["MSE", "SE"], found["MSE", "CE"], found["SEP", "P"], found["SEP", "O1P"]) == ("Se", "C", "P", "O")
