import numpy as np
import pytest
import torch

from geom2msm.embedding_maps import (
    invariants,
    joined,
    like_neighbors,
    like_tokens,
    random_encoder,
    separation,
    step_between,
    tsne,
)
from geom2msm.encoder.embedding import EmbeddedTokens
from geom2msm.encoder.visnet import ViSNetConfig
from geom2msm.encoder.weights import load_encoder


def random_tokens(rng: np.random.Generator, *, n_frames: int = 40) -> EmbeddedTokens:
    shapes = ((n_frames, 3, 5), (n_frames, 3, 3, 5), (n_frames, 3, 3))
    return EmbeddedTokens(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))


@pytest.mark.parametrize(("n_frames", "n_chosen", "step"), [([100, 100], 10, 20), ([5, 3], 100, 1), ([999], 10, 100)])
def test_no_more_frames_than_wanted(n_frames, n_chosen, step):
    assert step_between(n_frames, n_chosen=n_chosen) == step


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
