"""What all frames of a system share: how many channels a token has, and which tokens form a chain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from geom2msm.frame_reader import FrameReader
from geom2msm.store import read_attributes


@dataclass(frozen=True)
class TokenLayout:
    """Channels of a token, and the chain of each token: windows and sequence edges never cross between chains.

    `window` is how many tokens of the store one token stands for, more than 1 behind token merging.
    """

    channels: int
    chain: tuple[int, ...]
    window: int = 1

    @property
    def n_tokens(self) -> int:
        """Number of tokens of a frame."""
        return len(self.chain)

    @classmethod
    def read(cls, path: str) -> "TokenLayout":
        """The layout of a token store, which holds the token table among its attributes."""
        stretches = read_attributes(path).get("tokens", {}).get("stretch")
        if stretches is None:
            raise ValueError(f"{path}: no token table with a column 'stretch' in it; delete the file, it is made anew.")
        return cls(FrameReader(path, "scalars").shape[-1], chains(stretches))

    @classmethod
    def of_weights(cls, weights: Mapping[str, Tensor]) -> "TokenLayout":
        """The layout that a saved lobe was built for, from its state dict."""
        return cls(len(weights["standardization.scalar_mean"]), tuple(weights["chain"].tolist()))


def chains(stretches: Sequence[int]) -> tuple[int, ...]:
    """Chain of each token, counted from 0: an unbroken stretch of polymer, or one token outside of them, marked -1."""
    keys = [(stretch, token if stretch < 0 else -1) for token, stretch in enumerate(stretches)]
    number = {key: chain for chain, key in enumerate(dict.fromkeys(keys))}
    return tuple(number[key] for key in keys)
