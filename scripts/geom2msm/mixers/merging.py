"""Token merging: convolutions on the graph of tokens, then windows of consecutive tokens become one token each."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from geom2msm.mixers.graph_convolution import OPERATORS, GraphLayer
from geom2msm.mixers.invariants import TokenEmbedding
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.positions import sequence_places, sinusoids
from geom2msm.mixers.token_graph import neighbors_within


@dataclass(frozen=True)
class MergingSettings:
    """Keys of the section `token_merging` of a model."""

    window: int
    operator: str = "none"
    n_graph_layers: int = 1
    radius_nm: float = 0.8
    merger: str = "equivariant"

    def __post_init__(self) -> None:
        for key, known in (("operator", ("none", *OPERATORS)), ("merger", tuple(MERGERS))):
            if getattr(self, key) not in known:
                raise ValueError(f"{key}: {getattr(self, key)} is unknown; choose one of {', '.join(known)}.")


def chain_windows(chain: Sequence[int], *, window: int) -> Int[Tensor, "merged slot"]:
    """Tokens of each window: consecutive ones of one chain. Slots that the end of a chain leaves empty are -1."""
    members: dict[int, list[int]] = {}
    for token, of_chain in enumerate(chain):
        members.setdefault(of_chain, []).append(token)
    rows = [tokens[i : i + window] for tokens in members.values() for i in range(0, len(tokens), window)]
    return torch.tensor([row + [-1] * (window - len(row)) for row in rows])


class TokenMerging(nn.Module):
    """Projection to the mixer's width, graph convolutions within `radius_nm`, windows, places in the sequence.

    Positions are an argument: training and projection cannot but use the same graph. `layout` is that of the merged
    tokens, whose positions are the means of their members'.
    """

    def __init__(self, settings: MergingSettings, layout: TokenLayout, hidden: int) -> None:
        super().__init__()
        windows = chain_windows(layout.chain, window=settings.window)
        chain = tuple(layout.chain[first] for first in windows[:, 0].tolist())
        self.layout = TokenLayout(hidden, chain, window=settings.window)
        self.radius_nm = settings.radius_nm
        self.project_scalars = nn.Linear(layout.channels, hidden)
        self.project_vectors = nn.Linear(layout.channels, hidden, bias=False)
        n_layers = 0 if settings.operator == "none" else settings.n_graph_layers
        self.layers = nn.ModuleList(GraphLayer(settings.operator, hidden) for _ in range(n_layers))
        self.merger = MERGERS[settings.merger](hidden, windows)
        self.register_buffer("windows", windows, persistent=False)
        self.register_buffer("places", sinusoids(sequence_places(self.layout.chain), hidden), persistent=False)

    def forward(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> tuple[
        Float[Tensor, "frame merged hidden"], Float[Tensor, "frame merged 3 hidden"], Float[Tensor, "frame merged 3"]
    ]:
        """Scalars, vectors and positions of the merged tokens."""
        scalars, vectors = self.convolved(scalars, vectors, positions_nm)
        scalars, vectors = self.merger(scalars, vectors)
        weights = (self.windows >= 0).to(positions_nm.dtype)[..., None]
        positions = (in_windows(positions_nm, self.windows) * weights).sum(dim=2) / weights.sum(dim=1)
        return scalars + self.places, vectors, positions

    def convolved(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> tuple[Float[Tensor, "frame token hidden"], Float[Tensor, "frame token 3 hidden"]]:
        """Scalars and vectors of the tokens before they are merged."""
        scalars, vectors = self.project_scalars(scalars), self.project_vectors(vectors)
        if self.layers:
            neighbors = neighbors_within(positions_nm, radius_nm=self.radius_nm)
            for layer in self.layers:
                scalars, vectors = layer(scalars, vectors, neighbors)
        return scalars, vectors


def in_windows(
    values: Float[Tensor, "frame token *rest"], windows: Int[Tensor, "merged slot"]
) -> Float[Tensor, "frame merged slot *rest"]:
    """Values of the members of each window; empty slots are zero."""
    mask = (windows >= 0).view(*windows.shape, *[1] * (values.ndim - 2))
    members = values.index_select(1, windows.clamp(min=0).flatten()).unflatten(1, windows.shape)
    return torch.where(mask, members, 0.0)


class WindowScalars(nn.Module):
    """Scalars of a window side by side; a learned row stands in empty slots, so that they differ from zeros."""

    def __init__(self, channels: int, windows: Int[Tensor, "merged slot"]) -> None:
        super().__init__()
        self.register_buffer("windows", windows, persistent=False)
        self.register_buffer("empty", (windows < 0)[..., None], persistent=False)
        self.padding = nn.Parameter(0.1 * torch.randn(channels)) if bool(self.empty.any()) else None

    def forward(self, scalars: Float[Tensor, "frame token channel"]) -> Float[Tensor, "frame merged joined"]:
        """[s_1 .. s_w] of each window."""
        members = in_windows(scalars, self.windows)
        if self.padding is not None:
            members = torch.where(self.empty, self.padding.to(members.dtype), members)
        return members.flatten(start_dim=2)


class EquivariantMerger(nn.Module):
    """s' = W [s_1 .. s_w] + b, v' = U [v_1 .. v_w] for each of x, y, z; vectors of empty slots are zero."""

    def __init__(self, channels: int, windows: Int[Tensor, "merged slot"]) -> None:
        super().__init__()
        self.window_scalars = WindowScalars(channels, windows)
        joined = windows.shape[1] * channels
        self.merge_scalars = nn.Linear(joined, channels)
        self.merge_vectors = nn.Linear(joined, channels, bias=False)

    def forward(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> tuple[Float[Tensor, "frame merged channel"], Float[Tensor, "frame merged 3 channel"]]:
        """Scalars and vectors of the merged tokens."""
        members = in_windows(vectors, self.window_scalars.windows)
        return self.merge_scalars(self.window_scalars(scalars)), self.merge_vectors(members.transpose(2, 3).flatten(3))


class ScalarMerger(nn.Module):
    """LayerNorm(ReLU(W₂ SiLU(W₁ [h_1 .. h_w]))) of invariant features h = MLP([s, ‖U v‖]); no vectors are left."""

    def __init__(self, channels: int, windows: Int[Tensor, "merged slot"]) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(channels, channels, n_layers=1)
        self.window_scalars = WindowScalars(channels, windows)
        self.network = nn.Sequential(
            nn.Linear(windows.shape[1] * channels, channels), nn.SiLU(), nn.Linear(channels, channels), nn.ReLU(),
            nn.LayerNorm(channels),
        )  # fmt: skip

    def forward(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> tuple[Float[Tensor, "frame merged channel"], Float[Tensor, "frame merged 3 channel"]]:
        """Scalars of the merged tokens, and zero vectors."""
        merged = self.network(self.window_scalars(self.embedding(scalars, vectors)))
        return merged, merged.new_zeros(*merged.shape[:2], 3, merged.shape[2])


MERGERS = {"equivariant": EquivariantMerger, "scalar": ScalarMerger}
