import jax
import numpy as np
import pytest

from calojax.nn.boltzmann import gibbs, machine
from tests.nn.boltzmann.enumeration import Exact

N, CHAINS = 3, 4096
BITS = np.array([1, 0, 1], np.uint8)


@pytest.fixture(scope="module")
def params():
    key, other = jax.random.split(jax.random.key(0))
    made = machine.init(key, N, spread=0.8)
    return made._replace(biases=jax.random.normal(other, (4, N)))


def apart(found, exact, statistic):
    """Means of a statistic whose values are 0 and 1 agree within their errors."""
    expected = np.clip(exact.mean(statistic(exact.states)), 0, 1)
    error = np.sqrt(expected * (1 - expected) / len(found))
    assert np.all(np.abs(statistic(found).mean(0) - expected) <= 4.5 * error + 1e-9)


@pytest.mark.parametrize("bits", [None, BITS], ids=["free", "clamped"])
def test_marginals_are_those_of_enumeration(params, bits):
    exact = Exact(params, bits)
    start = np.random.default_rng(0).integers(0, 2, (CHAINS, 4, N)).astype(np.uint8)
    if bits is not None:
        start[:, 0] = bits
    keys = jax.random.split(jax.random.key(1), CHAINS)
    found = np.asarray(gibbs.sample(params, start, keys, 50, clamped=bits is not None), float)
    assert set(np.unique(found)) == {0, 1}
    apart(found, exact, lambda v: v)
    apart(found, exact, lambda v: np.einsum("sai,sbj->sabij", v, v))
