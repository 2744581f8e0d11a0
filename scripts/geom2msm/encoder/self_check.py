"""Does the encoder know this system? The score of its denoising head on disturbed frames of the user's own.

Gaussian noise is added to every coordinate, as in pretraining, and the head guesses it. With the predicted and the true
displacement p and t of all atoms, frames and draws of the noise,

    R2 = 1 - sum |p - t|^2 / sum |t|^2        1: perfect, 0: no better than no guess

Units, elements, weights or selections that do not belong together drive R2 to zero or below. The standard error is that
of a ratio of means over the evaluations (one frame with one draw each).
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from mdtraj.core.element import Element

from geom2msm.encoder.neighbors import RULES, neighbor_table
from geom2msm.encoder.trial_frames import HYDROGEN, Sample

# An encoder that is in its element reaches 0.35 (TensorNet without hydrogens) to 0.8; one that is not, 0.2 at most.
SUFFICIENT_R2 = 0.3
MAX_DRAWS = 5
REFERENCE_DRAWS = 20
# Atoms times evaluations: a few seconds for small proteins, half a minute for 20,000 atoms.
ATOM_BUDGET = 6_000
LEAST_EVALUATIONS = 4
SELECTED, HEAVY, WHOLE = "selected atoms", "the heavy atoms of whole residues", "all atoms of whole residues"
# What is only for information is measured on fewer.
INFORMATION_SHARE = 4


@dataclass(frozen=True)
class Errors:
    """Squared error of the guess and square of the noise, per evaluation and atom, in units of the noise."""

    error: Float[np.ndarray, "evaluation atom"]
    noise: Float[np.ndarray, "evaluation atom"]

    def r2(self, atoms: Bool[np.ndarray, " atom"]) -> tuple[float, float]:
        """R² over some atoms, and its standard error."""
        error, noise = self.error[:, atoms].sum(axis=1), self.noise[:, atoms].sum(axis=1)
        unexplained = error.sum() / noise.sum()
        deviation = (error - unexplained * noise).std(ddof=1)
        return float(1 - unexplained), float(deviation / noise.mean() / np.sqrt(len(noise)))


@dataclass(frozen=True)
class Score:
    """R² of one element, or of all atoms together."""

    element: str
    n_atoms: int
    r2: float
    standard_error: float


@dataclass(frozen=True)
class Trial:
    """R² under one neighbor rule for the selected atoms, or for others of the same residues."""

    neighbor_rule: str
    atoms: str
    r2: float
    standard_error: float


@dataclass(frozen=True)
class EncoderCheck:
    """What the self-check measured: scores of the configured atoms and rule, other trials, and a known molecule."""

    scores: tuple[Score, ...]
    trials: tuple[Trial, ...]
    reference_r2: float
    n_evaluations: int
    n_frames: int

    @property
    def overall(self) -> Score:
        """The score over all elements."""
        return self.scores[0]

    def as_json(self) -> dict:
        """The measured numbers as plain types."""
        trials, elements = [asdict(trial) for trial in self.trials], [asdict(score) for score in self.scores[1:]]
        overall = {key: value for key, value in asdict(self.overall).items() if key != "element"}
        counts = {"n_evaluations": self.n_evaluations, "n_frames": self.n_frames}
        return overall | counts | {"elements": elements, "trials": trials, "reference_r2": self.reference_r2}


@torch.inference_mode()
def denoising_errors(
    encoder: torch.nn.Module, sample: Sample, *, neighbor_rule: str, noise_nm: float, n_evaluations: int, seed: int
) -> Errors:
    """Disturb the frames in turn, each time with fresh noise, and compare what the head guesses."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.from_numpy(sample.atomic_numbers)
    errors, noises = [], []
    for evaluation in range(n_evaluations):
        number = evaluation % len(sample.positions_nm)
        frame = torch.from_numpy(sample.positions_nm[number])
        cell = None if sample.cell_nm is None else torch.from_numpy(sample.cell_nm[number])[None]
        noise = torch.randn(frame.shape, generator=generator)
        positions = frame + noise_nm * noise
        table = neighbor_table(positions[None], cutoff=encoder.config.cutoff_nm, rule=neighbor_rule, cell_nm=cell)
        guess = encoder.displacement(*encoder(numbers, positions, table))
        errors.append((guess - noise).square().sum(-1).double().numpy())
        noises.append(noise.square().sum(-1).double().numpy())
    return Errors(np.stack(errors), np.stack(noises))


def count_evaluations(n_frames: int, n_atoms: int) -> int:
    """As many evaluations as the budget allows, up to a few draws of the noise per frame."""
    most = n_frames * MAX_DRAWS
    return int(np.clip(ATOM_BUDGET // n_atoms, min(LEAST_EVALUATIONS, most), most))


def element_scores(sample: Sample, errors: Errors) -> tuple[Score, ...]:
    """R² of all atoms, then of each element in the order of atomic numbers."""
    everything = np.ones(len(sample.atomic_numbers), dtype=bool)
    scores = [Score("all", len(everything), *errors.r2(everything))]
    for number in np.unique(sample.atomic_numbers):
        atoms = sample.atomic_numbers == number
        scores.append(Score(Element.getByAtomicNumber(int(number)).symbol, int(atoms.sum()), *errors.r2(atoms)))
    return tuple(scores)


def alternatives(sample: Sample, neighbor_rule: str) -> Iterator[tuple[str, str, Sample]]:
    """What could have been configured instead: another neighbor rule, or other atoms of the same residues."""
    for rule in RULES:
        if rule != neighbor_rule:
            yield rule, SELECTED, sample.of_atoms(sample.chosen)
    heavy = sample.atomic_numbers != HYDROGEN
    for name, atoms in ((HEAVY, heavy), (WHOLE, heavy | True)):
        if atoms.any() and (atoms != sample.chosen).any():
            yield neighbor_rule, name, sample.of_atoms(atoms)


def check_encoder(
    encoder: torch.nn.Module, sample: Sample, reference: Sample, *, neighbor_rule: str, noise_nm: float, seed: int
) -> EncoderCheck:
    """Measure R² as configured, per element; as it could have been configured; and on a known molecule.

    Rules and hydrogens other than the configured are tried on fewer draws, for information.
    """
    configured = sample.of_atoms(sample.chosen)
    n_evaluations = count_evaluations(len(sample.positions_nm), len(configured.atomic_numbers))
    noise = {"noise_nm": noise_nm, "seed": seed}
    errors = denoising_errors(encoder, configured, neighbor_rule=neighbor_rule, n_evaluations=n_evaluations, **noise)
    few = max(2, n_evaluations // INFORMATION_SHARE)
    trials = []
    for rule, name, other in alternatives(sample, neighbor_rule):
        found = denoising_errors(encoder, other, neighbor_rule=rule, n_evaluations=few, **noise)
        trials.append(Trial(rule, name, *found.r2(other.chosen)))
    known = denoising_errors(encoder, reference, neighbor_rule=neighbor_rule, n_evaluations=REFERENCE_DRAWS, **noise)
    return EncoderCheck(
        scores=element_scores(configured, errors),
        trials=tuple(trials),
        reference_r2=known.r2(reference.chosen)[0],
        n_evaluations=n_evaluations,
        n_frames=min(n_evaluations, len(sample.positions_nm)),
    )
