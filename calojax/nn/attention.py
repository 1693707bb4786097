"""Linear attention over the cells of a map: time and memory grow with the number of cells, not with its square.

    q, k, v = x W_q, x W_k, x W_v;   q: softmax over its channels / sqrt(D);   k: softmax over the cells
    out = x + norm((q (k^T v)) W_o + b_o)

Source: Shen et al., arXiv:1812.01243. One head of D channels. What comes in is added, so that cells stay apart from
each other: softmax over many cells makes all outcomes nearly the same at the start.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import maps


class Attention(NamedTuple):
    """qkv (C, 3 D), out: weight (D, C) and bias (C,), norm of C channels."""

    qkv: Array
    out: maps.Kernel
    norm: maps.Norm


def init(key: Array, channels: int, width: int) -> Attention:
    """width: D."""
    first, second = jax.random.split(key)
    qkv = maps.init_kernel(first, (channels, 3 * width), channels, 0, gain=1.0).weight
    return Attention(qkv, maps.init_kernel(second, (width, channels), width, channels, 1.0), maps.init_norm(channels))


def apply(params: Attention, x: Array) -> Array:
    """x (N, Z, A, R, C) -> the same shape."""
    n, *grid, channels = x.shape
    q, k, v = jnp.split(x.reshape(n, -1, channels) @ params.qkv, 3, -1)
    q = jax.nn.softmax(q, -1) / math.sqrt(q.shape[-1])
    context = jnp.einsum("ncd,nce->nde", jax.nn.softmax(k, 1), v)
    y = jnp.einsum("ncd,nde->nce", q, context) @ params.out.weight + params.out.bias
    return x + maps.normalise(params.norm, y.reshape(n, *grid, channels))
