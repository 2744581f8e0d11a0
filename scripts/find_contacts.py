"""Write which residues touch each other in some frames of one trajectory, evenly spaced."""

import json
from pathlib import Path

import numpy as np

from geom2msm.contacts import find_contacts, pair_names
from geom2msm.log import log_to
from geom2msm.observables import load_molecule
from geom2msm.provenance import provenance, replace_when_complete, require_inspected


def main(file: str, topology: str, inventory: str, contacts: str, *, settings: dict) -> None:
    """Look at `contact_frames` of the trajectory's frames at most; heavy atoms within `contact_nm` touch."""
    known = json.loads(Path(inventory).read_text())
    inputs = {"file": file, "topology": topology, "inventory": inventory}
    made_from = provenance(inputs=inputs, settings=settings)
    require_inspected(known, made_from, name="file")
    # An ending without coordinates: no reference is needed here.
    molecule = load_molecule(topology, known["selection"], reference_file="", make_whole=known["make_whole"])
    found = find_contacts(
        file,
        molecule,
        cutoff_nm=settings["contact_nm"],
        n_frames=known["n_frames"],
        n_samples=settings["contact_frames"],
        stride=known["stride"],
        make_whole=known["make_whole"],
    )
    with replace_when_complete(contacts) as part, part.open("wb") as output:
        np.savez_compressed(
            output,
            trajectory=known["trajectory"],
            frames=found.frames,
            names=np.array(pair_names(molecule.topology, found.pairs), dtype=str),
            touching=found.touching,
            provenance=json.dumps(made_from),
        )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
