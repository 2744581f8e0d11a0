"""Turn the frames of one trajectory into tokens with the frozen encoder."""

import json
from pathlib import Path

import numpy as np
import torch

from geom2msm.encoder.embedding import check_elements, fill_store, frames_per_chunk, map_tokens, token_layout
from geom2msm.encoder.weights import load_encoder
from geom2msm.log import log_to
from geom2msm.provenance import provenance
from geom2msm.store import PartialStore
from geom2msm.topology import load_topology, read_token_table, token_atoms
from geom2msm.trajectory import iterate_frames

COPIED = ("system", "trajectory", "frame_interval_ps", "selection")


def main(
    trajectory: str, topology: str, inventory: str, table: str, weights: str, tokens: str, *, settings: dict
) -> None:
    """Embed chunk by chunk into a store; a killed run continues after its last whole chunk."""
    known, residues = json.loads(Path(inventory).read_text()), read_token_table(table)
    molecules, (encoder, card) = load_topology(topology), load_encoder(weights)
    atoms = np.sort(np.concatenate(token_atoms(residues)))
    mapped = map_tokens(molecules, residues, atoms)
    check_elements(mapped.atomic_numbers, card.elements, [str(molecules.atom(a)) for a in atoms], encoder=card.name)
    inputs = {"trajectory": trajectory, "topology": topology, "table": table, "weights": weights}
    attributes = {key: known[key] for key in COPIED} | {
        "encoder": card.name,
        "neighbor_rule": settings["neighbor_rule"],
        "tokens": residues.to_dict("list"),
        "provenance": provenance(inputs=inputs, settings=settings),
    }
    channels, n_frames = card.config.hidden_channels, known["n_frames"]
    size = frames_per_chunk(mapped.n_tokens, channels, len(atoms))
    layout = token_layout(mapped.n_tokens, channels)
    store = PartialStore(tokens, n_frames=n_frames, chunk_frames=size, layout=layout, attributes=attributes)
    frames = iterate_frames(trajectory, molecules, atoms, first_frame=store.frames_done)
    fill_store(
        store,
        (piece.positions_nm for piece in frames),
        encoder,
        mapped,
        neighbor_rule=settings["neighbor_rule"],
        frame_interval_ps=known["frame_interval_ps"],
    )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    settings = {"neighbor_rule": snakemake.params.neighbor_rule, "source": snakemake.params.source}
    main(**snakemake.input, **snakemake.output, settings=settings)
