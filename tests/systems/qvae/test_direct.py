"""Direct paths between voxels and bits."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.systems.qvae import system
from calojax.systems.qvae.models import direct

GRID, NODES = (2, 3, 4), 5


@pytest.fixture(scope="module")
def params():
    return direct.init(jax.random.key(0), GRID, NODES)


def test_voxels_of_variance_one_begin_with_logits_of_the_size_of_their_noise():
    params = direct.init(jax.random.key(0), (5, 14, 24), 16)
    found = direct.logits(params, jax.random.normal(jax.random.key(1), (100, 5, 14, 24)))
    assert found.shape == (100, 3, 16)
    assert float(found.std()) == pytest.approx(np.pi / np.sqrt(3), rel=0.2)  # of a logistic variable


def test_a_bit_and_its_opposite_move_voxels_in_opposite_ways(params):
    bits = jax.random.bernoulli(jax.random.key(1), 0.5, (7, 3, NODES)).astype(jnp.float32)
    for one, other in zip(direct.heads(params, bits), direct.heads(params, 1 - bits), strict=True):
        assert one.shape == (7, *GRID) and float(jnp.abs(one).max()) > 0
        np.testing.assert_allclose(one, -other, atol=1e-7)


def test_one_bit_moves_voxels_by_its_own_row(params):
    before = jnp.full((1, 3, NODES), 0.5)
    moved = direct.heads(params, before.at[0, 1, 2].set(1.0))
    ratio = moved.hit_logits[0]
    row = params.hits[1, 2]
    np.testing.assert_allclose(ratio / row, jnp.broadcast_to((ratio / row).ravel()[0], GRID), rtol=1e-4)
    np.testing.assert_allclose(moved.energies[0] * row, ratio * params.energies[1, 2], rtol=1e-4, atol=1e-9)


def test_without_direct_paths_a_model_has_no_parameters_of_them(prepared, small):
    without = dataclasses.replace(small, model=dataclasses.replace(small.model, direct=False))
    shapes = [
        jax.eval_shape(lambda c=config: system.init(jax.random.key(0), c, prepared.manifest)).params
        for config in (small, without)
    ]
    assert set(shapes[0]) - set(shapes[1]) == {"direct"}
