"""How far energies of hits lie from the decoder's: learnt from showers drawn with it, and drawn again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.systems.qvae import dispersion, marginals, showers, transform
from calojax.systems.qvae.models.decoded import Decoded

GRID = (2, 3, 4)
KNOTS = np.linspace(0, 1, marginals.KNOTS)


@pytest.fixture(scope="module")
def tile():
    """u and what is said of it (N, Z, A, R), 3,000 showers at each knot but the third, and the true phi, by voxel."""
    draw = np.random.default_rng(0)
    channel = np.repeat(np.delete(KNOTS, 2), 3000)
    phi = np.geomspace(1.0, 60.0, np.prod(GRID)).reshape(GRID)
    mean = np.exp(draw.normal(8, 0.5, (len(channel), *GRID)))
    energy = mean * draw.gamma(np.sqrt(mean) / phi, phi / np.sqrt(mean))
    hit = draw.random(energy.shape) < 0.7
    hit[:, 0, 0, 0] = False
    to_u = lambda values: np.asarray(transform.of_log_energy(np.log(values.clip(1.01))), np.float32)
    return np.where(hit, to_u(energy), 0), to_u(mean), channel, phi


def found(tile):
    u, said, channel, _ = tile
    return dispersion.of(dispersion.sums(*map(jnp.asarray, (u, said, channel)), jnp.ones(len(u))))


def test_it_is_found_in_showers_that_were_drawn_with_it(tile):
    phi = np.asarray(found(tile))
    assert phi.shape == (marginals.KNOTS, *GRID)
    hit = np.ones(GRID, bool)
    hit[0, 0, 0] = False  # never
    for knot in (0, 5, 8):
        np.testing.assert_allclose(phi[knot][hit], tile[3][hit], rtol=0.15)
    assert phi[5][hit].min() < phi[5, 0, 0, 0] < phi[5][hit].max()
    np.testing.assert_array_equal(phi[2], phi[1])  # the nearest knot with showers


def test_rows_of_weight_nought_do_not_count(tile):
    u, said, channel, _ = (jnp.asarray(part) for part in tile)
    some = jnp.arange(len(u)) % 2 == 0
    of_some = dispersion.sums(u[some], said[some], channel[some], jnp.ones(int(some.sum())))
    weighted = dispersion.sums(u, said, channel, some.astype(jnp.float32))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), weighted, of_some)


def test_hits_of_which_nothing_is_said_do_not_count():
    u = jnp.full((100, 1, 3, 3), 9.0)
    plain = dispersion.of(dispersion.sums(u, u + 0.5, jnp.zeros(100), jnp.ones(100)))
    said = (u + 0.5).at[:50].set(-1.0)
    np.testing.assert_allclose(dispersion.of(dispersion.sums(u, said, jnp.zeros(100), jnp.ones(100))), plain, rtol=1e-5)


def test_what_is_said_may_be_beyond_all_energies():
    u = jnp.full((10, 1, 3, 3), 9.0)
    phi = dispersion.of(dispersion.sums(u, u.at[0].set(200.0), jnp.zeros(10), jnp.ones(10)))
    keys = jax.random.split(jax.random.key(0), 10)
    factors = dispersion.factors(jnp.full((10, 9), 30.0), jnp.full((10, 9), 200.0), keys)
    assert np.isfinite(phi).all() and np.isfinite(factors).all()


def test_energies_are_drawn_with_that_mean_and_spread(model, small, detector):
    """Of one voxel in many showers; without phi and with none of it they are what is said."""
    n, incident = 20_000, jnp.full(20_000, 1e4)
    said = Decoded(*(jnp.full((n, *model.constants.there.shape), value) for value in (50.0, 9.0)))
    keys = jax.random.split(jax.random.key(0), n)
    draw = jax.jit(lambda phi: showers.drawn(said, phi, incident, keys, model.constants))
    plain = float(transform.inverse(jnp.array([9.0]), jnp.array([1e4]))[0])
    phi = 30.0
    drawn = np.asarray(draw(jnp.full((n, *model.constants.there.shape), phi)))[:, 3]
    assert drawn.mean() == pytest.approx(plain, rel=0.02)
    assert drawn.var() / plain**2 == pytest.approx(phi / np.exp(4.5), rel=0.05)
    for none in (None, jnp.zeros((n, *model.constants.there.shape))):
        np.testing.assert_allclose(np.asarray(draw(none)), plain, rtol=1e-5)


def test_every_voxel_has_less_than_the_incident_energy(model):
    n = 2_000
    said = Decoded(*(jnp.full((n, *model.constants.there.shape), value) for value in (50.0, 16.0)))
    phi = jnp.full((n, *model.constants.there.shape), 1e4)
    keys = jax.random.split(jax.random.key(0), n)
    drawn = jax.jit(lambda: showers.drawn(said, phi, jnp.full(n, 1e4), keys, model.constants))()
    assert 0.99 * 1e4 < float(drawn.max()) < 1e4 and float(drawn.min()) >= 0
