"""`mixer: equivariant`: self-attention that carries the scalars and the vectors of the tokens along together."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from geom2msm.mixers.equivariant_layers import EquivariantAttention, EquivariantBlock, EquivariantNorm
from geom2msm.mixers.global_tokens import append_global, optional_global_tokens
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.local_convolution import LocalConvolution
from geom2msm.mixers.positions import sequence_places, sinusoids
from geom2msm.mixers.vector_layers import lengths

POOLINGS = ("class_token", "mean")


@dataclass(frozen=True)
class EquivariantSettings:
    """Keys of workflow/schemas/mixer_equivariant.schema.yaml."""

    hidden_channels: int = 64
    n_layers: int = 4
    n_heads: int = 8
    dropout: float = 0.0
    pooling: str = "class_token"
    qk_convolution: int = 0
    chiral: bool = False
    global_tokens: int = 0

    def __post_init__(self) -> None:
        if self.hidden_channels % self.n_heads:
            raise ValueError(
                f"hidden_channels = {self.hidden_channels} is not a multiple of n_heads = {self.n_heads}; "
                "change one of them."
            )
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling: {self.pooling} is unknown; choose one of {', '.join(POOLINGS)}.")
        if self.chiral and not self.qk_convolution:
            raise ValueError(
                "chiral: true needs the local convolution, which alone sees dihedral angles; set qk_convolution to 1 "
                "or more, or chiral to false."
            )


class EquivariantMixer(nn.Module):
    """Projected tokens and their places in the sequence, blocks of attention, then [s, ‖v‖] of one token or of all.

    The sequence is: the learned class token (with `pooling: class_token`), the tokens, the global tokens; class and
    global tokens begin with zero vectors. Invariant under O(3) acting on the vectors, with `chiral` under SO(3).
    """

    def __init__(self, settings: EquivariantSettings, layout: TokenLayout) -> None:
        super().__init__()
        hidden, self.pooling = settings.hidden_channels, settings.pooling
        self.width = 2 * hidden
        self.project_scalars = nn.Linear(layout.channels, hidden)
        self.project_vectors = nn.Linear(layout.channels, hidden, bias=False)
        self.register_buffer("places", sinusoids(sequence_places(layout.chain), hidden), persistent=False)
        n_class = int(settings.pooling == "class_token")
        self.class_token = nn.Parameter(0.1 * torch.randn(n_class, hidden)) if n_class else None
        self.global_tokens = optional_global_tokens(
            settings.global_tokens, n_tokens=layout.n_tokens, hidden_channels=hidden
        )
        # Class and global tokens are chains of their own.
        others = range(-1, -1 - n_class - settings.global_tokens, -1)
        chain = (*others[:n_class], *layout.chain, *others[n_class:])
        self.blocks = nn.ModuleList(_block(settings, chain) for _ in range(settings.n_layers))
        self.norm = EquivariantNorm(hidden)

    def forward(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> Float[Tensor, "frame hidden"]:
        """One vector per frame."""
        scalars, vectors = self.sequence(scalars, vectors, positions_nm)
        for block in self.blocks:
            scalars, vectors = block(scalars, vectors)
        scalars, vectors = self.norm(scalars, vectors)
        invariants = torch.cat([scalars, lengths(vectors)], dim=-1)
        return invariants.mean(dim=1) if self.class_token is None else invariants[:, 0]

    def sequence(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> tuple[Float[Tensor, "frame place hidden"], Float[Tensor, "frame place 3 hidden"]]:
        """What enters the first block: class token, tokens, global tokens."""
        tokens = append_global(self.project_scalars(scalars) + self.places, self.global_tokens, positions_nm)
        vectors = self.project_vectors(vectors)
        n_before, n_after = 0, tokens.shape[1] - vectors.shape[1]
        if self.class_token is not None:
            n_before = len(self.class_token)
            tokens = torch.cat([self.class_token.to(tokens.dtype).expand(len(tokens), -1, -1), tokens], dim=1)
        return tokens, functional.pad(vectors, (0, 0, 0, 0, n_before, n_after))

    def layer_attention(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> Float[Tensor, "layer frame head place place2"]:
        """Attention weights of every layer, over class token, tokens and global tokens; rows sum to one."""
        scalars, vectors = self.sequence(scalars, vectors, positions_nm)
        found = []
        for block in self.blocks:
            found.append(block.attention_weights(scalars, vectors))
            scalars, vectors = block(scalars, vectors)
        return torch.stack(found)


def _block(settings: EquivariantSettings, chain: tuple[int, ...]) -> EquivariantBlock:
    """One block with attention of the kind that the settings ask for."""
    width, convolution = settings.hidden_channels, None
    if settings.qk_convolution:
        convolution = LocalConvolution(width, chain, half_window=settings.qk_convolution, chiral=settings.chiral)
    attention = EquivariantAttention(width, settings.n_heads, convolution)
    return EquivariantBlock(attention, width, dropout=settings.dropout)
