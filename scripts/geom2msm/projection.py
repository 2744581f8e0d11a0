"""Collective variables of stored frames: what a trained VAMPnet, SPIB or linear model says of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from geom2msm import pairs
from geom2msm.frame_reader import FrameReader
from geom2msm.mixers.layout import TokenLayout
from geom2msm.pairs import read_chunks
from geom2msm.spib import Spib, SpibConfig
from geom2msm.stored_tokens import Tokens
from geom2msm.tica import invariant_features
from geom2msm.vamp import SingularFunctions
from geom2msm.vampnet import Vampnet, VampnetConfig
from geom2msm.weights_files import read_weights


@dataclass(frozen=True)
class Projector:
    """A trained model, the arrays of a store that it reads, and the channels that the first of them must have.

    A model of kind spib has states, and where in z each lies if they are to be microstates.
    """

    weights: str
    names: tuple[str, ...]
    n_channels: int
    layout: TokenLayout | None
    function: Callable[..., Tensor]
    spib: Spib | None = None
    state_centers: list[list[float]] | None = None

    @classmethod
    def read(cls, weights: str) -> "Projector":
        """The model in a weights file, which says what kind it is."""
        tensors, description = read_weights(weights)
        if description["kind"] == "spib":
            spib = Spib.from_tensors(tensors, config=SpibConfig.from_settings(description["settings"]))
            centers = spib.means([spib.representatives]).tolist() if spib.config.states_are_microstates else None
            found = cls._of_network(weights, spib.lobe.layout, spib.config.feature, lambda tokens: spib.means([tokens]))
            return replace(found, spib=spib, state_centers=centers)
        if description["kind"] != "vampnet":
            functions = SingularFunctions.from_tensors(tensors)
            if description["settings"]["feature"] != "tokens":
                return cls(weights, ("features",), len(functions.mean_t), None, functions)
            layout = TokenLayout(description["layout"]["channels"], tuple(description["layout"]["chain"]))
            read = Tokens._fields, layout.channels, layout
            return cls(weights, *read, lambda *arrays: functions(invariant_features(Tokens(*arrays))))
        config = VampnetConfig.from_settings(description["settings"])
        model = Vampnet.from_tensors(tensors, config=config)
        return cls._of_network(weights, model.lobes.lobe.layout, config.feature, model)

    @classmethod
    def _of_network(
        cls, weights: str, layout: TokenLayout, feature: str | None, function: Callable[[Tokens], Tensor]
    ) -> "Projector":
        if feature is not None:
            return cls(weights, ("features",), layout.channels, None, lambda values: function(as_one_token(values)))
        return cls(weights, Tokens._fields, layout.channels, layout, lambda *arrays: function(Tokens(*arrays)))

    def named(self, *, n_variables: int) -> dict[str, list[str]]:
        """Names and units of the variables: those of a model of kind spib are no singular functions, but latent.

        Function 1 would be the constant; singular functions are as wide as their standard deviation over training data.
        """
        if self.spib is not None:
            return {"names": [f"latent z{place + 1}" for place in range(n_variables)], "units": [""] * n_variables}
        names = [f"function {place + 2}" for place in range(n_variables)]
        return {"names": names, "units": ["standard deviations"] * n_variables}

    def check(self, source: str) -> None:
        """Refuse a store of other features or tokens than the model was trained on."""
        n_channels = FrameReader(source, self.names[0]).shape[-1]
        if n_channels != self.n_channels:
            raise ValueError(
                f"{source}: {self.names[0]} have {n_channels} channels, but {self.weights} was trained on "
                f"{self.n_channels}; use the encoder or feature that the model was trained with."
            )
        found = TokenLayout.read(source) if self.layout else None
        if found != self.layout:
            raise ValueError(
                f"{source}: {found.n_tokens} tokens in {len(set(found.chain))} chains, but {self.weights} was trained "
                f"on {self.layout.n_tokens} in {len(set(self.layout.chain))}; use a model of this system."
            )

    def variables(self, *arrays: np.ndarray) -> Float32[np.ndarray, "frame dimension"]:
        """Collective variables of frames in memory."""
        return self.function(*map(torch.from_numpy, arrays)).numpy().astype(np.float32)

    def of_frames(self, source: str, frames: Int64[np.ndarray, " frame"]) -> Float32[np.ndarray, "frame dimension"]:
        """Collective variables of some frames of a store."""
        self.check(source)
        return self.variables(*(FrameReader(source, name).read(frames) for name in self.names))

    def described(self, variables: Float32[np.ndarray, "frame dimension"]) -> dict[str, np.ndarray]:
        """What is stored of frames with these variables: of a model with states also their states and probabilities."""
        if self.spib is None:
            return {"variables": variables}
        found = self.spib.decode(torch.from_numpy(variables))
        states = found.states.numpy().astype(np.int32)
        return {"variables": variables, "state": states, "state_probabilities": found.probabilities.numpy()}


def as_one_token(features: Float[Tensor, "frame channel"]) -> Tokens:
    """Features in the form of a token without vectors, as the networks take them."""
    n_frames = len(features)
    return Tokens(features[:, None], torch.zeros(n_frames, 1, 3, 0), torch.zeros(n_frames, 1, 3))


def project_store(source: str, weights: str) -> Float32[np.ndarray, "frame dimension"]:
    """Collective variables of all frames of a store, read in chunks."""
    model = Projector.read(weights)
    model.check(source)
    return np.concatenate([model.variables(*chunk) for chunk in read_chunks(source, model.names)])


def project_from(
    sources: Sequence[str], model: Projector, *, first_frame: int
) -> Iterator[Float32[np.ndarray, "_ dimension"]]:
    """Collective variables of the frames of all stores, one after the other, in pieces, from a frame on.

    A chunk is projected whole wherever the first frame lies in it: a matrix product may round differently in other
    company.
    """
    for source in sources:
        n_frames = len(FrameReader(source, "time_ps"))
        if first_frame < n_frames:
            skipped = first_frame % pairs.CHUNK_FRAMES
            for chunk in read_chunks(source, model.names, first_frame=first_frame):
                yield model.variables(*chunk)[skipped:]
                skipped = 0
        first_frame = max(0, first_frame - n_frames)


def found_functions(
    sources: Sequence[str], weights: str, frames: Sequence[Int64[np.ndarray, " _"]]
) -> Float32[np.ndarray, "frame function"]:
    """What a model found, of some frames of each store: its variables, or where its states are microstates, these.

    Then there is a function for each state but the first, 1 inside and 0 outside: latent coordinates that tell no
    states apart are arbitrary. Stores without a frame are passed over.
    """
    model = Projector.read(weights)
    chosen = [(source, some) for source, some in zip(sources, frames, strict=True) if len(some)]
    variables = np.concatenate([model.of_frames(source, some) for source, some in chosen])
    if model.spib is None or model.state_centers is None:
        return variables
    return np.eye(model.spib.n_states, dtype=np.float32)[model.described(variables)["state"]][:, 1:]
