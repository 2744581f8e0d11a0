"""Compare the paths of our ViSNet with PyG's own forward pass: same weights, same edges, one thread, in turn.

    python benchmarks/encoder_speed.py results/encoders/geom2vec_visnet_l6_h64.safetensors

PyG's block is driven as geom2vec drives it: whole batches and the cap of 32 neighbors of its default, here the
nearest. Every case runs in child processes of two kinds: `as shipped`, and with glibc's malloc told by environment
variables to keep memory, which spares PyG its page faults. Columns per path: milliseconds per frame of wall and of
processor time as median (smallest to largest), the ratio of PyG's median processor time to it, the largest difference
of any output relative to the largest value, and seconds of the first call. The neighbor search is counted for none.
With --memory, each path is run once in a process of its own, and its peak memory less that before the call is printed.
Cases whose trajectory is not in data/ are left out.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mdtraj
import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from geom2msm.encoder.neighbors import NeighborTable, neighbor_table
from geom2msm.encoder.visnet import ViSNet
from geom2msm.encoder.weights import load_encoder
from geom2msm.peak_memory import peak_memory_mib
from geom2msm.units import ANGSTROM_PER_NM
from pyg_edges import FixedEdges

ROOT = Path(__file__).parents[1]
# Trajectory and topology in data/, frames per call, atoms taken of each, copies beside each other.
CASES = {
    "ala2": ("ala2_implicit/trajectory-0.dcd", "ala2_implicit/ala2.pdb", 400, None, 1),
    "93 atoms": ("trpcage_native/trp_cage.pdb", "trpcage_native/trp_cage.pdb", 8, 93, 1),
    "1,656 atoms": ("adk_dims/adk_dims.dcd", "adk_dims/adk.psf", 1, None, 1),
    "6,624 atoms": ("adk_dims/adk_dims.dcd", "adk_dims/adk.psf", 1, None, 4),
    "19,872 atoms": ("adk_dims/adk_dims.dcd", "adk_dims/adk.psf", 1, None, 12),
}
# Path by name: module and class. `reference` is our readable network itself.
PATHS = {
    "reference": None,
    "compiled": ("geom2msm.encoder.visnet_compiled", "CompiledViSNet"),
    "fused": ("geom2msm.encoder.visnet_fused", "FusedViSNet"),
}
MALLOC = {
    "as shipped": {},
    "malloc-tuned": {"MALLOC_MMAP_THRESHOLD_": "8589934592", "MALLOC_TRIM_THRESHOLD_": "17179869184"},
}
GAP_NM = 0.3


def heavy_atoms(case: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Atomic numbers [atom] and positions [frame atom 3] in nm of one case."""
    trajectory, topology, n_frames, n_atoms, copies = CASES[case]
    data = ROOT / "data"
    frames = mdtraj.load(data / trajectory, top=data / topology)
    atoms = [atom for atom in frames.topology.atoms if atom.element.atomic_number > 1][:n_atoms]
    numbers = torch.tensor([atom.element.atomic_number for atom in atoms])
    chosen = np.linspace(0, frames.n_frames - 1, n_frames).astype(int)
    positions = torch.from_numpy(frames.xyz[chosen][:, [atom.index for atom in atoms]])
    step = positions[..., 0].max() - positions[..., 0].min() + GAP_NM
    shifted = [positions + torch.tensor([copy * float(step), 0.0, 0.0]) for copy in range(copies)]
    return numbers.repeat(copies), torch.cat(shifted, dim=1)


def forward(
    path: str, encoder: ViSNet, numbers: torch.Tensor, positions: torch.Tensor, table: NeighborTable
) -> Callable:
    """The call to be measured."""
    n_frames = len(positions)
    flat, repeated = positions.flatten(0, 1), numbers.repeat(n_frames)
    if path == "PyG":
        encoder.block.distance = FixedEdges(table)
        batch = torch.arange(n_frames).repeat_interleave(len(numbers))
        return lambda: encoder.block(repeated, flat * ANGSTROM_PER_NM, batch)
    network = encoder
    if PATHS[path] is not None:
        module, name = PATHS[path]
        network = getattr(importlib.import_module(module), name)(encoder)
    return lambda: network(repeated, flat, table)


def calls_of(arguments: argparse.Namespace, paths: list[str]) -> tuple[dict[str, Callable], int]:
    """One call per path for a case, and the number of frames."""
    encoder, _ = load_encoder(arguments.weights)
    numbers, positions = heavy_atoms(arguments.case)
    table = neighbor_table(positions, cutoff=encoder.config.cutoff_nm, rule=arguments.rule)
    return {path: forward(path, encoder, numbers, positions, table) for path in paths}, len(positions)


def times(arguments: argparse.Namespace) -> None:
    """Child process: time all paths of a case in turn and print the numbers as JSON."""
    calls, n_frames = calls_of(arguments, ["PyG", *arguments.paths])
    outputs, first = {}, {}
    for name, call in calls.items():
        start = time.perf_counter()
        outputs[name] = call()
        first[name] = time.perf_counter() - start
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for repetition in range(arguments.repetitions):
        for name in list(calls)[:: -1 if repetition % 2 else 1]:
            wall, processor = time.perf_counter(), time.process_time()
            calls[name]()
            spent = time.perf_counter() - wall, time.process_time() - processor
            measured[name].append(tuple(1e3 * seconds / n_frames for seconds in spent))
    worst = {
        name: max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(output, outputs["PyG"], strict=True))
        for name, output in outputs.items()
    }
    print(json.dumps({"measured": measured, "first": first, "worst": worst}))


def peak(arguments: argparse.Namespace) -> None:
    """Child process: MiB that one path needs at most beyond what was in use before."""
    (path,) = arguments.paths
    calls, _ = calls_of(arguments, [path])
    before = peak_memory_mib()
    calls[path]()
    after = peak_memory_mib()
    print(json.dumps({"before": before, "added": after - before}))


def child(arguments: argparse.Namespace, case: str, malloc: str, job: str, paths: list[str]) -> dict:
    """What a child process of one kind prints."""
    options = ["--job", job, "--case", case, "--rule", arguments.rule, "--repetitions", str(arguments.repetitions)]
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, arguments.weights, *options, "--paths", *paths],
        env=os.environ | MALLOC[malloc] | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True, text=True,
    )  # fmt: skip
    return json.loads(finished.stdout.splitlines()[-1])


def print_times(case: str, malloc: str, result: dict) -> None:
    """Lines of the table, one per path."""
    base = statistics.median(cpu for _, cpu in result["measured"]["PyG"])
    for name, pairs in result["measured"].items():
        columns = [
            f"{statistics.median(series):9.2f} ({min(series):.2f} to {max(series):.2f})"
            for series in zip(*pairs, strict=True)
        ]
        ratio = base / statistics.median(cpu for _, cpu in pairs)
        numbers = f"{ratio:6.2f}  {result['worst'][name]:.1e}  {result['first'][name]:6.1f}"
        print(f"{case:13s} {malloc:13s} {name:10s} {columns[0]:34s} {columns[1]:34s} {numbers}", flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="ViSNet weights as prepare_encoder writes them")
    parser.add_argument("--paths", nargs="+", choices=["PyG", *PATHS], default=["reference", "compiled"])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rule", default="nearest32", help="neighbor rule (default: nearest32)")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument("--job", choices=["times", "peak"], help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    if arguments.job:
        torch.set_num_threads(1)
        with torch.inference_mode():
            (times if arguments.job == "times" else peak)(arguments)
        return
    cases = [case for case in arguments.cases if (ROOT / "data" / CASES[case][0]).exists()]
    if arguments.memory:
        print("case          path       MiB before  MiB added by one call (malloc-tuned)")
        for case in cases:
            for path in ("PyG", *arguments.paths):
                result = child(arguments, case, "malloc-tuned", "peak", [path])
                print(f"{case:13s} {path:10s} {result['before']:10.0f}  {result['added']:10.0f}", flush=True)
        return
    print(f"{'case':13s} {'malloc':13s} {'path':10s} {'wall ms/frame':34s} {'cpu ms/frame':34s}  ratio  error    first")
    for case in cases:
        for malloc in MALLOC:
            print_times(case, malloc, child(arguments, case, malloc, "times", arguments.paths))


if __name__ == "__main__":
    main()
