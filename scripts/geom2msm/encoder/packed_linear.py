"""SiLU(x Wᵀ + b) in one call of oneDNN, as an operator that `torch.compile` leaves in place.

On processors of AMD, PyTorch hands a float32 linear layer to MKL, which is slower there; oneDNN with a weight that was
rearranged once also applies the SiLU while the result is in the cache. The operators of PyTorch behind it are
private: they are tried when this module is imported, and plain PyTorch computes the same where they fail.
"""

from typing import no_type_check

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

# Rearranged weights by the address of the original, which is kept so that no other tensor gets its address.
_packed: dict[int, tuple[Tensor, Tensor]] = {}

_library = torch.library.Library("geom2msm", "DEF")
_library.define("linear_silu(Tensor rows, Tensor weight, Tensor? bias) -> Tensor")


def _linear_silu(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    known = _packed.get(weight.data_ptr())
    if known is None:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, len(rows))
        known = _packed[weight.data_ptr()] = (packed, weight)
    return torch.ops.mkldnn._linear_pointwise(rows, known[0], bias, "swish", [], "")


def _shape(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return rows.new_empty(len(rows), len(weight))


_library.impl("linear_silu", _linear_silu, "CPU")
_library.impl("linear_silu", _shape, "Meta")


def _works() -> bool:
    """Whether this PyTorch has the private operators and they compute what they should."""
    rows, weight, bias = torch.linspace(-2, 2, 24).reshape(4, 6), torch.linspace(-1, 1, 18).reshape(3, 6), torch.ones(3)
    try:
        with torch.inference_mode():
            packed = torch.ops.mkldnn._reorder_linear_weight(weight, len(rows))
            computed = torch.ops.mkldnn._linear_pointwise(rows, packed, bias, "swish", [], "")
    except (AttributeError, RuntimeError):
        return False
    return torch.allclose(computed, functional.silu(functional.linear(rows, weight, bias)), atol=1e-5)


PACKED = _works()


@no_type_check
def linear_silu(
    rows: Float[Tensor, "row in"], weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"] | None
) -> Float[Tensor, "row out"]:
    """SiLU(rows weightᵀ + bias); on the processor the weight must never change afterwards."""
    if PACKED and rows.device.type == "cpu":
        return torch.ops.geom2msm.linear_silu(rows, weight, bias)
    return functional.silu(functional.linear(rows, weight, bias))
