"""Global tokens: what the distances between all pairs of tokens say, as further tokens of the frame."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

N_RADIAL = 8
SHORTEST_NM, LONGEST_NM = 0.3, 10.0
RANK = 16


class GlobalTokens(nn.Module):
    """g = LayerNorm(b + W_r (1/N) sum_ij p_i phi_r(d_ij) q_j), linear in functions of all distances between tokens.

    geom2vec's papers append tokens that encode the pairwise C-alpha distances. A full matrix from all pairs to the
    channels of a token would have N^2 rows, so ours is bilinear in learned vectors p and q of the tokens. phi_r are
    Gaussians in log d, whose spacing serves neighbors in a peptide as well as the ends of a large protein.
    """

    def __init__(self, n_global: int, *, n_tokens: int, hidden_channels: int) -> None:
        super().__init__()
        self.n_global = n_global
        centers = torch.linspace(math.log(SHORTEST_NM), math.log(LONGEST_NM), N_RADIAL)
        self.register_buffer("centers", centers, persistent=False)
        self.left = nn.Parameter(torch.randn(n_tokens, n_global, RANK) / n_tokens**0.5)
        self.right = nn.Parameter(torch.randn(n_tokens, n_global, RANK) / n_tokens**0.5)
        self.projection = nn.Linear(N_RADIAL * RANK, hidden_channels, bias=False)
        self.bias = nn.Parameter(0.1 * torch.randn(n_global, hidden_channels))
        self.norm = nn.LayerNorm(hidden_channels)

    def forward(self, positions_nm: Float[Tensor, "frame token 3"]) -> Float[Tensor, "frame global hidden"]:
        """The global tokens of each frame, from differences of positions only."""
        radial = self.radial(positions_nm)
        projected = torch.einsum("frij,jgk->frigk", radial, self.right)
        bilinear = torch.einsum("frigk,igk->fgrk", projected, self.left)
        return self.norm(self.projection(bilinear.flatten(start_dim=2)) + self.bias)

    def radial(self, positions_nm: Float[Tensor, "frame token 3"]) -> Float[Tensor, "frame radial token token"]:
        """Gaussians of the logarithm of each distance; zero for a token and itself."""
        # By differences: the faster expansion |a|^2 - 2ab + |b|^2 loses digits far from the origin.
        distances = torch.cdist(positions_nm, positions_nm, compute_mode="donot_use_mm_for_euclid_dist")
        spacing = self.centers[1] - self.centers[0]
        offsets = distances.clamp(min=1e-3).log()[:, None] - self.centers[:, None, None]
        return (-0.5 * (offsets / spacing).square()).exp()


def append_global(
    tokens: Float[Tensor, "frame token hidden"],
    global_tokens: GlobalTokens | None,
    positions_nm: Float[Tensor, "frame token 3"],
) -> Float[Tensor, "frame all hidden"]:
    """The tokens of each frame and after them its global tokens, if the mixer has any."""
    if global_tokens is None:
        return tokens
    return torch.cat([tokens, global_tokens(positions_nm).to(tokens.dtype)], dim=1)


def optional_global_tokens(n_global: int, *, n_tokens: int, hidden_channels: int) -> GlobalTokens | None:
    """The module for the setting `global_tokens`, which is 0 where none are wanted."""
    return GlobalTokens(n_global, n_tokens=n_tokens, hidden_channels=hidden_channels) if n_global else None
