"""Write distances within the molecule, one kind of feature, of one trajectory."""

import json
from pathlib import Path

import numpy as np

from geom2msm.distances import distance_pieces, find_distances
from geom2msm.log import log_to
from geom2msm.pieces import chunked, length
from geom2msm.provenance import inherited, provenance, require_inspected
from geom2msm.store import ArrayLayout, PartialStore
from geom2msm.topology import load_topology, select_atoms

# Per chunk of the store.
CHUNK_BYTES = 1 << 20


def main(file: str, topology: str, inventory: str, features: str, *, feature: str, source: str) -> None:
    """Compute the distances of `file` chunk by chunk; a killed run continues after its last chunk."""
    known = json.loads(Path(inventory).read_text())
    molecules = load_topology(topology)
    selected = select_atoms(molecules, known["selection"], file=topology)
    distances = find_distances(molecules, selected, feature=feature, file=topology)
    inputs = {"file": file, "topology": topology, "inventory": inventory}
    attributes = inherited(known) | {"feature": feature, "names": distances.names, "unit": "nm"}
    attributes["provenance"] = made_from = provenance(inputs=inputs, settings={"source": source})
    require_inspected(known, made_from, name="file")
    layout = {
        "features": ArrayLayout(("frame", "channel"), (len(distances.names),), "float32"),
        "time_ps": ArrayLayout(("frame",), (), "float64"),
    }
    chunk_frames = max(1, CHUNK_BYTES // layout["features"].frame_bytes)
    store = PartialStore(
        features, n_frames=known["n_frames"], chunk_frames=chunk_frames, layout=layout, attributes=attributes
    )
    pieces = distance_pieces(
        file,
        molecules,
        distances,
        first_frame=store.frames_done,
        stride=known["stride"],
        make_whole=known["make_whole"],
    )
    for chunk in chunked(({"features": piece} for piece in pieces), chunk_frames):
        frames = store.frames_done + np.arange(length(chunk))
        store.append({**chunk, "time_ps": frames * known["frame_interval_ps"]})
    store.finish()


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(
        **snakemake.input,
        **snakemake.output,
        feature=snakemake.wildcards.feature,
        source=snakemake.params.source,
    )
