import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from calojax.nn.boltzmann import gibbs, gradients, machine
from calojax.nn.boltzmann.machine import PAIRS
from tests.nn.boltzmann.enumeration import Exact

N = 3
MASK = np.random.default_rng(0).random((6, N, N)) < 0.6


@pytest.fixture(scope="module")
def given():
    params = machine.init(jax.random.key(0), N, spread=0.5)
    data = jax.random.bernoulli(jax.random.key(1), 0.3, (20, 4, N)).astype(jnp.float32)
    samples = jax.random.bernoulli(jax.random.key(2), 0.6, (30, 4, N)).astype(jnp.float32)
    return params, data, samples


def loss_about(offsets, data, samples, **weights):
    """The loss of centred parameters."""
    return lambda params: gradients.contrastive_loss(machine.uncentred(params, offsets, MASK), data, samples, **weights)


def test_the_machine_about_an_offset_has_the_energies_of_the_bits_less_it(given):
    params, data, _ = given
    mu = jax.random.uniform(jax.random.key(5), (4, N))
    plain = machine.energy(machine.uncentred(params, mu, MASK), data)
    apart = plain - machine.energy(machine.masked(params, MASK), data - mu)
    np.testing.assert_allclose(apart, jnp.broadcast_to(apart[0], apart.shape), atol=1e-5)


def test_gradients_about_an_offset_are_the_differences_of_moments_about_it(given):
    params, data, samples = given
    mu = np.asarray(data, float).mean(0)
    value, found = jax.jit(jax.value_and_grad(loss_about(jnp.asarray(mu, jnp.float32), data, samples)))(params)
    d, s = np.asarray(data, float), np.asarray(samples, float)
    for number, (i, j) in enumerate(PAIRS):
        moment = lambda v, i=i, j=j: (v[:, i] - mu[i]).T @ (v[:, j] - mu[j]) / len(v)
        np.testing.assert_allclose(found.weights[number], MASK[number] * (moment(s) - moment(d)), atol=1e-6)
    np.testing.assert_allclose(found.biases, s.mean(0) - d.mean(0), atol=1e-6)
    plain = machine.uncentred(params, jnp.asarray(mu, jnp.float32), MASK)
    expected = machine.energy(plain, data).mean() - machine.energy(plain, samples).mean()
    assert float(value) == pytest.approx(float(expected), rel=1e-5)


def test_a_flip_of_bits_does_not_change_gradients_about_the_means_of_the_data(given):
    """Of the machine in which the bits of partition 2 mean their opposites: its parameters have the opposite signs."""
    params, data, samples = given
    flipped = lambda v: v.at[:, 2].set(1 - v[:, 2])
    sign = jnp.ones(4).at[2].set(-1.0)
    of_pairs = jnp.array([sign[i] * sign[j] for i, j in PAIRS])[:, None, None]
    turned = machine.Machine(params.weights * of_pairs, params.biases * sign[:, None])
    found = jax.jit(jax.grad(loss_about(data.mean(0), data, samples)))(params)
    there = jax.jit(jax.grad(loss_about(flipped(data).mean(0), flipped(data), flipped(samples))))(turned)
    np.testing.assert_allclose(there.weights, found.weights * of_pairs, atol=1e-6)
    np.testing.assert_allclose(there.biases, found.biases * sign[:, None], atol=1e-6)


def test_rows_of_weight_nought_do_not_count(given):
    params, data, samples = given
    padded = lambda v: jnp.concatenate([v, jnp.ones((2, 4, N))])
    weight = lambda v: jnp.concatenate([jnp.full(len(v), 0.7), jnp.zeros(2)])
    plain = jax.jit(jax.grad(loss_about(data.mean(0), data, samples)))(params)
    weights = {"weight": weight(data), "sample_weight": weight(samples)}
    with_padding = jax.jit(jax.grad(loss_about(data.mean(0), padded(data), padded(samples), **weights)))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), plain, with_padding)


@pytest.mark.parametrize("bits", [None, np.array([1, 0, 1])], ids=["free", "clamped"])
def test_the_plain_gradient_is_that_of_the_likelihood(given, bits):
    """With every state as a sample, weighted by its probability."""
    params = machine.masked(given[0], MASK)
    data = given[1] if bits is None else given[1].at[:, 0].set(bits)
    exact = Exact(params, bits)
    loss = loss_about(jnp.zeros((4, N)), data, jnp.asarray(exact.states), sample_weight=jnp.asarray(exact.p))
    found = jax.jit(jax.grad(loss))(params)

    def nats(params):
        """Minus the mean log likelihood of the data, by enumeration."""
        energies = machine.energy(params, jnp.asarray(exact.states))
        return machine.energy(params, data).mean() + jax.nn.logsumexp(-energies)

    expected = jax.jit(jax.grad(nats))(params)
    np.testing.assert_allclose(found.weights, np.where(MASK, expected.weights, 0), atol=1e-5)
    np.testing.assert_allclose(found.biases, expected.biases, atol=1e-5)


def test_energy_of_the_data_has_a_gradient_and_that_of_samples_has_none(given):
    params, data, samples = given
    loss = lambda d, s: gradients.contrastive_loss(machine.masked(params, MASK), d, s)
    of_data, of_samples = jax.jit(jax.grad(loss, (0, 1)))(data, samples)
    np.testing.assert_allclose(of_data, -machine.fields(machine.masked(params, MASK), data) / 20, atol=1e-6)
    assert not np.any(of_samples)


def test_weights_outside_the_mask_stay_nought_and_the_others_move(given):
    params, data, samples = given
    params, optimiser = machine.masked(params, MASK), gradients.adam(0.1, decay=0.007)
    state = optimiser.init(params)

    @jax.jit
    def step(params, state):
        gradient = jax.grad(loss_about(data.mean(0), data, samples))(params)
        change, state = optimiser.update(gradient, state, params)
        return optax.apply_updates(params, change), state

    start = params
    for _ in range(20):
        params, state = step(params, state)
    assert not np.any(params.weights[~MASK])
    assert np.all(params.weights[MASK] != start.weights[MASK]) and np.all(params.biases != start.biases)


def test_decay_takes_a_share_of_every_parameter_in_each_step():
    optimiser = gradients.adam(0.0, decay=0.25)
    params = {"a": jnp.array([4.0, -8.0])}
    change, _ = optimiser.update({"a": jnp.zeros(2)}, optimiser.init(params), params)
    np.testing.assert_allclose(optax.apply_updates(params, change)["a"], [3.0, -6.0])


def test_chains_are_clamped_to_the_bits_of_the_batch():
    chains, bits = jnp.zeros((5, 4, N), jnp.uint8), jnp.eye(2, N)
    found = gradients.persistent(chains, bits)
    np.testing.assert_array_equal(found[:, 0], bits[jnp.array([0, 1, 0, 1, 0])])
    assert not np.any(found[:, 1:]) and found.dtype == chains.dtype


def learned(nodes, seed, centring, *, steps, batch, chains, more=0.0):
    """Nats by which the distribution of the data differs from that of a machine, by enumeration, before and after it is
    trained; the data are draws of one with normal couplings of spread 2 and every node 1 half of the time, or as often
    as a field of `more` makes it."""
    couplings = machine.Machine(2.0 * jax.random.normal(jax.random.key(seed), (6, nodes, nodes)), jnp.zeros((4, nodes)))
    halfway = -0.5 * machine.fields(couplings, jnp.ones((4, nodes)))
    truth = Exact(couplings._replace(biases=halfway + more))
    rows = truth.states[np.random.default_rng(2).choice(len(truth.p), 4000, p=truth.p)].astype(np.float32)
    often = jnp.asarray(rows.mean(0))
    offsets = often if centring else jnp.zeros_like(often)
    apart = lambda params: np.sum(truth.p * (np.log(truth.p) - np.log(Exact(machine.uncentred(params, offsets)).p)))
    start, optimiser = machine.init(jax.random.key(0), nodes, spread=0.0, frequencies=often), gradients.adam(0.03)

    def step(state, number):
        params, moments, v = state
        keys = jax.random.split(jax.random.fold_in(jax.random.key(100), number), len(v))
        v = gibbs.sample(machine.uncentred(params, offsets), v, keys, 2, clamped=False)
        seen = jax.lax.dynamic_slice_in_dim(jnp.asarray(rows), number * batch % (len(rows) - batch + 1), batch)
        loss = lambda p: gradients.contrastive_loss(machine.uncentred(p, offsets), seen, v)
        change, moments = optimiser.update(jax.grad(loss)(params), moments, params)
        return (optax.apply_updates(params, change), moments, v), None

    begun = (start, optimiser.init(start), jnp.asarray(rows[:chains]))
    (params, _, _), _ = jax.jit(lambda state: jax.lax.scan(step, state, jnp.arange(steps)))(begun)
    return apart(start), apart(params)


@pytest.mark.parametrize("centring", [False, True])
def test_persistent_chains_learn_the_distribution_of_the_data(centring):
    before, after = learned(2, 2, centring, steps=200, batch=4000, chains=1000)
    assert before > 0.3 and after < 0.1 * before, (before, after)


def test_strong_couplings_are_learnt_about_the_means_of_the_data():
    """From small batches, with chains that move little in a step."""
    before, after = learned(N, 0, True, steps=600, batch=64, chains=256)
    assert before > 1.5 and after < 0.1 * before, (before, after)
