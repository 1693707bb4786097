"""Networks on rows against the same ones on columns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn import dense, rows


@pytest.mark.parametrize("narrowed", [False, True])
def test_rows_are_the_same_network(narrowed):
    layers = dense.init_stack(jax.random.key(0), (5, 8, 8, 3), last_scale=1.0)
    layers = tuple(layer._replace(bias=jnp.linspace(-1, 1, len(layer.bias))) for layer in layers)
    layers = dense.narrowed(layers) if narrowed else layers
    x, context = jax.random.normal(jax.random.key(1), (5, 25)), jax.random.normal(jax.random.key(2), (8, 25))
    network = rows.network(layers)
    alike = lambda found, expected: np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    alike(network(x, context.T), dense.apply_stack(layers, x, context))
    alike(network(x), dense.apply_stack(layers, x))


def test_products_of_rows_leave_the_bias_to_others():
    layer = dense.init(jax.random.key(0), 5, 3)._replace(bias=jnp.arange(1.0, 4.0))
    x = jax.random.normal(jax.random.key(1), (20, 5))
    np.testing.assert_allclose(rows.product(rows.ready(layer), x) + layer.bias, dense.apply(layer, x.T).T, rtol=1e-6)
    np.testing.assert_allclose(rows.to_columns(layer, x), dense.apply(layer, x.T), rtol=1e-6)
