"""Small lobes of every registered kind of mixer, so that the laws of mixers hold for a new one without being asked."""

from dataclasses import fields, replace

import torch

from geom2msm.mixers.build import MIXERS, LobeConfig, build_lobe
from geom2msm.mixers.layout import TokenLayout
from geom2msm.mixers.lobe import Lobe

CHANNELS = 4
SMALL = {"hidden_channels": 8, "n_layers": 2, "n_heads": 2, "token_channels": 6, "vector_channels": 3, "dropout": 0.3}
# (mixer, number of global tokens)
CASES = [
    (mixer, n_global)
    for mixer, kind in MIXERS.items()
    for n_global in ((0, 2) if "global_tokens" in {field.name for field in fields(kind.settings)} else (0,))
]
# On a feature of a frame, such as distances, which comes as scalars without vectors.
WITHOUT_VECTORS = {"mlp"}
ATTENDING = [case for case in CASES if hasattr(MIXERS[case[0]].network, "layer_attention")]


def small_settings(mixer: str, **changes: object) -> object:
    """Settings of little networks: `changes` and the sizes above, as far as the mixer knows the keys."""
    settings = MIXERS[mixer].settings()
    known = {field.name for field in fields(settings)}
    return replace(settings, **{name: value for name, value in (SMALL | changes).items() if name in known})


def small_lobe(case: tuple[str, int], *, chain: tuple[int, ...], output: str = "linear", **changes: object) -> Lobe:
    """A lobe with the weights that it starts from; dropout is off, as in `eval` mode."""
    mixer, n_global = case
    settings = small_settings(mixer, global_tokens=n_global, **changes)
    config = LobeConfig(mixer, dimensions=3, mixer_settings=settings, output=output)
    return build_lobe(config, TokenLayout(CHANNELS, chain)).eval()


def random_normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_tokens(seed: int, *, n_frames: int, n_tokens: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scalars, vectors and positions, the latter some tenths of a nanometer apart."""
    scalars, vectors = random_normal(seed, n_frames, n_tokens, 4), random_normal(seed + 1, n_frames, n_tokens, 3, 4)
    return scalars, vectors, 0.4 * random_normal(seed + 2, n_frames, n_tokens, 3)


@torch.no_grad()
def randomized(lobe: Lobe, seed: int) -> Lobe:
    """In float64, every weight and statistic random: what holds by chance at the start must hold later."""
    lobe = lobe.double()
    for shift, parameter in enumerate(lobe.parameters()):
        parameter.copy_(0.7 * random_normal(seed + shift, *parameter.shape))
    for shift, (name, statistic) in enumerate(lobe.standardization.named_buffers()):
        values = random_normal(seed + 1000 + shift, *statistic.shape)
        statistic.copy_(values.abs() + 0.5 if name.endswith("scale") else values)
    return lobe
