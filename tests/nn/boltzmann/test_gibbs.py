import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from calojax.nn.boltzmann import gibbs, machine, neighbours, noise, zephyr
from tests.nn.boltzmann.enumeration import Exact

N, CHAINS, SWEEPS = 3, 4096, 50
BITS = np.array([1, 0, 1], np.uint8)
MASK = np.random.default_rng(0).random((6, N, N)) < 0.5


@pytest.fixture(scope="module")
def params():
    key, other = jax.random.split(jax.random.key(0))
    made = machine.init(key, N, spread=1.2)
    return made._replace(biases=jax.random.normal(other, (4, N)))


def started(chains, n, bits=None):
    v = np.random.default_rng(1).integers(0, 2, (chains, 4, n)).astype(np.uint8)
    return v if bits is None else np.concatenate([np.broadcast_to(bits, (chains, 1, n)), v[:, 1:]], 1)


def apart(found, exact, statistic):
    """How far means of a statistic whose values are 0 and 1 are from the exact ones, in units of their errors."""
    expected = np.clip(exact.mean(statistic(exact.states)), 0, 1)
    error = np.sqrt(expected * (1 - expected) / len(found))
    return np.abs(statistic(found).mean(0) - expected) / (error + 1e-9 / 4.5)


@pytest.mark.parametrize(
    "mask, bits, beta",
    [(None, None, 1.0), (None, BITS, 0.5), (MASK, None, 0.5), (MASK, BITS, 1.0)],
    ids=["full-free", "full-clamped", "masked-free", "masked-clamped"],
)
def test_marginals_are_those_of_enumeration(params, mask, bits, beta):
    params = machine.masked(params, mask)
    exact = Exact(machine.scaled(params, beta), bits)
    lists = None if mask is None else neighbours.of(mask)
    keys = jax.random.split(jax.random.key(1), CHAINS)
    options = {"lists": lists, "clamped": bits is not None, "beta": beta}
    draw = jax.jit(lambda params, v, keys: gibbs.sample(params, v, keys, SWEEPS, **options))
    found = np.asarray(draw(params, started(CHAINS, N, bits), keys), float)
    assert np.all(apart(found, exact, lambda v: v) <= 4.5)
    assert np.all(apart(found, exact, lambda v: np.einsum("sai,sbj->sabij", v, v)) <= 4.5)


@pytest.fixture(scope="module")
def masked():
    mask = zephyr.layout(24, 3, 4).mask
    return machine.init(jax.random.key(2), 24, spread=0.7, mask=mask), neighbours.of(mask)


@pytest.mark.parametrize("clamped", [True, False])
def test_both_forms_draw_the_same(masked, clamped):
    params, lists = masked
    v, keys = started(20, 24), jax.random.split(jax.random.key(3), 20)
    forms = ({"lists": lists}, {}, {"narrow": True})
    draw = lambda params: [gibbs.sample(params, v, keys, 5, clamped=clamped, **options) for options in forms]
    with_lists, with_products, narrow = jax.jit(draw)(params)
    np.testing.assert_array_equal(with_lists, with_products)
    np.testing.assert_array_equal(narrow, with_products)
    assert np.array_equal(with_lists[:, 0], v[:, 0]) == clamped
    assert np.mean(with_lists != v) > 0.3 and with_lists.dtype == v.dtype


def test_a_chain_is_the_same_alone_continued_traced_and_in_company(masked):
    params, lists = masked
    v, keys = started(20, 24), jax.random.split(jax.random.key(3), 20)
    draw = jax.jit(lambda v, keys, first: gibbs.sample(params, v, keys, 3, lists=lists, first=first))
    together = draw(v, keys, 0)
    np.testing.assert_array_equal(draw(v[18:19], keys[18:19], 0)[0], together[18])
    continued = draw(together, keys, 3)
    whole = gibbs.sample(params, v, keys, 6, lists=lists)
    np.testing.assert_array_equal(continued, whole)
    assert np.mean(draw(v, jax.random.split(jax.random.key(4), 20), 0) != together) > 0.1
    last, energies = gibbs.trace(params, v, keys, 2, 3, lists=lists)
    np.testing.assert_array_equal(last, whole)
    np.testing.assert_allclose(energies[0], machine.conditional_energy(params, together), rtol=1e-5)
    np.testing.assert_allclose(energies[1], machine.conditional_energy(params, whole), rtol=1e-5)


def test_noise_is_threefry_and_uniform():
    key = np.array([7, 123456789], np.uint32)
    counters = np.random.default_rng(0).integers(0, 2**32, 64, dtype=np.uint32)
    expected = threefry_2x32(key, jnp.asarray(counters))
    np.testing.assert_array_equal(jnp.concatenate(noise.threefry(key, counters[:32], counters[32:])), expected)
    words = noise.words(jax.random.split(jax.random.key(0), 100))
    drawn = np.asarray(noise.uniform(words.T[..., None], jnp.uint32(3), jnp.arange(1000, dtype=jnp.uint32)))
    assert drawn.shape == (100, 1000) and drawn.min() > 0 and drawn.max() < 1
    counts = np.histogram(drawn, 50, (0, 1))[0]
    assert np.sum((counts - 2000) ** 2 / 2000) < 49 + 5 * np.sqrt(2 * 49)
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.5


def test_nodes_that_are_certain_stay_and_fields_may_be_huge():
    fields = np.array([-1e4, -90.0, 90.0, 1e4, 0.0, 0.0], np.float32)
    uniform = np.array([2.0**-24, 2.0**-24, 1 - 2.0**-24, 1 - 2.0**-24, 0.49, 0.51], np.float32)
    np.testing.assert_array_equal(gibbs.draw(fields, uniform), [False, False, True, True, True, False])
