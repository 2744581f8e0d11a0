"""Tokens of a set of frames in their stores, or one of the negative controls in their place."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from geom2msm.frame_reader import FrameReader, array_names
from geom2msm.mixers.layout import TokenLayout
from geom2msm.pairs import FrameSet, check_finite

CONTROLS = ("none", "time_shuffled", "noise_tokens")


class Tokens(NamedTuple):
    """Tokens of frames, as they are stored."""

    scalars: Float[Tensor, "frame token channel"]
    vectors: Float[Tensor, "frame token 3 channel"]
    positions_nm: Float[Tensor, "frame token 3"]

    def take(self, frames: Int64[Tensor, " frame"] | slice) -> "Tokens":
        """These frames in this order."""
        return Tokens(*(array[frames] for array in self))

    def to(self, device: torch.device) -> "Tokens":
        """The same tokens on a device."""
        return Tokens(*(array.to(device, non_blocking=True) for array in self))

    @property
    def frame_bytes(self) -> int:
        """Size of one frame in memory."""
        return sum(math.prod(array.shape[1:]) * array.element_size() for array in self)


class StoredTokens:
    """The frames of a set, read from their stores in any order.

    A store of features counts as one token with as many channels. As negative controls, `time_shuffled` gives the
    frames in a random order, and `noise_tokens` gives Gaussian noise instead of scalars, vectors and positions (of
    1 nm), the same for a frame whenever it is read. A model of either must score 1 + d^2 / N.
    """

    def __init__(self, frames: FrameSet, *, control: str = "none", seed: int = 0) -> None:
        """Open the stores; nothing is read yet."""
        if control not in CONTROLS:
            raise ValueError(f"control: {control} is unknown; choose one of {', '.join(CONTROLS)}.")
        self._flat = "features" in array_names(frames.ranges[0].path)
        self._readers = [frames.readers(name) for name in (("features",) if self._flat else Tokens._fields)]
        self._ranges, self._n_frames = frames.ranges, len(frames)
        self._edges = np.cumsum([0, *(part.stop - part.start for part in frames.ranges)])
        self._noise_seed = seed if control == "noise_tokens" else None
        shuffled = control == "time_shuffled"
        self._order = np.random.default_rng(seed).permutation(self._n_frames) if shuffled else None

    def __len__(self) -> int:
        """Number of frames."""
        return self._n_frames

    def layout(self) -> TokenLayout:
        """The layout that all the stores share."""
        paths = list(dict.fromkeys(part.path for part in self._ranges))
        if self._flat:
            return TokenLayout(self._readers[0][0].shape[-1], (0,))
        layout = TokenLayout.read(paths[0])
        for path in paths[1:]:
            if TokenLayout.read(path) != layout:
                raise ValueError(
                    f"{path}: its tokens are not divided into chains as those of {paths[0]}; "
                    "all trajectories of a system must have the same tokens and features."
                )
        return layout

    def empty(self, n_frames: int) -> Tokens:
        """Room for so many frames."""
        first = [readers[0] for readers in self._readers]
        if self._flat:
            features = np.empty((n_frames, 1, *first[0].shape[1:]), first[0].dtype)
            return Tokens(torch.from_numpy(features), torch.zeros(n_frames, 1, 3, 0), torch.zeros(n_frames, 1, 3))
        return Tokens(*(torch.from_numpy(np.empty((n_frames, *one.shape[1:]), one.dtype)) for one in first))

    def read_into(self, out: Tokens, start: int, stop: int) -> None:
        """The frames from `start` to before `stop` of the set."""
        targets = [out.scalars.numpy()[:, 0]] if self._flat else [array.numpy() for array in out]
        for readers, target in zip(self._readers, targets, strict=True):
            if self._order is None:
                self._read_range(readers, target, start, stop)
            else:
                self._read_scattered(readers, target, self._order[start:stop])
        if self._noise_seed is not None:
            self._replace_by_noise(out, start)

    def _read_range(
        self, readers: list[FrameReader], out: Shaped[np.ndarray, "frame ..."], start: int, stop: int
    ) -> None:
        for number in range(int(np.searchsorted(self._edges, start, "right")) - 1, len(self._ranges)):
            first, last = max(start, int(self._edges[number])), min(stop, int(self._edges[number + 1]))
            if first >= last:
                break
            shift, reader = self._ranges[number].start - int(self._edges[number]), readers[number]
            values = reader.read_range(first + shift, last + shift, out=out[first - start : last - start])
            check_finite(values, reader)

    def _read_scattered(
        self, readers: list[FrameReader], out: Shaped[np.ndarray, "frame ..."], frames: Int64[np.ndarray, " frame"]
    ) -> None:
        numbers = np.searchsorted(self._edges, frames, "right") - 1
        for number in np.unique(numbers):
            rows = np.flatnonzero(numbers == number)
            shift = self._ranges[number].start - self._edges[number]
            out[rows] = readers[number].read(frames[rows] + shift)
            check_finite(out[rows], readers[number])

    def _replace_by_noise(self, out: Tokens, start: int) -> None:
        for row in range(len(out.scalars)):
            generator = np.random.default_rng([self._noise_seed, start + row])
            for target in out:
                target[row] = torch.from_numpy(generator.standard_normal(target[row].shape, np.float32))
