"""The two-layer network inside the blocks of the invariant mixers."""

from torch import nn


class FeedForward(nn.Sequential):
    """W2 gelu(W1 x), with dropout after each of the two."""

    def __init__(self, channels: int, hidden_channels: int, *, dropout: float) -> None:
        super().__init__(
            nn.Linear(channels, hidden_channels), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(hidden_channels, channels), nn.Dropout(dropout),
        )  # fmt: skip
