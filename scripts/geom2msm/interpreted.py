"""Trained networks on tokens as they are interpreted: frames of every state, and the same networks untrained."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, Shaped
from torch import Tensor, nn

from geom2msm.frame_reader import FrameReader
from geom2msm.joined_store import read_trajectories
from geom2msm.mixers.build import LobeConfig, build_lobe
from geom2msm.pairs import check_finite
from geom2msm.spib import Spib, SpibConfig
from geom2msm.store import read_array
from geom2msm.stored_tokens import Tokens
from geom2msm.vampnet import Vampnet, VampnetConfig
from geom2msm.weights_files import read_weights

BATCH_BYTES = 1 << 24
# Of every state, if it has them.
LEAST_FRAMES = 10


@dataclass(frozen=True)
class Network:
    """A lobe and the linear map from its outputs to coordinates in which distances between frames mean something.

    For a VAMPnet these are its singular functions times their singular values, whose distances are kinetic (Noé &
    Clementi 2015): slow processes count more. For SPIB they are the latent variables, which share one noise.
    """

    lobe: nn.Module
    config: LobeConfig
    readout: Float64[Tensor, "output coordinate"]

    @classmethod
    def read(cls, weights: str) -> "Network":
        """The network on tokens in a weights file."""
        tensors, description = read_weights(weights)
        settings = description["settings"]
        if description["kind"] not in ("vampnet", "spib") or settings.get("feature") is not None:
            raise ValueError(
                f"{weights}: a model of kind {description['kind']} on {settings.get('feature') or 'tokens'}; only "
                "networks on tokens have importances of tokens."
            )
        if description["kind"] == "spib":
            config = SpibConfig.from_settings(settings).lobe
            lobe = Spib.from_tensors(tensors, config=SpibConfig.from_settings(settings)).lobe
            return cls(lobe.eval(), config, torch.eye(config.dimensions, dtype=torch.float64))
        vampnet = Vampnet.from_tensors(tensors, config=VampnetConfig.from_settings(settings))
        readout = vampnet.functions.left * vampnet.functions.singular_values
        return cls(vampnet.lobes.lobe.eval(), VampnetConfig.from_settings(settings).lobe, readout)

    def __call__(self, tokens: Tokens) -> Float64[Tensor, "frame coordinate"]:
        """Coordinates of frames, up to a constant; with gradients where they are enabled."""
        return self.lobe(*tokens).double() @ self.readout

    def untrained(self, sample: Tokens, *, seed: int) -> "Network":
        """The same network with random weights: a control. Its coordinates are its outputs, uncorrelated and scaled.

        Only the standardization of the tokens is kept, for it is a property of the data and not learned.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            lobe = build_lobe(self.config, self.lobe.layout)
        lobe.standardization.load_state_dict(self.lobe.standardization.state_dict())
        plain = Network(lobe.eval(), self.config, torch.eye(self.config.dimensions, dtype=torch.float64))
        return Network(plain.lobe, self.config, whitening(plain.coordinates(sample)))

    @torch.no_grad()
    def coordinates(self, tokens: Tokens) -> Float64[Tensor, "frame coordinate"]:
        """Coordinates of many frames, batch by batch."""
        return torch.cat([self(tokens.take(batch)) for batch in batches(tokens)])


def batches(tokens: Tokens) -> Sequence[slice]:
    """Ranges of frames that are cheap to hold."""
    size = max(1, BATCH_BYTES // tokens.frame_bytes)
    return [slice(first, first + size) for first in range(0, len(tokens.scalars), size)]


def whitening(outputs: Float64[Tensor, "frame output"]) -> Float64[Tensor, "output coordinate"]:
    """The map to uncorrelated coordinates of unit variance; directions without variance are left out."""
    variances, directions = torch.linalg.eigh(torch.cov(outputs.T).reshape(outputs.shape[1], -1))
    kept = variances > 1e-10 * variances.max().clamp(min=1e-300)
    return directions[:, kept] / variances[kept].sqrt()


@dataclass(frozen=True)
class Sample:
    """Frames of every state, and frames of all trajectories in proportion to their length.

    States count from 1 as in tables. `weights` are the fractions of all frames that are in each state.
    """

    tokens: Tokens
    states: Int64[np.ndarray, " frame"]
    everywhere: Tokens
    weights: dict[int, float]

    @classmethod
    def read(cls, stores: Sequence[str], assignment: str, *, n_frames: int) -> "Sample":
        """So many frames, in equal parts from all states: of a rare state as many as of a populated one."""
        lengths = [each.n_frames for each in read_trajectories(assignment)]
        state_of_frame = read_array(assignment, "macrostate").astype(np.int64) + 1
        found, counts = np.unique(state_of_frame[state_of_frame > 0], return_counts=True)
        of_state = max(LEAST_FRAMES, n_frames // len(found))
        chosen = [_spread(np.flatnonzero(state_of_frame == state), of_state) for state in found.tolist()]
        for state, frames in zip(found.tolist(), chosen, strict=True):
            logging.info("state %d: %d frames", state, len(frames))
        frames = np.sort(np.concatenate(chosen))
        everywhere = _spread(np.arange(sum(lengths)), n_frames)
        weights = dict(zip(found.tolist(), (counts / counts.sum()).tolist(), strict=True))
        return cls(
            read_tokens(stores, lengths, frames), state_of_frame[frames], read_tokens(stores, lengths, everywhere),
            weights,
        )  # fmt: skip


def _spread(frames: Int64[np.ndarray, " all"], n_chosen: int) -> Int64[np.ndarray, " chosen"]:
    """At most so many of these frames, evenly spread over them."""
    return frames[np.unique(np.linspace(0, len(frames) - 1, min(n_chosen, len(frames))).round().astype(np.int64))]


def read_tokens(stores: Sequence[str], lengths: Sequence[int], frames: Int64[np.ndarray, " frame"]) -> Tokens:
    """Tokens of some frames, ascending, of all trajectories laid end to end."""
    edges = np.cumsum([0, *lengths])
    parts = []
    for path, first, last in zip(stores, edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        inside = frames[(frames >= first) & (frames < last)] - first
        readers = [FrameReader(path, name) for name in Tokens._fields]
        if len(readers[0]) != last - first:
            raise ValueError(
                f"{path}: {len(readers[0])} frames, but states were assigned to {last - first}; delete the states of "
                "this model, they are made anew."
            )
        parts.append([torch.from_numpy(_read(reader, inside)) for reader in readers])
    return Tokens(*(torch.cat(arrays) for arrays in zip(*parts, strict=True)))


def _read(reader: FrameReader, frames: Int64[np.ndarray, " frame"]) -> Shaped[np.ndarray, "frame ..."]:
    values = reader.read(frames)
    check_finite(values, reader)
    return values


def of_states(
    values: Float[Tensor, "frame *rest"], states: Int64[np.ndarray, " frame"]
) -> dict[int, tuple[Float64[np.ndarray, "*rest"], Float64[np.ndarray, "*rest"]]]:
    """Mean over the frames of each state, and its standard error for frames that are independent."""
    found = {}
    for state in np.unique(states).tolist():
        inside = values.double().numpy()[states == state]
        spread = inside.std(axis=0, ddof=1) if len(inside) > 1 else np.full(inside.shape[1:], np.nan)
        found[state] = inside.mean(axis=0), spread / len(inside) ** 0.5
    return found
