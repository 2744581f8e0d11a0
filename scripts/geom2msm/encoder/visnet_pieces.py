"""What `CompiledViSNet` compiles: the arithmetic of one block of edge rows or of some atoms, in place.

The algebra is that of geom2msm.encoder.visnet, and so are the names. Channels of queries, keys, values and
messages are renumbered so that channel c belongs to head c % n_heads: the sum over the channels of a head then runs
over whole vector registers, down to groups of channels that one small matrix (`heads`) adds up and spreads again.
"""

import inspect
from typing import no_type_check

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from geom2msm.encoder import visnet
from geom2msm.encoder.packed_linear import linear_silu

# Checks of types at run time, which tests put around every function, cannot be compiled: hence no_type_check.
max_min_norm = inspect.unwrap(visnet.max_min_norm)
# Columns of the geometry of edges behind the direction: x, y, z, envelope, mask.
ENVELOPE, MASK = 3, 4


@no_type_check
def interpolate(table: Float[Tensor, "node channel"], node: Tensor, weights: Tensor) -> Tensor:
    """Cubic interpolation between the rows of a table."""
    return sum(functional.embedding(node + i, table) * weights[..., i : i + 1] for i in range(4))


@no_type_check
def neighborhood(
    scalar_sum: Tensor, geometry: Tensor, node: Tensor, weights: Tensor, senders: Tensor, centers: Tensor,
    sent: Tensor, table: Tensor,
) -> None:  # fmt: skip
    """Sum over a row of what the neighbors' elements send, filtered by distance; an atom is not its own neighbor."""
    weight = geometry[..., ENVELOPE] * (senders != centers[:, None])
    filtered = functional.embedding(senders, sent) * interpolate(table, node, weights)
    scalar_sum.copy_((filtered * weight[..., None]).sum(1))


@no_type_check
def messages(
    filters: Float[Tensor, "row slot filter"],
    geometry: Float[Tensor, "row slot 5"],
    senders: Int[Tensor, "row slot"],
    query: Float[Tensor, "row channel"],
    attention: Float[Tensor, "atom thrice_channel"],
    heads: Float[Tensor, "group group"],
) -> Float[Tensor, "row slot channel"]:
    """v_j dv_ij times SiLU(q_i k_j dk_ij) per head times the envelope."""
    width, group = query.shape[-1], len(heads)
    key, value = functional.embedding(senders, attention)[..., width:].split(width, -1)
    product = query[:, None] * key * filters[..., :width]
    grouped = product.unflatten(-1, (-1, group)).sum(-2)
    weight = linear_silu(grouped.flatten(0, 1), heads, None).view(grouped.shape) * geometry[..., ENVELOPE, None]
    filtered = value * filters[..., width : 2 * width]
    return (filtered.unflatten(-1, (-1, group)) * weight[..., None, :]).flatten(-2)


@no_type_check
def gates(message: Tensor, geometry: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """SiLU(W_s m), zero in empty slots."""
    both = linear_silu(message.flatten(0, 1), weight, bias)
    return both.view(*message.shape[:2], -1) * geometry[..., MASK, None]


@no_type_check
def first_layer(
    scalar_sum: Tensor, vector_sum: Tensor, state: Tensor, geometry: Tensor, senders: Tensor, centers: Tensor,
    attention: Tensor,
    filter_weight: Tensor, filter_bias: Tensor, gate_weight: Tensor, gate_bias: Tensor, heads: Tensor,
    scalars: Tensor, table: Tensor, node: Tensor, weights: Tensor,
) -> None:  # fmt: skip
    """Layer 1 and the first state of edges, (x_i + x_j) times a filter; only directions are sent, no edge changes."""
    pair = functional.embedding(centers, scalars)[:, None] + functional.embedding(senders, scalars)
    first_state = (pair * interpolate(table, node, weights)).flatten(0, 1)
    state.copy_(first_state)
    filters = linear_silu(first_state, filter_weight, filter_bias).view(*senders.shape, -1)
    query = functional.embedding(centers, attention)[:, : state.shape[-1]]
    message = messages(filters, geometry, senders, query, attention, heads)
    scalar_sum.copy_(message.sum(1))
    along = gates(message, geometry, gate_weight, gate_bias)
    vector_sum.copy_((along[:, :, None] * geometry[..., :3, None]).sum(1))


@no_type_check
def send(
    scalar_sum: Tensor, vector_sum: Tensor, filters: Tensor, geometry: Tensor, senders: Tensor, centers: Tensor,
    attention: Tensor, unit: Tensor, gate_weight: Tensor, gate_bias: Tensor, heads: Tensor,
) -> None:  # fmt: skip
    """Sums over a row of the messages m and of s1 v_j + s2 d_ij."""
    width = scalar_sum.shape[-1]
    query = functional.embedding(centers, attention)[:, :width]
    message = messages(filters, geometry, senders, query, attention, heads)
    scalar_sum.copy_(message.sum(1))
    from_vectors, from_direction = gates(message, geometry, gate_weight, gate_bias)[:, :, None].split(width, -1)
    along = from_direction * geometry[..., :3, None]
    vector_sum.copy_((gathered(senders, unit) * from_vectors + along).sum(1))


@no_type_check
def gathered(places: Tensor, array: Float[Tensor, "place *shape"]) -> Tensor:
    """Some rows of an array of any dimension."""
    return functional.embedding(places, array.flatten(1)).unflatten(-1, array.shape[1:])


@no_type_check
def last_layer(
    scalar_sum: Tensor, vector_sum: Tensor, state: Tensor, geometry: Tensor, senders: Tensor, centers: Tensor,
    attention: Tensor,
    filter_weight: Tensor, filter_bias: Tensor, gate_weight: Tensor, gate_bias: Tensor, heads: Tensor,
    unit: Tensor,
) -> None:  # fmt: skip
    """The last layer: no edge changes any more."""
    filters = linear_silu(state, filter_weight, filter_bias).view(*senders.shape, -1)
    send(scalar_sum, vector_sum, filters, geometry, senders, centers, attention, unit, gate_weight, gate_bias, heads)


@no_type_check
def middle_layer(
    scalar_sum: Tensor, vector_sum: Tensor, state: Tensor, geometry: Tensor, senders: Tensor, centers: Tensor,
    attention: Tensor,
    filter_weight: Tensor, filter_bias: Tensor, gate_weight: Tensor, gate_bias: Tensor, heads: Tensor,
    unit: Tensor, target: Tensor, source: Tensor,
) -> None:  # fmt: skip
    """A layer in between: every edge changes, too, by SiLU(W_f f) <rej(W_t v_i, d), rej(W_s v_j, -d)>."""
    width = state.shape[-1]
    filters = linear_silu(state, filter_weight, filter_bias).view(*senders.shape, -1)
    send(scalar_sum, vector_sum, filters, geometry, senders, centers, attention, unit, gate_weight, gate_bias, heads)
    left = gathered(centers, target)[:, None].unbind(2)
    right = gathered(senders, source).unbind(2)
    axes = geometry[..., :3, None].unbind(2)
    # Written out per axis: as reductions, the three products would each become an array in memory.
    overlap = sum(a * b for a, b in zip(left, right, strict=True))
    left_along = sum(a * d for a, d in zip(left, axes, strict=True))
    right_along = sum(b * d for b, d in zip(right, axes, strict=True))
    change = filters[..., 2 * width :] * (overlap - left_along * right_along)
    state.add_(change.flatten(0, 1))


@no_type_check
def added(parts: Int[Tensor, "atom part"], of_rows: Tensor) -> Tensor:
    """Sum of some rows for every atom; as a sum over an axis, the parts would be gathered one by one."""
    return sum(gathered(part, of_rows) for part in parts.unbind(1))


@no_type_check
def collect(scalar_sum: Tensor, vector_sum: Tensor, scalar_rows: Tensor, vector_rows: Tensor, parts: Tensor) -> None:
    """Add some rows of every atom to its sums."""
    scalar_sum.add_(added(parts, scalar_rows))
    vector_sum.add_(added(parts, vector_rows))


@no_type_check
def updated(
    scalars: Tensor, vectors: Tensor, product: Tensor, third: Tensor, scalar_sum: Tensor, vector_sum: Tensor,
    scalar_rows: Tensor, vector_rows: Tensor, parts: Tensor, out_weight: Tensor, out_bias: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Some atoms' scalars and vectors after a layer, from their sums and the rows that are not in them yet."""
    width = scalars.shape[-1]
    o1, o2, o3 = functional.linear(scalar_sum + added(parts, scalar_rows), out_weight, out_bias).split(width, -1)
    received = vector_sum + added(parts, vector_rows)
    return scalars + product * o2 + o3, vectors + third * o1[:, None] + received


@no_type_check
def advance(
    scalars: Tensor, vectors: Tensor, product: Tensor, third: Tensor, scalar_sum: Tensor, vector_sum: Tensor,
    scalar_rows: Tensor, vector_rows: Tensor, parts: Tensor, out_weight: Tensor, out_bias: Tensor,
    norm_weight: Tensor, norm_bias: Tensor, unit_weight: Tensor,
    attention: Tensor, unit: Tensor, target: Tensor, source: Tensor,
    attention_weight: Tensor, attention_bias: Tensor, turn_weight: Tensor,
) -> None:  # fmt: skip
    """Update of some atoms, and what they bring into the next layer."""
    scalars_now, vectors_now = updated(
        scalars, vectors, product, third, scalar_sum, vector_sum, scalar_rows, vector_rows, parts, out_weight, out_bias
    )  # fmt: skip
    scalars.copy_(scalars_now)
    vectors.copy_(vectors_now)
    normed = functional.layer_norm(scalars_now, scalars.shape[-1:], norm_weight, norm_bias)
    attention.copy_(functional.linear(normed, attention_weight, attention_bias))
    unit_now = max_min_norm(vectors_now, unit_weight)
    unit.copy_(unit_now)
    first, second, new_third, *turned = functional.linear(unit_now, turn_weight).split(scalars.shape[-1], -1)
    product.copy_((first * second).sum(1))
    third.copy_(new_third)
    # The last layer needs no target and no source.
    for array, projection in zip((target, source), turned, strict=False):
        array.copy_(projection)


@no_type_check
def finish(
    scalars: Tensor, vectors: Tensor, product: Tensor, third: Tensor, scalar_sum: Tensor, vector_sum: Tensor,
    scalar_rows: Tensor, vector_rows: Tensor, parts: Tensor, out_weight: Tensor, out_bias: Tensor,
    norm_weight: Tensor, norm_bias: Tensor, unit_weight: Tensor,
) -> None:  # fmt: skip
    """Last update of some atoms, and the network's output for them."""
    scalars_now, vectors_now = updated(
        scalars, vectors, product, third, scalar_sum, vector_sum, scalar_rows, vector_rows, parts, out_weight, out_bias
    )  # fmt: skip
    scalars.copy_(functional.layer_norm(scalars_now, scalars.shape[-1:], norm_weight, norm_bias))
    vectors.copy_(max_min_norm(vectors_now, unit_weight))
