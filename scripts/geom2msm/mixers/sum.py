"""`mixer: sum`: a network on each token, and their sum."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from geom2msm.mixers.global_tokens import append_global, optional_global_tokens
from geom2msm.mixers.invariants import TokenEmbedding
from geom2msm.mixers.layout import TokenLayout


@dataclass(frozen=True)
class SumSettings:
    """Keys of workflow/schemas/mixer_sum.schema.yaml."""

    hidden_channels: int = 64
    n_layers: int = 2
    global_tokens: int = 0


class SumMixer(nn.Module):
    """h = MLP([s, ||U v||]) per token, sum over tokens: without global tokens, their order does not matter."""

    def __init__(self, settings: SumSettings, layout: TokenLayout) -> None:
        super().__init__()
        self.width = settings.hidden_channels
        self.embedding = TokenEmbedding(layout.channels, self.width, n_layers=settings.n_layers)
        self.global_tokens = optional_global_tokens(
            settings.global_tokens, n_tokens=layout.n_tokens, hidden_channels=self.width
        )

    def forward(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> Float[Tensor, "frame hidden"]:
        """One vector per frame."""
        return append_global(self.embedding(scalars, vectors), self.global_tokens, positions_nm).sum(dim=1)
