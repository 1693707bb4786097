"""Normalisation, rectifiers and attention on maps."""

import jax
import numpy as np

from calojax.nn import attention, maps

X = np.random.default_rng(0).normal(3.0, 2.0, (2, 2, 3, 4, 5)).astype(np.float32)


def test_a_shower_is_normalised_by_itself():
    found = maps.normalise(maps.init_norm(5), X)
    np.testing.assert_allclose(found.mean((1, 2, 3, 4)), 0.0, atol=1e-5)
    np.testing.assert_allclose(found.std((1, 2, 3, 4)), 1.0, rtol=1e-4)
    other = maps.normalise(maps.init_norm(5), X * np.array([1.0, 7.0])[:, None, None, None, None])
    np.testing.assert_allclose(found, other, rtol=1e-4, atol=1e-5)


def test_a_rectifier_has_a_slope_for_each_channel():
    slope = np.linspace(0, 1, 5).astype(np.float32)
    np.testing.assert_allclose(maps.prelu(slope, -np.abs(X)), -np.abs(X) * slope, rtol=1e-6)
    np.testing.assert_array_equal(maps.prelu(slope, np.abs(X)), np.abs(X))


def test_attention_is_what_its_formula_says():
    params = attention.init(jax.random.key(0), 5, 3)
    flat = X.reshape(2, -1, 5).astype(np.float64)
    q, k, v = np.split(flat @ params.qkv, 3, -1)
    softmax = lambda x, axis: np.exp(x) / np.exp(x).sum(axis, keepdims=True)
    attended = softmax(q, 2) / np.sqrt(3) @ (softmax(k, 1).transpose(0, 2, 1) @ v)
    y = attended @ params.out.weight + params.out.bias
    y = (y - y.mean((1, 2), keepdims=True)) / np.sqrt(y.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(attention.apply(params, X).reshape(2, -1, 5), flat + y, rtol=1e-3, atol=1e-3)


def test_attention_does_not_know_where_cells_are():
    params, order = attention.init(jax.random.key(0), 5, 3), [2, 0, 1]
    np.testing.assert_allclose(
        attention.apply(params, X[:, :, order]), attention.apply(params, X)[:, :, order], rtol=1e-4, atol=1e-4
    )
