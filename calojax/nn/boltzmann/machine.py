"""The machine: four partitions of n binary nodes, couplings between partitions only.

    E(v) = - sum_i b_i . v_i - sum_(i<j) v_i^T W_ij v_j,    p(v) ~ exp(-E(v)),    v in {0, 1}^(4 x n)

Given the other three, the nodes of a partition are independent, v = 1 with probability sigmoid(field). Where not all
nodes are coupled, `masked` comes first in whatever uses weights: then weights of absent couplings have no gradient,
and an optimiser leaves them at zero.

v (..., 4, n), 0 or 1 of any type; mask (6, n, n) bool, one block for each of PAIRS.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

PARTITIONS = 4
PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
_RAREST = 1e-4  # frequencies are kept this far from 0 and 1


class Machine(NamedTuple):
    """Parameters: weights (6, n, n), W_ij of PAIRS with rows in partition i and columns in j; biases (4, n)."""

    weights: Array
    biases: Array


def init(key: Array, n: int, *, spread: float = 0.01, frequencies: Array | None = None, mask=None) -> Machine:
    """Normal weights of this spread; biases with which free nodes are 1 as often as `frequencies` (4, n), default 0.

    A field sums 3 n weights, or 20 with the mask of Zephyr: much larger ones freeze the chains of a full machine.
    """
    weights = spread * jax.random.normal(key, (len(PAIRS), n, n))
    if frequencies is None:
        biases = jnp.zeros((PARTITIONS, n))
    else:
        biases = jax.scipy.special.logit(jnp.clip(frequencies, _RAREST, 1 - _RAREST))
    return masked(Machine(weights, biases), mask)


def masked(params: Machine, mask: Array | None) -> Machine:
    """The weights where there are couplings, 0 elsewhere; None: all are there."""
    return params if mask is None else params._replace(weights=jnp.where(mask, params.weights, 0.0))


def uncentred(params: Machine, offsets: Array, mask: Array | None = None) -> Machine:
    """The plain machine, masked, of the parameters of one on v - offsets (4, n): up to a constant the same energies."""
    params = masked(params, mask)
    return params._replace(biases=params.biases - fields(params._replace(biases=jnp.zeros_like(offsets)), offsets))


def scaled(params: Machine, beta: Array | float) -> Machine:
    """The machine whose p is that of `params` at inverse temperature beta."""
    return Machine(beta * params.weights, beta * params.biases)


def energy(params: Machine, v: Array) -> Array:
    """E of v (..., 4, n) -> (...)."""
    v = v.astype(params.biases.dtype)
    products = [jnp.sum((v[..., i, :] @ w) * v[..., j, :], -1) for (i, j), w in zip(PAIRS, params.weights, strict=True)]
    return -jnp.sum(params.biases * v, (-1, -2)) - sum(products)


def conditional_energy(params: Machine, v: Array) -> Array:
    """E without the biases of partition 0, which are constant where that is given; v (..., 4, n) -> (...)."""
    return energy(params._replace(biases=params.biases.at[0].set(0.0)), v)


def incoming(params: Machine, partition: int, sources: tuple[int, ...]) -> Array:
    """Weights from the nodes of other partitions, one after another, to those of one: (len(sources) n, n)."""
    block = lambda j: params.weights[PAIRS.index((j, partition))] if j < partition else _turned(params, partition, j)
    return jnp.concatenate([block(j) for j in sources])


def field(params: Machine, v: Array, partition: int) -> Array:
    """Local fields of a partition, b_i + sum_j W_ij v_j: v (..., 4, n) -> (..., n)."""
    others = tuple(j for j in range(PARTITIONS) if j != partition)
    rest = v[..., others, :].astype(params.biases.dtype)
    return params.biases[partition] + rest.reshape(*rest.shape[:-2], -1) @ incoming(params, partition, others)


def fields(params: Machine, v: Array) -> Array:
    """Local fields of all nodes: v (..., 4, n) -> (..., 4, n)."""
    return jnp.stack([field(params, v, partition) for partition in range(PARTITIONS)], -2)


def conditional(params: Machine, v: Array, partition: int) -> Array:
    """Probability that nodes of a partition are 1, given the others: v (..., 4, n) -> (..., n)."""
    return jax.nn.sigmoid(field(params, v, partition))


def _turned(params, i, j):
    return params.weights[PAIRS.index((i, j))].T
