"""Where a network on tokens looks: its attention weights, averaged over layers, heads, and the frames of each state.

Attention weights are what a mixer multiplies with, not what its outputs depend on (Jain & Wallace 2019): they are shown
beside occlusion and gradients, and compared with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from geom2msm.interpreted import Network, batches, of_states
from geom2msm.mixers.lobe import Lobe
from geom2msm.stored_tokens import Tokens


def attends(lobe: Lobe) -> bool:
    """Whether its mixer has attention weights."""
    return hasattr(lobe.mixer, "layer_attention")


@dataclass(frozen=True)
class Places:
    """What attends to what: a class token or none, tokens or windows of merged ones, then global tokens.

    `members` are the tokens of each place, none of the class and global tokens.
    """

    members: list[list[int]]
    n_class: int

    @classmethod
    def of(cls, lobe: Lobe) -> "Places":
        """The places of a mixer that attends."""
        if not attends(lobe):
            raise ValueError(f"{type(lobe.mixer).__name__} has no attention weights; choose a mixer that attends.")
        tokens = [[token] for token in range(lobe.layout.n_tokens)]
        if lobe.merging is not None:
            tokens = [[token for token in window if token >= 0] for window in lobe.merging.windows.tolist()]
        n_class = int(lobe.mixer.class_token is not None)
        n_global = 0 if lobe.mixer.global_tokens is None else lobe.mixer.global_tokens.n_global
        return cls([[]] * n_class + tokens + [[]] * n_global, n_class)

    def names(self, token_names: Sequence[str]) -> list[str]:
        """A name for each place: of its token, or of the first and the last of its window."""
        found, n_global = ["class token"] * self.n_class, 0
        for tokens in self.members[self.n_class :]:
            n_global += not tokens
            ends = [token_names[token] for token in dict.fromkeys([*tokens[:1], *tokens[-1:]])]
            found.append(" to ".join(ends) if ends else f"global {n_global}")
        return found

    def token_shares(self, attention: Float[Tensor, "frame place place2"]) -> Float[Tensor, "frame token"]:
        """How much is looked at each token, in parts that sum to one.

        Looking is done by the class token, from which the outputs are read, or by all tokens where there is none. The
        tokens of a window share its weight equally; what goes to class and global tokens is left out.
        """
        rows = [0] if self.n_class else [place for place, tokens in enumerate(self.members) if tokens]
        received = attention[:, rows].mean(dim=1)
        of_token = torch.zeros(len(self.members), 1 + max(max(tokens, default=0) for tokens in self.members))
        for place, tokens in enumerate(self.members):
            of_token[place, tokens] = 1 / max(1, len(tokens))
        found = received @ of_token.to(received.dtype)
        return found / found.sum(dim=1, keepdim=True)


@torch.no_grad()
def frame_attention(network: Network, tokens: Tokens) -> Float[Tensor, "frame place place2"]:
    """Attention weights of some frames, mean over layers and heads; rows sum to one."""
    return network.lobe.attention(*tokens).mean(dim=1)


def token_attention(network: Network, tokens: Tokens) -> Float[Tensor, "frame token"]:
    """How much is looked at each token in each frame."""
    places = Places.of(network.lobe)
    parts = [frame_attention(network, tokens.take(batch)) for batch in batches(tokens)]
    return torch.cat([places.token_shares(part) for part in parts])


def mean_attention(
    network: Network, tokens: Tokens, states: Int64[np.ndarray, " frame"]
) -> dict[int, Float64[np.ndarray, "place place2"]]:
    """Attention weights averaged over the frames of each state."""
    totals, counts = {}, {}
    for batch in batches(tokens):
        found = of_states(frame_attention(network, tokens.take(batch)), states[batch])
        for state, (mean, _) in found.items():
            n_frames = int((states[batch] == state).sum())
            totals[state] = totals.get(state, 0.0) + n_frames * mean
            counts[state] = counts.get(state, 0) + n_frames
    return {state: totals[state] / counts[state] for state in sorted(totals)}
