import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn import splines

BOUND, BINS = 6.0, 8


def numbers(spread, shape=(3, 400), seed=0):
    """Values inside and outside the interval, and raw parameters of some spread."""
    keys = jax.random.split(jax.random.key(seed))
    raw = spread * jax.random.normal(keys[0], (splines.parameters(BINS), *shape))
    return 4 * jax.random.normal(keys[1], shape), raw


def plainly(x, raw):
    """The same map with parameters last, softmax, cumulative sums and a search: the slow twin."""
    raw = jnp.moveaxis(raw, 0, -1)
    size = lambda r: 2 * BOUND * (splines.FLOOR + (1 - BINS * splines.FLOOR) * jax.nn.softmax(r))
    w, h = size(raw[..., :BINS]), size(raw[..., BINS : 2 * BINS])
    shift = jnp.log(jnp.expm1(1 - splines.FLOOR))
    ends = [(0, 0)] * (raw.ndim - 1) + [(1, 1)]
    d = splines.FLOOR + jax.nn.softplus(jnp.pad(raw[..., 2 * BINS :], ends) + shift)
    edges = lambda s: jnp.pad(jnp.cumsum(s, -1), [*ends[:-1], (1, 0)]) - BOUND
    inside = jnp.clip(x, -BOUND, BOUND)
    k = jnp.clip(jnp.sum(inside[..., None] >= edges(w), -1) - 1, 0, BINS - 1)[..., None]
    at = lambda a: jnp.take_along_axis(a, k, -1)[..., 0]
    s, t = at(h) / at(w), (inside - at(edges(w))) / at(w)
    d0, d1 = at(d), jnp.take_along_axis(d, k + 1, -1)[..., 0]
    y = at(edges(h)) + at(h) * (s * t**2 + d0 * t * (1 - t)) / (s + (d1 + d0 - 2 * s) * t * (1 - t))
    return jnp.where(jnp.abs(x) < BOUND, y, x)


@pytest.mark.parametrize(("spread", "within"), [(0.5, 1e-4), (1.0, 2e-3), (3.0, 5e-2)])
def test_inverse_undoes_forward(spread, within):
    x, raw = numbers(spread)
    moved = splines.forward(x, raw, BOUND)
    back = splines.inverse(moved.values, raw, BOUND)
    np.testing.assert_allclose(back.values, x, atol=within)
    assert np.isfinite(back.log_slope).all()


def test_values_are_those_of_the_plain_form():
    x, raw = numbers(1.0)
    np.testing.assert_allclose(splines.forward(x, raw, BOUND).values, plainly(x, raw), atol=2e-5)


def test_log_slope_is_that_of_the_derivative():
    x, raw = numbers(1.0, shape=(200,))
    slope = jax.vmap(jax.grad(lambda v, r: splines.forward(v, r, BOUND).values), (0, 1))(x, raw)
    np.testing.assert_allclose(splines.forward(x, raw, BOUND).log_slope, jnp.log(slope), atol=1e-4)


def test_gradient_by_hand_is_that_of_the_plain_form():
    x, raw = numbers(1.0, shape=(200,))
    weights = jnp.cos(jnp.arange(200.0))
    ours = jax.grad(lambda v, r: jnp.sum(weights * splines.forward(v, r, BOUND).values), (0, 1))(x, raw)
    twin = jax.grad(lambda v, r: jnp.sum(weights * plainly(v, r)), (0, 1))(x, raw)
    for a, b in zip(ours, twin, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * float(jnp.abs(b).max()))


def test_gradient_of_the_log_slope_is_that_of_differences():
    x, raw = numbers(0.5, shape=(50,))
    total = lambda r: jnp.sum(splines.forward(x, r, BOUND).log_slope)
    direction = jnp.sin(jnp.arange(raw.size, dtype=jnp.float32)).reshape(raw.shape)
    step = 1e-2
    slope = (total(raw + step * direction) - total(raw - step * direction)) / (2 * step)
    assert jnp.sum(jax.grad(total)(raw) * direction) == pytest.approx(float(slope), rel=2e-2)


def test_zero_parameters_are_the_identity():
    x, raw = numbers(0.0)
    moved = splines.forward(x, raw, BOUND)
    np.testing.assert_allclose(moved.values, x, atol=1e-5)
    np.testing.assert_allclose(moved.log_slope, 0, atol=1e-5)


def test_tails_are_the_identity_with_finite_gradients():
    x = jnp.array([-1e30, -1e4, -BOUND, BOUND, 1e4, 1e30])
    raw = numbers(3.0, shape=x.shape)[1]

    @jax.jit
    def moved(x, raw):
        values, pull_back = jax.vjp(lambda v, r: splines.forward(v, r, BOUND), x, raw)
        return values, pull_back(splines.Moved(jnp.ones_like(x), jnp.ones_like(x)))

    (values, log_slope), gradients = moved(x, raw)
    np.testing.assert_array_equal(values, x)
    np.testing.assert_array_equal(log_slope, 0)
    for gradient in gradients:
        assert np.isfinite(gradient).all()


def test_extreme_parameters_give_finite_samples():
    y, raw = numbers(30.0)
    assert np.isfinite(splines.inverse(y, raw, BOUND).values).all()
