"""Layers whose products are computed in bfloat16, and that nothing else is."""

import jax
import jax.numpy as jnp
import numpy as np

from calojax.nn import dense


def rounded(x):
    return x.astype(jnp.bfloat16).astype(jnp.float32)


def test_operands_are_rounded_and_the_sum_and_the_bias_are_not():
    layer = dense.init(jax.random.key(0), 300, 7)._replace(bias=jnp.arange(7.0) / 3)
    x = jax.random.normal(jax.random.key(1), (300, 20))
    found = dense.apply(dense.narrowed(layer), x)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, rounded(layer.weight) @ rounded(x) + layer.bias[:, None], rtol=1e-5, atol=1e-5)
    assert (found != dense.apply(layer, x)).any()


def test_gradients_are_those_of_rounded_products_and_float32():
    layers = dense.init_stack(jax.random.key(0), (5, 8, 3), last_scale=1.0)
    x = jax.random.normal(jax.random.key(1), (5, 40))
    total = lambda layers, x: jnp.sum(jnp.sin(dense.apply_stack(layers, x)))
    of = lambda narrowed: jax.jit(jax.grad(lambda layers, x: total(narrowed(layers), x), argnums=(0, 1)))(layers, x)
    plain, narrow = of(lambda layers: layers), of(dense.narrowed)
    assert jax.tree.structure(plain) == jax.tree.structure(narrow)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(narrow), strict=True):
        assert b.dtype == jnp.float32
        np.testing.assert_allclose(b, a, atol=0.02 * float(jnp.abs(a).max()))


def test_gradients_of_the_steps_of_a_loop_are_added_up_in_float32():
    """In bfloat16 1 + 2^-9 is 1, however often."""
    x = jnp.full((257, 1, 1), 2.0**-9).at[0].set(1.0)

    def total(layer):
        step = jax.checkpoint(lambda carry, x: (carry + dense.apply(dense.narrowed(layer), x).sum(), None))
        return jax.lax.scan(step, 0.0, x)[0]

    found = jax.grad(total)(dense.init(jax.random.key(0), 1, 1))
    assert float(found.weight[0, 0]) == 1.5


def test_narrowed_changes_layers_wherever_they_are_and_nothing_else():
    params = {"a": dense.init(jax.random.key(0), 2, 3), "b": (jnp.ones(3), dense.init_stack(jax.random.key(1), (3, 3)))}
    found = dense.narrowed(params)
    assert isinstance(found["a"], dense.Narrow) and isinstance(found["b"][1][0], dense.Narrow)
    assert all(a is b for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(params), strict=True))


def test_a_folded_bias_is_the_bias():
    layers = dense.init_stack(jax.random.key(0), (5, 8, 3), last_scale=1.0)
    layers = jax.tree.map(lambda a: a + 0.3, layers)
    x = jax.random.normal(jax.random.key(1), (5, 40))
    np.testing.assert_allclose(dense.apply_stack_folded(layers, x), dense.apply_stack(layers, x), rtol=1e-4, atol=1e-4)
