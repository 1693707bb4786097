"""Gumbel dequantisation of hit patterns, and its inverse, the k largest.

A hit subcell gets X ~ Gumbel(0, 1), one that is not hit X ~ Gumbel(-7, 1); the pattern is read back as the k largest X
(Gumbel top-k: Kool et al., arXiv:1903.06059). Two ways to draw X:

- `dequantise` as published: independent draws, so that in about 2 % of 16-cell patterns a cell that is not hit comes
  out above one that is;
- `dequantise_exactly`: the same distribution given that the hits come first, so that quantise undoes it for every
  pattern. With T = exp(-X) hits arrive at rate 1 and the others at rate e^-7; the arrival times of an exponential race
  do not depend on who arrives, so the first k times are drawn and handed to the hits in a random order.

pattern (n, E) bool, uniforms (2n, E) in (0, 1); n subcells, E parents. `real` (n, E) marks subcells that exist.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

SHIFT = -7.0  # location of a subcell that is not hit
_RATE = math.exp(SHIFT)


def dequantise(pattern: Array, uniforms: Array) -> Array:
    """pattern (n, E) bool, uniforms (n or more, E) -> X (n, E), as published."""
    return jnp.where(pattern, 0.0, SHIFT) - jnp.log(_exponential(uniforms[: pattern.shape[0]]))


def dequantise_exactly(pattern: Array, uniforms: Array, real: Array | None = None) -> Array:
    """pattern (n, E) bool, uniforms (2n, E) -> X (n, E) with quantise(X, k) == pattern; not real: SHIFT."""
    n = pattern.shape[0]
    real = jnp.ones_like(pattern) if real is None else real
    waits, order = _exponential(uniforms[:n]), uniforms[n:]
    rank = jnp.where(pattern, ranks(jnp.where(pattern, order, -1.0)), n)  # who of the hits comes first
    n_hit, n_real = jnp.sum(pattern, 0), jnp.sum(real, 0)
    steps = jnp.arange(n)[:, None]
    left = jnp.maximum(n_hit - steps, 0)
    rate = jnp.maximum(left, 1) + (n_real - n_hit) * _RATE
    arrival = jnp.cumsum(jnp.where(left > 0, waits / rate, 0.0), axis=0)
    hit_time = jnp.sum(jnp.where(rank[:, None, :] == steps[None], arrival[None], 0.0), 1)
    last = jnp.where(n_hit > 0, arrival[-1], 0.0)
    miss_time = jnp.maximum(last + _waits_of_misses(rank, waits) / _RATE, jnp.nextafter(last, jnp.inf))
    return jnp.where(real, -jnp.log(jnp.where(pattern, hit_time, miss_time)), SHIFT)


def _waits_of_misses(rank: Array, waits: Array) -> Array:
    """Waiting times not used by the hits: miss number j takes waits[k + j], k hits (n, E)."""
    n = rank.shape[0]
    miss = rank >= n
    slot = jnp.where(miss, jnp.cumsum(miss, 0) - 1 + jnp.sum(~miss, 0), 0)
    return jnp.sum(jnp.where(slot[:, None, :] == jnp.arange(n)[None, :, None], waits[None], 0.0), 1)


def log_density(pattern: Array, x: Array, real: Array | None = None) -> Array:
    """log q(X | pattern) of `dequantise_exactly`, (E,): the two Gumbels, minus the log of the chance of a right order.

    P(match) = prod_m m / (m + (n - k) e^-7),  m = 1..k
    """
    real = jnp.ones_like(pattern) if real is None else real
    n_hit, n_real = jnp.sum(pattern, 0), jnp.sum(real, 0)
    m = jnp.arange(1, pattern.shape[0] + 1)[:, None]
    log_match = -jnp.sum(jnp.where(m <= n_hit, jnp.log1p((n_real - n_hit) * _RATE / m), 0.0), 0)
    return log_density_published(pattern, x, real) - log_match


def log_density_published(pattern: Array, x: Array, real: Array) -> Array:
    """log q(X | pattern) of `dequantise`, (E,): independent Gumbels of the real subcells."""
    y = x - jnp.where(pattern, 0.0, SHIFT)
    return jnp.sum(jnp.where(real, -y - jnp.exp(-y), 0.0), 0)


def quantise(x: Array, k: Array, real: Array | None = None) -> Array:
    """X (n, E), k (E,) int -> pattern (n, E) bool: the k largest of the real ones; ties go to the lower index."""
    if real is not None:
        x = jnp.where(real, x, -jnp.inf)
    pattern = ranks(x) < k
    return pattern if real is None else pattern & real


def ranks(x: Array) -> Array:
    """Rank from the largest (0) by comparing all pairs, ties to the lower index; x (n, E) -> (n, E) int32.

    For the few children that a parent has this is much faster than sorting.
    """
    n = x.shape[0]
    index = jnp.arange(n)
    rows = []
    for i in range(n):
        ahead = (x > x[i]) | ((x == x[i]) & (index < i)[:, None])
        rows.append(jnp.sum(ahead.astype(jnp.int32), 0))
    return jnp.stack(rows)


def _exponential(uniform):
    return -jnp.log(jnp.clip(uniform, 1e-30, 1.0 - 6e-8))


def uniforms(key: Array, n: int, elements: int) -> Array:
    """The (2n, E) uniforms that both variants take."""
    return jax.random.uniform(key, (2 * n, elements))
