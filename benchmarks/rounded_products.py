"""How far tokens change if the factors of all matrix products are rounded, as a GPU does in TF32 and bfloat16.

    PYTHONPATH=scripts python3 benchmarks/rounded_products.py WEIGHTS [WEIGHTS ...] --structures FILE [FILE ...]

Factors are rounded on the processor to 10 bits (TF32) and 7 (bfloat16), sums are in float32. Printed per encoder and
structure (heavy atoms, nearest32): the largest difference of scalars and of vectors, relative to the largest value.
"""

import argparse
import warnings

import mdtraj
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from geom2msm.encoder.neighbors import neighbor_table
from geom2msm.encoder.weights import load_encoder

MANTISSA_BITS = 23
BITS = {"TF32": 10, "bfloat16": 7}
# Products and, in the second list, those that are added to their first argument.
PRODUCTS, SUMS = ("mm", "bmm"), ("addmm", "baddbmm")


class RoundedProducts(TorchDispatchMode):
    """While it is active, factors of matrix products keep only so many bits of their mantissas."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.dropped = MANTISSA_BITS - bits

    def rounded(self, values: Tensor) -> Tensor:
        """The nearest values with fewer bits."""
        integers = values.contiguous().view(torch.int32) + (1 << (self.dropped - 1))
        return (integers & ~((1 << self.dropped) - 1)).view(torch.float32)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in PRODUCTS:
            args = [self.rounded(each) for each in args]
        elif name in SUMS:
            args = [args[0], *(self.rounded(each) for each in args[1:])]
        return function(*args, **(kwargs or {}))


@torch.no_grad()
def differences(weights: str, structure: str, *, bits: int) -> list[float]:
    """Of scalars and vectors."""
    encoder, _ = load_encoder(weights)
    frame = mdtraj.load(structure)[0]
    atoms = frame.topology.select("not water and not element H")
    positions = torch.from_numpy(frame.xyz[0][atoms])
    numbers = torch.tensor([atom.element.number for atom in frame.topology.atoms])[atoms]
    table = neighbor_table(positions[None], cutoff=encoder.config.cutoff_nm, rule="nearest32")
    plain = encoder(numbers, positions, table)
    with RoundedProducts(bits):
        rounded = encoder(numbers, positions, table)
    return [float((a - b).abs().max() / b.abs().max()) for a, b in zip(rounded, plain, strict=True)]


def main() -> None:
    """Print a line per encoder, structure and precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--structures", nargs="+", required=True)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="mdtraj")
    for weights in arguments.weights:
        for structure in arguments.structures:
            for name, bits in BITS.items():
                scalars, vectors = differences(weights, structure, bits=bits)
                print(f"{weights} {structure} {name}: scalars {scalars:.1e}, vectors {vectors:.1e}")


if __name__ == "__main__":
    main()
