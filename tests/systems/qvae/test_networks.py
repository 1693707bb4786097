"""Encoder and decoders, narrow ones: shapes, what sees what, and gradients that reach every parameter."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn import smoothing
from calojax.systems.qvae import conditioning
from calojax.systems.qvae.models import decoded, decoders, encoder
from calojax.systems.qvae.models import plan as plans
from calojax.systems.qvae.models.config import Model

GRID, NODES, N = (3, 4, 6), 16, 3
KEY = jax.random.key(0)


def given(grid=GRID):
    keys = jax.random.split(KEY, 4)
    u = jnp.maximum(5 * jax.random.normal(keys[0], (N, *grid)), 0)
    bits = jax.random.bernoulli(keys[1], 0.5, (N, NODES)).astype(jnp.float32)
    latent = jax.random.bernoulli(keys[2], 0.5, (N, 4, NODES)).astype(jnp.float32)
    return u, jnp.linspace(0, 1, N), bits, smoothing.logistic(keys[3], (N, 3, NODES)), latent


@functools.cache
def networks(grid=GRID, **settings):
    """Parameters, jitted encoder and jitted decoder."""
    model = Model(**{"nodes": NODES, "width": 1 / 32, **settings})
    plan = plans.build(grid, model.heads)
    params = {"encoder": encoder.init(KEY, plan, model), "decoder": decoders.init(KEY, plan, model)}
    encode = jax.jit(encoder.encode, static_argnums=(1, 6))
    decode = jax.jit(decoders.decode, static_argnums=(1, 2))
    return (
        params,
        lambda u, energy, bits, noise, sharpness=smoothing.HARD, own=params["encoder"]: encode(
            own, plan, u, energy, bits, noise, sharpness
        ),
        lambda latent, energy, own=params["decoder"]: decode(own, plan, model, latent, energy),
    )


SETTINGS = [
    ({"heads": "last", "attention": False}, GRID),
    ({"heads": "all", "gate": "logit", "skip": False, "attention": False, "earlier": "scalar"}, (18, 4, 6)),
    ({"heads": "first-and-last"}, GRID),
]


@pytest.mark.parametrize(("settings", "grid"), SETTINGS)
def test_from_shower_to_shower_with_a_gradient_for_every_parameter(settings, grid):
    params, encode, decode = networks(grid, **settings)
    u, energy, bits, noise, _ = given(grid)

    def loss(params):
        found = encode(u, energy, bits, noise, 2.0, params["encoder"])
        assert found.logits.shape == found.samples.shape == (N, 3, NODES)
        heads = decode(jnp.concatenate([bits[:, None], found.samples], 1), energy, params["decoder"])
        assert heads.hit_logits.shape == heads.energies.shape == (N, *grid)
        shower = decoded.showers(heads, (u > 0).astype(jnp.float32), 0.05)
        return jnp.sum((shower - u) ** 2) + jnp.sum(jnp.sin(heads.hit_logits))

    gradient = jax.jit(jax.grad(loss))(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, jax.tree_util.keystr(path)


@pytest.mark.parametrize("earlier", ["map", "scalar"])
def test_levels_see_the_partitions_before_them_and_no_later_ones(earlier):
    _, encode, _ = networks(earlier=earlier)
    u, energy, bits, noise, _ = given()
    found = encode(u, energy, bits, noise)
    assert set(np.unique(found.samples)) <= {0.0, 1.0}
    other = encode(u, energy, bits.at[:, 0].set(1 - bits[:, 0]), noise)
    assert not np.allclose(other.logits[:, 0], found.logits[:, 0], atol=1e-6)
    other = encode(u, energy, bits, noise.at[:, 1].set(-noise[:, 1]))
    np.testing.assert_array_equal(other.logits[:, :2], found.logits[:, :2])
    assert not np.allclose(other.logits[:, 2], found.logits[:, 2], atol=1e-6)


def test_samples_follow_logits_and_without_noise_they_are_the_more_likely():
    _, encode, _ = networks(earlier="map")
    u, energy, bits, noise, _ = given()
    found = encode(u, energy, bits, None)
    np.testing.assert_array_equal(found.samples, found.logits > 0)
    found = encode(u, energy, bits, noise, 3.0)
    np.testing.assert_allclose(found.samples, jax.nn.sigmoid(3.0 * (found.logits + noise)), rtol=1e-5, atol=1e-6)


def test_logits_are_clamped():
    params, encode, _ = networks(earlier="map")
    large = jax.tree.map(lambda leaf: 1e3 * leaf, params["encoder"])
    assert np.abs(encode(*given()[:4], own=large).logits).max() == encoder.LARGEST_LOGIT


@pytest.mark.parametrize("heads", ["last", "all", "first-and-last"])
def test_decoders_see_every_partition_and_the_energy_of_a_shower_and_no_other(heads):
    _, _, decode = networks(heads=heads)
    _, energy, _, _, latent = given()
    plain = decode(latent, energy)
    for number in range(4):
        other = decode(latent.at[0, number].set(1 - latent[0, number]), energy)
        for a, b in zip(plain, other, strict=True):
            assert not np.allclose(a[0], b[0], atol=1e-6)
            np.testing.assert_array_equal(a[1:], b[1:])
    for a, b in zip(plain, decode(latent, energy + 0.5), strict=True):
        assert not np.allclose(a, b, atol=1e-6)


def test_an_encoded_shower_does_not_depend_on_the_others():
    _, encode, _ = networks(earlier="map")
    u, energy, bits, noise, _ = given()
    other = encode(u.at[1:].multiply(2.0), energy.at[1:].set(0.3), bits, noise)
    np.testing.assert_array_equal(other.logits[0], encode(u, energy, bits, noise).logits[0])


def test_showers_have_energy_where_they_have_hits():
    heads = decoded.Decoded(jnp.zeros((1, 1, 1, 4)), jnp.array([3.0, -2.0, 5.0, -1.0]).reshape(1, 1, 1, 4))
    hits = jnp.array([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 1, 4)
    np.testing.assert_allclose(decoded.showers(heads, hits, 0.05).ravel(), [3.0, -0.1, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(decoded.showers(heads, hits).ravel(), [3.0, 0.0, 0.0, 0.0])


def test_the_energy_channel_goes_from_0_to_1_over_the_data():
    energies = jnp.array([1e3, 31_622.777, 1e6])
    np.testing.assert_allclose(conditioning.channel(energies, 1e3, 1e6), [0.0, 0.5, 1.0], atol=1e-6)
    np.testing.assert_allclose(conditioning.channel(energies, 1e3, 1e3)[:1], [0.0], atol=1e-6)
