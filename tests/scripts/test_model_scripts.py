import csv
import gc
import json

import numpy as np
import pytest

import fit_tica
import project_variables
import select_model
import split_trajectories
import train_vampnet
from geom2msm.joined_store import read_pieces, read_trajectories
from geom2msm.projection import Projector
from geom2msm.splits import ROLES
from geom2msm.store import read_array, read_attributes, write_store
from geom2msm.weights_files import read_weights
from systems import simulate_chain, three_state_chain

TRAJECTORIES = {"run-0": 1500, "run-1": 1400, "run-2": 1300, "run-10": 1650}
VAMPNET = {
    "kind": "vampnet",
    "mixer": "sum",
    "lag_ps": 4.0,
    "dimensions": 2,
    "hidden_channels": 8,
    "learning_rate": 1.0e-2,
    "batch_pairs": 500,
    "max_epochs": 2,
    "patience": 2,
    "epsilon": 1.0e-6,
}
TICA = {"kind": "tica", "feature": "torsions", "lag_ps": 4.0, "dimensions": 2, "epsilon": 1.0e-6}
SPLIT = {"scheme": "trajectories", "n_folds": 2, "nested": True, "block_ns": None, "gap_ps": 4.0}
SCORES = {
    "score_training",
    "score_validation",
    "score_training_batch_mean",
    "score_validation_batch_mean",
    "best_epoch",
    "n_training_pairs",
    "n_validation_pairs",
    "lag_ps",
    "dimensions",
    "fold",
    "seed",
}
AXES = {
    "scalars": ("frame", "token", "channel"),
    "vectors": ("frame", "token", "3", "channel"),
    "positions_nm": ("frame", "token", "3"),
    "features": ("frame", "channel"),
    "time_ps": ("frame",),
}


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """A folder with inventories, token stores and feature stores of four short trajectories of a three-state chain."""
    folder = tmp_path_factory.mktemp("system")
    chain = np.linalg.matrix_power(three_state_chain(), 5)
    for number, (trajectory, n_frames) in enumerate(TRAJECTORIES.items()):
        rng = np.random.default_rng(number)
        states = simulate_chain(chain, n_frames, rng)
        shapes = np.random.default_rng(99)
        scalars = shapes.normal(size=(3, 2, 4))[states] + 0.3 * rng.normal(size=(n_frames, 2, 4))
        vectors = shapes.normal(size=(3, 2, 3, 4))[states] + 0.3 * rng.normal(size=(n_frames, 2, 3, 4))
        times = {"time_ps": np.arange(n_frames) * 2.0}
        tokens = {"scalars": scalars.astype("f2"), "vectors": vectors.astype("f2")}
        store(folder, "tokens", trajectory, times | tokens | {"positions_nm": vectors[..., 0].astype("f4")})
        store(folder, "features", trajectory, times | {"features": scalars[:, :, 0].astype("f4")})
        inventory = {"trajectory": trajectory, "n_frames": n_frames, "frame_interval_ps": 2.0, "checks": {}}
        inventory["sha256"] = trajectory
        (folder / f"{trajectory}.json").write_text(json.dumps(inventory))
    return folder


def store(folder, stage, trajectory, arrays):
    attributes = {"system": "test", "trajectory": trajectory, "frame_interval_ps": 2.0, "provenance": {}}
    if stage == "tokens":
        attributes["tokens"] = {"stretch": [0] * arrays["scalars"].shape[1]}
    axes = {name: AXES[name] for name in arrays}
    path = str(folder / f"{stage}-{trajectory}.zarr.zip")
    write_store(path, attributes=attributes, arrays=arrays, axes=axes)


def stores(system, stage):
    return [str(system / f"{stage}-{trajectory}.zarr.zip") for trajectory in TRAJECTORIES]


@pytest.fixture(scope="module")
def split(system):
    path = str(system / "split.json")
    inventories = [str(system / f"{trajectory}.json") for trajectory in TRAJECTORIES]
    split_trajectories.main(inventories, path, continuous=False, settings=SPLIT)
    return path


def outputs(folder, fold, seed):
    member = folder / f"fold{fold}-seed{seed}"
    member.mkdir(parents=True)
    return [str(member / name) for name in ("weights.safetensors", "history.csv", "scores.json", "costs.json")]


@pytest.fixture(scope="module")
def vampnets(system, split):
    """Weights, history and scores of one member per fold."""
    members = [outputs(system / "vampnet", fold, 7) for fold in range(2)]
    for fold, member in enumerate(members):
        train_vampnet.main(stores(system, "tokens"), split, *member, fold=fold, seed=7, settings=VAMPNET)
    return members


@pytest.fixture(scope="module")
def ticas(system, split):
    members = [outputs(system / "tica", fold, 0) for fold in range(2)]
    for fold, member in enumerate(members):
        fit_tica.main(stores(system, "features"), split, *member, fold=fold, seed=0, settings=TICA)
    return members


def read(path):
    with open(path) as file:
        return json.load(file)


def pieces_of(split, fold, *roles):
    """Trajectory, first frame and frame after the last of all pieces in some sets of a fold."""
    sets = [read(split)["folds"][fold][role] for role in roles]
    return [tuple(piece.values()) for segments in sets for (piece,) in segments]


def fitting_roles(kind):
    """The sets that a kind of model is fitted to: linear ones choose nothing by a score."""
    return ("training", "selection") if kind == "ticas" else ("training",)


def test_the_split_lets_every_trajectory_validate_once(split):
    content = read(split)
    held_out = [piece["trajectory"] for fold in content["folds"] for (piece,) in fold["validation"]]
    assert sorted(held_out) == sorted(TRAJECTORIES)
    assert content["provenance"]["settings"] == SPLIT | {"continuous": False}
    assert content["provenance"]["inputs"].keys() == TRAJECTORIES.keys()


@pytest.mark.parametrize(("kind", "n_rows"), [("vampnets", 2), ("ticas", 1)])
def test_both_kinds_of_model_leave_the_same_artefacts(kind, n_rows, request, split):
    for fold, (weights, history, scores, costs) in enumerate(request.getfixturevalue(kind)):
        found = read(scores)
        assert found.keys() >= SCORES
        assert found["fold"] == fold
        assert read(costs)["seconds"] > 0
        for name, roles in {"training": fitting_roles(kind), "validation": ("validation",)}.items():
            lengths = [stop - start for _, start, stop in pieces_of(split, fold, *roles)]
            assert found[f"n_{name}_pairs"] == sum(length - 2 for length in lengths)
        with open(history) as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == n_rows
        column = "selection_score" if kind == "vampnets" else "validation_score"
        best = max(rows, key=lambda row: float(row[column]))
        assert int(best["epoch"]) == found["best_epoch"]
        reported = found.get("score_selection", found["score_validation"])
        assert float(best[column]) == pytest.approx(reported, abs=1e-4)
        _, description = read_weights(weights)
        assert description["lag_frames"] == 2
        names = {role: [name for name, _, _ in pieces_of(split, fold, role)] for role in ROLES}
        assert description["trajectories"] == names
        assert description["provenance"]["inputs"].keys() == TRAJECTORIES.keys() | {"split"}


def test_both_kinds_of_model_find_the_hidden_states(vampnets, ticas):
    assert all(1.5 < read(scores)["score_validation"] < 3 for _, _, scores, _ in vampnets + ticas)


@pytest.mark.parametrize(("kind", "stage"), [("vampnets", "tokens"), ("ticas", "features")])
def test_the_ensemble_goes_on_with_a_member_that_no_validation_score_has_chosen(kind, stage, request, system, tmp_path):
    members = request.getfixturevalue(kind)
    scores, weights = [member[2] for member in members], [member[0] for member in members]
    ensemble, chosen = str(tmp_path / "ensemble.json"), str(tmp_path / "weights.safetensors")
    select_model.main(scores, weights, stores(system, stage), ensemble, chosen)
    content = read(ensemble)
    # Of one member per fold the selection scores say nothing, and two agree equally with each other.
    best = 0
    assert (content["fold"], content["weights"]) == (best, weights[best])
    assert [member["fold"] for member in content["members"]] == [0, 1]
    with open(weights[best], "rb") as expected:
        assert (tmp_path / "weights.safetensors").read_bytes() == expected.read()
    found = [read(path)["score_validation"] for path in scores]
    assert content["summary"]["score_validation"]["mean"] == pytest.approx(np.mean(found))
    assert content["summary"]["score_validation"]["sd"] == pytest.approx(np.std(found, ddof=1))
    assert content["agreement"]["overlap"] > 0.8


def test_a_trajectory_too_short_to_lend_a_frame_is_passed_over(vampnets, system, tmp_path, monkeypatch):
    shortest = min(TRAJECTORIES.values())
    monkeypatch.setattr(select_model, "COMPARED_FRAMES", sum(TRAJECTORIES.values()) // (shortest + 1))

    of_frames = Projector.of_frames

    def project(model, source, frames):
        assert len(frames), "a network has nothing to say of no frame"
        return of_frames(model, source, frames)

    monkeypatch.setattr(Projector, "of_frames", project)
    scores, weights = [member[2] for member in vampnets], [member[0] for member in vampnets]
    made = [str(tmp_path / name) for name in ("ensemble.json", "weights.safetensors")]
    select_model.main(scores, weights, stores(system, "tokens"), *made)
    assert read(made[0])["agreement"]["n_functions"] == 2


@pytest.mark.parametrize(("kind", "stage"), [("vampnets", "tokens"), ("ticas", "features")])
def test_variables_of_a_trajectory_are_the_fixed_singular_functions(kind, stage, request, system, split, tmp_path):
    weights, variables = request.getfixturevalue(kind)[0][0], str(tmp_path / "variables.zarr.zip")
    project_variables.main(stores(system, stage), weights, split, variables)
    assert [each.name for each in read_trajectories(variables)] == list(TRAJECTORIES)
    for path, times in zip(stores(system, stage), read_pieces(variables, "time_ps"), strict=True):
        assert read_attributes(variables)["frame_interval_ps"] == read_attributes(path)["frame_interval_ps"]
        np.testing.assert_array_equal(times, read_array(path, "time_ps"))
    assert read_attributes(variables)["names"] == ["function 2", "function 3"]
    assert read_attributes(variables)["units"] == ["standard deviations"] * 2
    projected = dict(zip(TRAJECTORIES, read_pieces(variables, "variables"), strict=True))
    assert all(values.dtype == np.float32 and values.shape[1] == 2 for values in projected.values())
    fitted = pieces_of(split, 0, *fitting_roles(kind))
    training = [projected[name][start : stop - 2] for name, start, stop in fitted]
    np.testing.assert_allclose(np.cov(np.concatenate(training).T), np.eye(2), rtol=0, atol=0.05)


def test_variables_do_not_depend_on_the_chunks(vampnets, system, split, tmp_path, monkeypatch):
    sources, weights = stores(system, "tokens"), vampnets[0][0]
    whole, chunked = str(tmp_path / "whole.zarr.zip"), str(tmp_path / "chunked.zarr.zip")
    project_variables.main(sources, weights, split, whole)
    monkeypatch.setattr("geom2msm.pairs.CHUNK_FRAMES", 101)
    project_variables.main(sources, weights, split, chunked)
    np.testing.assert_allclose(read_array(chunked, "variables"), read_array(whole, "variables"), rtol=0, atol=1e-4)


def test_a_killed_projection_continues_to_the_same_bytes(vampnets, system, split, tmp_path, monkeypatch):
    sources, weights, paths = stores(system, "tokens"), vampnets[0][0], [tmp_path / "whole", tmp_path / "killed"]
    monkeypatch.setattr("geom2msm.pairs.CHUNK_FRAMES", 300)
    monkeypatch.setattr(project_variables, "CHUNK_FRAMES", 500)
    project_variables.main(sources, weights, split, str(paths[0]))
    original, done = project_variables.project_from, []

    def killed(*arguments, first_frame: int):
        for piece in original(*arguments, first_frame=first_frame):
            yield piece
            done.append(len(piece))
            if sum(done) >= 2400:
                raise KeyboardInterrupt

    monkeypatch.setattr(project_variables, "project_from", killed)
    with pytest.raises(KeyboardInterrupt):
        project_variables.main(sources, weights, split, str(paths[1]))
    gc.collect()  # The dead process's lock goes with its store, which the traceback still holds.
    starts = []

    def continued(*arguments, first_frame: int):
        starts.append(first_frame)
        return original(*arguments, first_frame=first_frame)

    monkeypatch.setattr(project_variables, "project_from", continued)
    project_variables.main(sources, weights, split, str(paths[1]))
    assert starts == [2000]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_tokens_of_another_encoder_are_refused(vampnets, split, tmp_path):
    arrays = {
        "scalars": np.zeros((5, 2, 3), "f2"), "vectors": np.zeros((5, 2, 3, 3), "f2"),
        "positions_nm": np.zeros((5, 2, 3), "f4"), "time_ps": np.arange(5.0),
    }  # fmt: skip
    store(tmp_path, "tokens", "other", arrays)
    with pytest.raises(ValueError, match=r"tokens-other.zarr.zip: scalars have 3 channels, but .* was trained on 4"):
        project_variables.main(
            [str(tmp_path / "tokens-other.zarr.zip")], vampnets[0][0], split, str(tmp_path / "variables.zarr.zip")
        )


def test_a_lag_between_frames_is_refused(system, split, tmp_path):
    with pytest.raises(ValueError, match="lag_ps = 3 is not a positive multiple of frame_interval_ps = 2"):
        fit_tica.main(
            stores(system, "features"), split, *outputs(tmp_path, 0, 0), fold=0, seed=0, settings=TICA | {"lag_ps": 3.0}
        )


def test_a_lag_longer_than_a_trajectory_names_it_and_leaves_no_output(system, tmp_path):
    split = str(tmp_path / "split.json")
    inventories = [str(system / f"{trajectory}.json") for trajectory in TRAJECTORIES]
    split_trajectories.main(inventories, split, continuous=False, settings=SPLIT | {"nested": False})
    with pytest.raises(ValueError, match="trajectory run-2 has 1300 frames and the lag is 1350 frames"):
        train_vampnet.main(
            stores(system, "tokens"),
            split,
            *outputs(tmp_path, 0, 0),
            fold=0,
            seed=0,
            settings=VAMPNET | {"lag_ps": 2700.0},
        )
    assert not list((tmp_path / "fold0-seed0").iterdir())
