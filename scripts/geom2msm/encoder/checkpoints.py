"""State dicts of the geom2vec project, translated key by key; nothing is guessed and nothing is left over."""

import torch
from torch import Tensor

from geom2msm.encoder.tensornet import tensornet_weights

# Prefixes of geom2vec's keys and what stands in their place with us, by architecture.
PREFIXES = {
    "visnet": {"representation_model.": "block.", "vec_out.output_network.": "denoiser."},
    "torchmd_et": {"representation_model.": "", "output_model_noise.output_network.": "denoiser."},
    "tensornet": {"representation_model.": "", "output_model_noise.output_network.": "denoiser."},
}
# An atomic reference energy of zeros, running statistics of the noise, unused scale and shift of energies.
IGNORED = ("prior_model.", "pos_normalizer.")
IGNORED_EXACTLY = {"mean", "std"}


def read_geom2vec(path: str, kind: str) -> dict[str, Tensor]:
    """Weights of a geom2vec checkpoint of a declared kind under our names; only tensors are ever unpickled."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path}: not a readable PyTorch state dict ({type(error).__name__}); get the file again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: not a state dict of tensors")
    renamed = {}
    for name, tensor in state.items():
        prefix = next((prefix for prefix in PREFIXES[kind] if name.startswith(prefix)), None)
        if prefix is not None:
            renamed[PREFIXES[kind][prefix] + name.removeprefix(prefix)] = tensor
        elif not name.startswith(IGNORED) and name not in IGNORED_EXACTLY:
            raise ValueError(f"{path}: {name!r} is no part of a geom2vec checkpoint of kind {kind}")
    return tensornet_weights(renamed) if kind == "tensornet" else renamed
