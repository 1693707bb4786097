"""fit: plain arrays in, parameters out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax import training


def loss(params, batch, key):
    x, y = batch
    return jnp.mean((x @ params["w"] + params["b"] - y) ** 2)


@pytest.fixture
def batches():
    random = np.random.default_rng(0)
    x = random.normal(size=(8, 32, 3)).astype(np.float32)
    return [(one, one @ np.array([1.0, -2.0, 3.0], np.float32) + 0.5) for one in x]


PARAMS = {"w": np.zeros(3, np.float32), "b": np.float32(0)}


def test_a_line_is_found(batches):
    found = training.fit(loss, PARAMS, batches, jax.random.key(0), learning_rate=0.05, steps=300)
    np.testing.assert_allclose(found.params["w"], [1, -2, 3], atol=0.02)
    assert found.losses.shape == (300,) and found.losses[-1] < 1e-3 * found.losses[0]
    np.testing.assert_allclose(found.ema["b"], 0.5, atol=0.02)
    assert PARAMS["w"].sum() == 0


def test_without_steps_the_batches_are_used_once(batches):
    assert len(training.fit(loss, PARAMS, iter(batches), jax.random.key(0)).losses) == 8


def test_the_same_key_gives_the_same_bits_and_another_does_not(batches):
    noisy = lambda params, batch, key: loss(params, batch, key) + params["b"] * jax.random.normal(key)
    a, b, c = (training.fit(noisy, PARAMS, batches, jax.random.key(k)).losses for k in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_an_iterator_that_ends_early_is_named(batches):
    with pytest.raises(ValueError, match="ran out after 8 of 9"):
        training.fit(loss, PARAMS, iter(batches), jax.random.key(0), steps=9)


def test_a_loss_that_is_not_finite_names_step_and_group(batches):
    batches[5][1][0] = np.nan
    with pytest.raises(training.NonFiniteLoss, match=r"step 6, phase `fit`.*group `b`"):
        training.fit(loss, PARAMS, batches, jax.random.key(0))
