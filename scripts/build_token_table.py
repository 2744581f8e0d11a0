"""Write which atoms of a system form which token."""

import logging
from collections import Counter

from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete
from geom2msm.token_rules import TokenRule
from geom2msm.token_table import token_table
from geom2msm.topology import atomic_numbers, load_topology, select_atoms
from geom2msm.topology_files import residue_labels


def main(topology: str, tokens: str, *, selection: str, rules: list[dict]) -> None:
    """Divide the selected atoms of the topology by the token rules and write the token table."""
    molecules = load_topology(topology)
    atoms = select_atoms(molecules, selection, file=topology)
    atomic_numbers(molecules, atoms)
    table = token_table(
        molecules,
        atoms,
        labels=residue_labels(topology, molecules),
        rules=[TokenRule(**rule) for rule in rules],
        file=topology,
    )
    kinds = ", ".join(f"{number} {kind}" for kind, number in Counter(table["kind"]).items())
    logging.info("%d tokens of %d atoms: %s", len(table), table["n_atoms"].sum(), kinds)
    with replace_when_complete(tokens) as part:
        table.to_csv(part, index=False)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, selection=snakemake.params.selection, rules=snakemake.params.rules)
