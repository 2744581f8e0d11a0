"""How much each token matters to what a network says of a frame: by occlusion, by gradients, and by attention.

Occlusion asks what a token tells beyond the others: its scalars and vectors are taken from another frame x', drawn at
random, and the network is asked again. With y the coordinates of the network and y' those after the exchange,

    importance of token i in state s = < | y - E' y' |^2 >_s / total variance of y,

the mean over x' being taken of the outputs, not of the tokens. A mean token would be no token: vectors turn with the
molecule, their mean over frames is zero or whatever the alignment of the trajectory makes it, and a length that no
frame has would be found important whatever it tells. Positions stay as they are, so a mixer that looks at them still
knows where the token is.

The gradient gives the same quantity to first order, y - y' = sum_c (dy / dx_ic) (x_ic - x'_ic), from the slope of the
network alone. Where both differ, the network is far from linear between the frames, such as on the plateaus of states.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from geom2msm.interpreted import Network, batches
from geom2msm.stored_tokens import Tokens

# Times 2 donors and 10 networks: minutes for the fast mixers, and some hours for the slow ones on large proteins.
MAX_EXCHANGES = 50_000


def affordable_frames(n_frames: int, n_tokens: int) -> int:
    """So many frames, or fewer where there are so many tokens to exchange in each that it would take too long."""
    return min(n_frames, max(50, MAX_EXCHANGES // n_tokens))


def superposing_turns(
    moved: Float[Tensor, "frame token 3"], fixed: Float[Tensor, "frame token 3"]
) -> Float[Tensor, "frame 3 3"]:
    """The rotations R that bring x R next to `fixed` for the positions x of `moved` (Kabsch 1976); no reflections."""
    moved, fixed = (points.double() - points.double().mean(dim=1, keepdim=True) for points in (moved, fixed))
    left, _, right = torch.linalg.svd(moved.transpose(1, 2) @ fixed)
    last = torch.ones(len(left), 3, dtype=torch.float64)
    last[:, 2] = torch.linalg.det(left @ right).sign()
    return (left * last[:, None]) @ right


def turned_like(donors: Tokens, tokens: Tokens) -> Tokens:
    """Donors whose vectors are turned as their tokens superpose on those of the frames.

    Without the turn, importance would depend on how the trajectories are aligned, if the network looks at directions.
    """
    turns = superposing_turns(donors.positions_nm, tokens.positions_nm).to(donors.vectors.dtype)
    return donors._replace(vectors=torch.einsum("ftac,fab->ftbc", donors.vectors, turns))


@dataclass(frozen=True)
class Probe:
    """Frames, and for each of them two donors x' among those of `everywhere`.

    The product of the changes y - y' with two independent donors has the mean |y - E' y'|^2, without the bias that the
    variance of y' gives to a square.
    """

    tokens: Tokens
    everywhere: Tokens
    donors: Int64[Tensor, "2 frame"]

    @classmethod
    def draw(cls, tokens: Tokens, everywhere: Tokens, *, seed: int) -> "Probe":
        """Donors drawn at random."""
        generator = torch.Generator().manual_seed(seed)
        shape = (2, len(tokens.scalars))
        return cls(tokens, everywhere, torch.randint(len(everywhere.scalars), shape, generator=generator))

    def batches(self) -> Iterator[tuple[Tokens, list[Tokens]]]:
        """Some frames at a time and their donors, in single precision at least."""
        for batch in batches(self.tokens):
            frames = in_full_precision(self.tokens.take(batch))
            donors = [in_full_precision(self.everywhere.take(drawn[batch])) for drawn in self.donors]
            yield frames, [turned_like(donor, frames) for donor in donors]


def in_full_precision(tokens: Tokens) -> Tokens:
    """Tokens as numbers that can be differentiated; they are stored in half precision."""
    return Tokens(*(array.to(torch.promote_types(array.dtype, torch.float32)) for array in tokens))


@torch.no_grad()
def occlusion(network: Network, probe: Probe) -> Float64[Tensor, "frame token"]:
    """(y - y')(y - y'') with one token after another exchanged for that of the donors; its mean is |y - E' y'|^2."""
    return torch.cat([_occlusion_of_batch(network, frames, donors) for frames, donors in probe.batches()])


def _occlusion_of_batch(network: Network, frames: Tokens, donors: list[Tokens]) -> Float64[Tensor, "frame token"]:
    own, changed = network(frames), []
    for token in range(frames.scalars.shape[1]):
        first, second = (own - network(exchanged(frames, donor, token)) for donor in donors)
        changed.append((first * second).sum(dim=1))
    return torch.stack(changed, dim=1)


def exchanged(tokens: Tokens, donors: Tokens, token: int) -> Tokens:
    """The frames with scalars and vectors of one token from others."""
    scalars, vectors = tokens.scalars.clone(), tokens.vectors.clone()
    scalars[:, token], vectors[:, token] = donors.scalars[:, token], donors.vectors[:, token]
    return Tokens(scalars, vectors, tokens.positions_nm)


def gradient(network: Network, probe: Probe) -> Float64[Tensor, "frame token"]:
    """The same as `occlusion` to first order in the exchanged token: gradient times deviation from the donor."""
    return torch.cat([_gradient_of_batch(network, frames, donors) for frames, donors in probe.batches()])


def _gradient_of_batch(network: Network, frames: Tokens, donors: list[Tokens]) -> Float64[Tensor, "frame token"]:
    scalars, vectors = (array.clone().requires_grad_() for array in frames[:2])
    with torch.enable_grad():
        coordinates = network(Tokens(scalars, vectors, frames.positions_nm))
    found = torch.zeros(scalars.shape[:2], dtype=torch.float64)
    for number in range(coordinates.shape[1]):
        # Frames do not see each other, so the gradient of the sum over frames holds that of each.
        slopes = torch.autograd.grad(
            coordinates[:, number].sum(), (scalars, vectors), retain_graph=True, materialize_grads=True
        )
        first, second = (
            sum(
                (slope * (own - other)).double().flatten(2).sum(dim=2)
                for slope, own, other in zip(slopes, frames[:2], donor[:2], strict=True)
            )
            for donor in donors
        )
        found += first * second
    return found
