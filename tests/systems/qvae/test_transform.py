"""The transform of voxel energies is right in float32 over all that can occur, and what it cannot take is counted."""

import jax
import numpy as np
import pytest

from calojax.errors import InputError
from calojax.systems.qvae import transform
from calojax.systems.qvae.transform import R

INCIDENT = np.float32(4191.8e3)  # MeV
SHARES = np.float32(10.0) ** np.linspace(-12, 0, 4001, dtype=np.float32)[:-1]
NEAR_ONE = 1 - np.float32(2.0) ** -np.arange(1, 24, dtype=np.float32)
ENERGIES = (np.concatenate([SHARES, NEAR_ONE]) * INCIDENT)[None]
ENERGIES = ENERGIES[ENERGIES < INCIDENT][None]


def exact(energies, incident):
    """In 80 bits, where 1 - x of the formula as it is written loses nothing that counts."""
    share = energies.astype(np.longdouble) / np.longdouble(incident)
    r = np.longdouble("1e-7")
    x = r + (1 - 2 * r) * share
    return np.log(x * (1 - r) / (r * (1 - x)))


def test_values_are_right_to_rounding():
    u = np.asarray(transform.transform(ENERGIES, INCIDENT[None]))
    assert u.dtype == np.float32
    expected = exact(ENERGIES, INCIDENT)
    np.testing.assert_allclose(u, expected.astype(float), rtol=6e-7)


def test_there_and_back_over_twelve_decades():
    u = jax.jit(transform.transform)(ENERGIES, INCIDENT[None])
    back = jax.jit(transform.inverse)(u, INCIDENT[None])
    np.testing.assert_allclose(back, ENERGIES, rtol=5e-6)
    assert (np.asarray(back) <= INCIDENT).all()


def test_the_inverse_is_right_to_the_rounding_of_u():
    u = np.linspace(0, transform.LARGEST, 3001, dtype=np.float32)[None]
    z = u.astype(np.longdouble) + np.log(np.longdouble(R) / (1 - np.longdouble(R)))
    expected = (1 / (1 + np.exp(-z)) - R) / (1 - 2 * np.longdouble(R))
    found = np.asarray(transform.inverse(u, np.ones(1, np.float32)))
    seen = found > 0
    assert (expected[~seen] < 2e-8).all()
    np.testing.assert_allclose(found[seen], expected[seen].astype(float), rtol=1e-5)


def test_nothing_stays_nothing():
    u = np.asarray(transform.transform(np.zeros((2, 3), np.float32), np.float32([1.0, 5e6])))
    np.testing.assert_array_equal(u, 0.0)
    assert not np.asarray(transform.inverse(u, np.float32([1.0, 5e6]))).any()
    assert not np.asarray(transform.inverse(np.float32([[-1.0, -100.0]]), np.ones(1, np.float32))).any()
    assert transform.inverse(np.float32([[1e-8]]), np.float32([1.0])) == 0.0  # 1e-15 MeV


def test_the_values_of_the_documentation():
    shares = np.float32([[1e-7, 1e-5, 1e-3, 0.1]])
    np.testing.assert_allclose(
        transform.transform(shares, np.ones(1, np.float32))[0], [0.693, 4.615, 9.21, 13.92], atol=5e-3
    )
    assert transform.transform(np.ones((1, 1), np.float32), np.ones(1, np.float32)) == pytest.approx(32.236, abs=1e-3)


def test_any_u_gives_a_possible_energy():
    u = np.float32([[-np.inf, -3.0, 0.0, 33.0, 1e4, np.inf]])
    back = np.asarray(transform.inverse(u, np.float32([7.0])))[0]
    np.testing.assert_allclose(back, [0, 0, 0, 7, 7, 7], rtol=1e-5)
    assert (back <= 7).all()


def test_gradients_are_finite_everywhere():
    energies = np.concatenate([[0.0], ENERGIES[0]])[None].astype(np.float32)
    slope = jax.grad(lambda x: transform.transform(x, INCIDENT[None]).sum())(energies)
    assert np.isfinite(slope).all() and (np.asarray(slope) > 0).all()
    slope = jax.grad(lambda u: transform.inverse(u, INCIDENT[None]).sum())(np.float32([[-9, 0, 5, 32, 99]]))
    assert np.isfinite(slope).all()


SHOWERS = np.array([[1.0, 0.0, 2.0], [0.0, -1.0, 9.0], [10.0, 11.0, np.nan]])


def test_voxels_outside_are_counted():
    found = transform.outside(SHOWERS, np.array([10.0, 10.0, 10.0]))
    assert found == (1, 2, 1, 1)
    assert transform.outside(SHOWERS[:1], np.array([10.0])) == (0, 0, 0, -1)
    assert transform.outside(SHOWERS[:1], np.array([0.0])).not_finite == 3


def test_voxels_outside_are_refused():
    transform.check(SHOWERS[:1], np.array([10.0]), "a.hdf5, showers")
    with pytest.raises(InputError, match=r"a.hdf5, showers, shower 1: .* 1 below 0, 2 at or above .*, 1 not finite"):
        transform.check(SHOWERS, np.full(3, 10.0), "a.hdf5, showers")
