"""Compare our two TorchMD-ETs with torchmd-net's: same weights, same edges, one thread, in turn.

    MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 OMP_NUM_THREADS=1 \\
    PYTHONPATH=.driver-test/torchmd_net-f2245d8f python benchmarks/torchmd_et_speed.py \\
        results/encoders/geom2vec_torchmd_et_l6_h64.safetensors data/structures/5awl.pdb data/structures/1ake_A.pdb

The folder on PYTHONPATH is filled by tests/reference/test_torchmd_et.py. Prints milliseconds of processor time per
frame as median (smallest to largest), the ratios of the medians to torchmd-net's and the largest difference of any
output, relative to the largest value. The neighbor search is counted for none; the first call, which compiles, apart.
"""

import argparse
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import mdtraj
import torch

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
sys.path.append(str(Path(__file__).parents[1] / "tests"))
sys.path.append(str(Path(__file__).parents[1] / "tests/reference"))

import torchmd_net_outputs

from geom2msm.encoder.neighbors import RULES, neighbor_table
from geom2msm.encoder.torchmd_et_tabulated import TabulatedTorchMDET
from geom2msm.encoder.weights import load_encoder
from torchmd_net import job

REPETITIONS = 15


def heavy_atoms_of_protein(path: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Atomic numbers and positions in nm of the first frame."""
    structure = mdtraj.load(path)[0]
    atoms = [a for a in structure.topology.atoms if a.residue.is_protein and 1 < a.element.atomic_number < 90]
    numbers = torch.tensor([atom.element.atomic_number for atom in atoms])
    return numbers, torch.from_numpy(structure.xyz[0, [atom.index for atom in atoms]])


def compare(calls: dict) -> str:
    """One line of the table; torchmd-net's call is the first."""
    outputs = []
    for call in calls.values():
        start = time.perf_counter()
        outputs.append(call())
        first = time.perf_counter() - start
    pairs = [pair for ours in outputs[1:] for pair in zip(ours, outputs[0], strict=True)]
    worst = max(float((ours - theirs).abs().max() / theirs.abs().max()) for ours, theirs in pairs)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repetition in range(REPETITIONS):
        for name in sorted(calls, reverse=bool(repetition % 2)):
            start = time.process_time()
            calls[name]()
            times[name].append(1e3 * (time.process_time() - start))
    columns = [f"{statistics.median(t):7.2f} ({min(t):.2f} to {max(t):.2f})" for t in times.values()]
    medians = [statistics.median(t) for t in times.values()]
    ratios = " ".join(f"{medians[0] / median:5.2f}" for median in medians[1:])
    return "  ".join(f"{column:27s}" for column in columns) + f"  {ratios}  {worst:.1e}  {first:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="TorchMD-ET weights as prepare_encoder writes them")
    parser.add_argument("structures", nargs="+", help="protein structures that MDTraj reads")
    arguments = parser.parse_args()
    encoder, card = load_encoder(arguments.weights)
    torch.set_num_threads(1)
    fast = TabulatedTorchMDET(encoder)
    print(f"{card.name}, milliseconds per frame")
    print(
        "atoms rule       torchmd-net                  readable                     tabulated      ratios, error, first"
    )
    for path in arguments.structures:
        numbers, positions = heavy_atoms_of_protein(path)
        for rule in RULES:
            table = neighbor_table(positions[None], cutoff=encoder.config.cutoff_nm, rule=rule)
            calls = {
                "a torchmd-net": torchmd_net_outputs.torchmd_et(job("torchmd_et", encoder, numbers, positions, table)),
                "b readable": partial(encoder, numbers, positions, table),
                "c tabulated": partial(fast, numbers, positions, table),
            }
            with torch.inference_mode():
                print(f"{len(numbers):5d} {rule:9s}  {compare(calls)}", flush=True)


if __name__ == "__main__":
    main()
