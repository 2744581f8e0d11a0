"""Gradients of large batches in bounded memory: what they need is computed again, a part of the frames at a time.

The score of a batch needs the outputs of all of its frames, but not all that a network keeps of them for the gradient,
which grows with tokens, channels and layers (Chen, Xu, Zhang & Guestrin 2016, arXiv 1604.06174).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from geom2msm.token_pairs import MEGABYTE

TRIED_FRAMES = 8


def kept_bytes(network: nn.Module, arrays: Sequence[Float[Tensor, "frame ..."]]) -> int:
    """Memory that the network keeps of these frames for their gradient, its own weights left out."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    # Dropout draws numbers, of which the training must not notice anything.
    with torch.random.fork_rng(), saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network(*arrays)
    kept = {place: size for place, size in kept.items() if place not in own}
    del outputs
    return sum(kept.values())


class GradientParts:
    """Applies networks of one size to frames, in parts if whole batches would keep more than `memory_mb`.

    Outputs and gradients are the same up to rounding; a part is computed twice, once more in the backward pass.
    """

    def __init__(self, memory_mb: int | float) -> None:
        self._memory_mb = memory_mb
        self._frames_per_part: int | None = None

    def __call__(
        self, network: nn.Module, arrays: Sequence[Float[Tensor, "frame ..."]]
    ) -> Float[Tensor, "frame output"]:
        """Outputs of all frames."""
        if not torch.is_grad_enabled():
            return network(*arrays)
        if self._frames_per_part is None:
            tried = [array[:TRIED_FRAMES] for array in arrays]
            room = self._memory_mb * MEGABYTE * len(tried[0])
            self._frames_per_part = max(1, int(room / max(1, kept_bytes(network, tried))))
        if len(arrays[0]) <= self._frames_per_part:
            return network(*arrays)
        parts = zip(*(array.split(self._frames_per_part) for array in arrays), strict=True)
        return torch.cat([checkpoint(network, *part, use_reentrant=False) for part in parts])
