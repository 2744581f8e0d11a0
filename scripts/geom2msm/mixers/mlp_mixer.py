"""`mixer: mixer`: the SubMixer, an MLP-Mixer on the tokens of a frame."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from geom2msm.mixers.feed_forward import FeedForward
from geom2msm.mixers.global_tokens import append_global, optional_global_tokens
from geom2msm.mixers.invariants import TokenEmbedding
from geom2msm.mixers.layout import TokenLayout


@dataclass(frozen=True)
class MLPMixerSettings:
    """Keys of workflow/schemas/mixer_mixer.schema.yaml."""

    hidden_channels: int = 64
    n_layers: int = 4
    token_channels: int = 64
    feedforward_expansion: int = 2
    dropout: float = 0.0
    global_tokens: int = 0


class MixerLayer(nn.Module):
    """U = X + W2 gelu(W1 LN(X)) over tokens, Y = U + W4 gelu(W3 LN(U)) over channels (Tolstikhin et al. 2021, eq. 1).

    Every channel shares the network over tokens, and every token the one over channels.
    """

    def __init__(self, settings: MLPMixerSettings, *, n_tokens: int) -> None:
        super().__init__()
        width = settings.hidden_channels
        self.token_norm, self.channel_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.over_tokens = FeedForward(n_tokens, settings.token_channels, dropout=settings.dropout)
        self.over_channels = FeedForward(width, settings.feedforward_expansion * width, dropout=settings.dropout)

    def forward(self, tokens: Float[Tensor, "frame token hidden"]) -> Float[Tensor, "frame token hidden"]:
        """Tokens of each frame, mixed once."""
        tokens = tokens + self.over_tokens(self.token_norm(tokens).transpose(1, 2)).transpose(1, 2)
        return tokens + self.over_channels(self.channel_norm(tokens))


class SubMixer(nn.Module):
    """Invariant features of each token, mixed over tokens and over channels in turn, then their mean.

    The number of tokens is part of the network, and each has its own weights: their order is fixed by the layout.
    """

    def __init__(self, settings: MLPMixerSettings, layout: TokenLayout) -> None:
        super().__init__()
        self.width = settings.hidden_channels
        self.embedding = TokenEmbedding(layout.channels, self.width)
        self.global_tokens = optional_global_tokens(
            settings.global_tokens, n_tokens=layout.n_tokens, hidden_channels=self.width
        )
        n_tokens = layout.n_tokens + settings.global_tokens
        self.layers = nn.Sequential(*(MixerLayer(settings, n_tokens=n_tokens) for _ in range(settings.n_layers)))
        self.norm = nn.LayerNorm(self.width)

    def forward(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> Float[Tensor, "frame hidden"]:
        """One vector per frame."""
        tokens = append_global(self.embedding(scalars, vectors), self.global_tokens, positions_nm)
        return self.norm(self.layers(tokens)).mean(dim=1)
