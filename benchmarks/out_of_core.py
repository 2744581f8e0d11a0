"""Training from the store against training from memory, and memory against the number of frames.

    PYTHONPATH=scripts python3 benchmarks/out_of_core.py --frames 20000 --tokens 10 --memory-mb 64

Stores of random tokens are written to a temporary folder. Every case runs in a process of its own: training from
memory, from the store through a buffer, and from a store of ten times as many frames through the same buffer. Printed
are the median time of an epoch, also relative to memory at as many frames, and the peak memory of the process.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from geom2msm.pairs import frame_set
from geom2msm.peak_memory import peak_memory_mib
from geom2msm.runs import Piece
from geom2msm.store import ArrayLayout, PartialStore
from geom2msm.token_pairs import TokenPairs
from geom2msm.training import train_epoch
from geom2msm.training_state import TrainingState
from geom2msm.vampnet import VampnetConfig, new_lobes

CHANNELS, LAG_FRAMES, CHUNK_FRAMES = 64, 10, 256
AMPLE_MB = 1 << 20


def write(path: str, *, n_frames: int, n_tokens: int) -> None:
    """A store of random tokens, written chunk by chunk."""
    layout = {
        "scalars": ArrayLayout(("frame", "token", "channel"), (n_tokens, CHANNELS), "float16"),
        "vectors": ArrayLayout(("frame", "token", "3", "channel"), (n_tokens, 3, CHANNELS), "float16"),
        "positions_nm": ArrayLayout(("frame", "token", "3"), (n_tokens, 3), "float32"),
        "time_ps": ArrayLayout(("frame",), (), "float64"),
    }
    attributes = {"trajectory": "run-0", "frame_interval_ps": 1.0, "tokens": {"stretch": [0] * n_tokens}}
    store = PartialStore(path, n_frames=n_frames, chunk_frames=CHUNK_FRAMES, layout=layout, attributes=attributes)
    rng = np.random.default_rng(0)
    while store.frames_done < n_frames:
        size = min(CHUNK_FRAMES, n_frames - store.frames_done)
        arrays = {name: rng.standard_normal((size, *array.frame_shape), np.float32) for name, array in layout.items()}
        store.append(arrays)
    store.finish()


def settings(mixer: str) -> dict[str, object]:
    """A VAMPnet as small as the default one, so that reading shows."""
    return {
        "kind": "vampnet", "mixer": mixer, "hidden_channels": 64, "lag_ps": float(LAG_FRAMES), "dimensions": 3,
        "learning_rate": 1e-3, "batch_pairs": 1000, "max_epochs": 1, "patience": 1, "epsilon": 1e-6,
    }  # fmt: skip


def measure(path: str, *, n_frames: int, memory_mb: int, n_epochs: int, mixer: str) -> dict[str, float]:
    """Seconds of an epoch, the median of several after the first, and the memory of this process in MB.

    The peak has the pages of the store that the system keeps mapped as long as nobody else needs them; `own_mb`, after
    an epoch, has not.
    """
    frames = frame_set([[Piece("run-0", 0, n_frames)]], [path], lag_ps=float(LAG_FRAMES))
    pairs = TokenPairs.open(frames, memory_mb=memory_mb)
    config = VampnetConfig.from_settings(settings(mixer))
    lobes = new_lobes(pairs, config=config, seed=0)
    state = TrainingState(lobes, torch.optim.Adam(lobes.parameters(), lr=config.learning_rate))
    wall, processor, own_kb = [], [], []
    for epoch in range(1, n_epochs + 2):
        started, busy = time.perf_counter(), time.process_time()
        train_epoch(state, pairs, config=config, seed=0, epoch=epoch)
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - busy)
        own_kb.append(int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1]))
    return {
        "seconds": float(np.median(wall[1:])),
        "processor_seconds": float(np.median(processor[1:])),
        "peak_mb": peak_memory_mib(),
        "own_mb": max(own_kb) / 1024,
    }


def in_own_process(path: str, **case: object) -> dict[str, float]:
    """`measure`, where nothing else has used memory before."""
    command = [sys.executable, __file__, "--case", json.dumps({"path": path} | case)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(result.stderr)
    return json.loads(result.stdout)


def compare(*, n_frames: int, n_tokens: int, memory_mb: int, n_epochs: int, n_rounds: int, mixer: str) -> None:
    """Write the stores and print the table; rounds of all cases are interleaved."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        stores = {n: str(Path(folder) / f"{n}.zarr.zip") for n in (n_frames, 10 * n_frames)}
        for n, path in stores.items():
            write(path, n_frames=n, n_tokens=n_tokens)
        cases = {
            "memory": (n_frames, AMPLE_MB),
            "store": (n_frames, memory_mb),
            "store, x10": (10 * n_frames, memory_mb),
        }
        found: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
        for number in range(n_rounds):
            for name in list(cases)[:: 1 if number % 2 == 0 else -1]:
                n, mb = cases[name]
                found[name].append(in_own_process(stores[n], n_frames=n, memory_mb=mb, n_epochs=n_epochs, mixer=mixer))
    print(f"{n_frames} frames of {n_tokens} tokens, {mixer}, buffer {memory_mb} MB, one thread, {n_rounds} rounds")
    print("case         frames    s/epoch   CPU s   s per 1e5 frames, to memory   peak MB   own MB")
    reference = np.median([run["seconds"] for run in found["memory"]]) / n_frames
    for name, runs in found.items():
        n = cases[name][0]
        seconds, processor, peak, own = (np.median([run[key] for run in runs]) for key in runs[0])
        print(
            f"{name:12s} {n:7d} {seconds:9.3f} {processor:8.3f} {seconds / n / reference:20.3f} {peak:10.0f} {own:8.0f}"
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--tokens", type=int, default=10)
    parser.add_argument("--memory-mb", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mixer", default="sum")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.case:
        torch.set_num_threads(1)
        print(json.dumps(measure(**json.loads(chosen.case))))
        return
    compare(
        n_frames=chosen.frames, n_tokens=chosen.tokens, memory_mb=chosen.memory_mb, n_epochs=chosen.epochs,
        n_rounds=chosen.rounds, mixer=chosen.mixer,
    )  # fmt: skip


if __name__ == "__main__":
    main()
