"""Turn the frames of one trajectory into tokens with the frozen encoder."""

import json
from pathlib import Path

import numpy as np
import torch

from geom2msm.encoder.embedding import TokenMap, check_elements, chunked, embed, frames_per_chunk
from geom2msm.encoder.weights import load_encoder
from geom2msm.log import log_to, progress
from geom2msm.provenance import provenance
from geom2msm.store import ArrayLayout, PartialStore
from geom2msm.topology import atomic_numbers, load_topology, read_token_table, token_atoms
from geom2msm.trajectory import iterate_frames


def token_map(topology, table, atoms) -> TokenMap:
    """Elements and token of every embedded atom, in the order of the topology."""
    token_of = {atom: token for token, members in enumerate(token_atoms(table)) for atom in members.tolist()}
    place = {atom: row for row, atom in enumerate(atoms.tolist())}
    positions = np.array([place.get(atom, -1) for atom in table["position_atom"]])
    return TokenMap(atomic_numbers(topology, atoms), np.array([token_of[atom] for atom in atoms.tolist()]), positions)


def main(
    trajectory: str,
    topology: str,
    inventory: str,
    table: str,
    weights: str,
    tokens: str,
    *,
    neighbor_rule: str,
    source: str,
) -> None:
    """Embed chunk by chunk into a store; a killed run continues after its last whole chunk."""
    known, residues, molecules = (
        json.loads(Path(inventory).read_text()),
        read_token_table(table),
        load_topology(topology),
    )
    encoder, card = load_encoder(weights)
    atoms = np.sort(np.concatenate(token_atoms(residues)))
    mapped = token_map(molecules, residues, atoms)
    check_elements(mapped.atomic_numbers, card.elements, [str(molecules.atom(a)) for a in atoms], encoder=card.name)
    shape, channels = (mapped.n_tokens,), card.config.hidden_channels
    layout = {
        "scalars": ArrayLayout(("frame", "token", "channel"), (*shape, channels), "float16"),
        "vectors": ArrayLayout(("frame", "token", "3", "channel"), (*shape, 3, channels), "float16"),
        "positions_nm": ArrayLayout(("frame", "token", "3"), (*shape, 3), "float32"),
        "time_ps": ArrayLayout(("frame",), (), "float64"),
    }
    inputs = {"trajectory": trajectory, "topology": topology, "table": table, "weights": weights}
    attributes = {key: known[key] for key in ("system", "trajectory", "frame_interval_ps", "selection")} | {
        "encoder": card.name,
        "neighbor_rule": neighbor_rule,
        "tokens": residues.to_dict("list"),
        "provenance": provenance(inputs=inputs, settings={"neighbor_rule": neighbor_rule, "source": source}),
    }
    size = frames_per_chunk(mapped.n_tokens, channels, len(atoms))
    store = PartialStore(tokens, n_frames=known["n_frames"], chunk_frames=size, layout=layout, attributes=attributes)
    frames = iterate_frames(trajectory, molecules, atoms, first_frame=store.frames_done)
    n_chunks = -(-(known["n_frames"] - store.frames_done) // size)
    for chunk in progress(
        chunked((piece.positions_nm for piece in frames), size), total=n_chunks, description="chunks"
    ):
        first = store.frames_done
        embedded = embed(encoder, chunk, mapped, neighbor_rule=neighbor_rule)
        time_ps = (first + np.arange(len(chunk))) * known["frame_interval_ps"]
        store.append(vars(embedded) | {"time_ps": time_ps})
    store.finish()


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    settings = {"neighbor_rule": snakemake.params.neighbor_rule, "source": snakemake.params.source}
    main(**snakemake.input, **snakemake.output, **settings)
