"""Maps of tokens (t-SNE), of a pretrained encoder and of the same one with random weights, on the same frames."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32, Int
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from geom2msm.encoder.architectures import Encoder, EncoderConfig, untrained
from geom2msm.encoder.embedding import EmbeddedTokens
from geom2msm.encoder.preparation import EmbeddingSettings, prepare_embedding
from geom2msm.encoder.weights import EncoderCard
from geom2msm.token_table import token_names
from geom2msm.topology import load_topology, select_atoms
from geom2msm.trajectory import iterate_frames, picked

NEIGHBORS = 10
PERPLEXITY = 30


def random_encoder(config: EncoderConfig, *, seed: int) -> Encoder:
    """The architecture with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return untrained(config).eval().requires_grad_(False)


def step_for(n_frames: Sequence[int], *, n_chosen: int) -> int:
    """The step at which at most so many frames are taken from all trajectories laid end to end."""
    return max(1, math.ceil(sum(n_frames) / n_chosen))


def embed_frames(
    trajectory: str, known: Mapping, table: pd.DataFrame, encoders: Sequence[Encoder], card: EncoderCard,
    settings: EmbeddingSettings, *, frames: Int[np.ndarray, " frame"],
) -> list[EmbeddedTokens]:  # fmt: skip
    """Tokens of these frames, at least one, ascending, of the trajectory of an inventory, by each of the encoders."""
    topology = load_topology(known["topology"])
    selected = select_atoms(topology, known["selection"], file=known["topology"])
    # Some hundred frames do not need a fast kernel, and a random encoder must not be stored in half precision.
    settings = replace(settings, kernel="plain", dtype="float32", environment=None)
    prepared = [
        prepare_embedding(topology, table, selected, encoder, card, settings, file=known["topology"])
        for encoder in encoders
    ]
    reading = {"first_frame": int(frames[0]), "stride": known["stride"], "make_whole": known["make_whole"]}
    parts = [
        [embedding.embedder(positions_nm, cell_nm if settings.periodic else None) for _, embedding in prepared]
        for positions_nm, cell_nm in picked(iterate_frames(trajectory, topology, prepared[0][0], **reading), frames)
    ]
    return [joined(of_encoder) for of_encoder in zip(*parts, strict=True)]


def joined(parts: Sequence[EmbeddedTokens]) -> EmbeddedTokens:
    """Tokens of one piece of frames after another."""
    arrays = zip(*(vars(part).values() for part in parts), strict=True)
    return EmbeddedTokens(*(np.concatenate(array) for array in arrays))


def invariants(tokens: EmbeddedTokens) -> Float32[np.ndarray, "point channel"]:
    """What a token says whichever way the molecule is turned: scalars and lengths of vectors, each channel scaled."""
    lengths = np.linalg.norm(tokens.vectors, axis=2)
    features = np.concatenate([tokens.scalars, lengths], axis=-1)
    features = features.reshape(-1, features.shape[-1])
    spread = features.std(axis=0)
    return (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)


def tsne(features: Float[np.ndarray, "point channel"], *, seed: int) -> Float32[np.ndarray, "point 2"]:
    """A map on which neighbors stay neighbors (van der Maaten & Hinton 2008); distances on it mean little."""
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    return TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(features)


def like_neighbors(
    features: Float[np.ndarray, "point channel"], labels: Int[np.ndarray, " point"]
) -> tuple[float, float] | None:
    """How many of the ten nearest neighbors, not on the map but among the tokens, have the label of a point.

    Mean over the labels, so that a rare one counts as much as a frequent one, and what that would be by chance; None
    for a single label.
    """
    found = np.unique(labels)
    n_neighbors = min(NEIGHBORS, len(labels) - 1)
    if len(found) < 2 or n_neighbors < 1:
        return None
    near = NearestNeighbors(n_neighbors=n_neighbors).fit(features).kneighbors(return_distance=False)
    alike = (labels[near] == labels[:, None]).mean(axis=1)
    chance = [((labels == label).sum() - 1) / (len(labels) - 1) for label in found]
    return float(np.mean([alike[labels == label].mean() for label in found])), float(np.mean(chance))


def like_tokens(features: Float[np.ndarray, "frame token channel"], kinds: Sequence[str]) -> tuple[float, float] | None:
    """How many of the ten nearest neighbors among the other tokens are of the kind of a token.

    In other frames a token is like itself, whatever it knows of its kind. Mean over the kinds that more than one token
    has, and what that would be by chance; None where no kind is told apart from another by its like.
    """
    n_frames, n_tokens, n_channels = features.shape
    found, kind, n_alike = np.unique(kinds, return_inverse=True, return_counts=True)
    rows = []
    for token in np.flatnonzero(n_alike[kind] > 1) if len(found) > 1 else ():
        others = np.delete(np.arange(n_tokens), token)
        points, labels = features[:, others].reshape(-1, n_channels), np.tile(kind[others], n_frames)
        search = NearestNeighbors(n_neighbors=min(NEIGHBORS, len(points))).fit(points)
        near = search.kneighbors(features[:, token], return_distance=False)
        rows.append((kind[token], (labels[near] == kind[token]).mean(), (labels == kind[token]).mean()))
    if not rows:
        return None
    alike, chance = pd.DataFrame(rows).groupby(0).mean().mean()
    return float(alike), float(chance)


def separation(
    features: Float[np.ndarray, "point channel"],
    residue_names: Sequence[str],
    states: Int[np.ndarray, " frame"],
) -> dict[str, float | None]:
    """How well residue types, among different tokens, and the states of the frames, token by token, are told apart.

    Frames that the Markov model dropped (state 0) are left out where states are compared.
    """
    of_frames = features.reshape(len(states), len(residue_names), -1)
    by_residue = like_tokens(of_frames, residue_names)
    of_token = of_frames[states > 0].swapaxes(0, 1)
    by_state = [found for token in of_token if (found := like_neighbors(token, states[states > 0])) is not None]
    return {
        "residue_alike": by_residue and by_residue[0],
        "residue_by_chance": by_residue and by_residue[1],
        "state_alike": float(np.mean([alike for alike, _ in by_state])) if by_state else None,
        "state_by_chance": float(np.mean([chance for _, chance in by_state])) if by_state else None,
    }


def map_table(
    encoder: str, features: Float[np.ndarray, "point channel"], table: pd.DataFrame, states: Int[np.ndarray, " frame"]
) -> pd.DataFrame:
    """Where each token of each frame lies on the map of its encoder; state 0 was dropped by the Markov model."""
    place, n_frames = tsne(features, seed=0), len(states)
    return pd.DataFrame(
        {
            "encoder": encoder,
            "token": np.tile(table["token"], n_frames),
            "residue": np.tile(token_names(table), n_frames),
            "residue_name": np.tile(table["residue_name"], n_frames),
            "state": np.repeat(states, len(table)),
            "x": place[:, 0],
            "y": place[:, 1],
        }
    )
