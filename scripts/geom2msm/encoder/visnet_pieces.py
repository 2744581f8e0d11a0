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


@no_type_check
def interpolate(table: Float[Tensor, "node channel"], node: Tensor, weights: Tensor) -> Tensor:
    """Cubic interpolation between the rows of a table."""
    return sum(functional.embedding(node + i, table) * weights[..., i : i + 1] for i in range(4))


@no_type_check
def neighborhood(
    scalar_sum: Tensor, node: Tensor, weights: Tensor, envelope: Tensor, senders: Tensor, centers: Tensor,
    sent: Tensor, table: Tensor,
) -> None:  # fmt: skip
    """Sum over a row of what the neighbors' elements send, filtered by distance; an atom is not its own neighbor."""
    weight = envelope * (senders != centers[:, None])
    filtered = functional.embedding(senders, sent) * interpolate(table, node, weights)
    scalar_sum.copy_((filtered * weight[..., None]).sum(1))


@no_type_check
def first_state(
    state: Tensor, node: Tensor, weights: Tensor, senders: Tensor, centers: Tensor, scalars: Tensor, table: Tensor
) -> None:
    """(x_i + x_j) times a filter of the distance."""
    pair = functional.embedding(centers, scalars)[:, None] + functional.embedding(senders, scalars)
    state.copy_(pair * interpolate(table, node, weights))


@no_type_check
def messages(
    filters: Float[Tensor, "row slot filter"],
    envelope: Float[Tensor, "row slot"],
    senders: Int[Tensor, "row slot"],
    query: Float[Tensor, "row channel"],
    sent: Float[Tensor, "atom twice_channel"],
    heads: Float[Tensor, "group group"],
) -> Float[Tensor, "row slot channel"]:
    """v_j dv_ij times SiLU(q_i k_j dk_ij) per head times the envelope."""
    width, group = query.shape[-1], len(heads)
    keys_values = functional.embedding(senders, sent)
    product = query[:, None] * keys_values[..., :width] * filters[..., :width]
    grouped = product.unflatten(-1, (-1, group)).sum(-2)
    weight = linear_silu(grouped.flatten(0, 1), heads, None).view(grouped.shape) * envelope[..., None]
    value = keys_values[..., width:] * filters[..., width : 2 * width]
    return (value.unflatten(-1, (-1, group)) * weight[..., None, :]).flatten(-2)


@no_type_check
def gates(message: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """SiLU(W_s m), zero in empty slots."""
    return linear_silu(message.flatten(0, 1), weight, bias).view(*message.shape[:2], -1) * mask[..., None]


@no_type_check
def first_layer(
    scalar_sum: Tensor, vector_sum: Tensor, state: Tensor, direction: Tensor, envelope: Tensor, mask: Tensor,
    senders: Tensor, centers: Tensor, query: Tensor, sent: Tensor,
    filter_weight: Tensor, filter_bias: Tensor, gate_weight: Tensor, gate_bias: Tensor, heads: Tensor,
) -> None:  # fmt: skip
    """Layer 1: no vectors yet, so that only directions are sent and no edge changes."""
    filters = linear_silu(state, filter_weight, filter_bias).view(*senders.shape, -1)
    message = messages(filters, envelope, senders, functional.embedding(centers, query), sent, heads)
    scalar_sum.copy_(message.sum(1))
    along = gates(message, mask, gate_weight, gate_bias)
    vector_sum.copy_((along[:, :, None] * direction[..., None]).sum(1).flatten(1))


@no_type_check
def last_layer(
    scalar_sum: Tensor, vector_sum: Tensor, state: Tensor, direction: Tensor, envelope: Tensor, mask: Tensor,
    senders: Tensor, centers: Tensor, query: Tensor, sent: Tensor, unit: Tensor,
    filter_weight: Tensor, filter_bias: Tensor, gate_weight: Tensor, gate_bias: Tensor, heads: Tensor,
) -> None:  # fmt: skip
    """The last layer: no edge changes any more."""
    filters = linear_silu(state, filter_weight, filter_bias).view(*senders.shape, -1)
    message = messages(filters, envelope, senders, functional.embedding(centers, query), sent, heads)
    scalar_sum.copy_(message.sum(1))
    send_vectors(vector_sum, gates(message, mask, gate_weight, gate_bias), direction, senders, unit)


@no_type_check
def send_vectors(vector_sum: Tensor, both: Tensor, direction: Tensor, senders: Tensor, unit: Tensor) -> None:
    """Sum over a row of s1 v_j + s2 d_ij."""
    vectors = functional.embedding(senders, unit).unflatten(-1, (3, -1))
    width = vectors.shape[-1]
    vector_sum.copy_(
        (vectors * both[:, :, None, :width] + both[:, :, None, width:] * direction[..., None]).sum(1).flatten(1)
    )


@no_type_check
def middle_layer(
    scalar_sum: Tensor, vector_sum: Tensor, state: Tensor, direction: Tensor, envelope: Tensor, mask: Tensor,
    senders: Tensor, centers: Tensor, query: Tensor, sent: Tensor, unit: Tensor, target: Tensor, source: Tensor,
    filter_weight: Tensor, filter_bias: Tensor, gate_weight: Tensor, gate_bias: Tensor, heads: Tensor,
) -> None:  # fmt: skip
    """A layer in between: every edge changes, too, by SiLU(W_f f) <rej(W_t v_i, d), rej(W_s v_j, -d)>."""
    filters = linear_silu(state, filter_weight, filter_bias).view(*senders.shape, -1)
    message = messages(filters, envelope, senders, functional.embedding(centers, query), sent, heads)
    scalar_sum.copy_(message.sum(1))
    send_vectors(vector_sum, gates(message, mask, gate_weight, gate_bias), direction, senders, unit)
    width = query.shape[-1]
    left = functional.embedding(centers, target).view(-1, 1, 3, width).unbind(2)
    right = functional.embedding(senders, source).unflatten(-1, (3, width)).unbind(2)
    axes = direction[..., None].unbind(2)
    # Written out per axis: as reductions, the three products would each become an array in memory.
    overlap = sum(a * b for a, b in zip(left, right, strict=True))
    left_along = sum(a * d for a, d in zip(left, axes, strict=True))
    right_along = sum(b * d for b, d in zip(right, axes, strict=True))
    change = filters[..., 2 * width :] * (overlap - left_along * right_along)
    state.add_(change.flatten(0, 1))


@no_type_check
def collect(
    scalar_sum: Tensor, vector_sum: Tensor, scalar_rows: Tensor, vector_rows: Tensor, rows: Int[Tensor, "atom part"]
) -> None:
    """Add some rows of every atom to its sums; as a sum over an axis, the parts would be gathered one by one."""
    for sums, of_rows in ((scalar_sum, scalar_rows), (vector_sum, vector_rows)):
        sums.add_(sum(functional.embedding(part, of_rows) for part in rows.unbind(1)))


@no_type_check
def update(
    scalars: Tensor, vectors: Tensor, unit: Tensor, scalar_sum: Tensor, vector_sum: Tensor,
    vector_weight: Tensor, out_weight: Tensor, out_bias: Tensor,
) -> None:  # fmt: skip
    """Residual update of some atoms' scalars and vectors from what their neighbors sent."""
    width = scalars.shape[-1]
    first, second, third = functional.linear(unit.view(-1, 3, width), vector_weight).split(width, -1)
    o1, o2, o3 = functional.linear(scalar_sum, out_weight, out_bias).split(width, -1)
    scalars.add_((first * second).sum(1) * o2 + o3)
    vectors.add_((third * o1[:, None]).flatten(1) + vector_sum)


@no_type_check
def project(
    query: Tensor, sent: Tensor, unit: Tensor, target: Tensor, source: Tensor, scalars: Tensor, vectors: Tensor,
    norm_weight: Tensor, norm_bias: Tensor, unit_weight: Tensor,
    attention_weight: Tensor, attention_bias: Tensor, turn_weight: Tensor,
) -> None:  # fmt: skip
    """What some atoms bring into a layer: query, key and value, normed vectors, their two projections."""
    width = scalars.shape[-1]
    normed = functional.layer_norm(scalars, (width,), norm_weight, norm_bias)
    projected = functional.linear(normed, attention_weight, attention_bias)
    query.copy_(projected[:, :width])
    sent.copy_(projected[:, width:])
    rescaled = max_min_norm(vectors.view(-1, 3, width), unit_weight)
    unit.copy_(rescaled.flatten(1))
    if len(turn_weight) > 0:
        turned = functional.linear(rescaled, turn_weight)
        target.copy_(turned[..., :width].flatten(1))
        source.copy_(turned[..., width:].flatten(1))


@no_type_check
def finish(scalars: Tensor, vectors: Tensor, norm_weight: Tensor, norm_bias: Tensor, unit_weight: Tensor) -> None:
    """The network's output for some atoms, in place of its last state."""
    width = scalars.shape[-1]
    scalars.copy_(functional.layer_norm(scalars, (width,), norm_weight, norm_bias))
    vectors.copy_(max_min_norm(vectors.view(-1, 3, width), unit_weight).flatten(1))
