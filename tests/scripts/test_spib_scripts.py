"""From tokens to a Markov model of SPIB's own states, on trajectories of a three-state chain."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import assign_states
import cluster_microstates
import estimate_msm
import fit_tica
import project_variables
import scan_lags
import split_trajectories
import train_spib
import train_vampnet
from geom2msm.initial_states import cluster_fold
from geom2msm.joined_store import read_pieces
from geom2msm.pairs import fold_frames
from geom2msm.projection import Projector, found_functions
from geom2msm.splits import read_fold
from geom2msm.store import read_array, read_attributes, write_store
from geom2msm.weights_files import read_weights
from systems import simulate_chain, three_state_chain

TRAJECTORIES = {"run-0": 1200, "run-1": 1100, "run-2": 900, "run-10": 1300}
CHAIN = np.linalg.matrix_power(three_state_chain(), 5)
TICA = {"kind": "tica", "feature": "torsions", "lag_ps": 4.0, "dimensions": 2, "epsilon": 1.0e-6}
VAMPNET = {
    "kind": "vampnet", "mixer": "sum", "lag_ps": 4.0, "dimensions": 2, "hidden_channels": 8, "learning_rate": 1.0e-2,
    "batch_pairs": 200, "max_epochs": 2, "patience": 2, "epsilon": 1.0e-6,
}  # fmt: skip
SPIB = {
    "kind": "spib", "mixer": "sum", "hidden_channels": 16, "lag_ps": 4.0, "initial_labels": "tica",
    "initial_states": 8, "latent_dimensions": 2, "decoder_channels": 16, "beta": 1.0e-3, "learning_rate": 5.0e-3,
    "batch_pairs": 50, "n_refinements": 4, "max_epochs_per_refinement": 5, "population_tolerance": 0.01,
    "patience": 2, "minimum_population": 0.0, "states_are_microstates": True, "memory_mb": 100, "control": "none",
}  # fmt: skip
MSM = {
    "model": "spib", "baseline": "tica", "lag_ps": 8.0, "scan_lags_ps": [4.0, 8.0], "n_microstates": 20,
    "n_macrostates": 2, "n_timescales": 2, "n_posterior_samples": 20, "ck_multiples": 2, "seed": 0,
}  # fmt: skip
AXES = {
    "scalars": ("frame", "token", "channel"), "vectors": ("frame", "token", "3", "channel"),
    "positions_nm": ("frame", "token", "3"), "features": ("frame", "channel"), "time_ps": ("frame",),
}  # fmt: skip
MADE = ("weights.safetensors", "history.csv", "scores.json", "costs.json")


def hidden_states(trajectory: str) -> np.ndarray:
    number = list(TRAJECTORIES).index(trajectory)
    return simulate_chain(CHAIN, TRAJECTORIES[trajectory], np.random.default_rng(number))


def store(folder, stage, trajectory, arrays):
    attributes = {"system": "test", "trajectory": trajectory, "frame_interval_ps": 2.0, "tokens": {"stretch": [0, 0]}}
    axes = {name: AXES[name] for name in arrays}
    write_store(str(folder / f"{stage}-{trajectory}.zarr.zip"), attributes=attributes, arrays=arrays, axes=axes)


def stores(folder, stage):
    return [str(folder / f"{stage}-{trajectory}.zarr.zip") for trajectory in TRAJECTORIES]


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """Token and feature stores, the split, and the two models whose variables are clustered."""
    folder = tmp_path_factory.mktemp("system")
    shapes = np.random.default_rng(99).normal(size=(3, 2, 4))
    for number, (trajectory, n_frames) in enumerate(TRAJECTORIES.items()):
        rng = np.random.default_rng(number + 10)
        scalars = shapes[hidden_states(trajectory)] + 0.3 * rng.normal(size=(n_frames, 2, 4))
        vectors = rng.normal(size=(n_frames, 2, 3, 4))
        times = {"time_ps": np.arange(n_frames) * 2.0}
        tokens = {"scalars": scalars.astype("f2"), "vectors": vectors.astype("f2")}
        store(folder, "tokens", trajectory, times | tokens | {"positions_nm": vectors[..., 0].astype("f4")})
        store(folder, "features", trajectory, times | {"features": scalars[:, 0].astype("f4")})
        inventory = {"trajectory": trajectory, "n_frames": n_frames, "frame_interval_ps": 2.0, "checks": {}}
        inventory["sha256"] = trajectory
        (folder / f"{trajectory}.json").write_text(json.dumps(inventory))
    split = {"scheme": "trajectories", "n_folds": 2, "nested": False, "block_ns": None, "gap_ps": 4.0}
    inventories = [str(folder / f"{trajectory}.json") for trajectory in TRAJECTORIES]
    split_trajectories.main(inventories, str(folder / "split.json"), continuous=False, settings=split)
    for script, kind, settings, stage in (
        (fit_tica, "tica", TICA, "features"),
        (train_vampnet, "vampnet", VAMPNET, "tokens"),
    ):
        made = [str(folder / f"{kind}-{name}") for name in MADE]
        script.main(stores(folder, stage), str(folder / "split.json"), *made, fold=0, seed=0, settings=settings)
    return folder


def train(system, folder, *, initial=("tica", "features"), settings=SPIB):
    model, stage = initial
    made = [str(folder / name) for name in MADE]
    weights = str(system / f"{model}-weights.safetensors")
    train_spib.main(
        stores(system, "tokens"), str(system / "split.json"), weights, stores(system, stage), *made,
        fold=0, seed=0, settings=settings,
    )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def trained(system, tmp_path_factory):
    return train(system, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def projected(system, trained, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("variables") / "spib.zarr.zip")
    project_variables.main(stores(system, "tokens"), trained[0], str(system / "split.json"), path)
    return path


def read(path):
    with open(path) as file:
        return json.load(file)


def agreement(states, truth):
    """Share of frames in the one hidden state that each state stands for."""
    table = np.zeros((states.max() + 1, 3))
    np.add.at(table, (states, truth), 1)
    return table.max(axis=1).sum() / len(truth)


def test_members_are_compared_by_their_states_not_by_latent_coordinates(system, trained, tmp_path, monkeypatch):
    """Two states need one direction of z; what lies across is arbitrary, and no disagreement."""
    (path, *_), frames = stores(system, "tokens"), np.arange(0, 900, 3)
    found = found_functions([path], trained[0], [frames])
    model = Projector.read(trained[0])
    variables = model.of_frames(path, frames)
    states = model.described(variables)["state"]
    assert found.shape == (300, 2)
    np.testing.assert_array_equal(found.argmax(axis=1) + 1, np.where(states == 0, 1, states))
    np.testing.assert_array_equal(found.sum(axis=1), states > 0)
    monkeypatch.setattr(Projector, "read", lambda weights: replace(model, state_centers=None))
    np.testing.assert_array_equal(found_functions([path], trained[0], [frames]), variables)


@pytest.mark.parametrize("initial", [("tica", "features"), ("vampnet", "tokens")], ids=lambda initial: initial[0])
def test_states_start_from_either_kind_of_model(initial, system, trained, tmp_path):
    weights, history, scores, costs = trained if initial[0] == "tica" else train(system, tmp_path, initial=initial)
    found, (_, description) = read(scores), read_weights(weights)
    assert read(costs)["seconds"] > 0
    assert found["n_states"] == 3
    assert found.keys() >= {"score_training", "score_validation", "training_loss", "validation_loss"}
    assert (found["fold"], found["seed"], description["kind"], description["lag_frames"]) == (0, 0, "spib", 2)
    with open(history) as file:
        rows = list(csv.DictReader(file))
    assert int(rows[0]["n_states"]) == 8
    assert int(rows[-1]["epoch"]) == len(rows) == found["best_epoch"]
    assert not [path for path in (tmp_path, system) if list(path.glob("*.part"))]


def test_the_first_states_are_clusters_of_the_very_frames_they_label(system):
    fold, tokens = read_fold(str(system / "split.json"), 0), stores(system, "tokens")
    frames = [fold_frames(fold, tokens, lag_ps=4.0)[role] for role in ("fitting", "validation")]
    weights, features = str(system / "tica-weights.safetensors"), stores(system, "features")
    labels = cluster_fold(*frames, tokens, weights, features, n_states=8, seed=0)
    for found, segments in zip(labels, (fold.training, fold.validation), strict=True):
        truth = np.concatenate([hidden_states(piece.trajectory) for segment in segments for piece in segment])
        assert agreement(found.numpy(), truth) > 0.95


def test_all_that_is_not_validation_is_for_training(system, trained):
    names = [segment[0]["trajectory"] for segment in read(system / "split.json")["folds"][0]["training"]]
    assert read(trained[2])["n_training_pairs"] == sum(TRAJECTORIES[name] - 2 for name in names)


def test_every_frame_has_variables_probabilities_and_a_state(trained, projected):
    state, probabilities = read_array(projected, "state"), read_array(projected, "state_probabilities")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), state)
    assert read_array(projected, "variables").shape == (sum(TRAJECTORIES.values()), 2)
    # No singular functions, and not scaled to their standard deviations.
    assert read_attributes(projected)["names"] == ["latent z1", "latent z2"]
    assert read_attributes(projected)["units"] == ["", ""]
    for trajectory, piece in zip(TRAJECTORIES, read_pieces(projected, "state"), strict=True):
        assert agreement(piece, hidden_states(trajectory)) > 0.99


def test_states_do_not_depend_on_the_chunks(system, trained, projected, tmp_path, monkeypatch):
    monkeypatch.setattr("geom2msm.pairs.CHUNK_FRAMES", 101)
    path = str(tmp_path / "chunked.zarr.zip")
    project_variables.main(stores(system, "tokens"), trained[0], str(system / "split.json"), path)
    np.testing.assert_array_equal(read_array(path, "state"), read_array(projected, "state"))
    variables = read_array(projected, "variables")
    np.testing.assert_allclose(read_array(path, "variables"), variables, rtol=0, atol=1e-4)
    some = Projector.read(trained[0]).of_frames(stores(system, "tokens")[0], np.array([3, 700]))
    np.testing.assert_allclose(some, variables[[3, 700]], rtol=0, atol=1e-4)


def test_the_states_are_the_microstates_of_the_markov_model(projected, tmp_path):
    dtrajs, assigned, msm = (str(tmp_path / name) for name in ("dtrajs.zarr.zip", "states.zarr.zip", "msm.npz"))
    tables = [str(tmp_path / name) for name in ("states.csv", "rates.csv", "summary.json")]
    cluster_microstates.main(projected, str(tmp_path / "microstates.npz"), dtrajs, settings=MSM)
    centers = np.load(tmp_path / "microstates.npz")["centers"]
    assert centers.shape == (3, 2)
    scan_lags.main(dtrajs, str(tmp_path / "timescales.csv"), settings=MSM)
    estimate_msm.main(dtrajs, msm, *tables, settings=MSM, temperature_K=300.0)
    assign_states.main(projected, dtrajs, msm, assigned)
    microstate = read_array(assigned, "microstate")
    np.testing.assert_array_equal(microstate, read_array(projected, "state"))
    distance = np.linalg.norm(read_array(projected, "variables") - centers[microstate], axis=1)
    np.testing.assert_allclose(read_array(assigned, "center_distance"), distance, atol=1e-4)
    with np.load(msm) as model:
        np.testing.assert_array_equal(model["n_frames"], np.bincount(microstate))


def test_z_is_clustered_where_the_states_are_not_to_be_microstates(system, tmp_path):
    weights, *_ = train(system, tmp_path, settings=SPIB | {"states_are_microstates": False, "n_refinements": 1})
    path = str(tmp_path / "run-0.zarr.zip")
    project_variables.main(stores(system, "tokens"), weights, str(system / "split.json"), path)
    cluster_microstates.main(path, str(tmp_path / "microstates.npz"), str(tmp_path / "dtrajs.zarr.zip"), settings=MSM)
    assert len(np.load(tmp_path / "microstates.npz")["centers"]) == 20


def test_training_through_a_buffer_finds_the_same_states(system, projected, tmp_path, monkeypatch):
    # 50 kB hold a quarter of the training frames, of 88 bytes each.
    monkeypatch.setattr("geom2msm.token_pairs.MEGABYTE", 50_000)
    weights, *_ = train(system, tmp_path, settings=SPIB | {"memory_mb": 1})
    path = str(tmp_path / "run-0.zarr.zip")
    project_variables.main(stores(system, "tokens"), weights, str(system / "split.json"), path)
    assert (read_array(path, "state") == read_array(projected, "state")).mean() > 0.99


def test_frames_in_random_order_leave_one_state(system, tmp_path, caplog):
    with caplog.at_level("WARNING"):
        weights, _, scores, _ = train(system, tmp_path, settings=SPIB | {"control": "time_shuffled", "beta": 0.1})
    assert read(scores)["n_states"] == 1
    assert "all states merged into one" in caplog.text
    path = str(tmp_path / "run-0.zarr.zip")
    project_variables.main(stores(system, "tokens"), weights, str(system / "split.json"), path)
    assert len(read_attributes(path)["state_centers"]) == 1
    # What comes after says in words that there is nothing to estimate.
    cluster_microstates.main(path, str(tmp_path / "microstates.npz"), str(tmp_path / "dtrajs.zarr.zip"), settings=MSM)
    scan_lags.main(str(tmp_path / "dtrajs.zarr.zip"), str(tmp_path / "timescales.csv"), settings=MSM)
    made = [str(tmp_path / name) for name in ("msm.npz", "states.csv", "rates.csv", "summary.json")]
    with caplog.at_level("WARNING"):
        estimate_msm.main(str(tmp_path / "dtrajs.zarr.zip"), *made, settings=MSM, temperature_K=300.0)
    assert (read(made[3])["n_macrostates"], read(made[3])["n_macrostates_asked"]) == (1, MSM["n_macrostates"])
    assert "all frames lie in one microstate" in caplog.text


def test_a_control_is_noise_of_its_own_for_every_set(system, tmp_path, monkeypatch):
    class Opened(Exception):
        """The sets of pairs, before anything is learned from them."""

    def stop(*pairs, **_):
        raise Opened(*pairs)

    monkeypatch.setattr(train_spib, "fit_spib", stop)
    with pytest.raises(Opened) as opened:
        train(system, tmp_path, settings=SPIB | {"control": "noise_tokens"})
    fitting, validation = (next(iter(each.pairs.chunks())).scalars for each in opened.value.args)
    assert not torch.equal(fitting[:10], validation[:10])


def test_a_constant_input_ends_with_a_clear_message(system, tmp_path, monkeypatch):
    monkeypatch.setattr("geom2msm.initial_states.project_store", lambda source, weights: np.zeros((1200, 2)))
    monkeypatch.setattr("geom2msm.initial_states.FrameReader", lambda path, name: range(1200))
    with pytest.raises(ValueError, match="all frames have the same variables, so there is nothing to cluster"):
        train(system, tmp_path)
    assert not list(tmp_path.iterdir())
