"""TensorNet, Cartesian tensor representations, as a featurizer.

Simeon & De Fabritiis, TensorNet: Cartesian Tensor Representations for Efficient Learning of Molecular Potentials,
NeurIPS 2023, arXiv 2306.06482, for the group O(3). Every atom and channel carries a 3 x 3 tensor X = I + A + S,
kept here as its nine irreducible components, rows of [atom 9 channel]: t of I = t 1; the vector a of the
antisymmetric A = [[0, az, -ay], [-az, 0, ax], [ay, -ax, 0]]; xx, yy, xy, xz, yz of the symmetric, traceless S.
The only product that O(3) allows, X Y + Y X, is then a formula of scalars, vectors and S, and no 3 x 3 matrix of
an edge is ever built. Parameters bear the names of the published checkpoints.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn.models.visnet import GatedEquivariantBlock

from geom2msm.encoder.edges import Edges, RadialBasis, blocks, edge_geometry, gather
from geom2msm.encoder.neighbors import NeighborTable, transposed
from geom2msm.units import ANGSTROM_PER_NM

# Rows of the components of I, A and S.
PARTS = (slice(0, 1), slice(1, 4), slice(4, 9))
# Last linear maps of the MLPs that give one number for each of I, A and S.
GATES = re.compile(r"(tensor_embedding\.linears_scalar\.1|layers\.\d+\.linears_scalar\.2)\.")


@dataclass(frozen=True)
class TensorNetConfig:
    """Architecture of a TensorNet; everything that fixes the shapes of its weights and its graph."""

    n_layers: int
    hidden_channels: int
    n_radial: int
    cutoff_nm: float
    max_atomic_number: int = 128


class TensorNet(nn.Module):
    """Atoms in, per-atom scalars and vectors out; with the head that predicts displacements."""

    def __init__(self, config: TensorNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_channels
        self.cutoff = config.cutoff_nm * ANGSTROM_PER_NM
        self.distance_expansion = RadialBasis(self.cutoff, config.n_radial)
        self.tensor_embedding = TensorEmbedding(config)
        self.layers = nn.ModuleList(Interaction(config) for _ in range(config.n_layers))
        self.out_norm = nn.LayerNorm(3 * width)
        self.linear = nn.Linear(3 * width, width)
        self.denoiser = nn.ModuleList(
            [GatedEquivariantBlock(width, width // 2, scalar_activation=True), GatedEquivariantBlock(width // 2, 1)]
        )

    def forward(
        self, atomic_numbers: Int[Tensor, " atom"], positions_nm: Float[Tensor, "atom 3"], neighbors: NeighborTable
    ) -> tuple[Float[Tensor, "atom channel"], Float[Tensor, "atom 3 channel"]]:
        """Scalars, invariant under O(3), and vectors, which turn with the molecule.

        The published networks sum at the other end of each edge than ViSNet does: an atom hears from those in whose
        lists it stands. Only where a neighbor rule keeps a pair in one direction does it matter.
        """
        edges = edge_geometry(self, positions_nm * ANGSTROM_PER_NM, transposed(neighbors))
        tensors = self.tensor_embedding(atomic_numbers, edges)
        for layer in self.layers:
            tensors = layer(tensors, edges)
        scalars = functional.silu(self.linear(self.out_norm(squared_norms(tensors).flatten(1))))
        return scalars, tensors[:, PARTS[1]]

    def displacement(
        self, scalars: Float[Tensor, "atom channel"], vectors: Float[Tensor, "atom 3 channel"]
    ) -> Float[Tensor, "atom 3"]:
        """The displacement that was added to each atom, in units of the noise level (denoising head)."""
        for gated in self.denoiser:
            scalars, vectors = gated(scalars, vectors)
        return vectors.squeeze(-1)


class TensorEmbedding(nn.Module):
    """First tensors of the atoms (section 3.2).

    X_i = Σ_j C(r_ij) Z_ij (f_I 1 + f_A A_ij + f_S S_ij), with f linear in the radial functions, Z_ij linear in the
    embedded elements of both ends, and A_ij, S_ij the antisymmetric and the symmetric traceless tensor of the
    direction d_ij. Then I, A, S are mixed among channels and gated by an MLP of the layer-normed ‖X‖².
    """

    def __init__(self, config: TensorNetConfig) -> None:
        super().__init__()
        width, n_radial = config.hidden_channels, config.n_radial
        self.distance_proj1 = nn.Linear(n_radial, width)
        self.distance_proj2 = nn.Linear(n_radial, width)
        self.distance_proj3 = nn.Linear(n_radial, width)
        self.emb = nn.Embedding(config.max_atomic_number, width)
        self.emb2 = nn.Linear(2 * width, width)
        self.init_norm = nn.LayerNorm(width)
        self.linears_tensor = channel_mixers(3, width)
        self.linears_scalar = nn.ModuleList([nn.Linear(width, 2 * width), nn.Linear(2 * width, 3 * width)])

    def forward(self, atomic_numbers: Int[Tensor, " atom"], edges: Edges) -> Float[Tensor, "atom 9 channel"]:
        """Components of the tensors of all atoms."""
        elements = self.emb(atomic_numbers)
        # Z_ij is linear: its two halves act on atoms, not on edges.
        at_center, at_neighbor = self.emb2.weight.chunk(2, dim=1)
        own, sent = functional.linear(elements, at_center, self.emb2.bias), functional.linear(elements, at_neighbor)
        tensors = torch.cat([self.received(own[centers], sent, local) for centers, local in in_blocks(edges)])
        gates = self.init_norm(squared_norms(tensors).sum(1))
        for linear in self.linears_scalar:
            gates = functional.silu(linear(gates))
        return scaled(mixed(tensors, self.linears_tensor), gates.unflatten(-1, (3, -1)))

    def received(self, own: Tensor, sent: Tensor, edges: Edges) -> Float[Tensor, "center 9 channel"]:
        """Sums over the neighbors of some centers."""
        pair = (own[:, None] + gather(sent, edges.neighbors)) * edges.envelope[..., None]
        projections = (self.distance_proj1, self.distance_proj2, self.distance_proj3)
        sums = [
            torch.einsum("akp,akc->apc", shapes, pair * projection(edges.radial))
            for shapes, projection in zip(direction_tensors(edges), projections, strict=True)
        ]
        return torch.cat(sums, dim=1)


class Interaction(nn.Module):
    """One message-passing layer (section 3.3).

    X ← X / (‖X‖² + 1); Y mixes the channels of its I, A, S; M_i = Σ_j f_I I_j + f_A A_j + f_S S_j of Y_j, the f from an
    MLP of the radial functions times C(r_ij); Y M + M Y is divided by (‖·‖² + 1) and mixed again: ΔX;
    then X ← X + ΔX + ΔX².
    """

    def __init__(self, config: TensorNetConfig) -> None:
        super().__init__()
        width = config.hidden_channels
        widths = (config.n_radial, width, 2 * width, 3 * width)
        self.linears_scalar = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.linears_tensor = channel_mixers(6, width)

    def forward(self, tensors: Float[Tensor, "atom 9 channel"], edges: Edges) -> Float[Tensor, "atom 9 channel"]:
        """New tensors of all atoms."""
        tensors = bounded(tensors)
        sent = mixed(tensors, self.linears_tensor[:3])
        updated = []
        for centers, local in in_blocks(edges):
            message = self.received(sent, local)
            change = mixed(bounded(anticommutator(sent[centers], message)), self.linears_tensor[3:])
            updated.append(tensors[centers] + change + 0.5 * anticommutator(change, change))
        return torch.cat(updated)

    def received(self, sent: Tensor, edges: Edges) -> Float[Tensor, "center 9 channel"]:
        """Messages M of some centers."""
        filters = edges.radial
        for linear in self.linears_scalar:
            filters = functional.silu(linear(filters))
        filters = (filters * edges.envelope[..., None]).unflatten(-1, (3, -1))
        around = gather(sent.flatten(1), edges.neighbors).unflatten(-1, (9, -1))
        sums = [(around[:, :, rows] * filters[:, :, part, None]).sum(1) for part, rows in enumerate(PARTS)]
        return torch.cat(sums, dim=1)


def tensornet_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a geom2vec checkpoint, already under our names, with the rows of the gates reordered.

    There, rows stand as (channel, part), part being I, A or S; here, and in today's torchmd-net, as (part, channel).
    """
    return {
        name: tensor.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1) if GATES.match(name) else tensor
        for name, tensor in state.items()
    }


def in_blocks(edges: Edges) -> Iterator[tuple[slice, Edges]]:
    """Ranges of atoms with their edges, without slots that are empty for all of them."""
    count = (edges.mask > 0).sum(1)
    for centers in blocks(edges):
        width = edges.mask.shape[1] if torch.is_grad_enabled() else int(count[centers].max())
        yield centers, Edges(*(getattr(edges, field.name)[centers, :width] for field in fields(Edges)))


def channel_mixers(n: int, width: int) -> nn.ModuleList:
    """Linear maps of channels without offset, which would break the symmetry."""
    return nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(n))


def mixed(tensors: Float[Tensor, "atom 9 channel"], mixers: nn.ModuleList) -> Float[Tensor, "atom 9 channel"]:
    """Channels mixed, within I, within A and within S."""
    # Flat and contiguous, or PyTorch multiplies one small matrix per atom.
    parts = [mixer(tensors[:, rows].flatten(0, 1)) for rows, mixer in zip(PARTS, mixers, strict=True)]
    return torch.cat([part.unflatten(0, (len(tensors), -1)) for part in parts], dim=1)


def scaled(
    tensors: Float[Tensor, "atom 9 channel"], gates: Float[Tensor, "atom 3 channel"]
) -> Float[Tensor, "atom 9 channel"]:
    """I, A and S of every channel times a number each."""
    return torch.cat([tensors[:, rows] * gates[:, part, None] for part, rows in enumerate(PARTS)], dim=1)


def direction_tensors(edges: Edges) -> tuple[Tensor, Tensor, Tensor]:
    """Components of 1, of A_ij and of S_ij = d dᵀ - 1/3 (zero for an edge to itself) of the edges' directions d."""
    x, y, z = edges.direction.unbind(-1)
    third = (x * x + y * y + z * z) / 3
    symmetric = torch.stack([x * x - third, y * y - third, x * y, x * z, y * z], dim=-1)
    return torch.ones_like(x)[..., None], edges.direction, symmetric


def squared_norms(tensors: Float[Tensor, "atom 9 channel"]) -> Float[Tensor, "atom 3 channel"]:
    """‖I‖², ‖A‖² and ‖S‖² (Frobenius): 3 t², 2 |a|² and, with zz = -(xx + yy), the squares of nine entries."""
    t, a, s = (tensors[:, rows] for rows in PARTS)
    diagonal = s[:, 0].square() + s[:, 1].square() + (s[:, 0] + s[:, 1]).square()
    return torch.stack([3 * t[:, 0].square(), 2 * a.square().sum(1), diagonal + 2 * s[:, 2:].square().sum(1)], dim=1)


def bounded(tensors: Float[Tensor, "atom 9 channel"]) -> Float[Tensor, "atom 9 channel"]:
    """X / (‖X‖² + 1)."""
    return tensors / (squared_norms(tensors).sum(1, keepdim=True) + 1)


def anticommutator(
    first: Float[Tensor, "atom 9 channel"], second: Float[Tensor, "atom 9 channel"]
) -> Float[Tensor, "atom 9 channel"]:
    """X Y + Y X for X = (t, a, S) and Y = (u, b, T).

    Its antisymmetric part has the vector 2 u a + 2 t b - T a - S b; its symmetric part is
    2 t u 1 + 2 u S + 2 t T + W + Wᵀ - 2 (a·b) 1 with W = S T + a bᵀ.
    """
    (t, a, _), (u, b, _) = ([tensors[:, rows] for rows in PARTS] for tensors in (first, second))
    s, r = symmetric_matrix(first), symmetric_matrix(second)
    vector = 2 * (u * a + t * b) - (r * a[:, None]).sum(2) - (s * b[:, None]).sum(2)
    product = a[:, :, None] * b[:, None]
    for k in range(3):
        product = product + s[:, :, k, None] * r[:, None, k]
    trace = product[:, 0, 0] + product[:, 1, 1] + product[:, 2, 2]
    overlap = (a * b).sum(1)
    third = trace / 3
    five = [product[:, i, j] + product[:, j, i] for i, j in ((0, 0), (1, 1), (0, 1), (0, 2), (1, 2))]
    five[0], five[1] = five[0] - 2 * third, five[1] - 2 * third
    symmetric = torch.stack(five, dim=1) + 2 * (u * first[:, PARTS[2]] + t * second[:, PARTS[2]])
    identity = 2 * (t[:, 0] * u[:, 0] + third - overlap)
    return torch.cat([identity[:, None], vector, symmetric], dim=1)


def symmetric_matrix(tensors: Float[Tensor, "atom 9 channel"]) -> Float[Tensor, "atom 3 3 channel"]:
    """S as a matrix."""
    xx, yy, xy, xz, yz = tensors[:, PARTS[2]].unbind(1)
    return torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, -(xx + yy)], dim=1).unflatten(1, (3, 3))
