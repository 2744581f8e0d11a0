"""Compare our ViSNet forward pass with PyG's own: same weights, same edges, one thread, in turn.

    OMP_NUM_THREADS=1 python benchmarks/encoder_speed.py results/encoders/visnet_l6_h64.safetensors

Prints milliseconds per frame of both as median (smallest to largest), the ratio of the medians and the
largest difference of any output. The neighbor search is counted for neither.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from geom2msm.encoder.neighbors import neighbor_table
from geom2msm.encoder.visnet import ANGSTROM_PER_NM, ViSNet
from geom2msm.encoder.weights import load_encoder
from pyg_edges import FixedEdges

# Frames per call and atoms: alanine dipeptide, chignolin, Trp-cage and a domain, heavy atoms.
CASES = ((80, 10), (4, 93), (2, 154), (1, 640))
ATOMS_PER_NM3 = 90
REPETITIONS = 9


def compare(encoder: ViSNet, n_frames: int, n_atoms: int) -> str:
    """One line of the table."""
    generator = torch.Generator().manual_seed(0)
    box = (n_atoms / ATOMS_PER_NM3) ** (1 / 3)
    positions = box * torch.rand(n_frames, n_atoms, 3, generator=generator)
    numbers = torch.tensor([6, 7, 8])[torch.randint(3, (n_frames * n_atoms,), generator=generator)]
    table = neighbor_table(positions, cutoff=encoder.config.cutoff_nm, rule="nearest32")
    encoder.block.distance = FixedEdges(table)
    batch = torch.arange(n_frames).repeat_interleave(n_atoms)
    flat = positions.flatten(0, 1)
    calls = {
        "ours": lambda: encoder(numbers, flat, table),
        "PyG": lambda: encoder.block(numbers, flat * ANGSTROM_PER_NM, batch),
    }
    outputs = {name: call() for name, call in calls.items()}
    difference = max(float((a - b).abs().max()) for a, b in zip(*outputs.values(), strict=True))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repetition in range(REPETITIONS):
        for name in sorted(calls, reverse=bool(repetition % 2)):
            start = time.perf_counter()
            calls[name]()
            times[name].append(1e3 * (time.perf_counter() - start) / n_frames)
    columns = [f"{statistics.median(t):8.2f} ({min(t):.2f} to {max(t):.2f})" for t in times.values()]
    ratio = statistics.median(times["PyG"]) / statistics.median(times["ours"])
    size = f"{n_atoms:5d}  {int(table.mask.sum()) // n_frames:6d}"
    return f"{size}  {columns[0]:28s} {columns[1]:28s} {ratio:5.2f}  {difference:.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="weights as prepare_encoder writes them")
    encoder, card = load_encoder(parser.parse_args().weights)
    torch.set_num_threads(1)
    print(f"{card.name}, milliseconds per frame")
    print("atoms   edges  ours                         PyG                          ratio  difference")
    with torch.inference_mode():
        for n_frames, n_atoms in CASES:
            print(compare(encoder, n_frames, n_atoms), flush=True)


if __name__ == "__main__":
    main()
