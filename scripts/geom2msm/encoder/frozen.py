"""The fast ways through a frozen network, and the check that they agree with the readable one."""

import contextlib
import logging
from collections.abc import Callable, Iterator
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
# Largest difference from the plain forward pass in float32, by the precision of the fast one. With factors rounded to
# TF32's 10 bits it is 0.0003 to 0.003, by rounding them on a processor (benchmarks/rounded_products.py).
LARGEST_DIFFERENCE = {"float32": 1e-4, "tf32": 1e-2}
MATRIX_PRODUCTS = {"float32": "highest", "tf32": "high"}


@dataclass(frozen=True)
class FrozenEncoder:
    """An encoder that is only evaluated: its settings, the way that its forward pass takes, and where.

    With `precision` "tf32" a GPU rounds the factors of matrix products to 10 bits; sums are in float32.
    """

    config: EncoderConfig
    forward: Callable
    path: str
    device: torch.device
    precision: str = "float32"

    def __call__(
        self, atomic_numbers: Int[Tensor, " atom"], positions_nm: Float[Tensor, "atom 3"], neighbors: NeighborTable
    ) -> tuple[Float[Tensor, "atom channel"], Float[Tensor, "atom 3 channel"]]:
        """Scalars and vectors of every atom."""
        with matrix_products(self.precision):
            return self.forward(atomic_numbers, positions_nm, neighbors)


@contextlib.contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """PyTorch's matrix products in this precision, and as before afterwards."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(MATRIX_PRODUCTS[precision])
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def freeze(encoder: Encoder, *, kernel: str, device: torch.device, precision: str = "float32") -> FrozenEncoder:
    """The encoder behind the kernel that is asked for; `auto` takes the fastest that works here and says which.

    A kernel or a precision that is named but cannot work on this machine is an error, never replaced by another.
    """
    if precision != "float32" and device.type != "cuda":
        raise ValueError(f"tokens.precision = {precision!r} needs a GPU, and there is none here; set it to 'float32'")
    encoder = encoder.to(device)
    kind = kind_of(encoder.config)
    plain = FrozenEncoder(encoder.config, encoder, f"{PLAIN} PyTorch", device, precision)
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
            return FrozenEncoder(encoder.config, forward, forward.path, device, precision)
    return plain


@torch.inference_mode()
def check_kernel(
    frozen: FrozenEncoder,
    encoder: Encoder,
    atomic_numbers: Int[Tensor, " atom"],
    positions_nm: Float[Tensor, "atom 3"],
    neighbors: NeighborTable,
) -> float:
    """Largest difference from the plain way in float32, relative to the largest value; too large a one is an error."""
    if frozen.forward is encoder and frozen.precision == "float32":
        return 0.0
    with matrix_products("float32"):
        plain = encoder(atomic_numbers, positions_nm, neighbors)
    fast = frozen(atomic_numbers, positions_nm, neighbors)
    differences = [float((a - b).abs().max() / b.abs().max()) for a, b in zip(fast, plain, strict=True)]
    if not max(differences) <= LARGEST_DIFFERENCE[frozen.precision]:
        raise ValueError(
            f"the {frozen.path} kernel in {frozen.precision} differs from the plain forward pass by "
            f"{max(differences):.1e} of the largest value; set tokens.kernel to plain and tokens.precision to float32, "
            "and report this with the kind of processor"
        )
    return max(differences)
