"""The protocol's convolutional classifier: a 3-D ResNet-18 on voxels / E_inc over (layer, alpha, r).

Convolution 7x7x7 of stride 2 to 32 channels, batch norm, ReLU, max pool 3x3x3 of stride 2; four groups of two basic
blocks (3x3x3, no bias) with 32, 64, 64, 128 channels and strides 1, 2, 2, 2, shortcut 1x1x1 convolution and batch norm
in the first block of the last three; mean over space; log10 E_inc through a batch norm of its own; linear to 1. The
edges are padded with zeros, in alpha too. Convolutions start with variance 2 / (outputs of a cell's kernel).

The running means and variances of the batch norms are the network's state: the mean of a batch and its unbiased
variance enter with weight 0.1; a batch is normalised with its biased variance. Source: CaloChallenge/homepage,
code/resnet.py (arXiv:2410.21611) after arXiv:1512.03385.

Arrays are (n, z, alpha, r, channels).
"""

import math
from functools import lru_cache, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from calojax.evaluation.classifiers.networks import Linear, Network, linear

_STEM = 32
_GROUPS = ((32, 1), (64, 2), (64, 2), (128, 2))  # channels and stride; two blocks each
_EPSILON, _MOMENTUM = 1e-5, 0.1
_DENSE = 4  # a plane of this many times a kernel's cells is small


class Norm(NamedTuple):
    """Parameters of a batch norm, (channels,) each."""

    scale: jax.Array
    bias: jax.Array


class Running(NamedTuple):
    """State of a batch norm, (channels,) each."""

    mean: jax.Array
    variance: jax.Array


class _Unit(NamedTuple):
    """A convolution with the batch norm behind it, and its stride."""

    kernel: int
    n_in: int
    n_out: int
    stride: int


class _Block(NamedTuple):
    """Two units and, where shape or channels change, a shortcut."""

    first: _Unit
    second: _Unit
    shortcut: _Unit | None


@lru_cache
def resnet(shape: tuple[int, int, int], *, dtype: Any = jnp.float32) -> Network:
    """The network for voxels in (layers, alpha bins, rings); a row is log10 E_inc, then the voxels in file order."""
    stem, blocks = _Unit(7, 1, _STEM, 2), _blocks()
    units = [stem, *(unit for block in blocks for unit in block if unit)]

    def init(key):
        keys = jax.random.split(key, len(units) + 1)
        kernels = [_kernel(k, unit, dtype) for k, unit in zip(keys, units, strict=False)]
        widths = [unit.n_out for unit in units] + [1]
        norms = [Norm(jnp.ones(n, dtype), jnp.zeros(n, dtype)) for n in widths]
        params = {"kernels": kernels, "norms": norms, "head": linear(keys[-1], blocks[-1].second.n_out + 1, 1, dtype)}
        return params, [Running(jnp.zeros(n, dtype), jnp.ones(n, dtype)) for n in widths]

    def apply(params, state, x, training):
        layers = iter(zip(units, params["kernels"], params["norms"], state, strict=False))
        new = []

        def unit(h):
            which, kernel, norm, running = next(layers)
            h, running = _normalise(convolve(h, kernel, which.stride), norm, running, training)
            new.append(running)
            return h

        h = _max_pool(jax.nn.relu(unit(x[:, 1:].reshape(-1, *shape, 1))))
        for block in blocks:
            inner = unit(jax.nn.relu(unit(h)))
            h = jax.nn.relu(inner + (unit(h) if block.shortcut else h))
        energy, running = _normalise(x[:, :1], params["norms"][-1], state[-1], training)
        head: Linear = params["head"]
        logits = jnp.concatenate([h.mean((1, 2, 3)), energy], axis=1) @ head.weight + head.bias
        return logits[:, 0], [*new, running]

    return Network(init, apply, _flop(shape, stem, blocks))


def convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """3-D convolution of x (n, z, a, r, c) with an odd kernel (k, k, k, c, c'), zeros outside."""
    return (_folded if jax.default_backend() == "cpu" else _whole)(x, kernel, stride)


def _whole(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    edge, axes = len(kernel) // 2, ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_general_dilated(x, kernel, (stride,) * 3, [(edge, edge)] * 3, dimension_numbers=axes)


def _folded(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Several times faster on a CPU: the k layers around each are put into its channels and z into the batch. What is
    left is a 2-D convolution, for a small plane a product of matrices. On an H100 jax 0.11.2 dies compiling that.
    """
    k, (n, z, a, r, _) = len(kernel), x.shape
    z_out, edge = _strided(z, stride), k // 2
    x = jnp.pad(x, ((0, 0), (edge, edge), (0, 0), (0, 0), (0, 0)))
    x = jnp.stack([x[:, i : i + stride * (z_out - 1) + 1 : stride] for i in range(k)], axis=-2)
    in_plane = _multiply if a * r <= _DENSE * k**2 else _slide
    y = in_plane(x.reshape(n * z_out, *x.shape[2:]), kernel, stride)
    return y.reshape(n, z_out, *y.shape[1:])


def _slide(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """2-D convolution of x (m, a, r, k, c)."""
    k = len(kernel)
    kernel = kernel.transpose(1, 2, 0, 3, 4).reshape(k, k, -1, kernel.shape[-1])
    x, edges = x.reshape(*x.shape[:3], -1), [(k // 2, k // 2)] * 2
    axes = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride, stride), edges, dimension_numbers=axes)


def _multiply(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """The same as one product with a matrix of all pairs of cells of the plane."""
    k, (m, a, r, *_) = len(kernel), x.shape
    matrix = jnp.einsum("khwco,hax,wry->arkcxyo", kernel, *(_shifts(k, length, stride, x.dtype) for length in (a, r)))
    y = x.reshape(m, -1) @ matrix.reshape(a * r * k * x.shape[-1], -1)
    return y.reshape(m, *matrix.shape[4:])


def _shifts(k: int, length: int, stride: int, dtype: Any) -> jax.Array:
    """(k, length, length'): whether a cell is the i-th under the kernel around a cell that comes out."""
    i, cell, out = np.ogrid[:k, :length, : _strided(length, stride)]
    return jnp.asarray(stride * out + i - k // 2 == cell, dtype)


def _blocks() -> list[_Block]:
    blocks, n_in = [], _STEM
    for n_out, stride in _GROUPS:
        shortcut = _Unit(1, n_in, n_out, stride) if stride > 1 or n_in != n_out else None
        blocks.append(_Block(_Unit(3, n_in, n_out, stride), _Unit(3, n_out, n_out, 1), shortcut))
        blocks.append(_Block(_Unit(3, n_out, n_out, 1), _Unit(3, n_out, n_out, 1), None))
        n_in = n_out
    return blocks


def _kernel(key: jax.Array, unit: _Unit, dtype: Any) -> jax.Array:
    k = unit.kernel
    return jax.random.normal(key, (k, k, k, unit.n_in, unit.n_out), dtype) * math.sqrt(2 / (unit.n_out * k**3))


def _normalise(x: jax.Array, norm: Norm, running: Running, training: bool) -> tuple[jax.Array, Running]:
    """Batch norm over all axes but the last."""
    if not training:
        mean, variance = running
    else:
        axes, n = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
        mean, variance = x.mean(axes), x.var(axes)
        unbiased = variance * (n / max(n - 1, 1))
        running = Running(*(old + _MOMENTUM * (new - old) for old, new in zip(running, (mean, unbiased), strict=True)))
    return (x - mean) * (lax.rsqrt(variance + _EPSILON) * norm.scale) + norm.bias, running


def _max_pool(x: jax.Array) -> jax.Array:
    """Largest of 3x3x3 cells, every second one along each axis."""
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    for axis in (1, 2, 3):  # one after the other: the gradient of a window of 27 takes longer
        last = 2 * (_strided(x.shape[axis] - 2, 2) - 1) + 1
        x = reduce(jnp.maximum, [lax.slice_in_dim(x, i, i + last, 2, axis) for i in range(3)])
    return x


def _strided(length: int, stride: int) -> int:
    """Cells that are left of `length` by a window that is padded by half its size."""
    return (length - 1) // stride + 1


def _flop(shape: tuple[int, int, int], stem: _Unit, blocks: list[_Block]) -> float:
    """Of the convolutions of one forward pass, cells of the padding counted."""
    total = 0.0

    def count(unit: _Unit, cells: tuple[int, ...]) -> tuple[int, ...]:
        nonlocal total
        cells = tuple(_strided(length, unit.stride) for length in cells)
        total += 2 * math.prod(cells) * unit.kernel**3 * unit.n_in * unit.n_out
        return cells

    cells = tuple(_strided(length, 2) for length in count(stem, shape))
    for block in blocks:
        if block.shortcut:
            count(block.shortcut, cells)
        cells = count(block.second, count(block.first, cells))
    return total
