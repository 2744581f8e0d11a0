"""Edges in rows of one fixed width, so that compiled code sees the same shapes for every molecule and frame.

A center with many neighbors owns several rows. Little of a row stays empty that way, even if one
atom has ten times the neighbors of another.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from geom2msm.encoder.neighbors import NeighborTable

ROW_WIDTH = 8
NARROW_TABLE = 16


@dataclass(frozen=True)
class EdgeRows:
    """Rows of edges; empty slots point at atom 0 and have mask 0, as have the rows that fill the last block.

    `rows_of_atom` lists the rows of each center; where it has fewer than others, the number of rows stands
    (a row beyond the end, which the owner of the sums keeps at zero). `shift` (nm) is that of the neighbor table.
    """

    senders: Int[Tensor, "row slot"]
    centers: Int[Tensor, " row"]
    mask: Float[Tensor, "row slot"]
    rows_of_atom: Int[Tensor, "atom part"]
    shift: Float[Tensor, "row slot 3"] | None = None


def row_width(table: NeighborTable) -> int:
    """Slots per row: a narrow table keeps its own width, rounded up to an even number, a wide one is cut up."""
    width = table.indices.shape[1]
    return width + width % 2 if width <= NARROW_TABLE else ROW_WIDTH


def edge_rows(table: NeighborTable, *, width: int, block_rows: int, atom_multiple: int, part_multiple: int) -> EdgeRows:
    """The edges of a table in whole blocks of rows; atoms without edges and missing parts fill up multiples."""
    device, n_atoms = table.indices.device, len(table.indices)
    degree = table.mask.sum(1)
    parts = (degree + width - 1) // width
    first_row = parts.cumsum(0) - parts
    n_rows = -(-int(parts.sum()) // block_rows) * block_rows
    atom, _ = table.mask.nonzero(as_tuple=True)
    rank = torch.arange(len(atom), device=device) - (degree.cumsum(0) - degree)[atom]
    slot = first_row[atom] * width + rank
    senders = torch.zeros(n_rows * width, dtype=torch.long, device=device)
    senders[slot] = table.indices[table.mask]
    mask = torch.zeros(n_rows * width, device=device)
    mask[slot] = 1.0
    centers = torch.zeros(n_rows, dtype=torch.long, device=device)
    centers[: int(parts.sum())] = torch.repeat_interleave(torch.arange(n_atoms, device=device), parts)
    parts = functional.pad(parts, (0, -n_atoms % atom_multiple))
    first_row = functional.pad(first_row, (0, -n_atoms % atom_multiple))
    most = int(parts.max())
    part = torch.arange(most + -most % part_multiple, device=device)
    rows_of_atom = torch.where(part < parts[:, None], first_row[:, None] + part, n_rows)
    shift = None
    if table.shift is not None:
        shift = table.shift.new_zeros(n_rows * width, 3)
        shift[slot] = table.shift[table.mask]
        shift = shift.view(n_rows, width, 3)
    return EdgeRows(senders.view(n_rows, width), centers, mask.view(n_rows, width), rows_of_atom, shift)
