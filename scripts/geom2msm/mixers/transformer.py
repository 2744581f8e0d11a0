"""`mixer: transformer`: the SubFormer, a transformer encoder on the tokens of a frame, read off at a class token."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from geom2msm.mixers.feed_forward import FeedForward
from geom2msm.mixers.global_tokens import append_global, optional_global_tokens
from geom2msm.mixers.invariants import TokenEmbedding
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.positions import sequence_places, sinusoids


@dataclass(frozen=True)
class TransformerSettings:
    """Keys of workflow/schemas/mixer_transformer.schema.yaml."""

    hidden_channels: int = 64
    n_layers: int = 4
    n_heads: int = 4
    feedforward_expansion: int = 2
    positions: str = "sinusoidal"
    dropout: float = 0.0
    global_tokens: int = 0


class SelfAttention(nn.Module):
    """softmax(q k^T / sqrt(d)) v in several heads (Vaswani et al. 2017, eq. 1), every token with every token."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        if width % n_heads:
            raise ValueError(f"hidden_channels = {width} is not a multiple of n_heads = {n_heads}; change one of them.")
        self.n_heads = n_heads
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "frame token hidden"]) -> Float[Tensor, "frame token hidden"]:
        """Attended tokens."""
        # Dropout acts on sums of tokens, not on single weights: with those, PyTorch keeps the N x N matrix on a CPU.
        attended = functional.scaled_dot_product_attention(*self._heads(tokens))
        return self.output(attended.transpose(1, 2).flatten(start_dim=2))

    def weights(self, tokens: Float[Tensor, "frame token hidden"]) -> Float[Tensor, "frame head token token2"]:
        """How much each token (row) attends to each (column); rows sum to one."""
        queries, keys, _ = self._heads(tokens)
        return (queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5).softmax(dim=-1)

    def _heads(self, tokens: Tensor) -> tuple[Float[Tensor, "frame head token within"], ...]:
        combined = self.queries_keys_values(tokens).unflatten(-1, (3, self.n_heads, -1))
        return combined.permute(2, 0, 3, 1, 4).unbind(dim=0)


class TransformerLayer(nn.Module):
    """x + attention(LN(x)), then x + feed-forward(LN(x)): normalized before, as in Xiong et al. 2020."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        width = settings.hidden_channels
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, settings.n_heads)
        self.feed_forward = FeedForward(width, settings.feedforward_expansion * width, dropout=settings.dropout)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, tokens: Float[Tensor, "frame token hidden"]) -> Float[Tensor, "frame token hidden"]:
        """Tokens of each frame, mixed once."""
        tokens = tokens + self.dropout(self.attention(self.attention_norm(tokens)))
        return tokens + self.feed_forward(self.feed_forward_norm(tokens))

    def weights(self, tokens: Float[Tensor, "frame token hidden"]) -> Float[Tensor, "frame head token token2"]:
        """The attention weights that `forward` uses on the same tokens."""
        return self.attention.weights(self.attention_norm(tokens))


class SubFormer(nn.Module):
    """Invariant features of each token and their places in the sequence, attended, then the class token.

    The sequence is: the learned class token, the tokens, the global tokens.
    """

    def __init__(self, settings: TransformerSettings, layout: TokenLayout) -> None:
        super().__init__()
        self.width = width = settings.hidden_channels
        self.embedding = TokenEmbedding(layout.channels, width)
        self.class_token = nn.Parameter(0.1 * torch.randn(width))
        self._add_places(settings.positions, layout)
        self.global_tokens = optional_global_tokens(
            settings.global_tokens, n_tokens=layout.n_tokens, hidden_channels=width
        )
        self.layers = nn.ModuleList(TransformerLayer(settings) for _ in range(settings.n_layers))
        self.norm = nn.LayerNorm(width)

    def _add_places(self, positions: str, layout: TokenLayout) -> None:
        encoded = sinusoids(sequence_places(layout.chain), self.width)
        if positions == "sinusoidal":
            self.register_buffer("places", encoded, persistent=False)
        elif positions == "learned":
            self.places = nn.Parameter(0.1 * torch.randn_like(encoded))
        else:
            raise ValueError(f"positions: {positions} is unknown; choose one of sinusoidal, learned.")

    def forward(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> Float[Tensor, "frame hidden"]:
        """One vector per frame."""
        tokens = self.sequence(scalars, vectors, positions_nm)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens[:, 0])

    def sequence(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> Float[Tensor, "frame place hidden"]:
        """What enters the first layer: class token, tokens, global tokens."""
        tokens = self.embedding(scalars, vectors) + self.places
        first = self.class_token.to(tokens.dtype).expand(len(tokens), 1, -1)
        return torch.cat([first, append_global(tokens, self.global_tokens, positions_nm)], dim=1)

    def layer_attention(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> Float[Tensor, "layer frame head place place2"]:
        """Attention weights of every layer, over class token, tokens and global tokens."""
        tokens, found = self.sequence(scalars, vectors, positions_nm), []
        for layer in self.layers:
            found.append(layer.weights(tokens))
            tokens = layer(tokens)
        return torch.stack(found)
