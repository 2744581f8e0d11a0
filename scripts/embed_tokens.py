"""Turn the frames of one trajectory into tokens with the frozen encoder."""

import json
from pathlib import Path

import torch

from geom2msm.encoder.preparation import EmbeddingSettings, prepare_embedding
from geom2msm.encoder.streaming import fill_store, frame_pieces
from geom2msm.encoder.weights import load_encoder
from geom2msm.log import log_to
from geom2msm.provenance import provenance
from geom2msm.store import PartialStore
from geom2msm.token_table import read_token_table
from geom2msm.topology import load_topology, select_atoms

COPIED = ("system", "trajectory", "frame_interval_ps", "stride", "make_whole", "selection")


def main(
    trajectory: str, topology: str, inventory: str, table: str, weights: str, check: str, tokens: str,
    *, settings: dict, source: str,
) -> None:  # fmt: skip
    """Embed chunk by chunk into a store, once the encoder is checked; a killed run continues after its last chunk."""
    known, residues = json.loads(Path(inventory).read_text()), read_token_table(table)
    molecules, (encoder, card) = load_topology(topology), load_encoder(weights)
    selected = select_atoms(molecules, known["selection"], file=topology)
    chosen = EmbeddingSettings(**settings)
    atoms, embedding = prepare_embedding(molecules, residues, selected, encoder, card, chosen, file=topology)
    inputs = {"trajectory": trajectory, "topology": topology, "table": table, "weights": weights}
    attributes = {key: known[key] for key in COPIED} | embedding.attributes
    attributes |= {"encoder": card.name, "tokens": residues.to_dict("list")}
    attributes |= {"provenance": provenance(inputs=inputs, settings=settings | {"source": source})}
    store = PartialStore(
        tokens, n_frames=known["n_frames"], chunk_frames=embedding.chunk_frames, layout=embedding.layout,
        attributes=attributes,
    )  # fmt: skip
    first = next(frame_pieces(trajectory, molecules, atoms, None, known, first_frame=0))
    embedding.embedder.compare(encoder, first["positions_nm"][0])
    pieces = frame_pieces(trajectory, molecules, atoms, embedding.around, known, first_frame=store.frames_done)
    fill_store(store, pieces, embedding, frame_interval_ps=known["frame_interval_ps"])


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings, source=snakemake.params.source)
