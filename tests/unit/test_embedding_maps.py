import json
from collections.abc import Sequence
from pathlib import Path

import mdtraj
import numpy as np
import pandas as pd
import pytest
import torch

import map_embeddings
from geom2msm import trajectory as reader
from geom2msm.embedding_maps import (
    embed_frames,
    invariants,
    joined,
    like_neighbors,
    like_tokens,
    random_encoder,
    separation,
    step_for,
    tsne,
)
from geom2msm.encoder.embedding import EmbeddedTokens
from geom2msm.encoder.preparation import EmbeddingSettings
from geom2msm.encoder.visnet import ViSNetConfig
from geom2msm.encoder.weights import load_encoder
from geom2msm.joined_store import StoredTrajectory, write_joined
from geom2msm.token_table import token_table
from geom2msm.topology_files import ResidueLabel
from geom2msm.trajectory import Frames, picked

HEAVY = "not element H"
EMBEDDING = {
    "neighbor_rule": "nearest32", "kernel": "auto", "precision": "float32", "dtype": "float16",
    "window_neighbors": None, "periodic": False, "unseen_elements": {}, "environment": None,
}  # fmt: skip


def random_tokens(rng: np.random.Generator, *, n_frames: int = 40) -> EmbeddedTokens:
    shapes = ((n_frames, 3, 5), (n_frames, 3, 3, 5), (n_frames, 3, 3))
    return EmbeddedTokens(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))


@pytest.fixture(scope="module")
def maps(repository, tmp_path_factory) -> "DipeptideMaps":
    return DipeptideMaps(tmp_path_factory.mktemp("maps"), repository)


class DipeptideMaps:
    """Trajectories of a dipeptide that trembles, in a folder, and what maps of its tokens are made from."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder, self.rng = folder, np.random.default_rng(0)
        self.structure = str(repository / "resources/structures/alanine_dipeptide.pdb")
        self.weights = str(repository / "resources/encoders/visnet_l6_h64.safetensors")
        self.molecule = mdtraj.load(self.structure)
        labels = [ResidueLabel("A", "", residue.resSeq, "") for residue in self.molecule.topology.residues]
        heavy = self.molecule.topology.select(HEAVY)
        self.table = token_table(self.molecule.topology, heavy, labels=labels, file=self.structure)
        self.table.to_csv(folder / "tokens.csv", index=False)

    def write(self, name: str, n_frames: int, *, stride: int = 1) -> tuple[str, dict]:
        """A trajectory of so many frames that count, and its inventory."""
        shape, path = (n_frames * stride, self.molecule.n_atoms, 3), str(self.folder / f"{name}.xtc")
        xyz = (self.molecule.xyz[0] + 0.02 * self.rng.normal(size=shape)).astype("f4")
        mdtraj.Trajectory(xyz, self.molecule.topology).save_xtc(path)
        known = {"topology": self.structure, "selection": HEAVY, "n_frames": n_frames}
        known |= {"stride": stride, "make_whole": True}
        (self.folder / f"{name}.json").write_text(json.dumps(known))
        return path, known

    def made(self, lengths: Sequence[int], *, map_tokens: int) -> tuple[pd.DataFrame, dict]:
        """Maps and scores of trajectories of these lengths; the state is the number of the frame, end to end."""
        names = [f"run-{number}" for number in range(len(lengths))]
        paths = [self.write(name, length)[0] for name, length in zip(names, lengths, strict=True)]
        states, points, scores = (str(self.folder / name) for name in ("states.zarr.zip", "map.csv", "map.json"))
        trajectories = [StoredTrajectory(name, length) for name, length in zip(names, lengths, strict=True)]
        macrostates = np.arange(sum(lengths), dtype="i4")
        write_joined(states, trajectories, attributes={}, arrays={"macrostate": macrostates})
        inventories = [str(self.folder / f"{name}.json") for name in names]
        map_embeddings.main(
            paths, inventories, states, str(self.folder / "tokens.csv"), self.weights, points, scores,
            embedding=EMBEDDING, map_tokens=map_tokens, source="0",
        )  # fmt: skip
        return pd.read_csv(points), json.loads(Path(scores).read_text())


@pytest.mark.parametrize(
    ("lengths", "n_chosen", "step"), [([1] * 50, 10, 5), ([4, 1, 1, 12, 1], 7, 3), ([2, 1], 100, 1)]
)
def test_no_more_frames_than_wanted_evenly_from_all_trajectories(maps, lengths, n_chosen, step):
    rows, found = maps.made(lengths, map_tokens=n_chosen * len(maps.table))
    assert (found["n_frames"], found["step_frames"]) == (len(range(0, sum(lengths), step)), step)
    assert found["n_frames"] <= n_chosen
    states = rows[(rows.encoder == "pretrained") & (rows.token == rows.token[0])].state
    assert (states - 1).tolist() == list(range(0, sum(lengths), step))
    assert len(rows) == 2 * len(maps.table) * found["n_frames"]


@pytest.mark.parametrize(("total", "n_chosen"), [(1, 1), (19, 10), (20, 10), (21, 10), (9, 10), (10**6, 14)])
def test_the_step_takes_no_more_and_at_least_half_of_what_is_wanted(total, n_chosen):
    taken = len(range(0, total, step_for([total - 1, 1], n_chosen=n_chosen)))
    assert min(total, n_chosen) / 2 < taken <= n_chosen


@pytest.mark.parametrize("frames", [[0, 1, 2], [4], [2, 3, 9, 16], [19]])
def test_tokens_are_those_of_the_chosen_frames_whatever_pieces_they_are_read_in(maps, monkeypatch, frames):
    path, known = maps.write("strided", 20, stride=2)
    encoder, card = load_encoder(maps.weights)
    mdtraj.load(path, top=maps.structure)[::2].save_xtc(str(maps.folder / "plain.xtc"))
    how = (maps.table, [encoder], card, EmbeddingSettings(**EMBEDDING))
    (every,) = embed_frames(str(maps.folder / "plain.xtc"), known | {"stride": 1}, *how, frames=np.arange(20))
    monkeypatch.setattr(reader, "CHUNK_FRAMES", 3)
    (found,) = embed_frames(path, known, *how, frames=np.array(frames))
    for name, array in vars(found).items():
        np.testing.assert_allclose(array, getattr(every, name)[frames], atol=1e-5)


def test_nothing_is_read_beyond_the_last_chosen_frame():
    def piece(first):
        assert first < 6, "read too far"
        some, none = np.full((3, 2, 3), first, "f4"), np.zeros(3, bool)
        return Frames(first, some, np.arange(3.0), np.full((3, 3, 3), -first, "f4"), none, none)

    found = list(picked(map(piece, range(0, 30, 3)), np.array([1, 4])))
    assert [(positions[0, 0, 0], cells[0, 0, 0]) for positions, cells in found] == [(0, 0), (3, -3)]
    assert all(len(positions) == len(cells) == 1 for positions, cells in found)


def test_the_map_does_not_see_how_a_molecule_is_turned():
    tokens = random_tokens(np.random.default_rng(0))
    turns = np.linalg.qr(np.random.default_rng(1).normal(size=(40, 3, 3)))[0].astype(np.float32)
    turned = EmbeddedTokens(tokens.scalars, np.einsum("ftac,fab->ftbc", tokens.vectors, turns), tokens.positions_nm)
    np.testing.assert_allclose(invariants(turned), invariants(tokens), atol=1e-4)
    assert invariants(tokens).shape == (120, 10)
    np.testing.assert_allclose(invariants(tokens).std(axis=0), 1, rtol=1e-4)


def test_a_constant_channel_stays_zero():
    tokens = random_tokens(np.random.default_rng(0))
    tokens.scalars[..., 2] = 7
    assert (invariants(tokens)[:, 2] == 0).all()


def test_pieces_are_joined_in_order():
    one, other = (random_tokens(np.random.default_rng(seed), n_frames=4 + seed) for seed in (0, 1))
    found = joined([one, other])
    assert found.scalars.shape == (9, 3, 5)
    np.testing.assert_array_equal(found.vectors[4:], other.vectors)


def test_separate_groups_have_like_neighbors_and_shuffled_labels_have_them_by_chance():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], (600, 300, 100))
    features = rng.normal(size=(1000, 4)) + 20 * labels[:, None]
    assert like_neighbors(features, labels)[0] == 1
    alike, chance = like_neighbors(features, rng.permutation(labels))
    assert chance == pytest.approx(1 / 3, abs=0.002)
    assert alike == pytest.approx(chance, abs=0.02)
    assert like_neighbors(features, np.zeros(1000, dtype=int)) is None


def many_tokens(rng: np.random.Generator, names: list[str], *, of_type: float) -> np.ndarray:
    """Tokens in 30 frames: a random vector of each token's own, of its type so many times, and noise."""
    types = rng.normal(size=(26, 32))[[ord(name) - ord("A") for name in names]]
    own = rng.normal(size=(len(names), 32))
    return own + of_type * types + 0.3 * rng.normal(size=(30, len(names), 32))


def test_a_token_that_knows_nothing_of_its_type_is_like_others_by_chance_though_always_like_itself():
    rng, names = np.random.default_rng(0), [*"AAAAGGGGVVVVLLLLSSSSW"]
    found = np.array([like_tokens(many_tokens(rng, names, of_type=0.0), names) for _ in range(30)])
    # Three others among twenty; the single W is a candidate, and has none.
    np.testing.assert_allclose(found[:, 1], 3 / 20)
    assert found[:, 0].mean() == pytest.approx(3 / 20, abs=0.04)
    assert like_tokens(many_tokens(rng, names, of_type=5.0), names)[0] == pytest.approx(1)


def test_types_count_equally_and_need_more_than_one_token_and_another_type():
    rng, names = np.random.default_rng(0), [*12 * "A", *2 * "G"]
    features = many_tokens(rng, names, of_type=0.0)
    features[:, -2:] = 50 + rng.normal(size=(30, 2, 32))
    alike, chance = like_tokens(features, names)
    assert alike == pytest.approx(1)
    assert chance == pytest.approx((11 / 13 + 1 / 13) / 2)
    assert like_tokens(features, ["A"] * 14) is None
    assert like_tokens(features[:, :3], ["A", "G", "V"]) is None


def test_states_are_compared_within_a_residue():
    """Two residues far apart; one of them tells the states apart, the other knows nothing of them."""
    rng = np.random.default_rng(0)
    states = rng.choice([1, 2], size=400)
    features = rng.normal(size=(400, 2, 3))
    features[:, 1] += 100
    features[:, 0, 0] += 50 * states
    found = separation(features.reshape(800, 3), ["ALA", "GLY"], states)
    assert found["residue_alike"] is None
    assert found["state_alike"] == pytest.approx(0.75, abs=0.03)
    dropped = np.where(np.arange(400) < 200, 0, states)
    assert separation(features.reshape(800, 3), ["ALA", "GLY"], dropped)["state_alike"] == pytest.approx(0.75, abs=0.04)


def test_one_residue_and_one_state_have_nothing_to_tell_apart():
    found = separation(np.random.default_rng(0).normal(size=(20, 3)), ["ALA"], np.ones(20, dtype=int))
    assert set(found.values()) == {None}


def test_equal_tokens_give_equal_maps():
    features = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    first = tsne(features, seed=0)
    assert first.shape == (40, 2)
    np.testing.assert_array_equal(tsne(features, seed=0), first)


def test_random_encoders_are_reproducible_and_of_the_same_architecture(repository):
    config = load_encoder(str(repository / "resources/encoders/visnet_l6_h64.safetensors"))[1].config
    assert isinstance(config, ViSNetConfig)
    before = torch.random.get_rng_state()
    one, same, other = (random_encoder(config, seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
