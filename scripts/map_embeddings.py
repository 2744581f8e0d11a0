"""Maps of the tokens of some frames, by the pretrained encoder and by the same one with random weights."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from geom2msm.embedding_maps import embed_frames, invariants, joined, map_table, random_encoder, separation, step_for
from geom2msm.encoder.preparation import EmbeddingSettings
from geom2msm.encoder.weights import load_encoder
from geom2msm.joined_store import every_frame_of, read_pieces
from geom2msm.log import log_to
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.token_table import read_token_table


def main(
    trajectories: list[str], inventories: list[str], states: str, table: str, weights: str, points: str,
    scores: str, *, embedding: dict, map_tokens: int, source: str,
) -> None:  # fmt: skip
    """Embed every so many frames of all trajectories twice, map the tokens, and count like neighbors."""
    residues, (trained, card) = read_token_table(table), load_encoder(weights)
    encoders = {"pretrained": trained, "random weights": random_encoder(card.config, seed=0)}
    known, chosen = [json.loads(Path(path).read_text()) for path in inventories], EmbeddingSettings(**embedding)
    n_frames = [each["n_frames"] for each in known]
    step = step_for(n_frames, n_chosen=max(1, map_tokens // len(residues)))
    every = every_frame_of(n_frames, step=step)
    embedded = [
        embed_frames(*files, residues, list(encoders.values()), card, chosen, frames=frames)
        for *files, frames in zip(trajectories, known, every, strict=True)
        if len(frames)
    ]
    features = [invariants(joined(parts)) for parts in zip(*embedded, strict=True)]
    pieces = zip(read_pieces(states, "macrostate"), every, strict=True)
    state = np.concatenate([piece[frames] for piece, frames in pieces]).astype(np.int64) + 1
    found = {
        name: separation(each, residues["residue_name"].tolist(), state)
        for name, each in zip(encoders, features, strict=True)
    }
    content = {"encoder": card.name, "n_frames": len(state), "step_frames": step, "separation": found}
    inputs = {path: path for path in [*inventories, states, weights, table]}
    settings = embedding | {"map_tokens": map_tokens, "source": source}
    content["provenance"] = provenance(inputs=inputs, settings=settings)
    with replace_when_complete(points) as part:
        tables = [map_table(name, each, residues, state) for name, each in zip(encoders, features, strict=True)]
        pd.concat(tables).to_csv(part, index=False, float_format="%.6g")
    with replace_when_complete(scores) as part:
        part.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    main(**snakemake.input, **snakemake.output, **snakemake.params.settings, source=snakemake.params.source)
