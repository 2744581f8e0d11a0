"""A training step whose gradient is computed whole, and in parts that keep less: seconds and peak memory of each mixer.

    OMP_NUM_THREADS=1 PYTHONPATH=scripts python3 benchmarks/gradient_parts.py --frames 4000 --tokens 5 --memory-mb 1000

Random tokens of width 64, networks of 128 channels with all defaults. Every case is a process of its own, in turn, both
orders; times are processor times of one step after a first one. `of its own` is what it has beyond its imports.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import torch

from geom2msm.gradient_parts import GradientParts
from geom2msm.mixers.build import build_lobe, split_settings
from geom2msm.mixers.layout import TokenLayout
from geom2msm.peak_memory import peak_memory_mib

CHANNELS, AMPLE_MB = 64, 1 << 30
MIXERS = ("sum", "mixer", "transformer", "gvp", "equivariant")


def step(mixer: str, memory_mb: float, *, n_frames: int, n_tokens: int) -> None:
    """Print seconds of a step, and the peak of memory."""
    shapes = ((n_tokens, CHANNELS), (n_tokens, 3, CHANNELS), (n_tokens, 3))
    tokens = [torch.randn(n_frames, *shape) for shape in shapes]
    config, _ = split_settings({"mixer": mixer, "dimensions": 10, "hidden_channels": 128})
    network, apply = build_lobe(config, TokenLayout(CHANNELS, (0,) * n_tokens)).train(), GradientParts(memory_mb)
    before = peak_memory_mib()
    for _ in range(2):
        started = time.process_time()
        apply(network, tokens).square().mean().backward()
    print(json.dumps([time.process_time() - started, peak_memory_mib() - before]))


def main() -> None:
    """Print a row per mixer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("frames", 4000), ("tokens", 5), ("memory-mb", 1000), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.case:
        step(chosen.case[0], float(chosen.case[1]), n_frames=chosen.frames, n_tokens=chosen.tokens)
        return
    sizes = ["--frames", str(chosen.frames), "--tokens", str(chosen.tokens)]
    for mixer in MIXERS:
        found: dict[int, list] = {AMPLE_MB: [], chosen.memory_mb: []}
        for order in (list(found), list(found)[::-1]) * ((chosen.repeats + 1) // 2):
            for memory_mb in order:
                command = [sys.executable, __file__, *sizes, "--case", mixer, str(memory_mb)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[memory_mb].append(json.loads(done.stdout))
        (whole_s, whole_mb), (parts_s, parts_mb) = (
            [statistics.median(column) for column in zip(*runs, strict=True)] for runs in found.values()
        )
        print(
            f"{mixer:12} whole {whole_s:6.2f} s {whole_mb:6.0f} MB   parts {parts_s:6.2f} s {parts_mb:6.0f} MB   "
            f"{parts_s / whole_s:.2f} times as long, {whole_mb / parts_mb:.1f} times less memory",
            flush=True,
        )


if __name__ == "__main__":
    main()
