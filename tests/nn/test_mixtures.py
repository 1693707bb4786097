import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn import mixtures


@pytest.fixture
def raw():
    return jax.random.normal(jax.random.key(0), (mixtures.parameters(3), 5))


def test_density_integrates_to_one_and_to_the_probabilities_of_intervals(raw):
    def integral(low, high):
        x = np.linspace(low, high, 24_001, dtype=np.float32)
        density = jnp.exp(mixtures.log_density(raw[:, :, None], jnp.broadcast_to(x, (5, x.size))))
        return np.trapezoid(density, x, axis=1)

    np.testing.assert_allclose(integral(-60, 60), 1, atol=1e-3)
    probability = jnp.exp(mixtures.log_probability(raw, jnp.full(5, -1.0), jnp.full(5, 2.0)))
    np.testing.assert_allclose(integral(-1, 2), probability, atol=1e-3)


def test_intervals_that_cover_the_line_sum_to_one(raw):
    edges = jnp.concatenate([jnp.array([-jnp.inf]), jnp.linspace(-5, 5, 40), jnp.array([jnp.inf])])
    total = sum(
        jnp.exp(mixtures.log_probability(raw, jnp.full(5, a), jnp.full(5, b))) for a, b in itertools.pairwise(edges)
    )
    np.testing.assert_allclose(total, 1, rtol=1e-4)


def test_gradients_are_finite_at_infinite_and_far_edges(raw):
    def of(raw, low, high):
        return jnp.sum(mixtures.log_probability(raw, jnp.full(5, low), jnp.full(5, high)))

    for low, high in ((-jnp.inf, 1.0), (0.0, jnp.inf), (-jnp.inf, jnp.inf), (90.0, 91.0), (0.0, 0.0)):
        assert np.isfinite(jax.grad(of)(raw, low, high)).all(), (low, high)


def test_draws_follow_the_distribution(raw):
    n = 20_000
    uniform = jax.random.uniform(jax.random.key(1), (5, n))
    drawn = np.sort(mixtures.draw(jnp.broadcast_to(raw[:, :, None], (*raw.shape, n)), uniform), axis=1)
    low = jnp.full((5, n), -jnp.inf)
    expected = jnp.exp(mixtures.log_probability(raw[:, :, None], low, jnp.asarray(drawn)))
    distance = np.abs(np.asarray(expected) - (np.arange(n) + 0.5) / n).max(1)
    assert (distance < 1.95 / np.sqrt(n)).all()  # Kolmogorov-Smirnov, one in a thousand


def test_a_draw_inverts_the_chosen_component(raw):
    """The plain formula: all components, of which the uniform number picks one."""
    wide, uniform = 4 * raw, jax.random.uniform(jax.random.key(1), (5,))
    log_weight, position, log_width = (np.asarray(x, float) for x in mixtures._parts(wide))
    end = np.cumsum(np.exp(log_weight), 0)
    mine = (uniform >= end[:-1]).sum(0)
    pick = lambda rows: np.take_along_axis(rows, mine[None], 0)[0]
    within = 1 - (pick(end) - uniform) / pick(np.exp(log_weight))
    expected = pick(position) + np.exp(pick(log_width)) * np.log(within / (1 - within))
    np.testing.assert_allclose(mixtures.draw(wide, uniform), expected, rtol=1e-4, atol=1e-4)
