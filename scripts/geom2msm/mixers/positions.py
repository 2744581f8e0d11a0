"""Places of the tokens along their chains, as numbers and as sinusoids."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor

CHAIN_GAP = 100
LONGEST_PERIOD = 10_000.0


def sequence_places(chain: Sequence[int]) -> Int64[Tensor, " token"]:
    """Place of each token in the sequence; between chains there is a gap, so that no chain seems to go on."""
    ends = torch.tensor([0, *(before != after for before, after in pairwise(chain))])
    return torch.arange(len(chain)) + CHAIN_GAP * ends.cumsum(dim=0)


def sinusoids(places: Int64[Tensor, " token"], width: int) -> Float[Tensor, "token hidden"]:
    """sin and cos of p / 10000^(2 i / width) (Vaswani et al. 2017), one half of the channels each; for any place."""
    half = (width + 1) // 2
    rates = LONGEST_PERIOD ** (-torch.arange(half) / half)
    angles = places[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :width]
