"""State dicts of the geom2vec project, translated key by key; nothing is guessed and nothing is left over."""

import torch
from torch import Tensor

BLOCK = "representation_model."
HEAD = "vec_out.output_network."
# An atomic reference energy of zeros, running statistics of the noise, unused scale and shift of energies.
IGNORED = ("prior_model.", "pos_normalizer.", "mean", "std")


def read_geom2vec(path: str) -> dict[str, Tensor]:
    """Weights of a geom2vec ViSNet checkpoint under our names; only tensors are ever unpickled."""
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
        if name.startswith(BLOCK):
            renamed["block." + name.removeprefix(BLOCK)] = tensor
        elif name.startswith(HEAD):
            renamed["denoiser." + name.removeprefix(HEAD)] = tensor
        elif not name.startswith(IGNORED):
            raise ValueError(f"{path}: {name!r} is no part of a geom2vec ViSNet checkpoint")
    return renamed
