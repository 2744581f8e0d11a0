"""Memory and time of a training step of the equivariant mixer behind token merging, on random tokens.

    OMP_NUM_THREADS=1 python benchmarks/token_merging.py [--device cuda --bfloat16] [--tokens 128 214 592 2645]

One row for each number of tokens, window and operator: peak memory and median time of forward, backward and optimizer
step, all cases of a size measured in turn, `--repeats` times. `explicit` is attention at window 1 as it is often
written, with the matrix of weights in memory. On a CPU, peak memory is the largest sum of live arrays while the step
runs, weights and optimizer included, as PyTorch's allocator reports it to its profiler; on a GPU the allocator's peak.
Tokens lie as in a chain folded into a ball of the density of C-alpha atoms in proteins.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from geom2msm.mixers import equivariant_layers
from geom2msm.mixers.build import LobeConfig, build_lobe
from geom2msm.mixers.equivariant import EquivariantSettings
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.merging import MergingSettings

WIDTH = 64
WINDOWS = (1, 2, 3, 4, 6, 8)
OPERATORS = ("none", "graphconv", "rggc", "geometric")
# C-alpha atoms of a folded protein in a cubic nanometer.
DENSITY = 7.4


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    n_tokens: int
    window: int
    operator: str
    explicit: bool = False


def random_tokens(n_tokens: int, n_frames: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Scalars, vectors and positions of some frames."""
    generator = torch.Generator().manual_seed(0)
    scalars = torch.randn(n_frames, n_tokens, WIDTH, generator=generator)
    vectors = torch.randn(n_frames, n_tokens, 3, WIDTH, generator=generator)
    side = (n_tokens / DENSITY) ** (1 / 3)
    positions = side * torch.rand(n_frames, n_tokens, 3, generator=generator)
    return scalars.to(device), vectors.to(device), positions.to(device)


def explicit_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention with the matrix of weights in memory."""
    return torch.softmax(queries @ keys.mT * queries.shape[-1] ** -0.5, dim=-1) @ values


@contextmanager
def attention_of(case: Case) -> Iterator[None]:
    """Within this, the mixer attends as the case says."""
    stock = equivariant_layers.attend
    if case.explicit:
        equivariant_layers.attend = explicit_attention
    try:
        yield
    finally:
        equivariant_layers.attend = stock


class Step:
    """A training step of one case."""

    def __init__(self, case: Case, arguments: argparse.Namespace) -> None:
        self.case, self.device, self.bfloat16 = case, arguments.device, arguments.bfloat16
        self.tokens = random_tokens(case.n_tokens, arguments.frames, arguments.device)
        merging = MergingSettings(window=case.window, operator=case.operator)
        settings = EquivariantSettings(hidden_channels=WIDTH, n_layers=arguments.layers)
        config = LobeConfig("equivariant", 10, settings, merging=merging)
        self.lobe: nn.Module = build_lobe(config, TokenLayout(WIDTH, (0,) * case.n_tokens)).to(arguments.device)
        self.optimizer = torch.optim.Adam(self.lobe.parameters())

    def __call__(self) -> None:
        """Forward, backward, update."""
        self.optimizer.zero_grad()
        with attention_of(self.case):
            with torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16):
                outputs = self.lobe(*self.tokens)
            outputs.float().square().mean().backward()
        self.optimizer.step()
        if self.device == "cuda":
            torch.cuda.synchronize()

    def seconds(self) -> tuple[float, float]:
        """Elapsed and processor time of one step."""
        elapsed, processor = time.perf_counter(), time.process_time()
        self()
        return time.perf_counter() - elapsed, time.process_time() - processor

    def peak_mib(self) -> float:
        """Most memory that arrays of the step hold at one time, without the tokens themselves."""
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self()
            return (torch.cuda.max_memory_allocated() - before) / 2**20
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            self()
        return live_peak(recorded) / 2**20


def live_peak(recorded: profile) -> int:
    """Largest number of bytes allocated since the start of a recording."""
    live = peak = 0
    changes = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(changes, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def cases(n_tokens: int) -> list[Case]:
    """All rows of one size; explicit attention first."""
    rows = [Case(n_tokens, window, operator) for operator in OPERATORS for window in WINDOWS]
    return [Case(n_tokens, 1, "none", explicit=True), *rows]


def measure(n_tokens: int, arguments: argparse.Namespace) -> Iterator[str]:
    """Rows of the table for one size."""
    steps = []
    peaks = {}
    for case in cases(n_tokens):
        step = Step(case, arguments)
        step()
        peaks[case] = step.peak_mib()
        steps.append(step)
    seconds: dict[Case, list[tuple[float, float]]] = {step.case: [] for step in steps}
    for _ in range(arguments.repeats):
        for step in steps:
            seconds[step.case].append(step.seconds())
    explicit = peaks[steps[0].case]
    for case, times in seconds.items():
        elapsed, processor = (1000 * statistics.median(values) for values in zip(*times, strict=True))
        attention = "explicit" if case.explicit else "stock"
        yield (
            f"| {case.n_tokens} | {case.operator} | {case.window} | {attention} | {peaks[case]:.1f} | "
            f"{explicit / peaks[case]:.1f} | {elapsed:.1f} | {processor:.1f} |"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[128, 214, 592, 2645])
    parser.add_argument("--frames", type=int, default=1, help="frames in the batch of a step")
    parser.add_argument("--layers", type=int, default=2, help="blocks of attention")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true")
    arguments = parser.parse_args()
    print("| tokens | operator | window | attention | peak (MiB) | explicit / this | time (ms) | CPU time (ms) |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for n_tokens in arguments.tokens:
        for row in measure(n_tokens, arguments):
            print(row, flush=True)


if __name__ == "__main__":
    main()
