"""Denoising pretraining: guess from a disturbed geometry how each atom was displaced.

Zaidi et al., Pre-training via denoising for molecular property prediction, ICLR 2023,
arXiv 2206.00133; the recipe of geom2vec (arXiv 2409.19838): noise of 0.2 angstrom, AdamW, mean
squared error of the displacement in units of the noise. Each geometry is seen with and without its hydrogens,
because molecular-dynamics tokens are made of heavy atoms.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from geom2msm.encoder.architectures import Encoder
from geom2msm.encoder.geometries import Molecule
from geom2msm.encoder.neighbors import neighbor_table

SMALLEST_MOLECULE = 3


@dataclass(frozen=True)
class PretrainingConfig:
    """Settings of the denoising task."""

    noise_nm: float
    batch_geometries: int
    n_epochs: float
    learning_rate: float
    neighbor_rule: str
    validation_fraction: float
    evaluations: int
    compile: bool
    seed: int


@dataclass(frozen=True)
class Batch:
    """Padded geometries: atomic numbers (0 = no atom) and positions in nm."""

    atomic_numbers: Tensor
    positions_nm: Tensor


@dataclass(frozen=True)
class Progress:
    """One line of the learning curve."""

    step: int
    epoch: float
    training_mse: float
    r2_all_atom: float
    r2_heavy: float


def padded(geometries: list[tuple[np.ndarray, np.ndarray]]) -> Batch:
    """Stack molecules of different size."""
    width = max(len(numbers) for numbers, _ in geometries)
    atomic_numbers = torch.zeros(len(geometries), width, dtype=torch.long)
    positions = torch.zeros(len(geometries), width, 3)
    for row, (numbers, xyz) in enumerate(geometries):
        atomic_numbers[row, : len(numbers)] = torch.from_numpy(numbers)
        positions[row, : len(numbers)] = torch.from_numpy(xyz)
    return Batch(atomic_numbers, positions)


def batches(molecules: list[Molecule], *, size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """One epoch: every conformer once; a coin is tossed for each batch whether it is seen with hydrogens."""
    variants = [(molecule, molecule.without_hydrogens()) for molecule in molecules]
    index = [(m, c) for m, molecule in enumerate(molecules) for c in range(len(molecule.positions_nm))]
    order = rng.permutation(len(index))
    for start in range(0, len(order) - size + 1, size):
        chosen, stripped = [], int(rng.integers(2))
        for m, c in (index[i] for i in order[start : start + size]):
            variant = variants[m][stripped]
            variant = variant if len(variant.atomic_numbers) >= SMALLEST_MOLECULE else variants[m][0]
            chosen.append((variant.atomic_numbers, variant.positions_nm[c]))
        yield padded(chosen)


def denoise(
    network: Callable, batch: Batch, noise: Tensor, config: PretrainingConfig, cutoff_nm: float
) -> tuple[Tensor, Tensor]:
    """Predicted and true displacement of every atom, in units of the noise level."""
    present = batch.atomic_numbers > 0
    positions = batch.positions_nm + config.noise_nm * noise
    table = neighbor_table(positions, cutoff=cutoff_nm, rule=config.neighbor_rule, present=present)
    return network(batch.atomic_numbers[present], positions[present], table), noise[present]


class Denoiser(torch.nn.Module):
    """An encoder together with its denoising head."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, atomic_numbers: Tensor, positions_nm: Tensor, neighbors) -> Tensor:
        """Displacement of every atom in units of the noise level."""
        return self.encoder.displacement(*self.encoder(atomic_numbers, positions_nm, neighbors))


@torch.no_grad()
def denoising_r2(network: Callable, geometries: list[Batch], config: PretrainingConfig, cutoff_nm: float) -> float:
    """Explained fraction of the displacement, 1 - SSE / SST, over all atoms; the same noise at each call."""
    generator = torch.Generator().manual_seed(config.seed)
    error = total = 0.0
    for batch in geometries:
        noise = torch.randn(batch.positions_nm.shape, generator=generator)
        predicted, true = denoise(network, batch, noise, config, cutoff_nm)
        error += float((predicted - true).square().sum())
        total += float(true.square().sum())
    return 1 - error / total


def evaluation_sets(
    molecules: list[Molecule], *, per_molecule: int, rng: np.random.Generator
) -> tuple[list[Batch], list[Batch]]:
    """A few conformers of each molecule, with all atoms and without hydrogens."""
    sets = []
    for variants in (molecules, [molecule.without_hydrogens() for molecule in molecules]):
        chosen = [
            (molecule.atomic_numbers, molecule.positions_nm[c])
            for molecule in variants
            if len(molecule.atomic_numbers) >= SMALLEST_MOLECULE
            for c in rng.choice(
                len(molecule.positions_nm), size=min(per_molecule, len(molecule.positions_nm)), replace=False
            )
        ]
        sets.append([padded(chosen[start : start + 16]) for start in range(0, len(chosen), 16)])
    return sets[0], sets[1]


def pretrain(
    encoder: Encoder,
    training: list[Molecule],
    validation: list[Molecule],
    config: PretrainingConfig,
    *,
    report: Callable[[Progress, Encoder], None],
) -> Encoder:
    """Train the denoising task; returns the exponential moving average of the weights (decay 0.999)."""
    rng = np.random.default_rng(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    sets = evaluation_sets(validation, per_molecule=6, rng=rng)
    network = Denoiser(encoder)
    forward = torch.compile(network, dynamic=True) if config.compile else network
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    steps_per_epoch = sum(len(molecule.positions_nm) for molecule in training) // config.batch_geometries
    n_steps = int(config.n_epochs * steps_per_epoch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, amsgrad=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=n_steps, pct_start=0.03)
    logging.info("%d training steps, %d per epoch", n_steps, steps_per_epoch)
    step, losses = 0, []
    while step < n_steps:
        for batch in batches(training, size=config.batch_geometries, rng=rng):
            noise = torch.randn(batch.positions_nm.shape, generator=generator)
            predicted, true = denoise(forward, batch, noise, config, encoder.config.cutoff_nm)
            loss = (predicted - true).square().mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(network)
            losses.append(loss.item())
            step += 1
            if step % max(1, n_steps // config.evaluations) == 0 or step == n_steps:
                scores = (denoising_r2(average, subset, config, encoder.config.cutoff_nm) for subset in sets)
                report(Progress(step, step / steps_per_epoch, float(np.mean(losses)), *scores), average.module.encoder)
                losses = []
            if step == n_steps:
                break
    return average.module.encoder
