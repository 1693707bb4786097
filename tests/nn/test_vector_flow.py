import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.errors import InputError
from calojax.nn import dense, splines, vector_flow

SHAPE = vector_flow.Shape(dims=6, context=3, couplings=5, hidden=12, bins=4, bound=5.0)
N = 40


@pytest.fixture(scope="module")
def params():
    start = vector_flow.init(jax.random.key(0), SHAPE)
    return jax.tree.map(lambda a: a + 0.1 * jax.random.normal(jax.random.key(a.size), a.shape), start)


@pytest.fixture(scope="module")
def given():
    """x (D, N) and context (F, N)."""
    keys = jax.random.split(jax.random.key(1))
    return 2 * jax.random.normal(keys[0], (SHAPE.dims, N)), jax.random.normal(keys[1], (SHAPE.context, N))


def plainly(params, x, context):
    """Coupling after coupling, all dimensions in their places: the slow twin."""
    half, log_det = SHAPE.dims // 2, 0.0
    for j in range(SHAPE.couplings):
        moves, stays = (slice(half), slice(half, None)) if j % 2 == 0 else (slice(half, None), slice(half))
        h = jnp.concatenate([x[stays], context])
        for number, layer in enumerate(params):
            h = layer.weight[j] @ h + layer.bias[j][:, None]
            h = jax.nn.relu(h) if number < len(params) - 1 else h
        moved = splines.forward(x[moves], h.reshape(-1, half, N), SHAPE.bound)
        x, log_det = x.at[moves].set(moved.values), log_det + moved.log_slope.sum(0)
    return x, log_det


def test_forward_is_that_of_the_plain_form(params, given):
    moved, (x, log_det) = vector_flow.forward(params, *given, SHAPE), plainly(params, *given)
    halves = jnp.split(x, 2)
    expected = jnp.concatenate(halves if SHAPE.couplings % 2 == 0 else halves[::-1])
    np.testing.assert_allclose(moved.values, expected, atol=1e-4)
    np.testing.assert_allclose(moved.log_det, log_det, atol=1e-4)


def test_inverse_undoes_forward(params, given):
    x, context = given
    there = vector_flow.forward(params, x, context, SHAPE)
    back = vector_flow.inverse(params, there.values, context, SHAPE)
    np.testing.assert_allclose(back.values, x, atol=1e-3)
    np.testing.assert_allclose(back.log_det, -there.log_det, atol=1e-3)


def test_a_fresh_flow_is_the_identity(given):
    shape = vector_flow.Shape(dims=6, context=3, couplings=4)
    moved = vector_flow.forward(vector_flow.init(jax.random.key(0), shape), *given, shape)
    np.testing.assert_allclose(moved.values, given[0], atol=1e-5)
    np.testing.assert_allclose(moved.log_det, 0, atol=1e-5)


def test_log_density_is_that_of_the_jacobian(params, given):
    of = lambda x, context: vector_flow.forward(params, x[:, None], context[:, None], SHAPE).values[:, 0]
    z, (x, context) = vector_flow.forward(params, *given, SHAPE).values, given
    _, log_det = jnp.linalg.slogdet(jax.vmap(jax.jacrev(of), 1)(x, context))
    normal = jax.scipy.stats.norm.logpdf(z).sum(0)
    np.testing.assert_allclose(vector_flow.log_density(params, x, context, SHAPE), normal + log_det, atol=1e-3)


def test_gradients_are_those_of_the_plain_form(params, given):
    def total(of):
        def value(params, x, context):
            moved = of(params, x, context)
            return jnp.sum(moved[1]) - 0.5 * jnp.sum(moved[0] ** 2)

        return jax.grad(value, argnums=(0, 1, 2))(params, *given)

    ours = total(lambda *args: vector_flow.forward(*args, SHAPE))
    chex.assert_trees_all_close(ours, total(plainly), atol=1e-3, rtol=1e-3)


def test_samples_are_those_of_the_density(params):
    """Mean over samples q of p/q is 1 for the standard normal p."""
    context = jnp.tile(jnp.array([0.3, -1.0, 0.5])[:, None], (1, 4000))
    x = vector_flow.sample(params, jax.random.key(2), context, SHAPE)
    weight = jnp.exp(jax.scipy.stats.norm.logpdf(x).sum(0) - vector_flow.log_density(params, x, context, SHAPE))
    assert jnp.mean(weight) == pytest.approx(1.0, abs=5 * float(jnp.std(weight)) / 4000**0.5)


def test_products_in_bfloat16_are_near(params, given):
    plain = vector_flow.log_density(params, *given, SHAPE)
    narrow = vector_flow.log_density(dense.narrowed(params), *given, SHAPE)
    assert narrow.dtype == jnp.float32
    assert 0 < float(jnp.abs(narrow - plain).max()) < 1.0


@pytest.mark.parametrize("dims", [0, 1, 5])
def test_halves_that_differ_are_refused(dims):
    with pytest.raises(InputError, match=f"dims is {dims}"):
        vector_flow.Shape(dims=dims, context=1)
