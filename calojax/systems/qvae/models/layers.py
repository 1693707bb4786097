"""One layer of a plan: convolution, normalisation, rectifier; and chains of them. Maps are (N, Z, A, R, C)."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import attention, cylinder_conv, maps
from calojax.nn.attention import Attention
from calojax.systems.qvae.models.plan import Down, Up

SLOPE = 0.02  # of the rectifiers below zero, at the start


class Layer(NamedTuple):
    """Convolution; then, unless the layer is linear, norm and slopes (C,); attention after a SiLU instead of slopes."""

    kernel: maps.Kernel
    norm: maps.Norm | None = None
    slope: Array | None = None
    attention: Attention | None = None


def linear(key: Array, layer: Down | Up, inputs: int, outputs: int, gain: float = 1.0) -> Layer:
    """The convolution alone."""
    taps = math.prod(layer.kernel)
    if isinstance(layer, Down):
        return Layer(maps.init_kernel(key, (*layer.kernel, inputs, outputs), inputs * taps, outputs, gain))
    from_a_point = layer.stride == (1, 1, 1) and not layer.closed
    met = 1 if from_a_point else max(1.0, taps / math.prod(layer.stride))
    return Layer(maps.init_kernel(key, (inputs, *layer.kernel, outputs), inputs * met, outputs, gain))


def rectified(key: Array, layer: Down | Up, inputs: int, outputs: int) -> Layer:
    """Convolution, norm, rectifier with a slope for each channel."""
    kernel = linear(key, layer, inputs, outputs, 2.0).kernel
    return Layer(kernel, maps.init_norm(outputs), jnp.full(outputs, SLOPE))


def smooth(key: Array, layer: Down | Up, inputs: int, outputs: int, width: int | None) -> Layer:
    """Convolution, norm, SiLU, and linear attention of this width."""
    first, second = jax.random.split(key)
    attending = attention.init(second, outputs, width) if width else None
    return Layer(linear(first, layer, inputs, outputs, 2.0).kernel, maps.init_norm(outputs), None, attending)


def quiet(chain: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The same layers, but the last one says little at the start: not nothing, or those before would not learn."""
    return *chain[:-1], jax.tree.map(lambda values: 0.1 * values, chain[-1])


def apply(params: Layer, layer: Down | Up, x: Array) -> Array:
    """The layer on a map."""
    x = convolved(params, layer, x)
    if params.norm is None:
        return x
    x = maps.normalise(params.norm, x)
    x = jax.nn.silu(x) if params.slope is None else maps.prelu(params.slope, x)
    return attention.apply(params.attention, x) if params.attention is not None else x


def convolved(params: Layer, layer: Down | Up, x: Array) -> Array:
    """The convolution with its bias."""
    if isinstance(layer, Down):
        y = cylinder_conv.convolve(x, params.kernel.weight, layer.stride, layer.padding)
    else:
        y = cylinder_conv.transpose(x, params.kernel.weight, layer.stride, closed=layer.closed, crop=layer.crop)
    return y + params.kernel.bias


def chain(params: tuple[Layer, ...], layers: tuple[Down, ...] | tuple[Up, ...], x: Array) -> Array:
    """One layer after another."""
    for own, layer in zip(params, layers, strict=True):
        x = apply(own, layer, x)
    return x


def with_number(x: Array, number: Array) -> Array:
    """A further channel that is the same number (N,) in every cell of a shower."""
    return jnp.concatenate([x, jnp.broadcast_to(number[:, None, None, None, None], (*x.shape[:4], 1))], 4)
