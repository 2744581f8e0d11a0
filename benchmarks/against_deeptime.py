"""Training speed against deeptime's VAMPNet: the same lobe, data, batches and score, in turns, in both orders.

OMP_NUM_THREADS=1 PYTHONPATH=scripts python benchmarks/against_deeptime.py --n-frames 50000 --epochs 2 --rounds 3

deeptime trains on pairs in memory through a DataLoader, as its documentation shows; we train on the same arrays as
stored tokens in memory. Both see every pair once per epoch and step with Adam. Validation is left out on both sides.
"""

import argparse
import statistics
import time

import torch
from deeptime.decomposition.deep import VAMPNet
from deeptime.util.data import TrajectoryDataset
from torch import Tensor, nn

from geom2msm.mixers.build import LobeConfig
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.mlp import MlpSettings
from geom2msm.stored_tokens import Tokens
from geom2msm.token_pairs import TokenPairs
from geom2msm.training import train_epoch
from geom2msm.training_state import TrainingState
from geom2msm.vampnet import VampnetConfig, new_lobes

LAG_FRAMES = 10


class FlatLobe(nn.Module):
    """Our lobe as a network from features to outputs, which is what deeptime trains."""

    def __init__(self, lobe: nn.Module) -> None:
        super().__init__()
        self.lobe = lobe

    def forward(self, features: Tensor) -> Tensor:
        """The outputs of frames."""
        n_frames = len(features)
        return self.lobe(features[:, None], features.new_zeros(n_frames, 1, 3, 0), features.new_zeros(n_frames, 1, 3))


def random_features(n_frames: int, n_features: int) -> Tensor:
    """Slowly varying features: an autoregressive process, mixed."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(n_frames, n_features, generator=generator)
    slow = torch.empty_like(noise)
    slow[0] = noise[0]
    for frame in range(1, n_frames):
        slow[frame] = 0.99 * slow[frame - 1] + 0.14 * noise[frame]
    return slow @ torch.randn(n_features, n_features, generator=generator)


def seconds_of_ours(pairs: TokenPairs, config: VampnetConfig, *, epochs: int) -> float:
    """Time of so many epochs of our training loop."""
    lobes = new_lobes(pairs, config=config, seed=0)
    state = TrainingState(lobes, torch.optim.Adam(lobes.parameters(), lr=config.learning_rate))
    started = time.perf_counter()
    for epoch in range(1, epochs + 1):
        train_epoch(state, pairs, config=config, seed=0, epoch=epoch)
    return time.perf_counter() - started


def seconds_of_deeptime(pairs: TokenPairs, features: Tensor, config: VampnetConfig, *, epochs: int) -> float:
    """Time of so many epochs of deeptime's training loop."""
    lobe = FlatLobe(new_lobes(pairs, config=config, seed=0).lobe)
    network = VAMPNet(lobe=lobe, learning_rate=config.learning_rate, score_method="VAMP2")
    dataset = TrajectoryDataset(LAG_FRAMES, features.numpy())
    loader = torch.utils.data.DataLoader(dataset, batch_size=config.batch_pairs, shuffle=True)
    started = time.perf_counter()
    network.fit(loader, n_epochs=epochs)
    return time.perf_counter() - started


def settings(arguments: argparse.Namespace) -> VampnetConfig:
    """One network for both."""
    mixer = MlpSettings(hidden_channels=arguments.hidden_channels, n_layers=3)
    return VampnetConfig(
        kind="vampnet", lobe=LobeConfig("mlp", arguments.dimensions, mixer), lag_ps=float(LAG_FRAMES),
        dimensions=arguments.dimensions, learning_rate=1e-3, batch_pairs=arguments.batch_pairs, max_epochs=1,
        patience=1, epsilon=1e-6,
    )  # fmt: skip


def main() -> None:
    """Print the time of an epoch of either, round by round, and the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"n-frames": 50_000, "n-features": 100, "hidden-channels": 64, "dimensions": 5, "batch-pairs": 1000}
    for name, default in (sizes | {"epochs": 2, "rounds": 3}).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    config, features = settings(arguments), random_features(arguments.n_frames, arguments.n_features)
    n_frames = len(features)
    tokens = Tokens(features[:, None], torch.zeros(n_frames, 1, 3, 0), torch.zeros(n_frames, 1, 3))
    layout = TokenLayout(arguments.n_features, (0,))
    pairs = TokenPairs(torch.arange(n_frames - LAG_FRAMES), LAG_FRAMES, layout, tokens=tokens)
    runs = {
        "geom2msm": lambda: seconds_of_ours(pairs, config, epochs=arguments.epochs),
        "deeptime": lambda: seconds_of_deeptime(pairs, features, config, epochs=arguments.epochs),
    }
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(2 * arguments.rounds):
        for name in sorted(runs, reverse=bool(number % 2)):
            found[name].append(runs[name]() / arguments.epochs)
        print(", ".join(f"{name} {times[-1]:.3f} s" for name, times in found.items()), flush=True)
    medians = {name: statistics.median(times) for name, times in found.items()}
    print(
        f"seconds per epoch (medians): {medians}; deeptime / geom2msm = {medians['deeptime'] / medians['geom2msm']:.2f}"
    )


if __name__ == "__main__":
    main()
