"""The model: its loss against the formula written out, laws of its divergence, what states are in its weights."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geom2msm.mixers.build import build_lobe
from geom2msm.mixers.layout import TokenLayout
from geom2msm.spib import Projection, Spib, SpibConfig, prior_divergence
from geom2msm.stored_tokens import Tokens
from geom2msm.weights_files import read_weights, write_weights

SETTINGS = {
    "kind": "spib", "mixer": "sum", "hidden_channels": 8, "lag_ps": 2.0,
    "initial_labels": "tica", "initial_states": 5, "latent_dimensions": 2, "decoder_channels": 8, "beta": 0.1,
    "learning_rate": 1e-2, "batch_pairs": 100, "n_refinements": 3, "max_epochs_per_refinement": 3,
    "population_tolerance": 0.01, "patience": 2, "minimum_population": 0.0, "states_are_microstates": True,
}  # fmt: skip
CONFIG = SpibConfig.from_settings(SETTINGS)
LAYOUT = TokenLayout(4, (0, 0, 0))


def random_tokens(n_frames: int, *, seed: int = 0) -> Tokens:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((n_frames, 3, 4), (n_frames, 3, 3, 4), (n_frames, 3, 3))
    return Tokens(*(torch.randn(shape, generator=generator) for shape in shapes))


@pytest.fixture
def model() -> Spib:
    """Five states, with other numbers everywhere than a new model has."""
    spib = Spib(build_lobe(CONFIG.lobe, LAYOUT), CONFIG, random_tokens(5, seed=1))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        spib.log_variance.fill_(-0.3)
        spib.prior_logits.copy_(torch.randn(5, generator=generator))
        spib.state_logits.bias.copy_(torch.randn(5, generator=generator))
    return spib


def project(model: Spib, chunks: list[Tokens]) -> Projection:
    return model.decode(model.means(chunks))


def log_normal(z: list[float], mean: list[float], variance: float) -> float:
    """Logarithm of the density of an isotropic normal distribution, prefactor and all."""
    square = sum((a - b) ** 2 for a, b in zip(z, mean, strict=True))
    return -0.5 * square / variance - 0.5 * len(z) * math.log(2 * math.pi * variance)


def test_the_loss_is_the_formula_written_out(model):
    tokens, states = random_tokens(6), torch.tensor([0, 4, 2, 2, 1, 3])
    means, prior_means = model(*tokens), model(*model.representatives)
    noise = torch.randn(6, 2)
    variance = math.exp(float(model.log_variance.detach()))
    weights = [math.exp(value) for value in model.prior_logits.tolist()]
    expected = 0.0
    for frame in range(6):
        z = (means[frame] + math.sqrt(variance) * noise[frame]).detach()
        logits = model.state_logits(model.decoder(z)).tolist()
        log_q = logits[states[frame]] - math.log(sum(math.exp(value) for value in logits))
        densities = [math.exp(log_normal(z.tolist(), mean, variance)) for mean in prior_means.tolist()]
        log_prior = math.log(sum(w * p for w, p in zip(weights, densities, strict=True)) / sum(weights))
        divergence = log_normal(z.tolist(), means[frame].tolist(), variance) - log_prior
        expected += (-log_q + CONFIG.beta * divergence) / 6
    found = model.loss_terms(means, states, noise, prior_means).total(beta=CONFIG.beta)
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)


def test_the_divergence_is_zero_where_the_prior_is_the_posterior():
    means, z = torch.randn(9, 3), torch.randn(9, 3)
    for frame in range(9):
        own = means[frame : frame + 1]
        # As one component, or cut into two that lie on each other.
        for log_weights in (torch.zeros(1), torch.tensor([0.3, 0.7]).log()):
            components = own.expand(len(log_weights), 3)
            found = prior_divergence(z[frame : frame + 1], own, components, log_weights, torch.tensor(0.4))
            torch.testing.assert_close(found, torch.zeros(1), rtol=0, atol=1e-5)


def test_with_one_representative_the_mean_divergence_is_the_analytic_one():
    # KL of two normals of the same variance: half the squared distance of their means in units of the variance.
    log_variance, mean, prior_mean = torch.tensor(0.5), torch.tensor([[0.4, -0.2]]), torch.tensor([[1.0, 0.6]])
    z = mean + (0.5 * log_variance).exp() * torch.randn(200_000, 2)
    found = prior_divergence(z, mean.expand_as(z), prior_mean, torch.zeros(1), log_variance)
    exact = float((mean - prior_mean).square().sum() / (2 * log_variance.exp()))
    # The standard error is sqrt(2 * exact / 200,000) = 0.002.
    assert float(found.mean()) == pytest.approx(exact, abs=0.01)


@given(
    seed=st.integers(0, 2**31), n_states=st.integers(1, 6), spread=st.floats(0, 4), log_variance=st.floats(-2.0, 2.0)
)
def test_the_mean_divergence_is_not_negative(seed, n_states, spread, log_variance):
    generator = torch.Generator().manual_seed(seed)
    prior_means = spread * torch.randn(n_states, 2, generator=generator).double()
    log_weights = torch.randn(n_states, generator=generator).double().log_softmax(dim=0)
    mean, log_variance = torch.randn(1, 2, generator=generator).double(), torch.tensor(log_variance).double()
    # Noise on a grid of equally probable points (Box-Muller) integrates better than random noise does.
    radius = (-2 * torch.linspace(0.5 / 60, 1 - 0.5 / 60, 60).double().log()).sqrt()
    angle = 2 * math.pi * torch.arange(40).double() / 40
    noise = torch.stack([(radius[:, None] * angle.cos()).flatten(), (radius[:, None] * angle.sin()).flatten()], dim=1)
    z = mean + (0.5 * log_variance).exp() * noise
    found = prior_divergence(z, mean.expand_as(z), prior_means, log_weights, log_variance)
    assert float(found.mean()) > -1e-3


def test_the_prior_does_not_underflow_far_from_all_representatives():
    means = torch.full((1, 2), 1e3, requires_grad=True)
    found = prior_divergence(means, means.detach(), torch.zeros(3, 2), torch.zeros(3).log_softmax(0), torch.tensor(0.0))
    found.sum().backward()
    assert float(found.detach()) == pytest.approx(1e6, rel=1e-6)
    assert torch.isfinite(means.grad).all()


def test_the_loss_does_not_depend_on_the_numbering_of_the_states(model):
    tokens, states, noise = random_tokens(8), torch.tensor([0, 1, 2, 3, 4, 0, 1, 2]), torch.randn(8, 2)
    order = torch.tensor([3, 0, 4, 2, 1])
    before = model.loss_terms(model(*tokens), states, noise, model(*model.representatives))
    model.keep_states(order)
    after = model.loss_terms(model(*tokens), order.argsort()[states], noise, model(*model.representatives))
    torch.testing.assert_close(after.reconstruction, before.reconstruction)
    torch.testing.assert_close(after.divergence, before.divergence)


def test_what_the_decoder_says_of_survivors_stays(model):
    latent, kept = torch.randn(20, 2), torch.tensor([4, 1])
    before = model.state_logits(model.decoder(latent))
    representatives = model.representatives
    model.keep_states(kept)
    assert model.n_states == 2
    torch.testing.assert_close(model.state_logits(model.decoder(latent)), before[:, kept], rtol=0, atol=0)
    torch.testing.assert_close(model.log_probabilities(latent).exp().sum(dim=1), torch.ones(20))
    for now, then in zip(model.representatives, representatives, strict=True):
        assert torch.equal(now, then[kept])


def test_a_frame_is_projected_the_same_whatever_the_batch(model):
    tokens = random_tokens(50)
    whole = project(model, [tokens])
    single = project(model, [tokens.take(slice(i, i + 1)) for i in range(50)])
    torch.testing.assert_close(single.means, whole.means, rtol=0, atol=1e-5)
    torch.testing.assert_close(single.probabilities, whole.probabilities, rtol=0, atol=1e-5)
    assert torch.equal(single.states, whole.states)


def test_everything_is_in_the_weights_file(model, tmp_path):
    # After states were dropped, so that the file must tell how many there are.
    model.keep_states(torch.tensor([2, 0, 3]))
    model.represent(random_tokens(3, seed=5), torch.tensor([0.5, 0.3, 0.2]))
    tokens = random_tokens(200)
    write_weights(tmp_path / "weights.safetensors", model.tensors(), {})
    rebuilt = Spib.from_tensors(read_weights(str(tmp_path / "weights.safetensors"))[0], config=CONFIG)
    for found, expected in zip(
        (*vars(project(rebuilt, [tokens])).values(), *rebuilt.representatives, rebuilt.populations),
        (*vars(project(model, [tokens])).values(), *model.representatives, model.populations),
        strict=True,
    ):
        assert torch.equal(found, expected)
    states = torch.from_numpy(np.random.default_rng(0).integers(0, 3, 200))
    noise = torch.randn(200, 2)
    losses = [each.loss_terms(each(*tokens), states, noise, each(*each.representatives)) for each in (model, rebuilt)]
    assert torch.equal(losses[0].total(beta=1.0), losses[1].total(beta=1.0))


def test_an_unknown_mixer_is_refused():
    with pytest.raises(ValueError, match="mixer: blender is unknown"):
        SpibConfig.from_settings(SETTINGS | {"mixer": "blender"})
