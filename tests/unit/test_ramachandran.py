"""Maps of phi and psi: which residues, which bins, which weights."""

import tracemalloc

import numpy as np
import pytest

from geom2msm.joined_store import StoredTrajectory, write_joined
from geom2msm.ramachandran import (
    BIN_DEG,
    MAX_RESIDUES,
    N_BINS,
    ResidueTorsions,
    frame_weights,
    free_energy_map,
    grid,
    mean_map,
    read_torsions,
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


def test_the_spread_of_an_angle_knows_that_180_is_minus_180(tmp_path):
    names = [f"{angle} ALA{number}" for number in range(5) for angle in ("phi", "psi")]
    angles = np.zeros((4, 10))
    # Residue 2 is always at 180 degrees, whatever its sign; the others move a little.
    angles[:, 4:6] = np.array([179.9, -179.9, 179.9, -179.9])[:, None]
    angles[:, [0, 2, 6, 8]] = np.array([0.0, 5.0, 10.0, 15.0])[:, None]
    path = write_features(tmp_path / "a.zarr.zip", names, angles)
    found = read_torsions([path], like=states_of(tmp_path / "states.zarr.zip", run_0=4))
    assert [residue.residue for residue in found] == ["ALA0", "ALA1", "ALA3", "ALA4"]


def written_runs(folder, rng, *, n_residues: int, lengths: dict[str, int]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Angles of residues of which each moves as much as it likes, by name, and the stores they are in."""
    names = [f"{angle} ALA{number}" for number in range(n_residues) for angle in ("phi", "psi")]
    widths, centers = rng.uniform(5, 120, len(names)), rng.uniform(-180, 180, len(names))
    runs = [centers + widths * rng.normal(size=(length, len(names))) for length in lengths.values()]
    paths = [
        write_features(folder / f"{name}.zarr.zip", names, run, name.replace("_", "-"))
        for name, run in zip(lengths, runs, strict=True)
    ]
    return dict(zip(names, np.concatenate(runs).T, strict=True)), paths


@pytest.mark.parametrize("chunk_frames", [1, 31, 4096])
def test_the_residues_that_vary_most_are_found_in_chunks_of_any_size(tmp_path, monkeypatch, chunk_frames):
    monkeypatch.setattr("geom2msm.pairs.CHUNK_FRAMES", chunk_frames)
    lengths = {"run_0": 70, "run_1": 1, "run_2": 90}
    angles, paths = written_runs(tmp_path, np.random.default_rng(4), n_residues=12, lengths=lengths)
    found = read_torsions(paths, like=states_of(tmp_path / "states.zarr.zip", **lengths))
    variance = {name: 1 - abs(np.exp(1j * np.radians(angle)).mean()) for name, angle in angles.items()}
    varying = sorted(range(12), key=lambda number: variance[f"phi ALA{number}"] + variance[f"psi ALA{number}"])
    assert [residue.residue for residue in found] == [f"ALA{number}" for number in sorted(varying[-MAX_RESIDUES:])]
    for residue in found:
        for name, angle_deg in (("phi", residue.phi_deg), ("psi", residue.psi_deg)):
            turned = (angle_deg - angles[f"{name} {residue.residue}"] + 180) % 360 - 180
            np.testing.assert_allclose(turned, 0, atol=2e-5)


def test_no_more_than_the_angles_of_four_residues_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("geom2msm.pairs.CHUNK_FRAMES", 80)
    lengths = {"run_0": 5000, "run_1": 5000}
    _, paths = written_runs(tmp_path, np.random.default_rng(4), n_residues=50, lengths=lengths)
    like = states_of(tmp_path / "states.zarr.zip", **lengths)
    tracemalloc.start()
    read_torsions(paths, like=like)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Eight angles of ten thousand frames, in double precision; the features are 200 channels, 8 MB.
    assert peak < 2 * 8 * 8 * 10_000


def test_trajectories_in_another_order_or_with_other_torsions_are_refused(tmp_path):
    angles = [[-60, -40]]
    paths = [write_features(tmp_path / f"{run}.zarr.zip", ["phi A1", "psi A1"], angles, run) for run in ("a", "b")]
    like = states_of(tmp_path / "states.zarr.zip", a=1, b=1)
    with pytest.raises(ValueError, match=r"b\.zarr\.zip: trajectory 'b', but .*states\.zarr\.zip has 'a' there"):
        read_torsions(paths[::-1], like=like)
    write_features(tmp_path / "b.zarr.zip", ["phi A1", "psi A2"], angles, "b")
    with pytest.raises(ValueError, match=r"b\.zarr\.zip: its torsions are not those of .*a\.zarr\.zip; the logs of"):
        read_torsions(paths, like=like)


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
