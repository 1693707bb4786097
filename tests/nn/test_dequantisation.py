"""Quantise undoes dequantise: numbers through their CDF, hit patterns through Gumbel variables."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from calojax.nn import cdf, gumbel

DRAWS = 5_000


@pytest.mark.parametrize(
    "mass", [np.exp(-((np.arange(17) - 5.0) ** 2) / 8), 0.35 ** np.arange(17), 0.05 ** np.arange(9)]
)
def test_every_number_comes_back(mass):
    tables = cdf.table((mass / mass.sum())[None])
    k = jnp.arange(DRAWS) % len(mass)
    position = jnp.zeros(DRAWS, int)
    z = cdf.dequantise(tables, position, k, jax.random.uniform(jax.random.key(0), (DRAWS,)))
    np.testing.assert_array_equal(cdf.quantise(tables, position, z), k)


def test_a_number_from_the_table_becomes_normal():
    mass = np.array([0.1, 0.4, 0.2, 0.3])
    k = jnp.asarray(np.random.default_rng(0).choice(4, DRAWS, p=mass))
    z = cdf.dequantise(cdf.table(mass[None]), jnp.zeros(DRAWS, int), k, jax.random.uniform(jax.random.key(1), k.shape))
    assert stats.kstest(np.asarray(z), "norm").pvalue > 1e-3


def test_positions_use_their_own_tables_and_forbidden_numbers_have_none():
    counts = np.array([[0, 5, 5], [0, 9, 1]])
    allowed = np.array([[False, True, True], [False, True, False]])
    found = cdf.probabilities(counts, 0.5, allowed)
    np.testing.assert_allclose(found.sum(1), 1)
    assert (found[~allowed] == 0).all() and found[1, 1] == 1
    tables = cdf.table(found)
    k, position = jnp.array([1, 2, 1]), jnp.array([0, 0, 1])
    np.testing.assert_allclose(cdf.log_probability(tables, position, k), np.log(found[position, k]), atol=1e-5)


def patterns(n, seed=0):
    k = jax.random.randint(jax.random.key(seed), (DRAWS,), 0, n + 1)
    return gumbel.quantise(jax.random.normal(jax.random.key(seed + 1), (n, DRAWS)), k), k


@pytest.mark.parametrize("n", [1, 9, 16, 45])
def test_every_pattern_comes_back_from_the_conditional_form(n):
    pattern, k = patterns(n)
    x = gumbel.dequantise_exactly(pattern, gumbel.uniforms(jax.random.key(2), n, DRAWS))
    np.testing.assert_array_equal(gumbel.quantise(x, k), pattern)


def test_subcells_that_do_not_exist_are_never_hit():
    pattern, _ = patterns(9)
    real = jnp.broadcast_to(jnp.arange(9)[:, None] < 6, pattern.shape)
    pattern &= real
    x = gumbel.dequantise_exactly(pattern, gumbel.uniforms(jax.random.key(2), 9, DRAWS), real)
    np.testing.assert_array_equal(gumbel.quantise(x, jnp.sum(pattern, 0), real), pattern)


@pytest.mark.parametrize(("n", "k"), [(9, 4), (16, 5)])
def test_the_published_form_mistakes_as_many_as_plackett_and_luce_say(n, k):
    pattern = jnp.broadcast_to(jnp.arange(n)[:, None] < k, (n, 10 * DRAWS))
    x = gumbel.dequantise(pattern, gumbel.uniforms(jax.random.key(3), n, 10 * DRAWS))
    wrong = float(jnp.mean(jnp.any(gumbel.quantise(x, jnp.full(10 * DRAWS, k)) != pattern, 0)))
    m = np.arange(1, k + 1)
    expected = 1 - np.prod(m / (m + (n - k) * np.exp(gumbel.SHIFT)))
    assert wrong == pytest.approx(expected, abs=5 * np.sqrt(expected / (10 * DRAWS)))


def test_conditional_draws_are_the_published_ones_that_quantise_right():
    n, k = 9, 4
    pattern = jnp.broadcast_to(jnp.arange(n)[:, None] < k, (n, DRAWS))
    free = gumbel.dequantise(pattern, gumbel.uniforms(jax.random.key(4), n, DRAWS))
    right = np.asarray(jnp.all(gumbel.quantise(free, jnp.full(DRAWS, k)) == pattern, 0))
    exact = np.asarray(gumbel.dequantise_exactly(pattern, gumbel.uniforms(jax.random.key(5), n, DRAWS)))
    for of in (lambda x: x[0], lambda x: x[-1], lambda x: x[:k].min(0), lambda x: x[k:].max(0)):
        assert stats.ks_2samp(of(np.asarray(free)[:, right]), of(exact)).pvalue > 1e-4


def test_ranks_are_those_of_a_sort_with_ties_to_the_lower_index():
    x = np.random.default_rng(0).integers(0, 5, (9, 500)).astype(np.float32)
    expected = np.argsort(np.argsort(-x, axis=0, kind="stable"), axis=0)
    np.testing.assert_array_equal(gumbel.ranks(jnp.asarray(x)), expected)


def test_the_conditional_density_is_normalised():
    """The mean over draws of (density of another distribution) / (own density) is that one's mass on the region: 1."""
    pattern = jnp.broadcast_to(jnp.array([True, False])[:, None], (2, 10 * DRAWS))
    x = gumbel.dequantise_exactly(pattern, gumbel.uniforms(jax.random.key(6), 2, 10 * DRAWS))
    log_q = gumbel.log_density(pattern, x)
    low, high = jnp.minimum(x[0], x[1]), jnp.maximum(x[0], x[1])
    inside = (low > -7) & (low < -6) & (high > 0) & (high < 1)  # a box of volume 1 within the region
    mean = float(jnp.mean(jnp.where(inside, jnp.exp(-log_q), 0.0)))
    assert mean == pytest.approx(1.0, abs=0.05)


def test_all_patterns_of_few_subcells_come_back():
    pattern = jnp.asarray(np.array(list(itertools.product([False, True], repeat=5))).T)
    x = gumbel.dequantise_exactly(pattern, gumbel.uniforms(jax.random.key(7), *pattern.shape))
    np.testing.assert_array_equal(gumbel.quantise(x, jnp.sum(pattern, 0)), pattern)
