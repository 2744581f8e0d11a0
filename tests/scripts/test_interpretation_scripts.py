"""Importance, attention and maps from stores: the token that tells of the states is the one that is found."""

import json

import mdtraj
import numpy as np
import pandas as pd
import pytest

import average_attention
import map_embeddings
import measure_importance
import split_trajectories
import train_vampnet
from geom2msm.joined_store import StoredTrajectory, write_joined
from geom2msm.store import write_store
from geom2msm.token_table import token_table
from geom2msm.topology_files import ResidueLabel
from systems import simulate_chain, three_state_chain

N_FRAMES = (900, 800, 700)
MODEL = {
    "kind": "vampnet", "lag_ps": 4.0, "dimensions": 2, "hidden_channels": 16, "learning_rate": 1.0e-2,
    "batch_pairs": 300, "max_epochs": 6, "patience": 6, "epsilon": 1.0e-6,
}  # fmt: skip
MODELS = {"sum": MODEL | {"mixer": "sum"}, "transformer": MODEL | {"mixer": "transformer", "n_layers": 1}}
SPLIT = {"scheme": "trajectories", "n_folds": 2, "nested": False, "block_ns": None, "gap_ps": 4.0}
SETTINGS = {"n_frames": 150, "n_untrained": 4}
AXES = {
    "scalars": ("frame", "token", "channel"),
    "vectors": ("frame", "token", "3", "channel"),
    "positions_nm": ("frame", "token", "3"),
    "time_ps": ("frame",),
}
DIPEPTIDE, WEIGHTS = "resources/structures/alanine_dipeptide.pdb", "resources/encoders/visnet_l6_h64.safetensors"


def dipeptide_table(repository) -> tuple[mdtraj.Trajectory, pd.DataFrame]:
    molecule = mdtraj.load(repository / DIPEPTIDE)
    labels = [ResidueLabel("A", "", residue.resSeq, "") for residue in molecule.topology.residues]
    heavy = molecule.topology.select("not element H")
    return molecule, token_table(molecule.topology, heavy, labels=labels, file=DIPEPTIDE)


@pytest.fixture(scope="module")
def system(tmp_path_factory, repository):
    """Three trajectories of a chain of three states, of which only the second of three tokens knows."""
    folder, chain = tmp_path_factory.mktemp("system"), np.linalg.matrix_power(three_state_chain(), 5)
    dipeptide_table(repository)[1].to_csv(folder / "tokens.csv", index=False)
    shapes, assigned = np.random.default_rng(99).normal(size=(3, 4)), []
    for number, n_frames in enumerate(N_FRAMES):
        rng = np.random.default_rng(number)
        states = simulate_chain(chain, n_frames, rng)
        scalars, vectors = rng.normal(size=(n_frames, 3, 4)), rng.normal(size=(n_frames, 3, 3, 4))
        scalars[:, 1] = 3 * shapes[states] + 0.3 * scalars[:, 1]
        described = {"system": "test", "trajectory": f"run-{number}", "frame_interval_ps": 2.0, "provenance": {}}
        write(
            folder / f"tokens-{number}.zarr.zip", described | {"tokens": {"stretch": [0, 0, 0]}},
            scalars=scalars.astype("f2"), vectors=vectors.astype("f2"),
            positions_nm=rng.normal(size=(n_frames, 3, 3)).astype("f4"), time_ps=2.0 * np.arange(n_frames),
        )  # fmt: skip
        assigned.append(states.astype("i4"))
        inventory = {"trajectory": f"run-{number}", "n_frames": n_frames, "frame_interval_ps": 2.0, "checks": {}}
        inventory["sha256"] = f"run-{number}"
        (folder / f"{number}.json").write_text(json.dumps(inventory))
    inventories = [str(folder / f"{number}.json") for number in range(len(N_FRAMES))]
    split_trajectories.main(inventories, str(folder / "split.json"), continuous=False, settings=SPLIT)
    write_states(folder / "states.zarr.zip", assigned)
    return folder


def write_states(path, assigned: list[np.ndarray]) -> None:
    trajectories = [StoredTrajectory(f"run-{number}", len(each)) for number, each in enumerate(assigned)]
    write_joined(str(path), trajectories, attributes={}, arrays={"macrostate": np.concatenate(assigned)})


def write(path, attributes, **arrays) -> None:
    write_store(str(path), attributes=attributes, arrays=arrays, axes={name: AXES[name] for name in arrays})


def stores(system, stage: str) -> list[str]:
    return [str(system / f"{stage}-{number}.zarr.zip") for number in range(len(N_FRAMES))]


@pytest.fixture(scope="module", params=MODELS)
def weights(request, system):
    """A trained network."""
    made = ("weights.safetensors", "history.csv", "scores.json", "costs.json")
    paths = [str(system / f"{request.param}-{name}") for name in made]
    split, settings = str(system / "split.json"), MODELS[request.param]
    train_vampnet.main(stores(system, "tokens"), split, *paths, fold=0, seed=0, settings=settings)
    return paths[0]


def test_the_token_that_tells_of_the_states_has_the_importance(system, weights, tmp_path):
    importance, verdict = str(tmp_path / "importance.csv"), str(tmp_path / "importance.json")
    inputs = (stores(system, "tokens"), str(system / "states.zarr.zip"), weights, str(system / "tokens.csv"))
    measure_importance.main(*inputs, importance, verdict, settings=SETTINGS)
    rows, found = pd.read_csv(importance), json.loads((tmp_path / "importance.json").read_text())
    methods = {"occlusion", "gradient"} | ({"attention"} if "transformer" in weights else set())
    assert set(rows.method) == methods
    assert rows.residue.tolist()[:3] == ["A:ACE1", "A:ALA2", "A:NME3"]
    assert set(rows.state) == {1, 2, 3}
    np.testing.assert_allclose(rows.groupby(["method", "state"]).share.sum(), 1, rtol=1e-5)
    of_occlusion = rows[rows.method == "occlusion"]
    assert (of_occlusion[of_occlusion.token == 1].share > 0.8).all()
    assert (of_occlusion.untrained_lowest <= of_occlusion.untrained).all()
    assert found["control"]["occlusion"]["overlap_with_untrained"] < 0.8
    assert found["n_untrained"] == 4
    assert found["verdict"] in ("pass", "warn", "fail")
    assert len(found["reasons"]) + len(found["notes"]) == len(methods) + len(methods) * (len(methods) - 1) // 2


def test_attention_is_a_table_of_places(system, weights, tmp_path):
    inputs = (stores(system, "tokens"), str(system / "states.zarr.zip"), weights, str(system / "tokens.csv"))
    if "transformer" not in weights:
        with pytest.raises(ValueError, match="no attention weights"):
            average_attention.main(*inputs, str(tmp_path / "attention.csv"), settings=SETTINGS)
        return
    average_attention.main(*inputs, str(tmp_path / "attention.csv"), settings=SETTINGS)
    rows = pd.read_csv(tmp_path / "attention.csv")
    assert rows.to_place[:4].tolist() == ["class token", "A:ACE1", "A:ALA2", "A:NME3"]
    sums = rows.groupby(["state", "from_place"])[["attention", "untrained"]].sum()
    np.testing.assert_allclose(sums, 1, rtol=1e-4)
    assert len(sums) == 3 * 4


def test_maps_of_a_tumbling_dipeptide(repository, tmp_path):
    molecule, table = dipeptide_table(repository)
    rng, n_frames = np.random.default_rng(0), 40
    turns = np.linalg.qr(rng.normal(size=(n_frames, 3, 3)))[0]
    frames = molecule.xyz[0] @ turns + 0.01 * rng.normal(size=(n_frames, molecule.n_atoms, 3))
    mdtraj.Trajectory(frames.astype("f4"), molecule.topology).save_xtc(tmp_path / "run.xtc")
    known = {"topology": str(repository / DIPEPTIDE), "selection": "not element H", "n_frames": n_frames}
    (tmp_path / "run.json").write_text(json.dumps(known | {"stride": 1, "make_whole": True}))
    table.to_csv(tmp_path / "tokens.csv", index=False)
    write_states(tmp_path / "states.zarr.zip", [(np.arange(n_frames) % 2).astype("i4")])
    embedding = {
        "neighbor_rule": "nearest32", "kernel": "auto", "precision": "float32", "dtype": "float16",
        "window_neighbors": None,
        "periodic": False, "unseen_elements": {}, "environment": None,
    }  # fmt: skip
    map_embeddings.main(
        [str(tmp_path / "run.xtc")], [str(tmp_path / "run.json")], str(tmp_path / "states.zarr.zip"),
        str(tmp_path / "tokens.csv"), str(repository / WEIGHTS), str(tmp_path / "map.csv"), str(tmp_path / "map.json"),
        embedding=embedding, map_tokens=60, source="digest",
    )  # fmt: skip
    rows, found = pd.read_csv(tmp_path / "map.csv"), json.loads((tmp_path / "map.json").read_text())
    assert found["n_frames"] == 20
    assert len(rows) == 2 * 60
    assert set(rows.residue_name) == {"ACE", "ALA", "NME"}
    assert set(rows.state) == {1}
    for separation in found["separation"].values():
        # One token of each type has no other that is like it, and there is one state.
        assert separation["residue_alike"] is None
        assert separation["state_alike"] is None
