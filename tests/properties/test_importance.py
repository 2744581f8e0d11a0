"""Laws of importance: what is not read has none, what is read is found, and names and directions do not matter."""

import numpy as np
import pytest
import torch
from torch import nn

from geom2msm.importance import Probe, affordable_frames, exchanged, gradient, occlusion, superposing_turns
from geom2msm.importance_summary import Measured, control, judge, measure, overlap, share_errors, shares
from geom2msm.interpreted import Network, Sample, whitening
from geom2msm.mixers.build import LobeConfig
from geom2msm.stored_tokens import Tokens
from mixer_cases import CASES, WITHOUT_VECTORS, random_normal, random_tokens, randomized, small_lobe

CHAIN = (0, 0, 0, 1, 1)
N_TOKENS, N_FRAMES = 5, 25
CONFIG = LobeConfig("sum", dimensions=3, mixer_settings=None)
ON_TOKENS = [case for case in CASES if case[0] not in WITHOUT_VECTORS]
every_mixer = pytest.mark.parametrize("case", ON_TOKENS, ids=lambda case: f"{case[0]}-{case[1]}")
WAYS = (occlusion, gradient)
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


class Reader(nn.Module):
    """Reads some of the tokens only: sum_i w_i . s_i, or its hyperbolic tangent."""

    def __init__(self, weights: torch.Tensor, *, linear: bool = True) -> None:
        super().__init__()
        self.weights, self.linear = weights, linear

    def forward(self, scalars, vectors, positions_nm):
        value = torch.einsum("ftc,tcd->fd", scalars, self.weights)
        return value if self.linear else value.tanh()


class Blind(nn.Module):
    """A lobe that never sees one token."""

    def __init__(self, lobe: nn.Module, token: int) -> None:
        super().__init__()
        self.lobe, self.token = lobe, token

    def forward(self, scalars, vectors, positions_nm):
        seen = torch.ones(scalars.shape[1], 1, dtype=scalars.dtype)
        seen[self.token] = 0
        return self.lobe(scalars * seen, vectors * seen[:, None], positions_nm)


def network(lobe: nn.Module, dimensions: int = 3) -> Network:
    return Network(lobe, CONFIG, torch.eye(dimensions, dtype=torch.float64))


def tokens_of(seed: int, n_frames: int = N_FRAMES) -> Tokens:
    return Tokens(*random_tokens(seed, n_frames=n_frames, n_tokens=N_TOKENS))


def turned(tokens: Tokens, seed: int) -> Tokens:
    """Every frame turned and moved in its own way."""
    turns = torch.linalg.qr(random_normal(seed, len(tokens.scalars), 3, 3))[0]
    turns = turns * torch.linalg.det(turns)[:, None, None]
    return Tokens(
        tokens.scalars,
        torch.einsum("ftac,fab->ftbc", tokens.vectors, turns),
        tokens.positions_nm @ turns + random_normal(seed + 1, len(turns), 1, 3),
    )


@every_way
@every_mixer
def test_a_token_that_is_not_read_has_no_importance(case, way):
    lobe = randomized(small_lobe(case, chain=CHAIN), 3)
    found = way(network(Blind(lobe, 2)), Probe.draw(tokens_of(0), tokens_of(5), seed=0)).mean(dim=0)
    assert found[2] == 0
    assert (found[[0, 1, 3, 4]].abs() > 1e-6).all()


@every_way
@pytest.mark.parametrize("token", range(N_TOKENS))
def test_a_token_that_alone_is_read_has_all_importance(way, token):
    weights = torch.zeros(N_TOKENS, 4, 3, dtype=torch.float64)
    weights[token] = random_normal(7, 4, 3)
    frames = tokens_of(0, 400)
    found = way(network(Reader(weights, linear=False)), Probe.draw(frames, frames, seed=0)).mean(dim=0)
    assert shares(found.numpy())[token] == 1


def test_of_a_linear_network_importance_is_the_part_of_the_variance():
    frames, weights = tokens_of(0, 1500), random_normal(7, N_TOKENS, 4, 3)
    read = network(Reader(weights))
    probe = Probe.draw(frames, frames, seed=0)
    ways = [way(read, probe) for way in WAYS]
    torch.testing.assert_close(*ways)
    parts = torch.stack([(frames.scalars[:, token] @ weights[token]).var(dim=0).sum() for token in range(N_TOKENS)])
    error = ways[0].std(dim=0) / len(ways[0]) ** 0.5
    assert ((ways[0].mean(dim=0) - parts).abs() < 5 * error).all()
    assert (error < 0.2 * parts).all()


@every_way
def test_importances_go_with_their_tokens(way):
    """The sum does not know places, so another order of the tokens is only another order of the importances."""
    read = network(randomized(small_lobe(("sum", 0), chain=CHAIN), 3))
    order = torch.tensor([3, 0, 4, 1, 2])

    def ordered(tokens: Tokens) -> Tokens:
        return Tokens(*(array[:, order] for array in tokens))

    frames, everywhere = tokens_of(0), tokens_of(5)
    found = way(read, Probe.draw(frames, everywhere, seed=0))
    again = way(read, Probe.draw(ordered(frames), ordered(everywhere), seed=0))
    torch.testing.assert_close(again, found[:, order])


@every_way
@every_mixer
def test_turning_and_moving_each_frame_changes_nothing(case, way):
    read = network(randomized(small_lobe(case, chain=CHAIN), 3))
    frames, everywhere = tokens_of(0), tokens_of(5)
    found = way(read, Probe.draw(frames, everywhere, seed=0))
    again = way(read, Probe.draw(turned(frames, 11), turned(everywhere, 13), seed=0))
    torch.testing.assert_close(again, found, rtol=1e-6, atol=1e-8 * float(found.abs().max()))


@every_way
@every_mixer
def test_a_token_that_never_changes_tells_nothing_however_much_it_is_read(case, way):
    """A rigid molecule that tumbles: neither its turning nor the sizes of its vectors are importance."""
    read, one = network(randomized(small_lobe(case, chain=CHAIN), 3)), tokens_of(0, 1)
    rigid = turned(Tokens(*(array.expand(N_FRAMES, *array.shape[1:]) for array in one)), 11)
    other = rigid._replace(scalars=rigid.scalars.clone())
    other.scalars[:, 1] += random_normal(17, N_FRAMES, 4)
    found = way(read, Probe.draw(other, other, seed=0)).mean(dim=0).abs()
    assert (found[[0, 2, 3, 4]] < 1e-9 * found[1]).all()


def test_frames_in_pieces_or_at_once(monkeypatch):
    read = network(randomized(small_lobe(("transformer", 0), chain=CHAIN), 3))
    probe = Probe.draw(tokens_of(0), tokens_of(5), seed=0)
    at_once = [way(read, probe) for way in WAYS]
    monkeypatch.setattr("geom2msm.interpreted.BATCH_BYTES", 7 * probe.tokens.frame_bytes)
    assert len(list(probe.batches())) == 4
    for way, expected in zip(WAYS, at_once, strict=True):
        torch.testing.assert_close(way(read, probe), expected)


@every_way
def test_tokens_in_half_precision_are_differentiated_too(way):
    lobe = small_lobe(("sum", 0), chain=CHAIN)
    half = Tokens(tokens_of(0).scalars.half(), tokens_of(0).vectors.half(), tokens_of(0).positions_nm.float())
    single = Tokens(*(array.float() for array in half))
    found, expected = (way(network(lobe), Probe.draw(tokens, tokens, seed=0)) for tokens in (half, single))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("n_tokens", "n_frames"), [(3, 1000), (50, 1000), (500, 100), (10**6, 50)])
def test_fewer_frames_for_many_tokens(n_tokens, n_frames):
    assert affordable_frames(1000, n_tokens) == n_frames


def test_exchanging_a_token_leaves_frames_and_others_alone():
    frames, donors = tokens_of(0), tokens_of(5)
    before = frames.scalars.clone()
    changed = exchanged(frames, donors, 3)
    assert torch.equal(frames.scalars, before)
    assert torch.equal(changed.positions_nm, frames.positions_nm)
    for name in ("scalars", "vectors"):
        old, new, other = (getattr(each, name) for each in (frames, changed, donors))
        assert torch.equal(new[:, 3], other[:, 3])
        assert torch.equal(new[:, [0, 1, 2, 4]], old[:, [0, 1, 2, 4]])


@pytest.mark.parametrize("mirrored", [False, True])
def test_superposing_finds_the_rotation_and_never_a_reflection(mirrored):
    points = random_normal(0, 20, N_TOKENS, 3)
    turns = torch.linalg.qr(random_normal(1, 20, 3, 3))[0]
    turns = turns * torch.linalg.det(turns)[:, None, None]
    fixed = points @ turns * (-1 if mirrored else 1) + 3
    found = superposing_turns(points - 1, fixed)
    torch.testing.assert_close(torch.linalg.det(found), torch.ones(20, dtype=torch.float64))
    if not mirrored:
        torch.testing.assert_close(found, turns)


def sample_of(frames: Tokens) -> Sample:
    states = np.arange(len(frames.scalars)) % 2 + 1
    return Sample(frames, states, frames, {1: 0.75, 2: 0.25})


def test_importance_does_not_depend_on_the_unit_of_the_coordinates():
    lobe, frames = randomized(small_lobe(("sum", 0), chain=CHAIN), 3), tokens_of(0)
    sample, probe = sample_of(frames), Probe.draw(frames, frames, seed=0)
    rotation = torch.linalg.qr(random_normal(1, 3, 3))[0]
    one = measure(network(lobe), sample, probe)
    other = measure(Network(lobe, CONFIG, 100 * rotation), sample, probe)
    for method in one:
        np.testing.assert_allclose(other[method].overall(), one[method].overall(), rtol=1e-9)


def test_whitened_outputs_are_uncorrelated_and_useless_directions_are_dropped():
    outputs = random_normal(0, 500, 3) @ random_normal(1, 3, 3)
    outputs = torch.cat([outputs, 1 - outputs.sum(dim=1, keepdim=True)], dim=1)
    found = outputs @ whitening(outputs)
    torch.testing.assert_close(torch.cov(found.T), torch.eye(3, dtype=torch.float64))


def test_shares_and_their_errors():
    importance, errors = np.array([3.0, 1.0, -0.1]), np.array([0.3, 0.1, 0.02])
    np.testing.assert_allclose(shares(importance), [0.75, 0.25, 0])
    np.testing.assert_allclose(shares(np.zeros(4)), 0.25)
    draws = importance + errors * np.random.default_rng(0).normal(size=(3000, 3))
    simulated = np.array([shares(draw) for draw in draws]).std(axis=0)
    np.testing.assert_allclose(share_errors(importance, errors)[:2], simulated[:2], rtol=0.15)
    assert share_errors(np.array([1.0, 0.0]), np.array([0.5, 0.0]))[0] == 0


def test_overlap_is_one_for_equal_and_zero_for_disjoint():
    one, other = np.array([1.0, 2, 0, 0]), np.array([0.0, 0, 3, 1])
    assert overlap(one, 7 * one) == pytest.approx(1)
    assert overlap(one, other) == 0
    assert overlap(one, one + other) == overlap(one + other, one)


def measured(values: np.ndarray) -> dict[str, Measured]:
    return {"occlusion": Measured({1: (values, values)}, {1: 1.0})}


def test_what_was_not_learned_is_seldom_taken_for_learned():
    """A network that is one of the untrained ones is the one furthest from all others in one of ten cases."""
    rng, taken = np.random.default_rng(0), 0
    for _ in range(300):
        draws = rng.dirichlet(np.ones(8), size=10)
        found = control(measured(draws[0]), [measured(draw) for draw in draws[1:]])["occlusion"]
        taken += found["overlap_with_untrained"] < found["least_overlap_among_untrained"]
    assert 0.03 < taken / 300 < 0.17


def judged(overlap_of_ways: float, trained: float, n_tokens: int = 5) -> str:
    agreement = [{"methods": ["occlusion", "gradient"], "overlap": overlap_of_ways}]
    controls = {"occlusion": {"overlap_with_untrained": trained, "least_overlap_among_untrained": 0.8}}
    objections, notes = judge(agreement, controls, n_tokens=n_tokens, n_untrained=9)
    assert len(objections.verdict_and_reasons()["reasons"]) + len(notes) == (2 if n_tokens > 1 else 1)
    return objections.verdict


def test_the_verdict_says_agreement_and_training():
    assert judged(0.9, 0.5) == "pass"
    assert judged(0.6, 0.5) == "warn"
    assert judged(0.4, 0.5) == "fail"
    assert judged(0.9, 0.9) == "fail"
    assert judged(1.0, 1.0, n_tokens=1) == "not estimable"
