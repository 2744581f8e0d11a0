"""From the config of a system to what embeds its frames."""

from collections.abc import Mapping
from dataclasses import dataclass

import mdtraj
import numpy as np
import pandas as pd
import torch
from jaxtyping import Int

from geom2msm.encoder.architectures import Encoder
from geom2msm.encoder.embedding import Embedder
from geom2msm.encoder.frozen import freeze
from geom2msm.encoder.streaming import Embedding
from geom2msm.encoder.token_map import map_tokens
from geom2msm.encoder.weights import EncoderCard
from geom2msm.environment import find_surroundings


@dataclass(frozen=True)
class EmbeddingSettings:
    """How tokens are made, as in the config of a system; which atoms form them is in the token table."""

    neighbor_rule: str
    kernel: str
    precision: str
    dtype: str
    window_neighbors: int | None
    periodic: bool
    unseen_elements: Mapping[str, str]
    environment: Mapping | None


def prepare_embedding(
    topology: mdtraj.Topology,
    table: pd.DataFrame,
    selected: Int[np.ndarray, " selected"],
    encoder: Encoder,
    card: EncoderCard,
    settings: EmbeddingSettings,
    *,
    file: str,
) -> tuple[Int[np.ndarray, " atom"], Embedding]:
    """The atoms to read of each frame, and what turns their positions into the arrays of a store."""
    atoms, token_map = map_tokens(
        topology, table, selected, card=card, unseen_elements=settings.unseen_elements,
        window_neighbors=settings.window_neighbors,
    )  # fmt: skip
    around = settings.environment and find_surroundings(topology, selected, settings.environment, file=file)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    frozen = freeze(encoder, kernel=settings.kernel, device=device, precision=settings.precision)
    embedder = Embedder(frozen, token_map, settings.neighbor_rule, settings.dtype)
    return atoms, Embedding(embedder, around, settings.periodic)
