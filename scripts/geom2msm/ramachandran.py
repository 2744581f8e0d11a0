"""Phi and psi of the residues that move most, and quantities averaged over bins of the Ramachandran map.

A map is a table with one row per visited bin: columns residue, phi_deg and psi_deg (centers), then what was
averaged. Figures draw such tables and save them, so that what is drawn is what is saved.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from geom2msm.joined_store import read_beside
from geom2msm.judgement import NotEstimable
from geom2msm.store import read_attributes

MAX_RESIDUES = 4
N_BINS = 60
BIN_DEG = 360 / N_BINS
DROPPED = -1


@dataclass(frozen=True)
class ResidueTorsions:
    """Backbone torsions of one residue in all frames of all trajectories."""

    residue: str
    phi_deg: Float[np.ndarray, "frame"]
    psi_deg: Float[np.ndarray, "frame"]

    @property
    def bins(self) -> Int[np.ndarray, "frame"]:
        """Number of each frame's bin, row by row (psi is the row)."""
        column, row = (((angle + 180) // BIN_DEG).astype(int) % N_BINS for angle in (self.phi_deg, self.psi_deg))
        return row * N_BINS + column


def spread(angle_deg: Float[np.ndarray, "frame"]) -> float:
    """Circular variance of an angle: 0 if it never changes, 1 if it is everywhere alike."""
    return 1 - abs(np.exp(1j * np.radians(angle_deg)).mean())


def read_torsions(features: Sequence[str], *, like: str) -> list[ResidueTorsions]:
    """Residues that have both phi and psi, at most four, those that vary most, in the order of the chain.

    The stores of the trajectories must be in the order of the store `like`. Raises NotEstimable if there is none.
    """
    names = read_attributes(features[0])["names"]
    values = read_beside(features, "features", like=like).astype(float)
    # Channels are called "cos phi ALA2", or "cos B phi ALA2" where there are several chains.
    columns = {name: values[:, index] for index, name in enumerate(names)}
    residues = [name.removeprefix("cos ") for name in names if name.startswith("cos ") and "psi " in name]

    def angle_deg(torsion: str) -> Float[np.ndarray, "frame"]:
        return np.degrees(np.arctan2(columns[f"sin {torsion}"], columns[f"cos {torsion}"]))

    found = [
        ResidueTorsions(psi.replace("psi ", ""), angle_deg(psi.replace("psi ", "phi ")), angle_deg(psi))
        for psi in residues
        if f"cos {psi.replace('psi ', 'phi ')}" in columns
    ]
    if not found:
        raise NotEstimable(
            "no residue has both phi and psi, whose neighbors must be there and selected: there is no Ramachandran map"
        )
    spreads = [spread(torsions.phi_deg) + spread(torsions.psi_deg) for torsions in found]
    most = sorted(np.argsort(spreads)[::-1][:MAX_RESIDUES])
    return [found[index] for index in most]


def centers(residue: str, bins: Int[np.ndarray, "bin"]) -> pd.DataFrame:
    """The columns that every map begins with."""
    row, column = np.divmod(bins, N_BINS)
    angles = {"phi_deg": (column + 0.5) * BIN_DEG - 180, "psi_deg": (row + 0.5) * BIN_DEG - 180}
    return pd.DataFrame({"residue": residue, **angles})


def state_map(torsions: ResidueTorsions, macrostates: Int[np.ndarray, "frame"]) -> pd.DataFrame:
    """The state most frames of a bin are in (0: dropped by the model), their number, and that of all frames."""
    states = macrostates - DROPPED
    counts = np.zeros((N_BINS**2, states.max() + 1), dtype=int)
    np.add.at(counts, (torsions.bins, states), 1)
    visited = np.flatnonzero(counts.sum(axis=1))
    numbers = {"state": counts.argmax(axis=1), "frames_in_state": counts.max(axis=1), "frames": counts.sum(axis=1)}
    return centers(torsions.residue, visited).assign(**{name: column[visited] for name, column in numbers.items()})


def free_energy_map(torsions: ResidueTorsions, weights: Float[np.ndarray, "frame"]) -> pd.DataFrame:
    """Free energy -ln p of each bin above the lowest bin, in kT, from weighted frames."""
    probability = np.bincount(torsions.bins, weights, minlength=N_BINS**2)
    visited = np.flatnonzero(probability)
    return centers(torsions.residue, visited).assign(free_energy_kT=np.log(probability.max() / probability[visited]))


def mean_map(torsions: ResidueTorsions, values: Float[np.ndarray, "frame"]) -> pd.DataFrame:
    """Mean of a quantity over the frames of each bin."""
    frames = np.bincount(torsions.bins, minlength=N_BINS**2)
    visited = np.flatnonzero(frames)
    sums = np.bincount(torsions.bins, values, minlength=N_BINS**2)
    return centers(torsions.residue, visited).assign(mean=sums[visited] / frames[visited], frames=frames[visited])


def frame_weights(
    microstates: Int[np.ndarray, "frame"],
    active_microstates: Int[np.ndarray, "microstate"],
    stationary_distribution: Float[np.ndarray, "microstate"],
) -> Float[np.ndarray, "frame"]:
    """The stationary probability of each frame's microstate, shared by its frames; 0 outside the active set."""
    n_microstates = max(microstates.max(), active_microstates.max()) + 1
    probability = np.zeros(n_microstates)
    probability[active_microstates] = stationary_distribution
    inside = microstates >= 0
    frames = np.bincount(microstates[inside], minlength=n_microstates)
    weights = np.zeros(len(microstates))
    weights[inside] = (probability / np.maximum(frames, 1))[microstates[inside]]
    return weights


def grid(table: pd.DataFrame, column: str) -> Float[np.ndarray, "row column"]:
    """A map of one residue as an image, psi upwards and phi to the right, NaN where no frame was."""
    image = np.full((N_BINS, N_BINS), np.nan)
    row, place = (((table[angle] + 180) // BIN_DEG).astype(int) for angle in ("psi_deg", "phi_deg"))
    image[row, place] = table[column]
    return image
