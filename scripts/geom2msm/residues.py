"""What a residue is: protein, nucleic acid, cap, water, ion, lipid, cofactor, ligand or other."""

from collections import Counter
from collections.abc import Iterable

from mdtraj.core.topology import Chain, Residue

BACKBONE = {"N", "CA", "C"}
SUGAR = {"C1'", "C3'", "C4'", "C5'", "O4'"}
PHOSPHATE_CHAIN = {"PA", "PB", "PG"}
POLYMERS = {"protein", "nucleic", "cap"}

# MDTraj knows proteins, nucleic acids and some water models, but no lipids, and caps only as protein.
WATERS = {
    "HOH", "WAT", "SOL", "TIP", "TIP3", "TIP4", "TIP5", "TIP3P", "TIP4P", "TIP5P", "TP3", "TP4", "TP5", "T3P", "T4P",
    "T4E", "SPC", "SPCE", "OPC", "OPC3", "SWM4", "DOD", "H2O",
}  # fmt: skip
STARTING_CAPS = {"ACE", "FOR"}
ENDING_CAPS = {"NME", "NMA", "NH2", "NHE", "CT3", "CT2", "NAC"}
LIPIDS = {
    "POPC", "POPE", "POPS", "POPG", "POPA", "DPPC", "DPPE", "DPPS", "DOPC", "DOPE", "DOPS", "DOPG", "DMPC",
    "DMPE", "DLPC", "DLPE", "DSPC", "PSM", "SSM", "CHL1", "CHOL", "CHL", "PA", "PC", "PE", "PS", "OL", "ST",
    "MY", "LAL", "PGR", "SAPI", "POPI", "PIP2", "CDL", "TOCL",
}  # fmt: skip
COFACTORS = {
    "ATP", "ADP", "AMP", "AGS", "ANP", "ACP", "GTP", "GDP", "GMP", "GNP", "GCP", "GSP", "UTP", "UDP", "CTP", "CDP",
    "NAD", "NAI", "NAP", "NDP", "NADH", "FAD", "FMN", "SAM", "SAH", "COA", "ACO", "HEM", "HEME", "HEC", "HEA",
    "PLP", "TPP", "BTN", "B12", "CLA", "BCL", "RET", "SF4", "FES",
}  # fmt: skip
# Elements of monatomic ions under their PDB, AMBER, CHARMM and GROMACS names, charges stripped.
IONS = {
    "NA": "Na", "SOD": "Na", "K": "K", "POT": "K", "LI": "Li", "LIT": "Li", "RB": "Rb", "RUB": "Rb", "CS": "Cs",
    "CES": "Cs", "CL": "Cl", "CLA": "Cl", "CIO": "Na", "BR": "Br", "BRO": "Br", "IOD": "I", "I": "I", "F": "F",
    "MG": "Mg", "MG2": "Mg", "CA": "Ca", "CAL": "Ca", "CA2": "Ca", "ZN": "Zn", "ZN2": "Zn", "MN": "Mn", "MN2": "Mn",
    "MN3": "Mn", "FE": "Fe", "FE2": "Fe", "FE3": "Fe", "CU": "Cu", "CU1": "Cu", "CU2": "Cu", "CO": "Co", "CO2": "Co",
    "3CO": "Co", "NI": "Ni", "NI2": "Ni", "CD": "Cd", "CD2": "Cd", "BA": "Ba", "BAR": "Ba", "SR": "Sr", "HG": "Hg",
    "HG2": "Hg", "PB": "Pb", "AG": "Ag", "AL": "Al", "XE": "Xe",
}  # fmt: skip


def residue_kind(residue: Residue) -> str:
    """One of protein, nucleic, cap, water, ion, lipid, cofactor, ligand, other.

    By backbone and sugar atoms too, not by name alone: MDTraj does not count CYM or ASH as protein, nor DNA
    residues named T as nucleic. Modified amino acids and nucleotides are protein and nucleic; what has no
    carbon and is no ion, a phosphate for example, is other.
    """
    names = {atom.name.replace("*", "'") for atom in residue.atoms}
    name = residue.name.upper()
    if residue.is_water or name in WATERS:
        return "water"
    if ion_element(residue):
        return "ion"
    if name in STARTING_CAPS | ENDING_CAPS:
        return "cap"
    # A cofactor or lipid by name only: NAD lacks, SAM has the atoms of an amino acid or a nucleotide.
    for kind, known in (("lipid", LIPIDS), ("cofactor", COFACTORS)):
        if name in known and residue.n_atoms > 1:
            return kind
    if names >= BACKBONE or (residue.is_protein and "CA" in names):
        return "protein"
    if (names >= SUGAR and not names & PHOSPHATE_CHAIN) or (residue.is_nucleic and names & {"P", "C1'"}):
        return "nucleic"
    symbols = {atom.element.symbol for atom in residue.atoms if atom.element is not None}
    return "ligand" if "C" in symbols else "other"


def ion_element(residue: Residue) -> str | None:
    """Element of a monatomic ion, by the names of residue and atom; None where they are not those of an ion."""
    if residue.n_atoms != 1:
        return None
    atom = IONS.get(_without_charge(residue.atom(0).name))
    named = IONS.get(_without_charge(residue.name))
    # GROMOS calls the residue of every ion ION; a lone C-alpha sits in a residue with an amino acid's name.
    return atom if atom is not None and (named == atom or residue.name.upper() == "ION") else None


def _without_charge(name: str) -> str:
    return name.upper().rstrip("0123456789+-") if name.rstrip("0123456789").endswith(("+", "-")) else name.upper()


def chain_letter(chain: Chain) -> str:
    """The letter that the file gives a chain, or its number from 0."""
    return (chain.chain_id or "").strip() or str(chain.index)


def distinct(names: Iterable[str]) -> list[str]:
    """The names, numbered from the second of those that are alike: 'A', 'A-2'.

    Residues can be alike: MDTraj knows no insertion codes, and molecules apart from each other may share a letter.
    """
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(f"{name}-{seen[name]}" if seen[name] > 1 else name)
    return found


def describe(residue: Residue) -> str:
    """A residue's chain, name and number for messages, as in 'A:ALA12'."""
    return f"{chain_letter(residue.chain)}:{residue.name}{residue.resSeq}"
