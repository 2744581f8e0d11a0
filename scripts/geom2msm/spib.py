"""SPIB, the state predictive information bottleneck: a latent space that predicts the state one lag later.

Wang & Tiwary, J. Chem. Phys. 154 (2021) 134111. With the latent point z of a frame x_t and the state y of x_lag,

    q(z | x) = N(mu(x), sigma^2)                     encoder: a mixer; one sigma for all frames
    q(y | z)                                         decoder: a small network, then softmax over the states
    p(z)     = sum_i w_i N(mu(u_i), sigma^2)         VampPrior (Tomczak & Welling 2018), one frame u_i for each state
    loss     = mean of -log q(y | z) + beta (log q(z | x) - log p(z))

Which states there are is part of the model: the rows of the decoder and the frames u_i are in its state dict, so a
model read back assigns exactly the states that training ended with.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from geom2msm.gradient_parts import GradientParts
from geom2msm.mixers.build import LobeConfig, build_lobe, split_settings
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.lobe import Lobe
from geom2msm.stored_tokens import Tokens


@dataclass(frozen=True)
class SpibConfig:
    """Settings of a model of `kind: spib`, as in the config of a system."""

    kind: str
    lobe: LobeConfig
    lag_ps: float
    initial_labels: str
    initial_states: int
    decoder_channels: int
    beta: float
    learning_rate: float
    batch_pairs: int
    n_refinements: int
    max_epochs_per_refinement: int
    population_tolerance: float
    patience: int
    minimum_population: float
    states_are_microstates: bool = True
    feature: str | None = None
    memory_mb: int = 2000
    batch_memory_mb: int = 1000
    control: str = "none"

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> "SpibConfig":
        """From the flat keys of the model's section; the outputs of its lobe are the latent means."""
        own = {name: value for name, value in settings.items() if name != "latent_dimensions"}
        lobe, rest = split_settings(own | {"dimensions": settings["latent_dimensions"]})
        return cls(lobe=lobe, **rest)


@dataclass(frozen=True)
class LossTerms:
    """Both parts of the loss, a value for each pair."""

    reconstruction: Float[Tensor, " pair"]
    divergence: Float[Tensor, " pair"]

    def total(self, weights: Float[Tensor, " pair"] | float = 1.0, *, beta: float) -> Float[Tensor, ""]:
        """The mean loss; weights have a mean of one over all pairs of the set."""
        return ((self.reconstruction + beta * self.divergence) * weights).mean()


@dataclass(frozen=True)
class Projection:
    """What a model says of frames: the mean of z, the probabilities of the states, and the most likely state."""

    means: Float[Tensor, "frame latent"]
    probabilities: Float[Tensor, "frame state"]
    states: Int64[Tensor, " frame"]


class Spib(nn.Module):
    """Encoder, decoder, prior and the frames that stand for the states.

    The lobe gives mu(x); `representatives` are the token arrays of one frame per state. States count from 0, in the
    order of their populations before the frames of states that vanished were handed over.
    """

    def __init__(self, lobe: Lobe, config: SpibConfig, representatives: Tokens) -> None:
        super().__init__()
        latent, hidden, n_states = config.lobe.dimensions, config.decoder_channels, len(representatives[0])
        self.config, self.lobe = config, lobe
        self.in_parts = GradientParts(config.batch_memory_mb)
        self.log_variance = nn.Parameter(torch.zeros(()))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.state_logits = nn.Linear(hidden, n_states)
        self.prior_logits = nn.Parameter(torch.zeros(n_states))
        for name, array in representatives._asdict().items():
            self.register_buffer(f"representative_{name}", array)
        self.register_buffer("populations", torch.full((n_states,), 1 / n_states, dtype=torch.float64))

    @property
    def n_states(self) -> int:
        """Number of states that survive."""
        return len(self.populations)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.log_variance.device

    @property
    def representatives(self) -> Tokens:
        """Tokens of the frames that stand for the states, one for each."""
        return Tokens(*(getattr(self, f"representative_{name}") for name in Tokens._fields))

    def forward(self, *tokens: Tensor) -> Float[Tensor, "frame latent"]:
        """mu(x) of frames, the collective variables."""
        return self.in_parts(self.lobe, tokens)

    def log_probabilities(self, latent: Float[Tensor, "frame latent"]) -> Float[Tensor, "frame state"]:
        """log q(y | z) for every state y."""
        return self.state_logits(self.decoder(latent)).log_softmax(dim=-1)

    def loss_terms(
        self,
        means: Float[Tensor, "pair latent"],
        states: Int64[Tensor, " pair"],
        noise: Float[Tensor, "pair latent"],
        prior_means: Float[Tensor, "state latent"],
    ) -> LossTerms:
        """Terms of the loss at z = mu + sigma noise; `states` are those of the lagged frames."""
        latent = means + (0.5 * self.log_variance).exp() * noise
        reconstruction = nn.functional.nll_loss(self.log_probabilities(latent), states, reduction="none")
        log_weights = self.prior_logits.log_softmax(dim=0)
        return LossTerms(reconstruction, prior_divergence(latent, means, prior_means, log_weights, self.log_variance))

    @torch.inference_mode()
    def means(self, chunks: Iterable[Tokens]) -> Float[Tensor, "frame latent"]:
        """mu(x) of many frames, in main memory: without dropout and without gradients."""
        self.eval()
        return torch.cat([self(*chunk.to(self.device)).cpu() for chunk in chunks])

    @torch.inference_mode()
    def decode(self, means: Float[Tensor, "frame latent"]) -> Projection:
        """Probabilities and states of frames at the means of z, without noise."""
        log_probabilities = self.log_probabilities(means.to(self.device)).cpu()
        return Projection(means, log_probabilities.exp(), log_probabilities.argmax(dim=1))

    @torch.no_grad()
    def keep_states(self, kept: Int64[Tensor, " state"]) -> None:
        """Only these states, in this order; what the decoder says of them stays as it is, up to the normalization."""
        self.state_logits.weight = nn.Parameter(self.state_logits.weight[kept].clone())
        self.state_logits.bias = nn.Parameter(self.state_logits.bias[kept].clone())
        self.state_logits.out_features = len(kept)
        self.prior_logits = nn.Parameter(self.prior_logits[kept].clone())
        self.populations = self.populations[kept]
        for name, array in self.representatives.take(kept)._asdict().items():
            setattr(self, f"representative_{name}", array)

    @torch.no_grad()
    def represent(self, representatives: Tokens, populations: Float[Tensor, " state"]) -> None:
        """Other frames stand for the states, with equal weights in the prior."""
        for name, array in representatives._asdict().items():
            setattr(self, f"representative_{name}", array.to(self.device))
        self.populations = populations.double().to(self.device)
        self.prior_logits.zero_()

    def tensors(self) -> dict[str, Tensor]:
        """Named tensors for a weights file."""
        return {name: tensor.cpu().contiguous() for name, tensor in self.state_dict().items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], *, config: SpibConfig) -> "Spib":
        """The inverse of `tensors`."""
        representatives = Tokens(*(tensors[f"representative_{name}"] for name in Tokens._fields))
        weights = {name.removeprefix("lobe."): tensor for name, tensor in tensors.items() if name.startswith("lobe.")}
        model = cls(build_lobe(config.lobe, TokenLayout.of_weights(weights)), config, representatives)
        model.load_state_dict(tensors)
        return model


def prior_divergence(
    latent: Float[Tensor, "frame latent"],
    means: Float[Tensor, "frame latent"],
    prior_means: Float[Tensor, "state latent"],
    log_weights: Float[Tensor, " state"],
    log_variance: Float[Tensor, ""],
) -> Float[Tensor, " frame"]:
    """log q(z | x) - log p(z), whose mean over z from q is the Kullback-Leibler divergence of q from the prior.

    Both are normal densities of one variance, so their prefactors cancel. log-sum-exp keeps the prior finite where z
    is far from all representatives and its density underflows.
    """
    precision = (-log_variance).exp()
    own = (latent - means).square().sum(dim=1)
    others = (latent[:, None] - prior_means).square().sum(dim=2)
    return -0.5 * precision * own - (log_weights - 0.5 * precision * others).logsumexp(dim=1)
