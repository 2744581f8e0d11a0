"""The lobe: standardization, merging of tokens if wanted, a mixer, and the outputs of a frame."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.standardize import Standardization

OUTPUTS = ("linear", "softmax")


class OutputHead(nn.Sequential):
    """LayerNorm and a small network from a frame's vector to its outputs; with softmax these are fuzzy states."""

    def __init__(self, width: int, dimensions: int, *, output: str) -> None:
        if output not in OUTPUTS:
            raise ValueError(f"output: {output} is unknown; choose one of {', '.join(OUTPUTS)}.")
        last = [nn.Softmax(dim=-1)] if output == "softmax" else []
        super().__init__(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, dimensions), *last
        )  # fmt: skip


class Lobe(nn.Module):
    """From the tokens of a frame to its d outputs.

    `merging` maps (scalars, vectors, positions_nm) to fewer of the same and knows their `layout`; `mixer` maps them
    to one vector per frame, `width` channels wide. What both get is standardized and in the precision of the weights.
    """

    def __init__(self, layout: TokenLayout, merging: nn.Module | None, mixer: nn.Module, head: OutputHead) -> None:
        super().__init__()
        self.layout = layout
        # Saved with the weights, so that they alone tell which tokens they are for.
        self.register_buffer("chain", torch.tensor(layout.chain))
        self.standardization = Standardization(layout.channels)
        self.merging, self.mixer, self.head = merging, mixer, head

    def forward(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 vector_channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> Float[Tensor, "frame dimension"]:
        """The outputs of each frame; tokens may come in half precision, as they are stored."""
        return self.head(self.mixer(*self.mixed_tokens(scalars, vectors, positions_nm)))

    def mixed_tokens(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 vector_channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> tuple[
        Float[Tensor, "frame merged hidden"],
        Float[Tensor, "frame merged 3 vector_hidden"],
        Float[Tensor, "frame merged 3"],
    ]:
        """What the mixer gets: standardized tokens, merged if wanted."""
        scalars, vectors = self.standardization(scalars, vectors)
        tokens = (scalars, vectors, positions_nm.to(scalars.dtype))
        return tokens if self.merging is None else self.merging(*tokens)

    @torch.inference_mode()
    def layer_attention(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 vector_channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> Float[Tensor, "layer frame head place place2"]:
        """Attention weights of each layer and head, over the places that the mixer documents; rows sum to one."""
        if not hasattr(self.mixer, "layer_attention"):
            raise ValueError(f"{type(self.mixer).__name__} has no attention weights; choose a mixer that attends.")
        return self.mixer.layer_attention(*self.mixed_tokens(scalars, vectors, positions_nm))

    def attention(
        self,
        scalars: Float[Tensor, "frame token channel"],
        vectors: Float[Tensor, "frame token 3 vector_channel"],
        positions_nm: Float[Tensor, "frame token 3"],
    ) -> Float[Tensor, "frame head place place2"]:
        """The mean of `layer_attention` over the layers."""
        return self.layer_attention(scalars, vectors, positions_nm).mean(dim=0)

    def standardize(self, blocks: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fix mean and scale of the channels from blocks of training frames, (scalars, vectors) each."""
        self.standardization.fit(blocks)
