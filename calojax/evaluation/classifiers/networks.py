"""The protocol's dense classifier as pure functions, and what a classifier's network is.

inputs -> 2048 -> 2048 -> 2048 -> 1, LeakyReLU of slope 0.01 between. Weights and biases start uniform within
1/sqrt(inputs of the layer), as in PyTorch. Source: CaloChallenge/homepage, code/evaluate.py (arXiv:2410.21611).
"""

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

WIDTH = 2048

Tree = Any


class Linear(NamedTuple):
    """weight (inputs, outputs), bias (outputs,)."""

    weight: jax.Array
    bias: jax.Array


class Network(NamedTuple):
    """A classifier of rows of inputs.

    init(key) -> (params, state); apply(params, state, x (n, F), training) -> (logits (n,), state); flop: of the forward
    pass for one row.
    """

    init: Callable[[jax.Array], tuple[Tree, Tree]]
    apply: Callable[[Tree, Tree, jax.Array, bool], tuple[jax.Array, Tree]]
    flop: float


@lru_cache  # what is compiled of a network is found again
def dense(n_inputs: int, *, width: int = WIDTH, dtype: Any = jnp.float32) -> Network:
    """The network of the low-level and high-level classifiers; it has no state."""
    sizes = (n_inputs, width, width, width, 1)

    def init(key):
        keys = jax.random.split(key, len(sizes) - 1)
        return tuple(linear(k, a, b, dtype) for k, (a, b) in zip(keys, pairwise(sizes), strict=True)), ()

    def apply(params, state, x, training):
        for layer in params[:-1]:
            x = jax.nn.leaky_relu(x @ layer.weight + layer.bias, 0.01)
        return (x @ params[-1].weight + params[-1].bias)[:, 0], state

    return Network(init, apply, 2.0 * sum(a * b for a, b in pairwise(sizes)))


def linear(key: jax.Array, n_in: int, n_out: int, dtype: Any) -> Linear:
    """An affine layer as PyTorch starts it."""
    limit = 1 / math.sqrt(n_in)
    draw = lambda key, shape: jax.random.uniform(key, shape, dtype, -limit, limit)
    of_weight, of_bias = jax.random.split(key)
    return Linear(draw(of_weight, (n_in, n_out)), draw(of_bias, (n_out,)))


def size(tree: Tree) -> int:
    """How many numbers a tree of arrays holds."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
