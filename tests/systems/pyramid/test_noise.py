"""The noise of showers is what `jax.random` gives, whatever it is laid out in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.systems.pyramid.noise import PURPOSES, Noise
from calojax.systems.pyramid.truth import Rings

SHOWERS, DEPTH, ROWS = 3, 5, 4


@pytest.fixture(params=[False, True], ids=["uniform", "normal"])
def normal(request):
    return request.param


def keys():
    return jax.random.split(jax.random.key(7, impl="threefry2x32"), SHOWERS)


def plain(shower, purpose, shape, normal, *folded):
    key = jax.random.fold_in(keys()[shower], PURPOSES.index(purpose))
    for number in folded:
        key = jax.random.fold_in(key, number)
    return np.asarray((jax.random.normal if normal else jax.random.uniform)(key, shape))


def assert_same(found, expected, normal):
    if normal:  # the inverse error function is approximated by sums whose order is the compiler's
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(found, expected)


def test_by_shower(normal):
    found = jax.jit(lambda keys: Noise(keys).by_shower("hit layers", ROWS, normal=normal))(keys())
    assert_same(found, np.stack([plain(i, "hit layers", (ROWS,), normal) for i in range(SHOWERS)], 1), normal)


def test_on_grid(normal):
    found = jax.jit(lambda keys: Noise(keys).on_grid("energies", ROWS, DEPTH, normal=normal))(keys())
    by_shower = [plain(i, "energies", (DEPTH, ROWS), normal) for i in range(SHOWERS)]
    assert_same(found, np.concatenate(by_shower).T, normal)


def test_by_ring_the_keys_are_those_of_ring_and_shower(normal):
    owner, ring = np.array([0, 0, 1, 2, 2, SHOWERS]), np.array([0, 4, 1, 0, 404, 0])
    listed = Rings(*map(jnp.asarray, (owner, ring, owner < SHOWERS, np.zeros((SHOWERS, 1), int))))
    found = jax.jit(lambda keys: Noise(keys).by_ring("cells", listed, ROWS, normal=normal))(keys())
    expected = [plain(min(i, SHOWERS - 1), "cells", (ROWS,), normal, r) for i, r in zip(owner, ring, strict=True)]
    assert_same(found, np.stack(expected, 1), normal)
