"""Sets of variable size in flat lists: compaction, pooling, neighbours.

A tile's elements (the hit rings of its T showers, say) stand one after another in a list of fixed capacity E, with the
number of their shower beside them (`owner`, T for padding). `slots` says where in the list an element
stands.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

_RUN = 16  # entries of `places` that are counted one by one


class Compact(NamedTuple):
    """A flat list: owner (E,) int32, T in the padding; position (E,) int32, 0 in the padding; overflow bool."""

    owner: Array
    position: Array
    overflow: Array


def compact(present: Array, capacity: int) -> Compact:
    """present (T, P) bool -> its true entries in row order, at most `capacity`; overflow tells of more."""
    showers, positions = present.shape
    flat = jnp.nonzero(present.ravel(), size=capacity, fill_value=showers * positions)[0].astype(jnp.int32)
    owner = flat // positions
    return Compact(owner, jnp.where(owner < showers, flat % positions, 0), jnp.sum(present) > capacity)


def places(chosen: Array, capacity: int) -> Array:
    """Where chosen (P,) bool is true, in order, as (capacity,) int32; P after the last of them.

    Runs of a few entries are walked along side by side, so that entries are counted once, and only runs summed up from
    the first on: on a CPU a third of the time of `jnp.nonzero`, which sums up all entries, and then the list.
    """
    runs = jnp.pad(chosen, (0, -chosen.shape[0] % _RUN)).reshape(-1, _RUN).T
    count = jnp.sum(runs, 0, dtype=jnp.int32)
    first = _RUN * jnp.arange(runs.shape[1], dtype=jnp.int32)

    def step(number, state):
        listed, at = state
        here = runs[number]
        at_mine = jnp.where(here, at, capacity)
        return listed.at[at_mine].set(first + number, mode="drop", unique_indices=True), at + here

    none = jnp.full(capacity, chosen.shape[0], jnp.int32)
    return jax.lax.fori_loop(0, _RUN, step, (none, jnp.cumsum(count) - count))[0]


def slots(owner: Array, position: Array, showers: int, positions: int) -> Array:
    """Where an element stands: owner, position (E,) -> (T, P) int32, E where there is none."""
    capacity = owner.shape[0]
    table = jnp.full((showers, positions), capacity, jnp.int32)
    return table.at[owner, position].set(jnp.arange(capacity, dtype=jnp.int32), mode="drop")


def mean_by_owner(x: Array, owner: Array, real: Array, showers: int) -> Array:
    """Mean over the real elements of each shower; x (F, E) -> (F, T); a shower without elements gets 0."""
    total = jax.ops.segment_sum(jnp.where(real, x, 0.0).T, owner, showers + 1)[:showers]
    count = jax.ops.segment_sum(real.astype(x.dtype), owner, showers + 1)[:showers]
    return (total / jnp.maximum(count, 1.0)[:, None]).T


def of_owner(x: Array, owner: Array) -> Array:
    """A shower's numbers at its elements: x (F, T) -> (F, E); padding takes the last shower's."""
    return jnp.take(x, jnp.minimum(owner, x.shape[-1] - 1), axis=-1)


def sum_by_owner(x: Array, owner: Array, showers: int) -> Array:
    """x (E,) -> (T,), padding dropped."""
    return jax.ops.segment_sum(x, owner, showers + 1)[:showers]
