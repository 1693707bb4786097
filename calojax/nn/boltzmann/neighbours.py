"""Lists of the nodes that each node is coupled to, for machines where these are few."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax.nn.boltzmann.machine import PAIRS, PARTITIONS, Machine

_FEW = 0.1  # share of the nodes of the other partitions, below which lists are faster than products on a CPU core


class Neighbours(NamedTuple):
    """Neighbours in partition q of the nodes of partition p, padded to the most that a node has there.

    node[p][q] (K, n) int32: numbers of the neighbours, of all 4 n; weight[p][q] (K, n) int32: where among the weights
    (6 n n) the coupling stands, 6 n n where there is none.
    """

    node: tuple[tuple[np.ndarray, ...], ...]
    weight: tuple[tuple[np.ndarray, ...], ...]


def of(mask: np.ndarray) -> Neighbours:
    """Lists for a mask (6, n, n)."""
    lists = [[_lists(mask, p, q) for q in range(PARTITIONS)] for p in range(PARTITIONS)]
    node, weight = (tuple(tuple(found[part] for found in row) for row in lists) for part in (0, 1))
    return Neighbours(node, weight)


def few(mask: np.ndarray | None) -> bool:
    """Whether lists are worth it: nodes have few neighbours; None is a full mask."""
    if mask is None:
        return False
    slots = sum(len(found) for row in of(mask).node for found in row)
    return slots < _FEW * PARTITIONS * (PARTITIONS - 1) * mask.shape[1]


def weights(params: Machine, lists: Neighbours, p: int, q: int) -> Array:
    """Weights of the couplings of `lists.node[p][q]`, 0 where there is none: (K, n)."""
    return jnp.append(params.weights.ravel(), 0.0)[lists.weight[p][q]]


def _lists(mask, p, q):
    """node and weight (K, n) of the neighbours that partition p has in q."""
    n = mask.shape[1]
    if p == q:
        return np.zeros((2, 0, n), np.int32)
    number = PAIRS.index((min(p, q), max(p, q)))
    mine, theirs = np.nonzero(mask[number] if p < q else mask[number].T)
    degree = np.bincount(mine, minlength=n)
    slot = np.arange(len(mine)) - np.repeat(np.cumsum(degree) - degree, degree)
    node = np.zeros((degree.max(initial=0), n), np.int32)
    weight = np.full(node.shape, mask.size, np.int32)
    node[slot, mine] = q * n + theirs
    weight[slot, mine] = number * n * n + (mine * n + theirs if p < q else theirs * n + mine)
    return node, weight
