import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn.boltzmann import gradients, machine
from calojax.nn.boltzmann.machine import PAIRS

N = 3


@pytest.fixture(scope="module")
def given():
    params = machine.init(jax.random.key(0), N, spread=0.5)
    data = jax.random.bernoulli(jax.random.key(1), 0.3, (20, 4, N)).astype(jnp.float32)
    samples = jax.random.bernoulli(jax.random.key(2), 0.6, (30, 4, N)).astype(jnp.float32)
    mask = jax.random.bernoulli(jax.random.key(3), 0.6, (6, N, N))
    return params, data, samples, mask


@pytest.mark.parametrize("centring", ["none", "data", "both"])
def test_gradients_are_those_of_their_formulas(given, centring):
    params, data, samples, mask = given
    loss = lambda params: gradients.contrastive_loss(params, data, samples, mask=mask, centring=centring)
    found = jax.grad(loss)(params)
    d, s = np.asarray(data, float), np.asarray(samples, float)
    means = {"none": (0 * d[0], 0 * d[0]), "data": (d.mean(0), d.mean(0)), "both": (d.mean(0), s.mean(0))}[centring]
    of_biases = d.mean(0) - s.mean(0)
    for (i, j), block, where in zip(PAIRS, found.weights, np.asarray(mask), strict=True):
        covariance = lambda v, mu, i=i, j=j: (v[:, i] - mu[i]).T @ (v[:, j] - mu[j]) / len(v)
        expected = where * (covariance(d, means[0]) - covariance(s, means[1]))
        np.testing.assert_allclose(block, -expected, atol=1e-6)
        of_biases[i] -= expected @ (0.5 * (means[0] + means[1]))[j]
        of_biases[j] -= expected.T @ (0.5 * (means[0] + means[1]))[i]
    np.testing.assert_allclose(found.biases, -of_biases, atol=1e-6)
