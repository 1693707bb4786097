"""What each voxel does on its own: counted, interpolated between energies, and where the decoder begins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.systems.qvae import marginals, showers, system

GRID = (2, 3, 4)
KNOTS = np.linspace(0, 1, marginals.KNOTS)


@pytest.fixture(scope="module")
def tile():
    """u (N, Z, A, R) of 200 showers at each knot but the third; hits grow with energy, one voxel is never hit."""
    draw = np.random.default_rng(0)
    channel = np.repeat(np.delete(KNOTS, 2), 200)
    often = 0.1 + 0.8 * draw.random(GRID) * channel[:, None, None, None]
    often[:, 0, 0, 0] = 0
    hit = draw.random(often.shape) < often
    return np.where(hit, draw.normal(8 + channel[:, None, None, None], 1.0, hit.shape), 0).astype(np.float32), channel


@pytest.fixture(scope="module")
def found(tile):
    u, channel = tile
    return marginals.of(marginals.sums(jnp.asarray(u), jnp.asarray(channel), jnp.ones(len(u))), 7.0)


def test_at_an_energy_of_the_data_they_are_its_counts(tile, found):
    u, channel = tile
    for knot in (0, 5, 8):
        here = u[np.isclose(channel, KNOTS[knot])]
        at = marginals.at(found, jnp.asarray(KNOTS[knot : knot + 1]))
        hits = (here > 0).sum(0)
        assert np.abs(jax.nn.sigmoid(at.hit_logits[0]) - hits / len(here)).max() < 1 / len(here)
        many = hits > 20
        mean = np.where(here > 0, np.exp(here), 0).sum(0)[many] / hits[many]
        np.testing.assert_allclose(at.u[0][many], np.log(mean), atol=0.1)


def test_a_voxel_never_hit_is_finite_and_rare(found):
    assert np.isfinite(found.hit_logits).all() and np.isfinite(found.u).all()
    assert float(jax.nn.sigmoid(found.hit_logits[:, 0, 0, 0]).max()) < 1e-3
    np.testing.assert_allclose(found.u[:, 0, 0, 0], 7.0)


def test_an_energy_without_showers_is_like_the_nearest(found):
    for values in found:
        np.testing.assert_array_equal(values[2], values[1])


def test_between_two_energies_they_are_interpolated_and_beyond_the_ends_held(found):
    half = marginals.at(found, jnp.asarray([0.5 * (KNOTS[4] + KNOTS[5]), -3.0, 4.0]))
    for one, values in zip(half, found, strict=True):
        np.testing.assert_allclose(one[0], (values[4] + values[5]) / 2, rtol=1e-5)
        np.testing.assert_array_equal(one[1:], values[np.array([0, -1])])


def test_a_shower_counts_once_wherever_its_energy_lies(tile):
    u = jnp.asarray(tile[0][:50])
    channel = jnp.linspace(-0.2, 1.2, 50)
    sums = marginals.sums(u, channel, jnp.arange(50.0))
    np.testing.assert_allclose(sums.showers.sum(), 1225.0, rtol=1e-5)
    np.testing.assert_allclose(sums.hits.sum(0), jnp.tensordot(jnp.arange(50.0), u > 0, 1), rtol=1e-4)


def test_a_fresh_decoder_generates_as_many_hits_as_the_data_have(prepared, model, small, events):
    """After the fit of the first phase: the networks say little yet."""
    params = system.phases(small)[0].fit(prepared, model.params, small)
    channel, code = showers.conditions(jnp.asarray(events[0]), small.model.nodes, model.constants)
    bits = (
        jnp.full((len(channel), 4, small.model.nodes), 0.5).at[:, 0].set(code)
    )  # neither 0 nor 1: no direct path moves
    said = showers.decode(params, bits, channel, small, model.constants)
    hits = jnp.where(model.constants.there, jax.nn.sigmoid(said.hit_logits), 0).sum((1, 2, 3))
    mean = np.count_nonzero(events[1]) / len(events[1])
    assert float(hits.mean()) == pytest.approx(mean, rel=0.1)  # 72 are half of all
