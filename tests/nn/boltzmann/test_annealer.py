import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn.boltzmann import annealer, machine
from calojax.nn.boltzmann.machine import PAIRS
from tests.nn.boltzmann.enumeration import Exact

N = 4
BITS = np.array([1, 0, 1, 1])


@pytest.fixture(scope="module")
def params():
    return machine.Machine(
        jax.random.normal(jax.random.key(0), (6, N, N)) * 0.7, jax.random.normal(jax.random.key(1), (4, N)) * 0.7
    )


def test_what_is_sent_has_the_energies_of_the_machine_over_beta(params):
    v = np.random.default_rng(0).integers(0, 2, (30, 4, N))
    asked, s = annealer.request(params, 2.5), 2.0 * v - 1
    energies = np.sum(np.asarray(asked.fields) * s, (1, 2))
    for (i, j), block in zip(PAIRS, np.asarray(asked.couplings), strict=True):
        energies += np.einsum("si,ij,sj->s", s[:, i], block, s[:, j])
    apart = energies - np.asarray(machine.energy(params, v)) / 2.5
    np.testing.assert_allclose(apart, apart[0], atol=1e-5)
    assert asked.flux is None


def test_flux_biases_hold_the_given_partition():
    """8.4e-3 flux quanta: 1.391 GHz h / (2 x 529 nA) x 20, in units of 2.068e-15 Wb."""
    np.testing.assert_allclose(annealer.flux_biases(BITS), (2 * BITS - 1) * 8.425e-3, rtol=1e-3)


@pytest.mark.parametrize("bits", [None, BITS], ids=["free", "given"])
def test_a_classical_one_draws_from_the_machine_where_beta_is_its_temperature(params, bits):
    sampler = annealer.Classical(kappa=3.0, sweeps=100)
    exact = Exact(params, bits)
    v = np.asarray(annealer.sample(sampler, params, 3.0, 4000, jax.random.key(2), bits))
    expected = exact.mean(exact.states)
    error = np.sqrt(np.maximum(expected * (1 - expected), 0) / len(v))
    assert set(np.unique(v)) == {0, 1} and np.all(np.abs(v.mean(0) - expected) < 4.5 * error + 1e-9)


class Drawn:
    """An annealer that draws exactly, by enumeration in numpy."""

    def __init__(self, kappa):
        self.kappa, self.rng = kappa, np.random.default_rng(0)
        self.states = Exact((np.zeros((6, N, N)), np.zeros((4, N)))).states

    def __call__(self, request, reads, key):
        s = 2 * self.states - 1
        energies = np.sum(np.asarray(request.fields) * s, (1, 2))
        for (i, j), block in zip(PAIRS, np.asarray(request.couplings), strict=True):
            energies += np.sum((s[:, i] @ block) * s[:, j], 1)
        p = np.exp(-self.kappa * (energies - energies.min()))
        return s[self.rng.choice(len(s), reads, p=p / p.sum())].astype(np.int8)


@pytest.mark.parametrize("kappa", [0.5, 2.0, 4.5, 9.0])
def test_the_temperature_of_an_annealer_is_found(params, kappa):
    exact, rng = Exact(params), np.random.default_rng(1)
    samples = exact.states[rng.choice(len(exact.p), 2000, p=exact.p)]
    found = annealer.effective_temperature(Drawn(kappa), params, jnp.asarray(samples), jax.random.key(0), start=3.0)
    assert found.converged and found.trail[0] == 3.0
    assert abs(found.beta - kappa) < 4 * found.error and found.error < 0.1 * kappa


def test_an_annealer_that_never_agrees_is_said_not_to(params):
    frozen = lambda request, reads, key: -np.ones((reads, 4, N), np.int8)
    samples = np.random.default_rng(0).integers(0, 2, (50, 4, N))
    found = annealer.effective_temperature(frozen, params, samples, jax.random.key(0), steps=3)
    assert not found.converged and np.isfinite(found.trail).all() and found.error == np.inf
