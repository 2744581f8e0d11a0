"""Print how well encoders find displaced atoms in a real structure: the pretraining task as a check.

    python benchmarks/denoising_r2.py data/trpcage_native/trp_cage.pdb results/encoders/*.safetensors

R² = 1 - SSE / SST over all atoms and noise draws, with all atoms and with heavy atoms only, for each
neighbor rule. The noise is 0.02 nm, as in pretraining.
"""

import argparse
import sys
from pathlib import Path

import mdtraj
import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from geom2msm.encoder.neighbors import RULES, neighbor_table
from geom2msm.encoder.weights import load_encoder

NOISE_NM = 0.02
N_DRAWS = 10


@torch.no_grad()
def denoising_r2(encoder, numbers: np.ndarray, positions_nm: np.ndarray, *, rule: str) -> float:
    """Explained fraction of the displacement over several draws of the noise."""
    generator = torch.Generator().manual_seed(0)
    error = total = 0.0
    for _ in range(N_DRAWS):
        noise = torch.randn(positions_nm.shape, generator=generator)
        positions = torch.from_numpy(positions_nm) + NOISE_NM * noise
        table = neighbor_table(positions[None], cutoff=encoder.config.cutoff_nm, rule=rule)
        predicted = encoder.displacement(*encoder(torch.from_numpy(numbers), positions, table))
        error += float((predicted - noise).square().sum())
        total += float(noise.square().sum())
    return 1 - error / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("structure", help="any file with coordinates and elements that MDTraj reads")
    parser.add_argument("encoders", nargs="+", help="weights as prepare_encoder writes them")
    arguments = parser.parse_args()
    structure = mdtraj.load(arguments.structure)[0]
    elements = np.array([atom.element.atomic_number for atom in structure.topology.atoms])
    print("encoder                        atoms   rule        R2")
    for path in arguments.encoders:
        encoder, card = load_encoder(path)
        for name, chosen in (("all", elements > 0), ("heavy", elements > 1)):
            for rule in RULES:
                r2 = denoising_r2(encoder, elements[chosen], structure.xyz[0, chosen], rule=rule)
                print(f"{card.name:30s} {name:7s} {rule:10s} {r2:6.3f}", flush=True)


if __name__ == "__main__":
    main()
