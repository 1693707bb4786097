"""Networks on rows: the numbers of an element side by side, (E, F), where `dense` has them in columns, (F, E).

For drawing some elements of a list: rows that belong to them are copied as a whole, and products of few rows are faster
than those of few columns. Layers are made `ready` outside of loops. Nothing here is meant to be differentiated.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn.dense import Dense, Narrow


def ready(layer: Dense) -> Dense:
    """The layer for `product`, weight (in, out): turned here, once, as the compiler would do it in every step."""
    return layer._replace(weight=jax.lax.optimization_barrier(layer.weight.T))


def product(layer: Dense, x: Array) -> Array:
    """Of a layer that is `ready`, without the bias: x (E, in) -> (E, out)."""
    return _product(layer, x, layer.weight)


def to_columns(layer: Dense, x: Array) -> Array:
    """x (E, in) -> (out, E), the layer as `dense` has it: what comes next goes over a few numbers of all elements."""
    return _product(layer, layer.weight, x.T) + layer.bias[:, None]


def network(layers: Sequence[Dense]) -> Callable[..., Array]:
    """`dense.apply_stack` of these layers, rows inside: x (in, E), context (E, hidden) or none -> (out, E)."""
    *others, last = layers
    others = [ready(layer) for layer in others]

    def apply(x: Array, context: Array | float = 0.0) -> Array:
        x = x.T
        for number, layer in enumerate(others):
            x = product(layer, x) + layer.bias
            x = rectified(x if number else x + context)
        return to_columns(last, x)

    return apply


def rectified(x: Array) -> Array:
    """As `relu`, in a form that XLA does not make part of a product, where it takes several times as long."""
    return jnp.where(x > 0, x, 0.0)


def take(x: Array, at: Array) -> Array:
    """x (N, ...) at places (C,), all of them inside."""
    return x.at[at].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _product(layer, a, b):
    if isinstance(layer, Narrow):
        a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    return jnp.matmul(a, b, preferred_element_type=jnp.float32)
