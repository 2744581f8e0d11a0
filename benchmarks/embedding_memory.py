"""Peak memory of inspecting and embedding a trajectory, against its number of frames; one process per step.

    OMP_NUM_THREADS=1 python benchmarks/embedding_memory.py results/encoders/visnet_l6_h64.safetensors

The trajectory is the structure of the default system with noise on its atoms, written piece by piece. `arrays` is the
size of the tokens that are written: what a program that concatenates everything at the end would need at least.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import mdtraj
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "scripts"))
STRUCTURE = ROOT / "resources" / "structures" / "alanine_dipeptide.pdb"
PIECE_FRAMES = 5000
NOISE_NM = 0.005


def write_trajectory(path: Path, n_frames: int) -> None:
    """An XTC file of so many frames."""
    start, rng = mdtraj.load(str(STRUCTURE)).xyz[0], np.random.default_rng(0)
    with mdtraj.formats.XTCTrajectoryFile(str(path), "w") as file:
        for first in range(0, n_frames, PIECE_FRAMES):
            frames = np.arange(first, min(first + PIECE_FRAMES, n_frames))
            noise = NOISE_NM * rng.standard_normal((len(frames), *start.shape))
            file.write((start + noise).astype(np.float32), time=frames.astype(np.float32), step=frames.astype(np.int32))


def run_step(step: str, folder: str, weights: str) -> None:
    """One rule's `main` in this process."""
    trajectory, inventory, table = (str(Path(folder) / name) for name in ("run.xtc", "inventory.json", "tokens.csv"))
    if step == "inspect":
        import inspect_trajectory

        inspect_trajectory.main(
            trajectory, str(STRUCTURE), inventory, system="s", trajectory="run", selection="not element H",
            frame_interval_ps=1.0, stride=1, make_whole=True,
        )  # fmt: skip
        return
    import build_token_table
    import embed_tokens

    build_token_table.main(
        str(STRUCTURE), table, selection="not element H", rules=[{"selection": "all", "per": "residue"}]
    )
    settings = {
        "neighbor_rule": "nearest32", "kernel": "auto", "dtype": "float16", "window_neighbors": None,
        "periodic": False, "unseen_elements": {}, "environment": None,
    }  # fmt: skip
    embed_tokens.main(
        trajectory, str(STRUCTURE), inventory, table, weights, "", str(Path(folder) / "tokens.zarr.zip"),
        settings=settings, source="benchmark",
    )  # fmt: skip


def peak_mb(step: str, folder: Path, weights: str) -> float:
    """Peak resident memory of a step in a process of its own."""
    command = [sys.executable, __file__, weights, "--step", step, "--folder", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(result.stderr)
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    """Print a row per number of frames."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="weights as written by prepare_encoder")
    parser.add_argument("--frames", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        from geom2msm.peak_memory import peak_memory_mib

        run_step(arguments.step, arguments.folder, arguments.weights)
        print(peak_memory_mib() * 1.048576)
        return
    print("  frames   inspect MB   embed MB   arrays MB")
    for n_frames in arguments.frames:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_trajectory(folder / "run.xtc", n_frames)
            inspected, embedded = (peak_mb(step, folder, arguments.weights) for step in ("inspect", "embed"))
            size_mb = (folder / "tokens.zarr.zip").stat().st_size / 1e6
        print(f"{n_frames:8d} {inspected:12.0f} {embedded:10.0f} {size_mb:11.0f}", flush=True)


if __name__ == "__main__":
    main()
