"""Frames that stand for a state, and observables that explain a variable."""

import mdtraj
import numpy as np
import pandas as pd
import pytest

from geom2msm.ensembles import (
    choose_frames,
    densest_frame,
    draw_frames,
    importance_of_atoms,
    in_their_files,
    read_frames_at,
    read_structures,
    state_weights,
    superposed,
)
from geom2msm.observable_curves import N_BINS, all_curves, explained, filled_bins, plane, telling
from geom2msm.sticks import flattened, read_sticks
from geom2msm.structure_files import remarks
from geom2msm.topology import load_topology
from geom2msm.trajectory import iterate_frames

pytestmark = pytest.mark.filterwarnings("ignore:Unlikely unit cell vectors")
ALANINE = "resources/structures/alanine_dipeptide.pdb"


def test_the_densest_frame_lies_in_the_larger_of_two_clusters():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0, 1, (6000, 2)), rng.normal([9, 0], 1, (2000, 2))])
    assert np.linalg.norm(points[densest_frame(points, np.ones(8000))]) < 0.5
    # Ten times the weight makes the smaller cluster the larger one.
    weights = np.repeat([1.0, 10.0], [6000, 2000])
    assert np.linalg.norm(points[densest_frame(points, weights)] - [9, 0]) < 0.5


def test_the_densest_frame_needs_neither_scale_nor_varying_dimensions_and_has_weight():
    rng = np.random.default_rng(1)
    points, weights = rng.normal(size=(500, 2)), np.ones(500)
    weights[:100] = 0
    place = densest_frame(points, weights)
    assert place >= 100
    stretched = np.column_stack([1e3 * points[:, 0], 1e-3 * points[:, 1] + 5, np.full(500, 7.0)])
    # A constant dimension makes kernels wider, and the place may move, though not far.
    assert np.linalg.norm(points[densest_frame(stretched, weights)] - points[place]) < 0.7
    assert densest_frame(points, np.eye(500)[3]) == 3


def test_frames_are_drawn_by_their_weight_each_once():
    weights = np.repeat([1.0, 3.0, 0.0], [4000, 4000, 10])
    drawn = draw_frames(weights, n_frames=800, seed=0)
    assert len(set(drawn)) == 800
    assert (np.diff(drawn) > 0).all()
    assert (drawn < 8000).all()
    assert (drawn >= 4000).mean() == pytest.approx(0.75, abs=0.06)
    assert draw_frames(np.array([0, 1.0, 2.0]), n_frames=50, seed=0).tolist() == [1, 2]


def test_weights_of_a_state_are_the_probabilities_of_its_microstates():
    msm = {
        "active_microstates": np.array([0, 2, 3]), "stationary_distribution": np.array([0.5, 0.3, 0.2]),
        "memberships": np.array([[1.0, 0.0], [0.8, 0.2], [0.1, 0.9]]),
    }  # fmt: skip
    microstates = np.array([0, 0, 1, 2, 2, 3, 3, 3, 2])
    weights = state_weights(microstates, msm, state=0)
    np.testing.assert_allclose(weights, [0.25, 0.25, 0, 0.08, 0.08, 0, 0, 0, 0.08])
    other = state_weights(microstates, msm, state=1)
    np.testing.assert_allclose(other, [0, 0, 0, 0, 0, 0.06, 0.06, 0.06, 0])


def test_chosen_frames_are_named_by_trajectory():
    points, weights = np.zeros((30, 1)), np.zeros(30)
    weights[[4, 10, 29]] = 1
    points[:, 0] = np.arange(30)
    chosen = choose_frames(points, weights, lengths={"a": 10, "b": 20}, n_frames=9, seed=0)
    assert chosen.role.tolist() == ["representative", *["ensemble"] * 3]
    assert list(zip(chosen.trajectory, chosen.frame, strict=True))[1:] == [("a", 4), ("b", 0), ("b", 19)]


@pytest.mark.parametrize("stride", [1, 3])
def test_frames_are_read_wherever_they_are(repository, tmp_path, stride):
    structure = mdtraj.load(str(repository / ALANINE))
    frames = np.repeat(structure.xyz, 2500, axis=0)
    frames[:, 0, 0] = np.arange(2500) / 1000
    mdtraj.Trajectory(frames, structure.topology).save_dcd(str(tmp_path / "run.dcd"))
    inventory = {"file": str(tmp_path / "run.dcd"), "stride": stride, "make_whole": True}
    topology = load_topology(str(repository / ALANINE))
    wanted = np.array([0, 1, 5, 400, 830])
    read = read_frames_at(inventory, topology, np.array([0, 3]), wanted)
    np.testing.assert_allclose(read[:, 0, 0], stride * wanted / 1000, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 3])
def test_a_file_is_read_once_however_many_frames_are_drawn_and_no_further_than_these(
    repository, tmp_path, stride, monkeypatch
):
    structure = mdtraj.load(str(repository / ALANINE))
    noise = np.random.default_rng(0).normal(size=(300, structure.n_atoms, 3)).astype("f4")
    mdtraj.Trajectory(structure.xyz + noise, structure.topology).save_xtc(str(tmp_path / "run.xtc"))
    reading, pieces = {"stride": stride, "make_whole": True}, []
    topology, atoms = load_topology(str(repository / ALANINE)), np.array([0, 3])
    path = str(tmp_path / "run.xtc")
    monkeypatch.setattr("geom2msm.trajectory.CHUNK_FRAMES", 10)
    whole = np.concatenate([piece.positions_nm for piece in iterate_frames(path, topology, atoms, **reading)])

    def counted(*arguments, **named):
        pieces.append(0)
        for piece in iterate_frames(*arguments, **named):
            pieces[-1] += 1
            yield piece

    monkeypatch.setattr("geom2msm.ensembles.iterate_frames", counted)
    wanted = np.array([5, 6, 30, 57, 74])
    read = read_frames_at({"file": path} | reading, topology, atoms, wanted)
    np.testing.assert_array_equal(read, whole[wanted])
    # MDTraj reads 10 frames of the file at a time, of which every stride-th is kept.
    assert pieces == [-(-70 * stride // 10)]


@pytest.mark.parametrize(("stride", "first_ps"), [(1, 0.0), (5, 1000.0)])
def test_a_frame_is_found_in_the_raw_file_by_its_number_and_its_time(repository, tmp_path, stride, first_ps):
    structure = mdtraj.load(str(repository / ALANINE))
    positions_nm = np.repeat(structure.xyz, 101, axis=0) + np.arange(101, dtype="f4")[:, None, None] / 100
    time_ps = first_ps + 2.0 * np.arange(101)
    mdtraj.Trajectory(positions_nm, structure.topology, time=time_ps).save_xtc(str(tmp_path / "run.xtc"))
    inventory = {
        "file": str(tmp_path / "run.xtc"), "topology": str(repository / ALANINE), "selection": "all", "stride": stride,
        "make_whole": False, "frame_interval_ps": 2.0 * stride, "checks": {"first_time_ps": first_ps},
    }  # fmt: skip
    drawn = pd.DataFrame({"trajectory": "run", "frame": [7, 0, 19]})
    chosen = in_their_files(drawn, {"run": inventory})
    _, read = read_structures(chosen, {"run": inventory})
    raw = mdtraj.load(str(tmp_path / "run.xtc"), top=str(repository / ALANINE))
    for row, positions in zip(chosen.itertuples(), read.xyz, strict=True):
        np.testing.assert_allclose(raw.xyz[row.file_frame], positions, atol=1e-3)
        assert raw.time[row.file_frame] == row.file_time_ps
    without = in_their_files(drawn, {"run": inventory | {"checks": {"times": "none in this format"}}})
    assert without.file_time_ps.isna().all()
    assert without.time_ps.tolist() == [2.0 * stride * frame for frame in drawn.frame]
    said = [remarks(table, state=1, probability=0.5, importance=[]) for table in (chosen, without)]
    assert f"FRAME {7 * stride} OF ITS FILE (FROM 0), AT {first_ps + 14 * stride:g} PS\n" in said[0]
    assert f"FRAME {7 * stride} OF ITS FILE (FROM 0), {14 * stride} PS AFTER THE FIRST\n" in said[1]


def test_superposed_structures_lie_on_the_first(repository):
    structure = mdtraj.load(str(repository / ALANINE))
    turned = structure[0]
    turned.xyz = turned.xyz[..., [1, 2, 0]] + 1
    both = superposed(mdtraj.join([structure, turned], check_topology=False))
    np.testing.assert_allclose(both.xyz[0], structure.xyz[0], atol=1e-6)
    np.testing.assert_allclose(both.xyz[1], both.xyz[0], atol=1e-5)


def test_importance_goes_to_the_atoms_of_its_token(tmp_path):
    importance, tokens = str(tmp_path / "importance.csv"), str(tmp_path / "tokens.csv")
    rows = [(1, 0, "occlusion", 0.2), (1, 1, "occlusion", 0.4), (1, 2, "occlusion", -0.1), (1, 0, "gradient", 9.0),
            (2, 0, "occlusion", 7.0)]  # fmt: skip
    pd.DataFrame(rows, columns=["state", "token", "method", "importance"]).to_csv(importance, index=False)
    pd.DataFrame({"token": [0, 1, 2], "atoms": ["1 4", "6", "8"]}).to_csv(tokens, index=False)
    atoms = np.array([0, 1, 4, 6, 8])
    np.testing.assert_allclose(importance_of_atoms(importance, tokens, atoms, state=1), [0, 49.5, 49.5, 99, 0])


def test_what_an_observable_explains_is_the_squared_correlation_of_a_straight_line():
    rng = np.random.default_rng(0)
    values, noise = rng.uniform(-1, 1, 40_000), rng.normal(0, 1, 40_000)
    function = values / values.std() + noise
    assert explained(values, function, np.ones(40_000)) == pytest.approx(0.5, abs=0.02)
    assert explained(values, values**2, np.ones(40_000)) > 0.98
    assert explained(values, np.ones(40_000), np.ones(40_000)) == 0


def test_noise_explains_nothing_however_few_frames_there_are():
    rng = np.random.default_rng(1)
    found = [
        explained(observed, rng.normal(size=400), rng.uniform(0.5, 1.5, 400))
        for _ in range(50)
        for observed in (rng.uniform(size=400), rng.standard_cauchy(size=400))
    ]
    assert np.mean(found) < 0.03


@pytest.mark.parametrize("share", [0.02, 0.006, 0.004, 0.0005])
@pytest.mark.parametrize("kind", ["distance", "fraction"])
def test_an_observable_explains_a_rare_state_however_rare_it_is(share, kind):
    """The law of total variance: what two sides of a gap differ by is explained, wherever the axis of a figure ends."""
    rng = np.random.default_rng(6)
    rare = rng.permutation(np.arange(40_000) < 40_000 * share)
    opening = 0.25 * rare if kind == "fraction" else 1.0 + rare + 0.05 * rng.normal(size=40_000)
    function = (rare - share) / rare.std() + 0.5 * rng.normal(size=40_000)
    apart = 1 - (share * function[rare].var() + (1 - share) * function[~rare].var()) / function.var()
    weights = np.ones(40_000)
    assert explained(opening, function, weights) == pytest.approx(apart, abs=0.05)
    assert explained(-opening, function, weights) == pytest.approx(apart, abs=0.05)
    other = np.stack([rng.normal(size=40_000), opening], axis=1)
    described = {"variables": ["function 2"], "each_for": np.ones((40_000, 2))}
    curves = all_curves(other, function[:, None], weights, ["noise", "opening"], **described)
    assert telling(curves, n_most=1) == ["opening"]


def test_bins_with_few_frames_are_joined_with_their_neighbors():
    place = np.repeat([-3.0, -1.0, 0.0, 1.0, 7.0, 900.0, 901.0], [2, 4, 9, 3, 3, 1, 1])
    np.testing.assert_array_equal(filled_bins(place), np.repeat([0, 1, 2], [6, 9, 8]))
    assert set(filled_bins(np.arange(4.0))) == {0}


def test_curves_skip_what_never_varies_and_name_the_rest():
    rng = np.random.default_rng(2)
    functions = rng.normal(size=(3000, 2))
    observables = np.stack(
        [functions[:, 1], np.zeros(3000), np.full(3000, np.nan), functions[:, 0] + 0.1, rng.normal(size=3000)], axis=1
    )
    observables[::2, 3] = np.nan
    curves = all_curves(
        observables,
        functions,
        np.ones(3000),
        ["second", "zero", "missing", "first", "noise"],
        variables=["function 2", "function 3"],
        each_for=np.ones((3000, 5)),
    )
    assert set(curves.observable) == {"second", "first", "noise"}
    assert set(curves.variable) == {"function 2", "function 3"}
    assert telling(curves, n_most=2) == ["first", "second"]
    assert telling(curves, n_most=9) == ["first", "second", "noise"]


def test_a_curve_weighs_a_trajectory_with_few_known_values_by_its_length():
    # Of 40,000 frames every tenth has a value, of 400 all: the mean is near that of the long trajectory.
    rng = np.random.default_rng(5)
    functions = np.repeat([-1.0, 1.0], [40_000, 400])[:, None]
    values = rng.uniform(size=(40_400, 1))
    values[:40_000][np.arange(40_000) % 1000 != 0] = np.nan
    each_for = np.repeat([1000.0, 1.0], [40_000, 400])[:, None]
    curves = all_curves(values, functions, np.ones(40_400), ["sparse"], variables=["z1"], each_for=each_for)
    assert np.average(curves["mean"], weights=curves.weight) == pytest.approx(-39_600 / 40_400, abs=0.01)


def test_a_plane_has_the_mean_of_each_bin():
    rng = np.random.default_rng(3)
    x, y, weights = rng.uniform(size=20_000), rng.uniform(size=20_000), rng.uniform(size=20_000)
    bins = plane(x, y, 2 * x - y, weights)
    assert len(bins) == N_BINS**2
    np.testing.assert_allclose(bins["mean"], 2 * bins.value - bins.other_value, atol=0.05)
    assert bins.frames.sum() == pytest.approx(0.98 * 20_000, rel=0.01)


def test_sticks_are_the_bonds_between_heavy_atoms(repository):
    positions_nm, bonds = read_sticks(str(repository / ALANINE))
    topology = load_topology(str(repository / ALANINE))
    heavy = [atom.index for atom in topology.atoms if atom.element.symbol != "H"]
    expected = {
        frozenset((heavy.index(a.index), heavy.index(b.index)))
        for a, b in topology.bonds
        if a.index in heavy and b.index in heavy
    }
    assert {frozenset(bond) for bond in bonds.tolist()} == expected
    np.testing.assert_allclose(positions_nm, mdtraj.load(str(repository / ALANINE)).xyz[0, heavy], atol=1e-4)


def test_a_large_molecule_is_drawn_as_its_trace(repository):
    path = repository / "data/structures/4ake.cif"
    if not path.exists():
        pytest.skip("data/structures is not here")
    path = repository / "data/structures/1ake_A.pdb"
    positions_nm, bonds = read_sticks(str(path))
    assert len(positions_nm) == 214
    assert len(bonds) == 213


def test_flattening_keeps_all_distances_and_the_hand():
    points = np.random.default_rng(4).normal(size=(6, 3)) * [1, 5, 3]
    flat = flattened(points)
    assert np.all(np.diff(flat.std(axis=0)) < 0)
    np.testing.assert_allclose(
        np.linalg.norm(flat[:, None] - flat, axis=-1), np.linalg.norm(points[:, None] - points, axis=-1)
    )
    volume = [np.linalg.det(each[1:4] - each[0]) for each in (points, flat)]
    assert volume[0] == pytest.approx(volume[1])
