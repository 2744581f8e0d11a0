"""Maps of phi and psi: which residues, which bins, which weights."""

import numpy as np
import pytest

from geom2msm.joined_store import StoredTrajectory, write_joined
from geom2msm.ramachandran import (
    BIN_DEG,
    N_BINS,
    ResidueTorsions,
    frame_weights,
    free_energy_map,
    grid,
    mean_map,
    read_torsions,
    spread,
    state_map,
)
from geom2msm.store import write_store


def torsions(phi_deg, psi_deg, residue="ALA2"):
    return ResidueTorsions(residue, np.array(phi_deg, dtype=float), np.array(psi_deg, dtype=float))


def write_features(path, names, angles_deg, trajectory="run-0"):
    """Store cosine and sine of each column of angles."""
    angles = np.radians(np.array(angles_deg, dtype=float))
    features = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(len(angles), -1).astype("f4")
    channels = [f"{part} {name}" for name in names for part in ("cos", "sin")]
    attributes = {"trajectory": trajectory, "names": channels}
    write_store(
        str(path), attributes=attributes, arrays={"features": features}, axes={"features": ("frame", "channel")}
    )
    return str(path)


def states_of(path, **lengths: int) -> str:
    """A store of these trajectories."""
    trajectories = [StoredTrajectory(name.replace("_", "-"), length) for name, length in lengths.items()]
    write_joined(str(path), trajectories, attributes={}, arrays={"macrostate": np.zeros(sum(lengths.values()))})
    return str(path)


def test_angles_come_back_in_degrees_and_trajectories_are_joined(tmp_path):
    names = ["psi ALA1", "phi LEU2", "psi LEU2"]
    paths = [
        write_features(tmp_path / f"{run}.zarr.zip", names, angles, run)
        for run, angles in (("run-0", [[10, -170, 160], [0, 20, 40]]), ("run-1", [[5, 60, -90]]))
    ]
    (leucine,) = read_torsions(paths, like=states_of(tmp_path / "states.zarr.zip", run_0=2, run_1=1))
    assert leucine.residue == "LEU2"
    np.testing.assert_allclose(leucine.phi_deg, [-170, 20, 60], atol=1e-3)
    np.testing.assert_allclose(leucine.psi_deg, [160, 40, -90], atol=1e-3)


def test_residues_of_two_chains_with_one_name_stay_apart(tmp_path):
    names = ["phi A ALA2", "psi A ALA2", "phi B ALA2", "psi B ALA2"]
    # The feature names put the chain first: 'cos B phi ALA2'.
    named = [" ".join([name.split()[1], name.split()[0], name.split()[2]]) for name in names]
    path = write_features(tmp_path / "a.zarr.zip", named, [[-60, -40, 50, 60], [-70, -50, 40, 50]])
    found = read_torsions([path], like=states_of(tmp_path / "states.zarr.zip", run_0=1))
    assert [residue.residue for residue in found] == ["A ALA2", "B ALA2"]
    np.testing.assert_allclose(found[1].phi_deg, [50, 40], atol=1e-3)


def test_the_spread_of_an_angle_knows_that_180_is_minus_180():
    assert spread(np.array([179.0, -179.0])) < 0.001
    assert spread(np.array([0.0, 90.0, 180.0, -90.0])) == pytest.approx(1)


def test_every_frame_is_in_one_bin_and_180_is_in_the_bin_of_minus_180():
    table = mean_map(torsions([-180, 180, 0, 179.9], [-180, 180, 0, 179.9]), np.arange(4.0))
    assert table.frames.sum() == 4
    corner = table[(table.phi_deg == -180 + BIN_DEG / 2) & (table.psi_deg == -180 + BIN_DEG / 2)]
    assert corner["mean"].item() == 0.5


def test_a_map_as_an_image_has_psi_upwards():
    table = mean_map(torsions([-179], [179]), np.array([7.0]))
    image = grid(table, "mean")
    assert image[N_BINS - 1, 0] == 7
    assert np.isnan(image).sum() == N_BINS**2 - 1


def test_a_bin_has_the_state_of_most_of_its_frames_and_0_means_dropped():
    table = state_map(torsions([1, 2, 3, 100], [1, 2, 3, 100]), np.array([1, 1, 0, -1]))
    assert table.state.tolist() == [2, 0]
    assert table.frames_in_state.tolist() == [2, 1]
    assert table.frames.tolist() == [3, 1]


def test_frame_weights_add_up_to_the_stationary_distribution():
    microstates = np.array([0, 0, 0, 2, 5, 5, -1])
    weights = frame_weights(microstates, np.array([0, 5]), np.array([0.25, 0.75]))
    np.testing.assert_allclose(weights, [0.25 / 3] * 3 + [0, 0.375, 0.375, 0])


def test_free_energy_is_minus_the_logarithm_of_the_weight_in_a_bin():
    table = free_energy_map(torsions([0, 0, 90, 170], [0, 0, 90, 170]), np.array([0.3, 0.5, 0.2, 0.0]))
    assert table.free_energy_kT.tolist() == pytest.approx([0, np.log(0.8 / 0.2)])
