"""Structures as stick drawings, for figures that need no molecular viewer."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from scipy.spatial import cKDTree

from geom2msm.units import NM_PER_ANGSTROM

# Longer than any bond between heavy atoms that are no metals, shorter than any other distance.
LONGEST_BOND_NM = 0.195
LONGEST_CALPHA_STEP_NM = 0.42
# Of larger molecules only the trace of the chain can be seen.
MAX_ATOMS = 250


def read_sticks(path: str) -> tuple[Float[np.ndarray, "atom 3"], Int[np.ndarray, "bond 2"]]:
    """Positions in nm of the heavy atoms of a PDB file, or of its C-alphas if these are many, and pairs bound."""
    lines = [line for line in Path(path).read_text().splitlines() if line.startswith(("ATOM", "HETATM"))]
    heavy = [line for line in lines if line[76:78].strip() not in ("H", "D", "VS", "")]
    trace = [line for line in heavy if line[12:16].strip() in ("CA", "C1'") and line[76:78].strip() == "C"]
    large = len(heavy) > MAX_ATOMS and len(trace) > 1
    kept = trace if large else heavy
    angstrom = [[float(line[start : start + 8]) for start in (30, 38, 46)] for line in kept]
    positions_nm = NM_PER_ANGSTROM * np.array(angstrom).reshape(-1, 3)
    if large:
        order = np.arange(len(kept) - 1)
        steps = np.linalg.norm(np.diff(positions_nm, axis=0), axis=1)
        return positions_nm, np.stack([order, order + 1], axis=1)[steps < LONGEST_CALPHA_STEP_NM]
    return positions_nm, cKDTree(positions_nm).query_pairs(LONGEST_BOND_NM, output_type="ndarray").reshape(-1, 2)


def flattened(positions_nm: Float[np.ndarray, "atom 3"]) -> Float[np.ndarray, "atom 3"]:
    """Positions turned so that the longest extents lie in the plane of the paper, the third towards the reader."""
    centered = positions_nm - positions_nm.mean(axis=0)
    axes = np.linalg.eigh(centered.T @ centered)[1][:, ::-1]
    # A reflection would turn the molecule into its mirror image.
    return centered @ (axes * [1, 1, np.sign(np.linalg.det(axes))])


def draw_sticks(ax: Axes, path: str, *, color: str) -> None:
    """Bonds of the structure in a PDB file in one color, seen along the shortest extent of the molecule."""
    positions_nm, bonds = read_sticks(path)
    flat = flattened(positions_nm)
    # What is nearer to the reader is drawn later.
    bonds = bonds[np.argsort(flat[bonds, 2].mean(axis=1))]
    ax.add_collection(LineCollection(flat[bonds, :2], colors=color, linewidths=1.5))
    ax.autoscale()
    ax.set_aspect("equal")
    ax.set_axis_off()
