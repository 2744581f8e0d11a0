"""What every network on scalars and vectors shares: lengths, dropout and projection.

Vectors are [frame token 3 channel]. A layer is equivariant under rotations because it treats x, y and z alike: linear
maps act on channels, and factors are invariant numbers, one for each vector.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

SMALLEST_SQUARE = 1e-6


def lengths(vectors: Float[Tensor, "*batch 3 channel"]) -> Float[Tensor, "*batch channel"]:
    """√(‖v‖² + 10⁻⁶): the small constant keeps the gradient finite where a vector is exactly zero."""
    # Autocast hands over half precision, in which squares of small numbers vanish.
    wide = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    return (wide.square().sum(dim=-2) + SMALLEST_SQUARE).sqrt()


def units(vectors: Float[Tensor, "*batch 3 channel"]) -> Float[Tensor, "*batch 3 channel"]:
    """v / √(‖v‖² + 10⁻⁶): unit vectors, but zero where v is zero."""
    return vectors / lengths(vectors).unsqueeze(-2)


class VectorDropout(nn.Module):
    """Dropout of numbers for scalars and of whole vectors, with their x, y and z, for vectors."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(
        self, scalars: Float[Tensor, "*batch scalar_channel"], vectors: Float[Tensor, "*batch 3 vector_channel"]
    ) -> tuple[Float[Tensor, "*batch scalar_channel"], Float[Tensor, "*batch 3 vector_channel"]]:
        """Both, thinned out while training and unchanged otherwise."""
        if not self.training or self.probability == 0:
            return scalars, vectors
        kept = functional.dropout(torch.ones_like(vectors[..., :1, :]), self.probability)
        return functional.dropout(scalars, self.probability), vectors * kept
