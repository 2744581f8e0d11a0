"""`mixer: mlp`: a plain network on features such as distances, the VAMPnet of Mardt, Pasquali, Wu & Noe 2018."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from geom2msm.mixers.layout import TokenLayout


@dataclass(frozen=True)
class MlpSettings:
    """Keys of workflow/schemas/mixer_mlp.schema.yaml."""

    hidden_channels: int = 64
    n_layers: int = 3
    dropout: float = 0.0


class FeatureMlp(nn.Module):
    """Layers of equal width with SiLU on all features side by side.

    Features come as the scalars of a single token, each standardized on its own; vectors and positions are not looked
    at.
    """

    def __init__(self, settings: MlpSettings, layout: TokenLayout) -> None:
        super().__init__()
        self.width = settings.hidden_channels
        widths = [layout.n_tokens * layout.channels, *([self.width] * settings.n_layers)]
        layers: list[nn.Module] = []
        for width, next_width in pairwise(widths):
            layers += [nn.Linear(width, next_width), nn.SiLU(), nn.Dropout(settings.dropout)]
        self.layers = nn.Sequential(*layers)

    def forward(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 vector_channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> Float[Tensor, "frame hidden"]:
        """One vector per frame."""
        return self.layers(torch.flatten(scalars, start_dim=1))
