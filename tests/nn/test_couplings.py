import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn import couplings, dense, sets

SHOWERS, PLACES = 3, 8
SHAPE = couplings.Shape(dims=2, context=3, neighbours=2, couplings=4, hidden=12, pooled=6, bins=4, bound=5.0)


def setting(n_real, showers=SHOWERS):
    number = jnp.arange(showers * PLACES)
    context = jax.random.normal(jax.random.key(1), (3, number.size))
    near = lambda x: jnp.concatenate([jnp.roll(x, 1, 1), jnp.roll(x, -1, 1)])
    return couplings.Setting(context, number % PLACES < n_real, number % 2, number // PLACES, showers, near)


@pytest.fixture(scope="module")
def params():
    start = couplings.init(jax.random.key(0), SHAPE)
    return jax.tree.map(lambda a: a + 0.05 * jax.random.normal(jax.random.key(a.size), a.shape), start)


@pytest.fixture(scope="module")
def x():
    return jax.random.normal(jax.random.key(2), (2, SHOWERS * PLACES))


@pytest.mark.parametrize("n_real", [0, 1, 5])
def test_inverse_undoes_forward(params, x, n_real):
    there = couplings.forward(params, x, setting(n_real), SHAPE)
    back = couplings.inverse(params, there.values, setting(n_real), SHAPE)
    np.testing.assert_allclose(back.values, x, atol=2e-3)
    np.testing.assert_allclose(back.log_det, -there.log_det, atol=5e-3)


@pytest.mark.parametrize("n_real", [1, 5])
def test_log_det_is_that_of_the_jacobian(params, x, n_real):
    where = setting(n_real)
    flat = lambda v: couplings.forward(params, v.reshape(x.shape), where, SHAPE).values.ravel()
    _, expected = jnp.linalg.slogdet(jax.jacrev(flat)(x.ravel()))
    assert couplings.forward(params, x, where, SHAPE).log_det.sum() == pytest.approx(float(expected), abs=1e-3)


def test_a_fresh_flow_is_the_identity(x):
    moved = couplings.forward(couplings.init(jax.random.key(0), SHAPE), x, setting(5), SHAPE)
    np.testing.assert_allclose(moved.values, x, atol=1e-5)


def test_junk_in_padding_changes_nothing(params, x):
    where = setting(5)._replace(neighbours=None)
    alone = couplings.Shape(**{**SHAPE.__dict__, "neighbours": 0})
    start = couplings.init(jax.random.key(0), alone)
    params = jax.tree.map(lambda a: a + 0.05 * jax.random.normal(jax.random.key(a.size), a.shape), start)
    junk = jnp.where(where.real, x, 1e4)
    clean = jnp.where(where.real, x, 0.0)
    of = lambda v: couplings.log_density(params, v, where, alone)
    np.testing.assert_array_equal(of(junk), of(clean))


def test_order_of_the_elements_does_not_matter(x):
    where = setting(PLACES)._replace(neighbours=None, parity=jnp.zeros(SHOWERS * PLACES, int))
    shape = couplings.Shape(**{**SHAPE.__dict__, "neighbours": 0})
    start = couplings.init(jax.random.key(0), shape)
    params = jax.tree.map(lambda a: a + 0.05 * jax.random.normal(jax.random.key(a.size), a.shape), start)
    order = np.random.default_rng(0).permutation(SHOWERS * PLACES)
    moved = where._replace(context=where.context[:, order], owner=where.owner[order])
    of = lambda v, w: sets.sum_by_owner(couplings.log_density(params, v, w, shape), w.owner, SHOWERS)
    np.testing.assert_allclose(of(x, where), of(x[:, order], moved), rtol=1e-4)


def test_a_shower_does_not_see_the_others(params, x):
    where = setting(5)._replace(neighbours=lambda v: jnp.zeros((2 * v.shape[0], v.shape[1])))
    other = x.at[:, PLACES:].set(3.0)
    of = lambda v: couplings.log_density(params, v, where, SHAPE)[:PLACES]
    np.testing.assert_array_equal(of(x), of(other))


def test_scale_shift_and_spline_are_undone():
    x = 3 * jax.random.normal(jax.random.key(0), (2, 50))
    raw = jax.random.normal(jax.random.key(1), (2 + 11, 2, 50))
    there = couplings.move_by_context(raw, x, 5.0)
    back = couplings.undo_by_context(raw, there.values, 5.0)
    np.testing.assert_allclose(back.values, x, atol=5e-3)
    np.testing.assert_allclose(back.log_slope, -there.log_slope, atol=5e-3)


def test_dimensions_that_do_not_exist_are_left_alone_and_change_nothing(params, x):
    exists = jnp.ones(x.shape, bool).at[1, ::3].set(False)
    where = setting(5)._replace(exists=exists)
    moved = couplings.forward(params, x, where, SHAPE)
    np.testing.assert_array_equal(moved.values[~exists], x[~exists])
    other = couplings.forward(params, jnp.where(exists, x, 17.0), where, SHAPE)
    np.testing.assert_allclose(other.values[exists], moved.values[exists], atol=1e-6)
    np.testing.assert_allclose(other.log_det, moved.log_det, atol=1e-5)
    density = couplings.log_density(params, x, where, SHAPE)
    np.testing.assert_allclose(
        couplings.log_density(params, jnp.where(exists, x, 17.0), where, SHAPE), density, atol=1e-5
    )


@pytest.mark.parametrize(("elements", "pooled"), [(1, 6), (SHOWERS, 0)])
def test_one_dimension_and_sets_of_one_element_have_finite_values_and_gradients(elements, pooled):
    shape = dataclasses.replace(SHAPE, dims=1, neighbours=0, couplings=2, bins=2, pooled=pooled)
    number = jnp.arange(elements)  # every element a shower of its own
    where = couplings.Setting(jnp.ones((3, elements)), number >= 0, number % 2, number, elements)
    start = jax.jit(couplings.init, static_argnums=1)(jax.random.key(0), shape)
    shaken = jax.tree.map(lambda a: a + 0.05 * np.random.default_rng(a.size).normal(size=a.shape), start)
    x = jax.random.normal(jax.random.key(1), (1, elements))

    @jax.jit
    def scored(params):
        total = lambda params, x: jnp.sum(couplings.log_density(params, x, where, shape))
        return jax.value_and_grad(total, argnums=(0, 1))(params, x)

    for params in (start, shaken):
        chex.assert_tree_all_finite(scored(params))


def test_a_coupling_with_products_in_bfloat16_is_undone_as_well_as_one_in_float32(params, x):
    """What stays is the same to the bit in both directions, and so is what the network makes of it."""
    shape = dataclasses.replace(SHAPE, couplings=1)
    one = params | {"couplings": jax.tree.map(lambda a: a[:1], params["couplings"])}

    def error(params):
        there = couplings.forward(params, x, setting(5), shape)
        back = couplings.inverse(params, there.values, setting(5), shape)
        return there, max(float(jnp.abs(a).max()) for a in (back.values - x, back.log_det + there.log_det))

    plain, within = error(one)
    narrow, found = error(dense.narrowed(one))
    assert found <= 2 * within
    assert 0 < float(jnp.abs(narrow.values - plain.values).max()) < 0.1
    chex.assert_trees_all_equal_dtypes(narrow, plain)


def test_more_couplings_are_not_a_longer_program(x):
    def text(number):
        shape = dataclasses.replace(SHAPE, couplings=number, bins=2)
        params = jax.eval_shape(lambda: couplings.init(jax.random.key(0), shape))
        total = lambda params, x: jnp.sum(couplings.log_density(params, x, setting(5), shape))
        back = lambda params, x: couplings.inverse(params, x, setting(5), shape)
        return sum(len(jax.jit(f).lower(params, x).as_text()) for f in (jax.value_and_grad(total), back))

    assert text(16) < 1.05 * text(4)
