"""Print how much tokens change when the atoms of a real structure hardly move, under each neighbor rule.

    python benchmarks/continuity.py data/trpcage_native/trp_cage.pdb results/encoders/*.safetensors

Every coordinate of every heavy atom gets Gaussian noise of 0.0005 nm; tokens are sums over residues. The change is
‖T(x + δ) - T(x)‖ / ‖T(x)‖ over all tokens and draws, for scalars and for vectors. The ratio
‖T(x + δ/2) - T(x)‖ / ‖T(x + δ) - T(x)‖ is 0.5 for a smooth function and 0.7 for one that mostly jumps
while atoms enter or leave neighbor lists.
"""

import argparse
import sys
from pathlib import Path

import mdtraj
import numpy as np
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from geom2msm.encoder.neighbors import RULES, neighbor_table
from geom2msm.encoder.weights import load_encoder

JITTER_NM = 0.0005
N_DRAWS = 20


@torch.inference_mode()
def tokens(encoder, numbers: Tensor, positions_nm: Tensor, residue: Tensor, *, rule: str) -> tuple[Tensor, Tensor]:
    """Sums of scalars and of vectors over each residue, in double precision."""
    table = neighbor_table(positions_nm[None], cutoff=encoder.config.cutoff_nm, rule=rule)
    summed = []
    for atoms in encoder(numbers, positions_nm, table):
        summed.append(atoms.new_zeros(int(residue.max()) + 1, *atoms.shape[1:]).index_add_(0, residue, atoms))
    return summed[0], summed[1]


def continuity(encoder, numbers: Tensor, positions_nm: Tensor, residue: Tensor, *, rule: str) -> list[float]:
    """Relative change of scalars and of vectors, then the ratios at half the amplitude."""
    generator = torch.Generator().manual_seed(0)
    still = tokens(encoder, numbers, positions_nm, residue, rule=rule)
    squares = torch.zeros(2, 2, dtype=torch.float64)
    for _ in range(N_DRAWS):
        jitter = JITTER_NM * torch.randn(positions_nm.shape, generator=generator, dtype=positions_nm.dtype)
        for row, amplitude in enumerate((0.5, 1.0)):
            moved = tokens(encoder, numbers, positions_nm + amplitude * jitter, residue, rule=rule)
            squares[row] += torch.stack([(new - old).square().sum() for new, old in zip(moved, still, strict=True)])
    half, full = (squares / N_DRAWS).sqrt()
    size = torch.stack([part.square().sum().sqrt() for part in still])
    return [*(full / size).tolist(), *(half / full).tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("structure", help="any file with coordinates and elements that MDTraj reads")
    parser.add_argument("encoders", nargs="+", help="weights as prepare_encoder writes them")
    arguments = parser.parse_args()
    structure = mdtraj.load(arguments.structure)[0]
    heavy = [atom for atom in structure.topology.atoms if atom.element.atomic_number > 1]
    numbers = torch.tensor([atom.element.atomic_number for atom in heavy])
    positions_nm = torch.from_numpy(structure.xyz[0, [atom.index for atom in heavy]]).double()
    residue = torch.from_numpy(np.unique([atom.residue.index for atom in heavy], return_inverse=True)[1])
    print("                                           relative change       at half the amplitude")
    print("encoder                        rule        scalars   vectors     scalars   vectors")
    for path in arguments.encoders:
        encoder, card = load_encoder(path)
        for rule in RULES:
            change = continuity(encoder.double(), numbers, positions_nm, residue, rule=rule)
            columns = f"{change[0]:8.3%}  {change[1]:8.3%}    {change[2]:8.2f}  {change[3]:8.2f}"
            print(f"{card.name:30s} {rule:10s} {columns}", flush=True)


if __name__ == "__main__":
    main()
