"""Multilayer perceptrons on feature-major arrays.

x (F, E) -> W x + b[:, None], rectified between layers. What does not change from step to step can be multiplied once
outside the loop and added to the first layer (`context`).

The product of a `Narrow` layer takes operands rounded to bfloat16 and sums in float32, forwards and backwards. Only the
product: what goes in and comes out is float32, and so are weights, biases and gradients, whose sums over the steps of a
loop would lose what is small in bfloat16.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Dense(NamedTuple):
    """One affine layer: weight (out, in), bias (out,)."""

    weight: Array
    bias: Array


class Narrow(Dense):
    """One affine layer whose product is computed in bfloat16."""


def init(key: Array, n_in: int, n_out: int, *, scale: float = 1.0) -> Dense:
    """Uniform weights of variance 2 scale^2 / n_in (He et al., arXiv:1502.01852), zero bias; scale 0 starts at zero."""
    if scale == 0.0:
        return Dense(jnp.zeros((n_out, n_in)), jnp.zeros(n_out))
    limit = scale * math.sqrt(6.0 / max(n_in, 1))
    return Dense(jax.random.uniform(key, (n_out, n_in), minval=-limit, maxval=limit), jnp.zeros(n_out))


def narrowed(params: Any) -> Any:
    """A tree of parameters with all its layers `Narrow`, their arrays as they are."""
    is_layer = lambda node: isinstance(node, Dense)
    return jax.tree.map(lambda node: Narrow(*node) if is_layer(node) else node, params, is_leaf=is_layer)


def apply(layer: Dense, x: Array) -> Array:
    """x (in, E) -> (out, E)."""
    return _product(layer)(layer.weight, x) + layer.bias[:, None]


def apply_folded(layer: Dense, x: Array) -> Array:
    """`apply` with the bias inside the product (and as narrow as it), the weight of a row of ones.

    For a layer whose arrays are slices of longer ones, as in a scan over layers: XLA fuses the slice of an added bias
    into everything that uses a part of the outcome, and these loops are then not vectorised.
    """
    weight = jnp.concatenate([layer.weight, layer.bias[:, None]], 1)
    return _product(layer)(weight, jnp.concatenate([x, jnp.ones((1, x.shape[1]))]))


def init_stack(key: Array, sizes: tuple[int, ...], *, last_scale: float = 0.0) -> tuple[Dense, ...]:
    """Layers sizes[0] -> sizes[1] -> ...; the last one starts at `last_scale` (0: the network starts as a constant)."""
    keys = jax.random.split(key, len(sizes) - 1)
    scales = [1.0] * (len(sizes) - 2) + [last_scale]
    return tuple(init(k, a, b, scale=s) for k, a, b, s in zip(keys, sizes[:-1], sizes[1:], scales, strict=True))


def apply_stack(layers: tuple[Dense, ...], x: Array, context: Array | None = None) -> Array:
    """x (sizes[0], E) -> (sizes[-1], E), rectified between the layers; context (sizes[1], E) is added to the first."""
    return apply(layers[-1], _hidden(layers, x, context))


def apply_stack_folded(layers: tuple[Dense, ...], x: Array, context: Array | None = None) -> Array:
    """`apply_stack` with the last bias inside the product, see `apply_folded`."""
    return apply_folded(layers[-1], _hidden(layers, x, context))


def _hidden(layers, x, context):
    for number, layer in enumerate(layers[:-1]):
        x = apply(layer, x)
        x = jax.nn.relu(x if number or context is None else x + context)
    return x


def _product(layer):
    return _narrow_product if isinstance(layer, Narrow) else jnp.matmul


@jax.custom_vjp
def _narrow_product(weight, x):
    return _in_bfloat16(weight, x)


def _narrow_product_saving(weight, x):
    # the weight as it came, not rounded: a loop would keep a rounded one for every step
    return _in_bfloat16(weight, x), (weight, x.astype(jnp.bfloat16))


def _narrow_product_gradient(saved, gradient):
    weight, x = saved
    return _in_bfloat16(gradient, x.T), _in_bfloat16(weight.T, gradient)


_narrow_product.defvjp(_narrow_product_saving, _narrow_product_gradient)


def _in_bfloat16(a, b):
    return jnp.matmul(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), preferred_element_type=jnp.float32)
