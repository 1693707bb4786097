import jax
import numpy as np
import pytest

from calojax.nn.boltzmann import annealed, machine
from tests.nn.boltzmann.enumeration import Exact

N = 4
MASK = np.random.default_rng(0).random((6, N, N)) < 0.5


@pytest.fixture(scope="module")
def params():
    return machine.init(jax.random.key(0), N, spread=1.0, frequencies=jax.random.uniform(jax.random.key(1), (4, N)))


@pytest.mark.parametrize("bits", [None, np.array([1.0, 0.0, 0.0, 1.0])], ids=["free", "given"])
@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
def test_log_z_is_that_of_enumeration_within_its_error(params, bits, mask):
    params = machine.masked(params, mask)
    without = params if bits is None else params._replace(biases=params.biases.at[0].set(0))
    estimate = jax.jit(lambda p, key: annealed.log_partition(p, key, chains=400, temperatures=50, bits=bits))
    found = estimate(params, jax.random.key(2))
    assert 0 < found.error < 0.05 and found.effective > 200
    assert abs(float(found.log_z) - Exact(without, bits).log_z) < 4 * found.error


def test_errors_are_as_large_as_the_scatter_and_another_base_gives_the_same(params):
    exact = Exact(params).log_z
    few = jax.jit(lambda key: annealed.log_partition(params, key, chains=100, temperatures=10, base=0 * params.biases))
    found = jax.lax.map(few, jax.random.split(jax.random.key(3), 50))
    pulls = (np.asarray(found.log_z) - exact) / np.asarray(found.error)
    assert abs(pulls.mean()) < 4 / np.sqrt(50) + 0.2 and 0.7 < pulls.std() < 1.4


def test_without_couplings_there_is_nothing_to_estimate(params):
    params = params._replace(weights=0 * params.weights)
    found = jax.jit(lambda p, key: annealed.log_partition(p, key, chains=8, temperatures=3))(params, jax.random.key(0))
    np.testing.assert_allclose(found.log_z, np.log1p(np.exp(params.biases)).sum(), rtol=1e-5)
    assert found.error < 1e-5 and found.effective == pytest.approx(8)
