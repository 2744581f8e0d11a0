"""Why an encoder does not know a system: which of the usual mistakes the numbers point to."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from geom2msm.encoder.self_check import SELECTED, SUFFICIENT_R2, EncoderCheck
from geom2msm.encoder.trial_frames import HYDROGEN, Sample

# Largest number of bonded neighbors of the elements of organic molecules and nucleic acids.
VALENCES = {1: 1, 6: 4, 7: 4, 8: 2, 9: 1, 15: 5, 16: 4, 17: 1, 35: 1, 53: 1}
# Rarely bonded to each other.
ELECTRONEGATIVE = (7, 8, 9, 17, 35, 53)
# Bonds to hydrogen are shorter than 0.137 nm (S-H), hydrogen bonds longer than 0.15 nm.
LONGEST_BOND_TO_HYDROGEN_NM = 0.14
# C-S has 0.182 nm, the closest atoms that are not bonded (O and O of a carboxylate) 0.22 nm.
LONGEST_BOND_NM = 0.19
# C=O has 0.123 nm and trembles by a few thousandths; C-H has 0.109 nm.
SHORTEST_HEAVY_BOND_NM = 0.112
# More than the odd strained atom, or the odd N-N or N-O bond of a ligand.
IMPLAUSIBLE_FRACTION = 0.05
# Median distance of nearest neighbors: 0.10 nm with hydrogens, 0.13 to 0.15 nm without.
MISREAD_UNITS = (
    (0.007, 0.018, "a tenth of it: nanometers were read as angstroms"),
    (0.175, 0.30, "1.9 times as much: bohr were read as angstroms"),
    (0.8, 1.7, "ten times as much: angstroms were read as nanometers"),
    (1.8, 3.0, "19 times as much: bohr were read as nanometers"),
)
FARTHEST_NEIGHBORS_NM = 0.175


def nearest_neighbor_nm(positions_nm: Float[np.ndarray, "atom 3"]) -> float:
    """Median over the atoms of the distance to the nearest other one; zero for a single atom."""
    if len(positions_nm) == 1:
        return 0.0
    return float(np.median(cKDTree(positions_nm).query(positions_nm, k=2)[0][:, 1]))


def implausible_atoms(
    atomic_numbers: Int[np.ndarray, " atom"], positions_nm: Float[np.ndarray, "atom 3"]
) -> Bool[np.ndarray, " atom"]:
    """Atoms with more bonds than their element forms or with rare ones, heavy atoms too close, lone hydrogens.

    Metals and other elements outside of VALENCES are always plausible.
    """
    n_atoms = len(atomic_numbers)
    # Rows of the nearest atoms; empty slots have an infinite distance and point at an extra atom of no element.
    distance, neighbor = cKDTree(positions_nm).query(positions_nm, k=range(2, 10), distance_upper_bound=LONGEST_BOND_NM)
    is_known = np.append(np.isin(atomic_numbers, list(VALENCES)), False)
    is_hydrogen = np.append(atomic_numbers == HYDROGEN, False)
    with_hydrogen = is_hydrogen[:n_atoms, None] | is_hydrogen[neighbor]
    pair = is_known[:n_atoms, None] & is_known[neighbor] & np.isfinite(distance)
    bonds = (pair & (distance < np.where(with_hydrogen, LONGEST_BOND_TO_HYDROGEN_NM, LONGEST_BOND_NM))).sum(axis=1)
    most = np.array([VALENCES.get(number, n_atoms) for number in atomic_numbers.tolist()])
    too_close = (pair & ~with_hydrogen & (distance < SHORTEST_HEAVY_BOND_NM)).any(axis=1)
    is_electronegative = np.append(np.isin(atomic_numbers, ELECTRONEGATIVE), False)
    rare = (is_electronegative[:n_atoms, None] & is_electronegative[neighbor] & np.isfinite(distance)).any(axis=1)
    return (bonds > most) | too_close | rare | (is_hydrogen[:n_atoms] & (distance[:, 0] > LONGEST_BOND_TO_HYDROGEN_NM))


def causes(check: EncoderCheck, sample: Sample, names: Sequence[str]) -> list[str]:
    """What is wrong, in words, as far as the numbers tell; `names` are those of the sample's atoms."""
    found = list(_geometry_causes(sample, names))
    if check.reference_r2 < SUFFICIENT_R2:
        found.append(
            f"The weights are at fault: on alanine dipeptide, which every encoder should know, R² is only "
            f"{check.reference_r2:.2f}; the file does not hold what config/encoders.yaml declares, or the network was "
            "not trained by denoising."
        )
    found += _configuration_causes(check)
    return found or [
        f"None of the usual causes applies (units, elements, weights, neighbor rule, hydrogens): the encoder knows "
        f"alanine dipeptide (R² {check.reference_r2:.2f}), but not this kind of molecule or geometry; choose another."
    ]


def refusal(summary: str, reasons: Sequence[str], *, minimum_r2: float, system: str) -> str:
    """Why the run stops, and what to do."""
    usual = f"That is above the usual minimum, {SUFFICIENT_R2}; the config asks for more."
    return (
        f"{summary}, less than encoder_check.minimum_r2 = {minimum_r2:g}. {' '.join(reasons) or usual} To go on "
        f"all the same, set encoder_check: {{minimum_r2: null}} in config/systems/{system}.yaml."
    )


def _geometry_causes(sample: Sample, names: Sequence[str]) -> Iterator[str]:
    numbers, positions = sample.atomic_numbers, sample.positions_nm[0]
    nearest = nearest_neighbor_nm(positions)
    for low, high, reason in MISREAD_UNITS:
        if low < nearest < high:
            yield (
                f"The coordinates are in another unit: the median distance of nearest atoms is {nearest:.3g} nm, where "
                f"molecules have 0.10 to 0.15 nm; that is {reason}."
            )
            return
    implausible = np.flatnonzero(implausible_atoms(numbers, positions))
    if len(implausible) > IMPLAUSIBLE_FRACTION * len(numbers):
        some = ", ".join(names[atom] for atom in implausible[:3])
        yield (
            f"Elements and coordinates do not belong together: {len(implausible)} of {len(numbers)} atoms (such as "
            f"{some}) have bonds that their elements hardly form; the topology has wrong elements, or lists the atoms "
            "in another order than the trajectory."
        )
        return
    nearest = nearest_neighbor_nm(positions[sample.chosen])
    if nearest > FARTHEST_NEIGHBORS_NM:
        yield (
            f"The selection leaves out bonded atoms: nearest atoms are {nearest:.2f} nm apart, where bonded ones have "
            "0.10 to 0.15 nm; trajectories.selection should take whole residues."
        )


def _configuration_causes(check: EncoderCheck) -> Iterator[str]:
    for trial in check.trials:
        if trial.r2 < SUFFICIENT_R2:
            continue
        if trial.atoms == SELECTED:
            yield f"The encoder needs another neighbor rule: with {trial.neighbor_rule} R² is {trial.r2:.2f}."
        else:
            yield f"The encoder needs another selection: with {trial.atoms} R² is {trial.r2:.2f}."
