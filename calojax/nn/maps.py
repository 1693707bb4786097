"""What stands around the convolutions of maps (N, Z, A, R, C): biases, normalisation over the whole map, rectifiers."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

_SMALLEST_VARIANCE = 1e-5


class Kernel(NamedTuple):
    """A convolution: weight as `cylinder_conv` wants it, bias (O,)."""

    weight: Array
    bias: Array


class Norm(NamedTuple):
    """scale (C,), bias (C,)."""

    scale: Array
    bias: Array


def init_kernel(key: Array, shape: tuple[int, ...], inputs: float, outputs: int, gain: float = 2.0) -> Kernel:
    """Uniform weights of variance gain / inputs (2: He et al., arXiv:1502.01852), zero bias.

    inputs: how many numbers are added up in one outcome.
    """
    limit = math.sqrt(3.0 * gain / max(inputs, 1.0))
    return Kernel(jax.random.uniform(key, shape, minval=-limit, maxval=limit), jnp.zeros(outputs))


def init_norm(channels: int) -> Norm:
    """The normalised map itself."""
    return Norm(jnp.ones(channels), jnp.zeros(channels))


def normalise(norm: Norm, x: Array) -> Array:
    """Group norm with one group (arXiv:1803.08494): mean 0 and variance 1 over cells and channels of each shower."""
    mean = jnp.mean(x, (1, 2, 3, 4), keepdims=True)
    x = x - mean
    variance = jnp.mean(x * x, (1, 2, 3, 4), keepdims=True)
    return x * jax.lax.rsqrt(variance + _SMALLEST_VARIANCE) * norm.scale + norm.bias


def prelu(slope: Array, x: Array) -> Array:
    """Rectifier with a slope below zero for each channel, slope (C,) (arXiv:1502.01852)."""
    return jnp.where(x > 0, x, slope * x)
