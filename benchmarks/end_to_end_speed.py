"""A trajectory file to tokens on disk: our embedding job against PyG's network driven as geom2vec drives it.

    OMP_NUM_THREADS=1 python benchmarks/end_to_end_speed.py results/encoders/geom2vec_visnet_l6_h64.safetensors

The reference reads the whole trajectory, makes batches of 100 frames with torch-geometric's DataLoader, sums atoms to
residues after PyG's `ViSNetBlock`, concatenates everything and saves one file. It gets our neighbor search, which is
faster than its own. Ours is `main` of scripts/embed_tokens.py, its checksums, its check of the kernel and its store
included. Each run is a process of its own, in turn, in both orders; times begin after the imports. The tokens of both
are compared at the end.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mdtraj
import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "scripts"), str(ROOT / "tests")]

from torch_geometric.data import Data  # noqa: E402
from torch_geometric.loader import DataLoader  # noqa: E402

import embed_tokens  # noqa: E402
from build_token_table import main as build_token_table  # noqa: E402
from geom2msm.encoder.neighbors import neighbor_table  # noqa: E402
from geom2msm.encoder.weights import load_encoder  # noqa: E402
from geom2msm.store import read_array  # noqa: E402
from geom2msm.units import ANGSTROM_PER_NM  # noqa: E402
from inspect_trajectory import main as inspect_trajectory  # noqa: E402
from pyg_edges import FixedEdges  # noqa: E402

TRAJECTORY, TOPOLOGY = ROOT / "data/ala2_implicit/trajectory-0.dcd", ROOT / "data/ala2_implicit/ala2.pdb"
SELECTION = "not element H"
BATCH_FRAMES = 100
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "8589934592", "MALLOC_TRIM_THRESHOLD_": "17179869184"}


@torch.inference_mode()
def reference(weights: str, folder: Path) -> None:
    """Everything in memory, PyG's forward pass, one file at the end."""
    frames = mdtraj.load(TRAJECTORY, top=TOPOLOGY)
    frames = frames.atom_slice(frames.topology.select(SELECTION))
    numbers = torch.tensor([atom.element.atomic_number for atom in frames.topology.atoms])
    residue = torch.tensor([atom.residue.index for atom in frames.topology.atoms])
    encoder, _ = load_encoder(weights)
    data = [Data(z=numbers, pos=torch.from_numpy(xyz * ANGSTROM_PER_NM)) for xyz in frames.xyz]
    found = []
    for batch in DataLoader(data, batch_size=BATCH_FRAMES):
        positions_nm = batch.pos.view(batch.num_graphs, -1, 3) / ANGSTROM_PER_NM
        table = neighbor_table(positions_nm, cutoff=encoder.config.cutoff_nm, rule="nearest32")
        encoder.block.distance = FixedEdges(table)
        scalars, vectors = encoder.block(batch.z, batch.pos, batch.batch)
        both = torch.cat([scalars[:, None], vectors], dim=1).unflatten(0, (batch.num_graphs, -1))
        sums = both.new_zeros(batch.num_graphs, frames.n_residues, *both.shape[2:])
        found.append(sums.index_add_(1, residue, both))
    torch.save(torch.cat(found), folder / "reference.pt")


def ours(weights: str, folder: Path) -> None:
    """The job of the workflow."""
    settings = {
        "neighbor_rule": "nearest32", "kernel": "auto", "dtype": "float16", "window_neighbors": None,
        "periodic": False, "unseen_elements": {}, "environment": None,
    }  # fmt: skip
    embed_tokens.main(
        str(TRAJECTORY), str(TOPOLOGY), str(folder / "inventory.json"), str(folder / "tokens.csv"), weights, "",
        str(folder / "tokens.zarr.zip"), settings=settings, source="benchmark",
    )  # fmt: skip


RUNS = {"reference": reference, "ours": ours}


def child(weights: str, folder: Path, name: str) -> tuple[float, float]:
    """Wall and processor time of one run in a process of its own."""
    if name == "ours":
        (folder / "tokens.zarr.zip").unlink(missing_ok=True)
    command = [sys.executable, "-W", "ignore", __file__, weights, "--run", name, "--folder", str(folder)]
    finished = subprocess.run(command, env=os.environ | MALLOC, stdout=subprocess.PIPE, check=True, text=True)
    return tuple(json.loads(finished.stdout.splitlines()[-1]))


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="ViSNet weights as prepare_encoder writes them")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--run", choices=list(RUNS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        wall, processor = time.perf_counter(), time.process_time()
        RUNS[arguments.run](arguments.weights, arguments.folder)
        print(json.dumps([time.perf_counter() - wall, time.process_time() - processor]))
        return
    with tempfile.TemporaryDirectory() as name:
        compare(arguments, Path(name))


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """All runs in turn."""
    inspect_trajectory(
        str(TRAJECTORY), str(TOPOLOGY), str(folder / "inventory.json"), system="ala2_implicit",
        trajectory="trajectory-0", selection=SELECTION, frame_interval_ps=1.0, stride=1, make_whole=True,
    )  # fmt: skip
    rules = [{"selection": "all", "per": "residue"}]
    build_token_table(str(TOPOLOGY), str(folder / "tokens.csv"), selection=SELECTION, rules=rules)
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in RUNS}
    for repetition in range(arguments.repetitions):
        for name in list(RUNS)[:: -1 if repetition % 2 else 1]:
            spent[name].append(child(arguments.weights, folder, name))
    for number, kind in enumerate(("wall", "processor")):
        medians = {name: statistics.median(times[number] for times in runs) for name, runs in spent.items()}
        ratios = sorted(a[number] / b[number] for a, b in zip(*spent.values(), strict=True))
        print(
            f"{kind} time: reference {medians['reference']:.1f} s, ours {medians['ours']:.1f} s, "
            f"ratio {medians['reference'] / medians['ours']:.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        )
    expected = torch.load(folder / "reference.pt", weights_only=True).numpy()
    store = str(folder / "tokens.zarr.zip")
    found = np.concatenate([read_array(store, "scalars")[:, :, None], read_array(store, "vectors")], axis=2)
    print(
        f"largest difference / largest value: {np.abs(found - expected).max() / np.abs(expected).max():.1e} (float16)"
    )


if __name__ == "__main__":
    main()
