"""CDF dequantisation: an integer becomes a number that is standard normal if the integer follows its table.

    z = Phi^-1(u),  u ~ Uniform[F(k-1), F(k));   back: the k whose interval holds z

Source: arXiv:2403.15782 (CaloPointFlow II). Differs from its public code, which loses large k in float32 because u near
1 has a spacing of 6e-8: here the upper half is drawn from the survival function, and the edges are stored in z. All k
with a tail probability above about 1e-15 come back.

P tables (positions), K the largest integer.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtri
from scipy.special import ndtri as ndtri64

CLIP = 8.0  # |z| beyond which float32 quantiles are not trusted


class Table(NamedTuple):
    """P distributions over 0..K: cumulative F(k-1) and survival P(K >= k), k = 0..K+1, and the edges in z; (P, K+2).

    numpy arrays on the host, JAX arrays in a program.
    """

    below: Any
    above: Any
    edges: Any


def probabilities(counts: np.ndarray, pseudo: float = 0.5, allowed: np.ndarray | None = None) -> np.ndarray:
    """Counts (P, K+1) -> probabilities; every allowed k gets `pseudo` counts shared out as the pooled distribution.

    allowed (P, K+1) bool: what can occur at a position at all (default: all). A row without counts is the pooled one.
    """
    counts = np.asarray(counts, np.float64)
    allowed = np.ones(counts.shape, bool) if allowed is None else allowed
    pooled = counts.sum(0) + 1e-3
    prior = np.where(allowed, pooled / pooled.sum(), 0.0)
    smoothed = np.where(allowed, counts, 0.0) + pseudo * prior / prior.sum(1, keepdims=True)
    return smoothed / smoothed.sum(1, keepdims=True)


def table(probability: np.ndarray) -> Table:
    """Probabilities (P, K+1), float64 -> Table in float32."""
    probability = np.asarray(probability, np.float64)
    zero = np.zeros((len(probability), 1))
    below = np.concatenate([zero, np.cumsum(probability, 1)], 1)
    above = np.concatenate([np.cumsum(probability[:, ::-1], 1)[:, ::-1], zero], 1)
    with np.errstate(divide="ignore"):
        edges = np.where(below < 0.5, ndtri64(np.minimum(below, 1.0)), -ndtri64(np.minimum(above, 1.0)))
    edges = np.clip(edges, -CLIP, CLIP)
    edges[:, 0], edges[:, -1] = -np.inf, np.inf
    return Table(*(a.astype(np.float32) for a in (below, above, edges)))


def dequantise(tables: Table, position: Array, k: Array, uniform: Array) -> Array:
    """k, position (table row), uniform in [0, 1): all of one shape -> z of that shape, float32."""
    at = lambda values, shift: values[position, k + shift]
    low = at(tables.below, 0) + at(tables.below, 1) <= 1.0
    from_below = at(tables.below, 0) + uniform * (at(tables.below, 1) - at(tables.below, 0))
    from_above = at(tables.above, 1) + uniform * (at(tables.above, 0) - at(tables.above, 1))
    quantile = ndtri(jnp.clip(jnp.where(low, from_below, from_above), 1e-30, 1 - 6e-8))
    z = jnp.clip(jnp.where(low, quantile, -quantile), -CLIP, CLIP)
    return jnp.clip(z, at(tables.edges, 0), jnp.nextafter(at(tables.edges, 1), -jnp.inf))


def quantise(tables: Table, position: Array, z: Array) -> Array:
    """z, position of one shape -> the k (int32) whose interval [edge_k, edge_k+1) holds z."""
    edges = tables.edges[position]  # (..., K+2)
    return jnp.sum((z[..., None] >= edges[..., 1:-1]).astype(jnp.int32), -1)


def log_probability(tables: Table, position: Array, k: Array) -> Array:
    """Log probability of k in its table, position and k of one shape."""
    below, above = tables.below, tables.above
    from_below = below[position, k + 1] - below[position, k]
    from_above = above[position, k] - above[position, k + 1]
    return jnp.log(jnp.maximum(jnp.where(below[position, k] < 0.5, from_below, from_above), 1e-12))
