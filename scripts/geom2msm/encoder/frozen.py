"""The fast ways through a frozen network, and the check that they agree with the readable one."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from geom2msm.encoder.architectures import Encoder, EncoderConfig, kind_of
from geom2msm.encoder.neighbors import NeighborTable
from geom2msm.encoder.torchmd_et_tabulated import TabulatedTorchMDET
from geom2msm.encoder.visnet_compiled import CompiledViSNet
from geom2msm.encoder.visnet_fused import FusedViSNet

# The fastest first. `plain`, the readable forward pass, is there for every kind.
KERNELS: dict[str, dict[str, Callable]] = {
    "visnet": {"fused": FusedViSNet, "compiled": CompiledViSNet},
    "torchmd_et": {"compiled": TabulatedTorchMDET},
    "tensornet": {},
}
PLAIN = "plain"
LARGEST_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class FrozenEncoder:
    """An encoder that is only evaluated: its settings, the way that its forward pass takes, and where."""

    config: EncoderConfig
    forward: Callable
    path: str
    device: torch.device

    def __call__(
        self, atomic_numbers: Int[Tensor, " atom"], positions_nm: Float[Tensor, "atom 3"], neighbors: NeighborTable
    ) -> tuple[Float[Tensor, "atom channel"], Float[Tensor, "atom 3 channel"]]:
        """Scalars and vectors of every atom."""
        return self.forward(atomic_numbers, positions_nm, neighbors)


def freeze(encoder: Encoder, *, kernel: str, device: torch.device) -> FrozenEncoder:
    """The encoder behind the kernel that is asked for; `auto` takes the fastest that works here and says which.

    A kernel that is named but cannot work on this machine is an error, never replaced by another.
    """
    encoder = encoder.to(device)
    kind = kind_of(encoder.config)
    plain = FrozenEncoder(encoder.config, encoder, f"{PLAIN} PyTorch", device)
    if kernel == PLAIN:
        return plain
    if kernel != "auto" and kernel not in KERNELS[kind]:
        known = ", ".join(["auto", *KERNELS[kind], PLAIN])
        raise ValueError(f"tokens.kernel = {kernel!r}, but an encoder of kind {kind} has {known}")
    for name, build in KERNELS[kind].items():
        if kernel not in ("auto", name):
            continue
        try:
            forward = build(encoder)
        except ValueError as error:
            if kernel != "auto":
                raise ValueError(f"tokens.kernel = {kernel!r} cannot be used here: {error}") from error
            logging.warning("the %s kernel cannot be used here: %s", name, error)
        else:
            return FrozenEncoder(encoder.config, forward, forward.path, device)
    return plain


@torch.inference_mode()
def check_kernel(
    frozen: FrozenEncoder,
    encoder: Encoder,
    atomic_numbers: Int[Tensor, " atom"],
    positions_nm: Float[Tensor, "atom 3"],
    neighbors: NeighborTable,
) -> float:
    """Largest difference between both ways, relative to the largest value; more than 1e-4 is an error."""
    if frozen.forward is encoder:
        return 0.0
    fast, plain = (way(atomic_numbers, positions_nm, neighbors) for way in (frozen, encoder))
    differences = [float((a - b).abs().max() / b.abs().max()) for a, b in zip(fast, plain, strict=True)]
    if not max(differences) <= LARGEST_DIFFERENCE:
        raise ValueError(
            f"the {frozen.path} kernel differs from the plain forward pass by {max(differences):.1e} of the largest "
            "value; set tokens.kernel to plain and report this with the kind of processor"
        )
    return max(differences)
