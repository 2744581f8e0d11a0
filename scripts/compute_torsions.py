"""Write cosine and sine of the backbone torsions of one trajectory."""

import json
from pathlib import Path

import numpy as np

from geom2msm.log import log_to
from geom2msm.provenance import provenance, require_inspected
from geom2msm.store import write_store
from geom2msm.topology import load_topology, select_atoms
from geom2msm.torsions import along_bonds, backbone_torsions, feature_names, torsion_features


def main(file: str, topology: str, inventory: str, features: str) -> None:
    """Compute the torsions of `file` and store them with their names and times."""
    known = json.loads(Path(inventory).read_text())
    molecules = load_topology(topology)
    selected, reading = select_atoms(molecules, known["selection"], file=topology), {"make_whole": known["make_whole"]}
    torsions, quartets = backbone_torsions(molecules, selected, file=topology)
    along = along_bonds(file, molecules, torsions, quartets, **reading)
    values = torsion_features(file, molecules, quartets[along], stride=known["stride"], **reading)
    made_from = provenance(inputs={"file": file, "topology": topology, "inventory": inventory}, settings={})
    require_inspected(known, made_from, name="file")
    attributes = {
        "system": known["system"],
        "trajectory": known["trajectory"],
        "feature": "torsions",
        "names": feature_names([name for name, kept in zip(torsions, along, strict=True) if kept]),
        "frame_interval_ps": known["frame_interval_ps"],
        "provenance": made_from,
    }
    arrays = {"features": values, "time_ps": np.arange(len(values)) * known["frame_interval_ps"]}
    axes = {"features": ("frame", "channel"), "time_ps": ("frame",)}
    write_store(features, attributes=attributes, arrays=arrays, axes=axes)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
