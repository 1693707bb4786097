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

from typing import NamedTuple, Protocol

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
    """What decides: (step, cell (E,), states (n, E), owed (E,), left (E,)) -> logit (E,)."""

    def __call__(self, step: Array, cell: Array, states: Array, owed: Array, left: Array) -> Array: ...


def interleaved(n: int) -> np.ndarray:
    """0..n-1 so that any first few are spread evenly over the circle: bit-reversal (van der Corput) order."""
    bits = max(1, (n - 1).bit_length())
    reverse = [int(format(i, f"0{bits}b")[::-1], 2) for i in range(n)]
    return np.argsort(np.asarray(reverse), kind="stable").astype(np.int32)


def score(logit: Logit, order: Array, k: Array, real: Array, pattern: Array) -> Placed:
    """Log probability of a known pattern (teacher forcing).

    order (steps, E): the cell of every element in each step; k (E,); real, pattern (n, E).
    """
    return _place(logit, order, k, real, lambda step, cell, p: _row(pattern, cell))


def draw(logit: Logit, order: Array, k: Array, real: Array, uniforms: Array) -> Placed:
    """A pattern with exactly k (E,) hits among the real (n, E) subcells; uniforms (n, E), one per subcell."""
    return _place(logit, order, k, real, lambda step, cell, p: _row(uniforms, cell) < p)


def _place(logit, order, k, real, choose):
    n, elements = real.shape

    def body(carry, step_and_cell):
        states, owed, left, total = carry
        step, cell = step_and_cell
        at = jnp.arange(n)[:, None] == cell
        exists = jnp.any(at & real, 0)
        free = exists & (owed > 0) & (owed < left)
        odds = logit(step, cell, states, owed, left) + jnp.log(jnp.where(free, owed / jnp.maximum(left - owed, 1), 1.0))
        probability = jnp.where(free, jax.nn.sigmoid(odds), (owed > 0).astype(odds.dtype))
        hit = choose(step, cell, probability) & exists
        total += jnp.where(free, jax.nn.log_sigmoid(jnp.where(hit, odds, -odds)), 0.0)
        states = jnp.where(at, jnp.where(hit, HIT, EMPTY), states)
        return (states, owed - hit, left - exists, total), None

    start = (jnp.where(real, UNPLACED, EMPTY), k, jnp.sum(real, 0), jnp.zeros(elements))
    steps = jnp.arange(order.shape[0])
    (states, _, _, total), _ = jax.lax.scan(jax.checkpoint(body), start, (steps, order))
    return Placed(states == HIT, total)


def _row(values, cell):
    """values (n, E) at cell (E,), without a gather."""
    at = jnp.arange(values.shape[0])[:, None] == cell
    return jnp.any(values & at, 0) if values.dtype == bool else jnp.sum(jnp.where(at, values, 0), 0)
