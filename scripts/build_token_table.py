"""Write which atoms of a system form which token."""

from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete
from geom2msm.topology import atomic_numbers, insertion_codes, load_topology, select_atoms, token_table


def main(topology: str, tokens: str, *, selection: str) -> None:
    """Group the selected atoms of the topology by residue and write the token table."""
    molecules = load_topology(topology)
    atoms = select_atoms(molecules, selection, file=topology)
    atomic_numbers(molecules, atoms)
    table = token_table(molecules, atoms, insertion_codes=insertion_codes(topology, molecules))
    with replace_when_complete(tokens) as part:
        table.to_csv(part, index=False)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, selection=snakemake.params.selection)
