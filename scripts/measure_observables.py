"""Write what every frame of one trajectory is like in physical terms, and which residues touch in some of them."""

import json
import logging
from pathlib import Path

import numpy as np

from geom2msm.contacts import write_contacts
from geom2msm.log import log_to
from geom2msm.named_observables import Table, described_with, named_measurements, read_table
from geom2msm.observables import described, load_molecule, measured, standard_measurements
from geom2msm.pieces import chunked, length
from geom2msm.provenance import inherited, provenance, require_inspected
from geom2msm.store import ArrayLayout, PartialStore

CHUNK_FRAMES = 10_000


def main(
    file: str, topology: str, inventory: str, reference: str, table: list[str], observables: str, contacts: str,
    *, settings: dict, source: str,
) -> None:  # fmt: skip
    """Measure `file` chunk by chunk; a killed run continues after its last chunk. `table` is one CSV file or none."""
    known = json.loads(Path(inventory).read_text())
    n_frames, reading = known["n_frames"], {key: known[key] for key in ("stride", "make_whole")}
    molecule = load_molecule(topology, known["selection"], reference_file=reference, make_whole=known["make_whole"])
    measurements = [
        *standard_measurements(molecule, sasa_every=-(-n_frames // settings["sasa_frames"])),
        *named_measurements(molecule, settings, file=topology),
    ]
    brought = Table([], np.empty((n_frames, 0), dtype=np.float32))
    for path in table:
        brought = read_table(path, n_saved_frames=known["n_saved_frames"], stride=known["stride"])
    attributes = inherited(known) | described_with(brought, described(measurements))
    logging.info("measured: %s", ", ".join(attributes["names"]))
    inputs = {"file": file, "topology": topology, "inventory": inventory, "reference": reference}
    inputs |= {path: path for path in table}
    attributes["provenance"] = made_from = provenance(inputs=inputs, settings=settings | {"source": source})
    require_inspected(known, made_from, name="file")
    write_contacts(contacts, molecule, known, settings=settings, made_from=made_from)
    layout = {
        "observables": ArrayLayout(("frame", "channel"), (len(attributes["names"]),), "float32"),
        "time_ps": ArrayLayout(("frame",), (), "float64"),
    }
    store = PartialStore(
        observables, n_frames=n_frames, chunk_frames=CHUNK_FRAMES, layout=layout, attributes=attributes
    )
    pieces = measured(file, molecule.topology, measurements, first_frame=store.frames_done, **reading)
    for chunk in chunked(({"observables": piece} for piece in pieces), CHUNK_FRAMES):
        frames = store.frames_done + np.arange(length(chunk))
        rows = np.concatenate([chunk["observables"], brought.values[frames]], axis=1)
        store.append({"observables": rows, "time_ps": frames * known["frame_interval_ps"]})
    store.finish()


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings, source=snakemake.params.source)
