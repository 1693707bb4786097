"""Exactly k of n, one subcell after another: the coupling that moves every cell once.

In the picture of the hit pattern as Gumbel variables (`gumbel`), a subcell that moves last is X ~ the mixture of
Gumbel(0, 1) with weight p and Gumbel(-7, 1) with weight 1 - p. Its distribution function is a monotone map, the
likelihood of the pattern is the cross-entropy of p, and the k largest X are the pattern itself. Subcells are placed in
a fixed order; p may depend on everything that is placed before, in the own parent and in the neighbours:

    p_c = 1 / (1 + exp(-logit - log(owed / (left - owed))))

where `owed` hits are still to come among the `left` subcells not yet placed. A zero logit is a draw without replacement
at equal chances; k comes out exactly, because p is 1 where all that is left is owed and 0 where nothing is.

n subcells, E parents.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

UNPLACED, EMPTY, HIT = 0.0, -1.0, 1.0  # states of a subcell


class Placed(NamedTuple):
    """pattern (n, E) bool and log probability (E,)."""

    pattern: Array
    log_probability: Array


class Logit(Protocol):
    """What decides: (step, cell (E,), memory, owed (E,), left (E,)) -> logit (E,)."""

    def __call__(self, step: Array, cell: Array, memory: Any, owed: Array, left: Array, /) -> Array: ...


class Decide(Protocol):
    """What decides about some of the elements: (place (C,) in the list, owed (C,), left (C,)) -> logit (C,)."""

    def __call__(self, place: Array, owed: Array, left: Array, /) -> Array: ...


class Memory(NamedTuple):
    """What the decision sees of the cells placed before: at first, with one more of them, and the pattern in it.

    put: (memory, step, hit (E,) bool) -> memory, the cell being that of the step; pattern: memory -> (n, E) bool.
    """

    start: Any
    put: Callable[[Any, Array, Array], Any]
    pattern: Callable[[Any], Array]


def states(real: Array, order: Array) -> Memory:
    """The usual one: UNPLACED, EMPTY or HIT for every cell (n, E)."""

    def put(memory, step, hit):
        at = jnp.arange(real.shape[0])[:, None] == order[step]
        return jnp.where(at, jnp.where(hit, HIT, EMPTY), memory)

    return Memory(jnp.where(real, UNPLACED, EMPTY), put, lambda memory: memory == HIT)


def interleaved(n: int) -> np.ndarray:
    """0..n-1 so that any first few are spread evenly over the circle: bit-reversal (van der Corput) order."""
    bits = max(1, (n - 1).bit_length())
    reverse = [int(format(i, f"0{bits}b")[::-1], 2) for i in range(n)]
    return np.argsort(np.asarray(reverse), kind="stable").astype(np.int32)


def where_open(look: Callable[[Array, Any], Decide], chunk: int) -> Logit:
    """A logit that is computed for the elements with a choice alone, `chunk` of them at a time, and 0 for all others.

    look: (step, memory) -> what decides about some elements.
    """

    def logit(step, cell, memory, owed, left):
        elements = owed.shape[0]
        places, count = listed((owed > 0) & (owed < left), elements + chunk)
        decide = look(step, memory)

        def some(number, found):
            place = jax.lax.dynamic_slice_in_dim(places, number * chunk, chunk)
            at = jnp.minimum(place, elements - 1)
            take = lambda x: x.at[at].get(mode="promise_in_bounds", wrap_negative_indices=False)
            return found.at[place].set(decide(at, take(owed), take(left)), mode="drop", unique_indices=True)

        return jax.lax.fori_loop(0, -(-count // chunk), some, jnp.zeros(elements))

    return logit


def listed(chosen: Array, most: int) -> tuple[Array, Array]:
    """Places (most,) of the chosen of E elements, E where there are no more of them; and the number of the chosen."""
    elements = chosen.shape[0]
    place = jnp.cumsum(chosen, dtype=jnp.int32)
    target = jnp.where(chosen, place - 1, most)
    empty = jnp.full(most, elements, jnp.int32)
    return empty.at[target].set(jnp.arange(elements, dtype=jnp.int32), mode="drop", unique_indices=True), place[-1]


def score(logit: Logit, order: Array, k: Array, real: Array, pattern: Array, memory: Memory | None = None) -> Placed:
    """Log probability of a known pattern (teacher forcing).

    order (steps, E): the cell of every element in each step, n where there is none; k (E,); real, pattern (n, E).
    """
    return _place(logit, order, k, real, _by_step(pattern, order), lambda hit, p: hit, memory)


def draw(logit: Logit, order: Array, k: Array, real: Array, uniforms: Array, memory: Memory | None = None) -> Placed:
    """A pattern with exactly k (E,) hits among the real (n, E) subcells; uniforms (n, E), one per subcell."""
    return _place(logit, order, k, real, _by_step(uniforms, order), lambda uniform, p: uniform < p, memory)


def _place(logit, order, k, real, given, choose, memory):
    remember = memory or states(real, order)

    def body(carry, now):
        memory, owed, left, total = carry
        step, cell, exists, mine = now
        free = exists & (owed > 0) & (owed < left)
        odds = logit(step, cell, memory, owed, left) + jnp.log(jnp.where(free, owed / jnp.maximum(left - owed, 1), 1.0))
        probability = jnp.where(free, jax.nn.sigmoid(odds), (owed > 0).astype(odds.dtype))
        hit = choose(mine, probability) & exists
        total += jnp.where(free, jax.nn.log_sigmoid(jnp.where(hit, odds, -odds)), 0.0)
        return (remember.put(memory, step, hit), owed - hit, left - exists, total), None

    start = (remember.start, k, jnp.sum(real, 0), jnp.zeros(real.shape[1]))
    steps = (jnp.arange(order.shape[0]), order, _by_step(real, order), given)
    before, (last, _, exists, mine) = (tuple(x[:-1] for x in steps), tuple(x[-1] for x in steps))
    (memory, owed, _, total), _ = jax.lax.scan(jax.checkpoint(body), start, before)
    hit = choose(mine, (owed > 0).astype(total.dtype)) & exists  # no choice is left
    return Placed(remember.pattern(remember.put(memory, last, hit)), total)


def _by_step(values, order):
    """values (n, E) of the cell of each step: (steps, E); 0 where there is none."""
    n, elements = values.shape
    at = jnp.minimum(order, n - 1) * elements + jnp.arange(elements)
    return jnp.where(order < n, values.ravel().at[at].get(mode="promise_in_bounds"), 0).astype(values.dtype)
