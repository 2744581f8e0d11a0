"""Self-attention and feed-forward on scalars and vectors; equations as in geom2vec (MIT parts), without its defects.

Everything is equivariant under O(3) with any values of the parameters: no factor distinguishes x, y and z. Nothing is
averaged over a batch.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from geom2msm.mixers.local_convolution import LocalConvolution
from geom2msm.mixers.vector_layers import VectorDropout, lengths

SMALLEST_MEAN_SQUARE = 1e-5


class EquivariantNorm(nn.Module):
    """Layer norm of scalars; vectors divided by the root of the mean squared length in this frame, times γ_c.

    The mean is over tokens and channels of the frame: ratios between tokens survive, the batch stays out of it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scalar_norm = nn.LayerNorm(channels)
        self.vector_scale = nn.Parameter(torch.ones(channels))

    def forward(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> tuple[Float[Tensor, "frame token channel"], Float[Tensor, "frame token 3 channel"]]:
        """Both, about as long as numbers of unit variance."""
        # In at least single precision: squares of small numbers vanish in half.
        wide = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
        mean_square = wide.square().sum(dim=2).mean(dim=(1, 2))[:, None, None, None]
        return self.scalar_norm(scalars), vectors * (self.vector_scale / (mean_square + SMALLEST_MEAN_SQUARE).sqrt())


class EquivariantAttention(nn.Module):
    """One attention pattern moves scalars and vectors.

    A = softmax(q kᵀ / √d) from scalars, per head; s_a = A v, vec_a = A vec, the channels of vec split among the heads;
    δ = Σ_xyz (V₁ vec) (V₂ vec), n = ‖vec‖, gate = sigmoid(W_g [α₁ δ, α₂ n]); (o₁, o₂, o₃) = W_o s_a;
    s_out = δ o₁ + n o₂ + o₃ and vec_out = gate vec_a + vec.
    """

    def __init__(self, channels: int, n_heads: int, convolution: LocalConvolution | None) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.queries_keys = nn.Linear(channels, 2 * channels) if convolution is None else None
        self.convolution = convolution
        self.values = nn.Linear(channels, channels)
        self.vector_products = nn.Linear(channels, 2 * channels, bias=False)
        self.product_weights = nn.Parameter(torch.ones(2))
        self.gate = nn.Linear(2 * channels, channels)
        self.output = nn.Linear(channels, 3 * channels)

    def forward(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> tuple[Float[Tensor, "frame token channel"], Float[Tensor, "frame token 3 channel"]]:
        """What attention adds to each token; no array of tokens times tokens comes into being."""
        queries, keys = self._queries_keys(scalars, vectors)
        mixed = attend(queries, keys, self._values(scalars, vectors))
        return self.update(vectors, *self._split(mixed))

    def weights(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> Float[Tensor, "frame head token token2"]:
        """A itself, for people to look at; rows sum to one."""
        queries, keys = self._queries_keys(scalars, vectors)
        return torch.softmax(queries @ keys.mT * queries.shape[-1] ** -0.5, dim=-1)

    def update(
        self,
        vectors: Float[Tensor, "frame token 3 channel"],
        attended_scalars: Float[Tensor, "frame token channel"],
        attended_vectors: Float[Tensor, "frame token 3 channel"],
    ) -> tuple[Float[Tensor, "frame token channel"], Float[Tensor, "frame token 3 channel"]]:
        """s_out and vec_out."""
        first, second = self.vector_products(vectors).chunk(2, dim=-1)
        product, length = (first * second).sum(dim=2), lengths(vectors)
        weighted = torch.cat([self.product_weights[0] * product, self.product_weights[1] * length], dim=-1)
        by_product, by_length, alone = self.output(attended_scalars).chunk(3, dim=-1)
        gate = torch.sigmoid(self.gate(weighted))[:, :, None]
        return product * by_product + length * by_length + alone, gate * attended_vectors + vectors

    def _queries_keys(
        self, scalars: Tensor, vectors: Tensor
    ) -> tuple[Float[Tensor, "frame head token part"], Float[Tensor, "frame head token part"]]:
        if self.convolution is None:
            queries, keys = self.queries_keys(scalars).chunk(2, dim=-1)
        else:
            queries, keys = self.convolution(scalars, vectors)
        return self._by_head(queries), self._by_head(keys)

    def _values(self, scalars: Tensor, vectors: Tensor) -> Float[Tensor, "frame head token value"]:
        """[v | vec_x | vec_y | vec_z] of each head."""
        rows = torch.cat([self.values(scalars)[:, :, None], vectors], dim=2)
        by_head = rows.unflatten(-1, (self.n_heads, -1)).permute(0, 3, 1, 2, 4)
        return by_head.flatten(start_dim=3)

    def _split(
        self, mixed: Float[Tensor, "frame head token value"]
    ) -> tuple[Float[Tensor, "frame token channel"], Float[Tensor, "frame token 3 channel"]]:
        """The inverse of `_values`: s_a and vec_a."""
        rows = mixed.unflatten(-1, (4, -1)).permute(0, 2, 3, 1, 4).flatten(start_dim=3)
        return rows[:, :, 0], rows[:, :, 1:]

    def _by_head(self, values: Float[Tensor, "frame token channel"]) -> Float[Tensor, "frame head token part"]:
        return values.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


def attend(
    queries: Float[Tensor, "frame head token part"],
    keys: Float[Tensor, "frame head token part"],
    values: Float[Tensor, "frame head token value"],
) -> Float[Tensor, "frame head token value"]:
    """softmax(q kᵀ / √part) v; the kernels without a matrix of weights want heads of one width: zeros are appended."""
    missing = values.shape[-1] - queries.shape[-1]
    queries, keys = functional.pad(queries, (0, missing)), functional.pad(keys, (0, missing))
    scale = (values.shape[-1] - missing) ** -0.5
    return functional.scaled_dot_product_attention(queries, keys, values, scale=scale)


class EquivariantFeedForward(nn.Module):
    """gate = sigmoid(W_a s), h = SiLU(W_b s), vec_h = gate U vec; s_out = W_o h, vec_out = U_o vec_h."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate_hidden = nn.Linear(channels, 2 * channels)
        self.hidden_vectors = nn.Linear(channels, channels, bias=False)
        self.output_scalars = nn.Linear(channels, channels)
        self.output_vectors = nn.Linear(channels, channels, bias=False)

    def forward(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> tuple[Float[Tensor, "frame token channel"], Float[Tensor, "frame token 3 channel"]]:
        """Each token by itself."""
        gate, hidden = self.gate_hidden(scalars).chunk(2, dim=-1)
        gated = torch.sigmoid(gate)[:, :, None] * self.hidden_vectors(vectors)
        return self.output_scalars(functional.silu(hidden)), self.output_vectors(gated)


class EquivariantBlock(nn.Module):
    """x + Dropout(Attention(Norm(x))), then x + Dropout(FeedForward(Norm(x)))."""

    def __init__(self, attention: EquivariantAttention, channels: int, *, dropout: float) -> None:
        super().__init__()
        self.attention = attention
        self.feed_forward = EquivariantFeedForward(channels)
        self.norms = nn.ModuleList([EquivariantNorm(channels), EquivariantNorm(channels)])
        self.dropout = VectorDropout(dropout)

    def forward(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> tuple[Float[Tensor, "frame token channel"], Float[Tensor, "frame token 3 channel"]]:
        """Scalars and vectors after the block."""
        for norm, layer in zip(self.norms, (self.attention, self.feed_forward), strict=True):
            change = self.dropout(*layer(*norm(scalars, vectors)))
            scalars, vectors = scalars + change[0], vectors + change[1]
        return scalars, vectors

    def attention_weights(
        self, scalars: Float[Tensor, "frame token channel"], vectors: Float[Tensor, "frame token 3 channel"]
    ) -> Float[Tensor, "frame head token token2"]:
        """The weights that `forward` uses on the same tokens."""
        return self.attention.weights(*self.norms[0](scalars, vectors))
