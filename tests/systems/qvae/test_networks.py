"""Encoder and decoders, narrow ones: shapes, what sees what, and gradients that reach every parameter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn import smoothing
from calojax.systems.qvae import conditioning
from calojax.systems.qvae.models import decoded, decoders, encoder
from calojax.systems.qvae.models import plan as plans
from calojax.systems.qvae.models.config import Model

GRID, NODES, N = (3, 4, 6), 8, 3
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def quickly_compiled():
    """What is compiled here runs once, for milliseconds."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def given(grid=GRID):
    keys = jax.random.split(KEY, 4)
    u = jnp.maximum(5 * jax.random.normal(keys[0], (N, *grid)), 0)
    bits = jax.random.bernoulli(keys[1], 0.5, (N, NODES)).astype(jnp.float32)
    latent = jax.random.bernoulli(keys[2], 0.5, (N, 4, NODES)).astype(jnp.float32)
    return u, jnp.linspace(0, 1, N), bits, smoothing.logistic(keys[3], (N, 3, NODES)), latent


def both(grid=GRID, **settings):
    model = Model(**{"nodes": NODES, "width": 1 / 32, **settings})
    plan = plans.build(grid, model.heads)
    params = {"encoder": encoder.init(KEY, plan, model), "decoder": decoders.init(KEY, plan, model)}
    return model, plan, params


SETTINGS = [
    ({"heads": "last"}, GRID),
    ({"heads": "all"}, GRID),
    ({"heads": "first-and-last"}, GRID),
    ({"heads": "all", "gate": "logit", "skip": False, "attention": False, "earlier": "scalar"}, (18, 4, 6)),
    ({"heads": "first-and-last", "skip": False, "attention": False, "earlier": "scalar"}, GRID),
]


@pytest.mark.parametrize(("settings", "grid"), SETTINGS)
def test_from_shower_to_shower_with_a_gradient_for_every_parameter(settings, grid):
    model, plan, params = both(grid, **settings)
    u, energy, bits, noise, _ = given(grid)

    def loss(params):
        found = encoder.encode(params["encoder"], plan, u, energy, bits, noise, 2.0)
        assert found.logits.shape == found.samples.shape == (N, 3, NODES)
        latent = jnp.concatenate([bits[:, None], found.samples], 1)
        heads = decoders.decode(params["decoder"], plan, model, latent, energy)
        assert heads.hit_logits.shape == heads.energies.shape == (N, *grid)
        shower = decoded.showers(heads, (u > 0).astype(jnp.float32), 0.05)
        return jnp.sum((shower - u) ** 2) + jnp.sum(jnp.sin(heads.hit_logits))

    gradient = jax.jit(jax.grad(loss))(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, jax.tree_util.keystr(path)


@pytest.mark.parametrize("earlier", ["map", "scalar"])
def test_levels_see_the_partitions_before_them_and_no_later_ones(earlier):
    _, plan, params = both(earlier=earlier)
    u, energy, bits, noise, _ = given()
    run = jax.jit(lambda bits, noise: encoder.encode(params["encoder"], plan, u, energy, bits, noise, smoothing.HARD))
    found = run(bits, noise)
    assert set(np.unique(found.samples)) <= {0.0, 1.0}
    assert not np.allclose(run(bits.at[:, 0].set(1 - bits[:, 0]), noise).logits[:, 0], found.logits[:, 0], atol=1e-6)
    other = run(bits, noise.at[:, 1].set(-noise[:, 1]))
    np.testing.assert_array_equal(other.logits[:, :2], found.logits[:, :2])
    assert not np.allclose(other.logits[:, 2], found.logits[:, 2], atol=1e-6)


def test_samples_follow_logits_and_without_noise_they_are_the_more_likely():
    _, plan, params = both()
    u, energy, bits, noise, _ = given()
    found = encoder.encode(params["encoder"], plan, u, energy, bits, None, smoothing.HARD)
    np.testing.assert_array_equal(found.samples, found.logits > 0)
    found = encoder.encode(params["encoder"], plan, u, energy, bits, noise, 3.0)
    np.testing.assert_allclose(found.samples, jax.nn.sigmoid(3.0 * (found.logits + noise)), rtol=1e-5, atol=1e-6)


def test_logits_are_clamped():
    _, plan, params = both()
    u, energy, bits, noise, _ = given()
    large = jax.tree.map(lambda leaf: 1e3 * leaf, params["encoder"])
    assert np.abs(encoder.encode(large, plan, u, energy, bits, noise, 1.0).logits).max() == encoder.LARGEST_LOGIT


@pytest.mark.parametrize("heads", ["last", "all", "first-and-last"])
def test_decoders_see_every_partition_and_the_energy(heads):
    model, plan, params = both(heads=heads)
    _, energy, _, _, latent = given()
    run = jax.jit(lambda latent, energy: decoders.decode(params["decoder"], plan, model, latent, energy))
    plain = run(latent, energy)
    for number in range(4):
        other = run(latent.at[:, number].set(1 - latent[:, number]), energy)
        for a, b in zip(plain, other, strict=True):
            assert not np.allclose(a, b, atol=1e-6)
    for a, b in zip(plain, run(latent, energy + 0.5), strict=True):
        assert not np.allclose(a, b, atol=1e-6)


def test_a_shower_does_not_depend_on_the_others():
    model, plan, params = both(heads="all")
    u, energy, bits, noise, latent = given()
    few = encoder.encode(params["encoder"], plan, u[:1], energy[:1], bits[:1], noise[:1], 1.0)
    all_of_them = encoder.encode(params["encoder"], plan, u, energy, bits, noise, 1.0)
    np.testing.assert_allclose(few.logits[0], all_of_them.logits[0], rtol=1e-4, atol=1e-5)
    few = decoders.decode(params["decoder"], plan, model, latent[:1], energy[:1])
    all_of_them = decoders.decode(params["decoder"], plan, model, latent, energy)
    np.testing.assert_allclose(few.energies[0], all_of_them.energies[0], rtol=1e-4, atol=1e-5)


def test_showers_have_energy_where_they_have_hits():
    heads = decoded.Decoded(jnp.zeros((1, 1, 1, 4)), jnp.array([3.0, -2.0, 5.0, -1.0]).reshape(1, 1, 1, 4))
    hits = jnp.array([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 1, 4)
    np.testing.assert_allclose(decoded.showers(heads, hits, 0.05).ravel(), [3.0, -0.1, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(decoded.showers(heads, hits).ravel(), [3.0, 0.0, 0.0, 0.0])


def test_the_energy_channel_goes_from_0_to_1_over_the_data():
    energies = jnp.array([1e3, 31_622.777, 1e6])
    np.testing.assert_allclose(conditioning.channel(energies, 1e3, 1e6), [0.0, 0.5, 1.0], atol=1e-6)
    np.testing.assert_allclose(conditioning.channel(energies, 1e3, 1e3)[:1], [0.0], atol=1e-6)
