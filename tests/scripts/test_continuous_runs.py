"""A run is one run, in however many files: from variables to tables, cutting it into files changes no number."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analyze_relaxation
import annotate_states
import assign_states
import bootstrap_free_energy
import check_connectivity
import check_sampling
import check_vamp2
import cluster_microstates
import compare_contacts
import estimate_msm
from geom2msm import states as microstates
from geom2msm.joined_store import StoredTrajectory, write_joined
from geom2msm.store import write_store
from systems import simulate_chain, three_state_chain

PLACES = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
RUNS, PIECE = {"a": 16_000, "b": 9000}, 240
SETTINGS = {
    "model": "vampnet", "baseline": "tica", "lag_ps": 20.0, "scan_lags_ps": [4.0, 20.0], "n_microstates": 6,
    "n_macrostates": 3, "n_timescales": 2, "n_posterior_samples": 20, "ck_multiples": 3, "seed": 0,
}  # fmt: skip
TABLES = (
    "states.csv", "rates.csv", "relaxation.csv", "mfpt_lags.csv", "sampling.csv", "convergence.csv", "connectivity.csv",
    "vamp2.csv", "annotation.csv", "differences.csv", "probabilities.csv", "free_energy.csv",
)  # fmt: skip


def pieces_of(runs: dict[str, int], *, longest: int) -> list[StoredTrajectory]:
    """Files of so many frames at most, each of which continues the one before within its run."""
    found = []
    for name, n_frames in runs.items():
        edges = [*range(0, n_frames, longest), n_frames]
        names = [f"{name}-{number}" for number in range(len(edges) - 1)]
        lengths = [stop - start for start, stop in pairwise(edges)]
        found += [StoredTrajectory(*each) for each in zip(names, lengths, [None, *names[:-1]], strict=True)]
    return found


class Measured:
    """What there is of every frame of the runs, the same however they are cut."""

    def __init__(self):
        rng = np.random.default_rng(4)
        states = np.concatenate([simulate_chain(three_state_chain(), n_frames, rng) for n_frames in RUNS.values()])
        self.variables = (PLACES[states] + 0.2 * rng.normal(size=(len(states), 2))).astype("f4")
        angles = np.radians(40.0 * states[:, None] - [80, 20] + rng.normal(0, 12, (len(states), 2)))
        self.torsions = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(len(states), -1).astype("f4")
        self.observables = np.stack([states + rng.normal(size=len(states)), np.degrees(angles[:, 0])], axis=1)
        self.touching = rng.random((len(states), 2)) < np.array([[0.1, 0.5], [0.9, 0.2], [0.4, 0.7]])[states]


def write_beside(folder: Path, measured: Measured, pieces: Sequence[StoredTrajectory]) -> list[list[str]]:
    """Torsions, observables and contacts, one file each per piece."""
    torsions = {"names": [f"{part} {angle} ALA2" for angle in ("phi", "psi") for part in ("cos", "sin")]}
    described = {"names": ["x", "angle"], "units": ["nm", "°"], "periodic": [False, True], "every": [1, 1]}
    ends = np.cumsum([piece.n_frames for piece in pieces])
    found: list[list[str]] = [[], [], []]
    for piece, end in zip(pieces, ends.tolist(), strict=True):
        own, known = slice(end - piece.n_frames, end), {"trajectory": piece.name, "frame_interval_ps": 2.0}
        for paths, name, array, attributes in zip(
            found, ("features", "observables"), (measured.torsions, measured.observables), (torsions, described),
            strict=False,
        ):  # fmt: skip
            paths.append(str(folder / f"{name}-{piece.name}.zarr.zip"))
            axes = {name: ("frame", "channel")}
            write_store(paths[-1], attributes=known | attributes, arrays={name: array[own]}, axes=axes)
        found[2].append(str(folder / f"contacts-{piece.name}.npz"))
        contacts = {"names": ["A B", "A C"], "touching": measured.touching[own]}
        np.savez(found[2][-1], trajectory=piece.name, frames=np.arange(piece.n_frames), **contacts)
    return found


def tables_of(folder: Path, measured: Measured, pieces: Sequence[StoredTrajectory]) -> dict[str, pd.DataFrame]:
    """All tables that the rules make of the runs."""

    def at(*names: str) -> list[str]:
        return [str(folder / name) for name in names]

    variables, centers, dtrajs, states = at("variables.zarr.zip", "m.npz", "dtrajs.zarr.zip", "states.zarr.zip")
    (msm,) = at("msm.npz")
    attributes, axes = {"system": "toy", "frame_interval_ps": 2.0}, {"variables": ("frame", "dimension")}
    time_ps = np.concatenate([2.0 * np.arange(piece.n_frames) for piece in pieces])
    arrays = {"variables": measured.variables, "time_ps": time_ps}
    write_joined(variables, pieces, attributes=attributes, arrays=arrays, axes=axes)
    torsions, observables, contacts = write_beside(folder, measured, pieces)
    cluster_microstates.main(variables, centers, dtrajs, settings=SETTINGS)
    kinetics = at("states.csv", "rates.csv", "summary.json")
    estimate_msm.main(dtrajs, msm, *kinetics, settings=SETTINGS, temperature_K=300.0)
    assign_states.main(variables, dtrajs, msm, states)
    relaxation = at("relaxation.csv", "mfpt_lags.csv", "relaxation.json")
    analyze_relaxation.main(dtrajs, msm, *relaxation, settings=SETTINGS)
    sampling = at("sampling.csv", "convergence.csv", "convergence.json")
    check_sampling.main(dtrajs, msm, *sampling, settings=SETTINGS)
    check_connectivity.main(dtrajs, *at("connectivity.csv", "connectivity.json"), settings=SETTINGS)
    check_vamp2.main(variables, msm, [], *at("vamp2.csv", "vamp2.json"), settings=SETTINGS)
    annotate_states.main(observables, states, msm, *at("annotation.csv"))
    compare_contacts.main(contacts, states, msm, *at("differences.csv", "probabilities.csv"))
    bootstrap_free_energy.main(torsions, states, msm, *at("free_energy.csv"), settings=SETTINGS)
    return {name: pd.read_csv(folder / name) for name in TABLES}


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> list[dict[str, pd.DataFrame]]:
    """Tables of the runs in one file each, and of the same runs in 105 files."""
    measured = Measured()
    with pytest.MonkeyPatch.context() as patch:
        # Not all frames are clustered: which ones must not depend on the files either.
        patch.setattr(microstates, "MAX_CLUSTERED_FRAMES", 4000)
        return [
            tables_of(tmp_path_factory.mktemp(f"{longest}"), measured, pieces_of(RUNS, longest=longest))
            for longest in (max(RUNS.values()), PIECE)
        ]


@pytest.mark.parametrize("name", TABLES)
def test_cutting_a_run_into_files_changes_no_number(both, name):
    whole, cut = (tables[name] for tables in both)
    pd.testing.assert_frame_equal(whole, cut, rtol=1e-6)


@pytest.mark.parametrize(("name", "column"), [
    ("annotation.csv", "mean_lower"), ("differences.csv", "difference_lower"), ("free_energy.csv", "error_kT"),
])  # fmt: skip
def test_the_runs_are_long_enough_for_intervals(both, name, column):
    assert both[0][name][column].notna().any()
