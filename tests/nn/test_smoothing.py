"""Smoothed binary samples, and the schedules that sharpen them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn import smoothing


def test_noise_is_logistic_and_always_finite():
    noise = np.asarray(smoothing.logistic(jax.random.key(0), (200_000,)))
    assert np.isfinite(noise).all() and np.abs(noise).max() < 17
    for at in (-3.0, 0.0, 1.0):
        expected = 1 / (1 + np.exp(-at))
        assert abs((noise < at).mean() - expected) < 5 * np.sqrt(expected * (1 - expected) / noise.size)


@pytest.mark.parametrize("bits", [0, 2**32 - 1])
def test_the_first_and_the_last_part_are_symmetric_and_finite(monkeypatch, bits):
    monkeypatch.setattr(jax.random, "bits", lambda key, shape, dtype: jnp.full(shape, bits, dtype))
    np.testing.assert_allclose(smoothing.logistic(jax.random.key(0), (1,)), np.sign(bits - 1) * 16.6355, atol=1e-3)


def test_hard_samples_are_bernoulli_and_what_sharp_ones_become():
    logit = jnp.linspace(-3, 3, 7)[:, None] * jnp.ones(50_000)
    noise = smoothing.logistic(jax.random.key(1), logit.shape)
    hard = np.asarray(smoothing.sample(logit, noise, smoothing.HARD))
    assert set(np.unique(hard)) == {0.0, 1.0}
    p = 1 / (1 + np.exp(-np.asarray(logit[:, 0])))
    assert (np.abs(hard.mean(1) - p) < 5 * np.sqrt(p * (1 - p) / 50_000)).all()
    clear = np.abs(logit + noise) > 1e-5
    np.testing.assert_allclose(np.asarray(smoothing.sample(logit, noise, 1e6))[clear], hard[clear], atol=1e-4)


def test_a_gradient_passes_soft_samples():
    slope = jax.grad(lambda logit: smoothing.sample(logit, 0.3, 2.0))(0.1)
    s = 1 / (1 + np.exp(-0.8))
    assert slope == pytest.approx(2 * s * (1 - s), rel=1e-5)


def test_schedules_are_linear_between_their_ends():
    steps = [0, 10, 60, 110, 10_000]
    assert [float(smoothing.sharpness(s, 10, 100)) for s in steps] == pytest.approx([1, 1, 50.5, 100, 100])
    assert [float(smoothing.leak(s, 10, 100)) for s in steps] == pytest.approx([0.05, 0.05, 0.025, 0, 0])
    assert float(smoothing.sharpness(5, 5, 0)) == 1.0 and float(smoothing.sharpness(6, 5, 0)) == 100.0
    assert float(jax.jit(smoothing.sharpness, static_argnums=(1, 2))(jnp.int32(60), 10, 100)) == pytest.approx(50.5)
