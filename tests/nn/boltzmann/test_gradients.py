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


def directions(data, samples, centring):
    """Directions of ascent (6, N, N), (4, N) by their formulas in numpy."""
    d, s = np.asarray(data, float), np.asarray(samples, float)
    about = {"none": (0 * d[0], 0 * d[0]), "data": (d.mean(0), d.mean(0)), "both": (d.mean(0), s.mean(0))}[centring]
    weights, biases = [], d.mean(0) - s.mean(0)
    for (i, j), where in zip(PAIRS, MASK, strict=True):
        moment = lambda v, mu, i=i, j=j: (v[:, i] - mu[i]).T @ (v[:, j] - mu[j]) / len(v)
        weights.append(where * (moment(d, about[0]) - moment(s, about[1])))
        biases[i] -= weights[-1] @ (about[0] + about[1])[j] / 2
        biases[j] -= weights[-1].T @ (about[0] + about[1])[i] / 2
    return np.stack(weights), biases


@pytest.mark.parametrize("centring", ["none", "data", "both"])
def test_gradients_are_those_of_their_formulas(given, centring):
    params, data, samples = given
    loss = lambda params: gradients.contrastive_loss(params, data, samples, mask=MASK, centring=centring)
    value, found = jax.jit(jax.value_and_grad(loss))(params)
    weights, biases = directions(data, samples, centring)
    np.testing.assert_allclose(found.weights, -weights, atol=1e-6)
    np.testing.assert_allclose(found.biases, -biases, atol=1e-6)
    masked = machine.masked(params, MASK)
    expected = machine.energy(masked, data).mean() - machine.energy(masked, samples).mean()
    assert float(value) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("centring", ["none", "both"])
def test_rows_of_weight_nought_do_not_count(given, centring):
    params, data, samples = given
    options = {"mask": MASK, "centring": centring}
    padded = lambda v: jnp.concatenate([v, jnp.ones((2, 4, N))])
    weight = lambda v: jnp.concatenate([jnp.full(len(v), 0.7), jnp.zeros(2)])
    plain = jax.jit(jax.grad(lambda p: gradients.contrastive_loss(p, data, samples, **options)))(params)
    options |= {"weight": weight(data), "sample_weight": weight(samples)}
    loss = lambda p: gradients.contrastive_loss(p, padded(data), padded(samples), **options)
    with_padding = jax.jit(jax.grad(loss))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), plain, with_padding)


@pytest.mark.parametrize("bits", [None, np.array([1, 0, 1])], ids=["free", "clamped"])
def test_the_plain_gradient_is_that_of_the_likelihood(given, bits):
    """With every state as a sample, weighted by its probability."""
    params = machine.masked(given[0], MASK)
    data = given[1] if bits is None else given[1].at[:, 0].set(bits)
    exact = Exact(params, bits)
    loss = lambda p: gradients.contrastive_loss(
        p, data, jnp.asarray(exact.states), mask=MASK, centring="none", sample_weight=jnp.asarray(exact.p)
    )
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
    loss = lambda d, s: gradients.contrastive_loss(params, d, s, mask=MASK)
    of_data, of_samples = jax.jit(jax.grad(loss, (0, 1)))(data, samples)
    np.testing.assert_allclose(of_data, -machine.fields(machine.masked(params, MASK), data) / 20, atol=1e-6)
    assert not np.any(of_samples)


@pytest.mark.parametrize("centring", ["none", "data", "both"])
def test_weights_outside_the_mask_stay_nought_and_the_others_move(given, centring):
    params, data, samples = given
    params, optimiser = machine.masked(params, MASK), gradients.adam(0.1, decay=0.007)
    state = optimiser.init(params)

    @jax.jit
    def step(params, state):
        loss = lambda p: gradients.contrastive_loss(p, data, samples, mask=MASK, centring=centring)
        change, state = optimiser.update(jax.grad(loss)(params), state, params)
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


@pytest.mark.parametrize("centring", ["none", "data", "both"])
def test_persistent_chains_learn_the_distribution_of_the_data(centring):
    """Nats by which the data's distribution differs from that of the machine, by enumeration, before and after."""
    couplings = machine.Machine(2.0 * jax.random.normal(jax.random.key(2), (6, 2, 2)), jnp.zeros((4, 2)))
    halfway = -0.5 * machine.fields(couplings, jnp.ones((4, 2)))  # then every node is 1 half of the time
    truth = Exact(couplings._replace(biases=halfway))
    rows = truth.states[np.random.default_rng(2).choice(len(truth.p), 4000, p=truth.p)].astype(np.float32)
    apart = lambda params: np.sum(truth.p * (np.log(truth.p) - np.log(Exact(params).p)))
    params, optimiser = machine.init(jax.random.key(0), 2, frequencies=jnp.asarray(rows.mean(0))), gradients.adam(0.03)

    def step(state, number):
        params, moments, chains = state
        keys = jax.random.split(jax.random.fold_in(jax.random.key(1), number), len(chains))
        chains = gibbs.sample(params, chains, keys, 2, clamped=False)
        loss = lambda p: gradients.contrastive_loss(p, jnp.asarray(rows), chains, centring=centring)
        change, moments = optimiser.update(jax.grad(loss)(params), moments, params)
        return (optax.apply_updates(params, change), moments, chains), None

    state = (params, optimiser.init(params), jnp.asarray(rows[:1000]))
    (learned, _, _), _ = jax.jit(lambda state: jax.lax.scan(step, state, jnp.arange(200)))(state)
    before, after = apart(params), apart(learned)
    assert before > 0.3 and after < 0.1 * before, (before, after)


def test_strong_couplings_are_learnt_about_the_means_of_the_data():
    """From small batches, with chains that move little in a step; about the means of both this diverges."""
    couplings = machine.Machine(2.0 * jax.random.normal(jax.random.key(0), (6, N, N)), jnp.zeros((4, N)))
    halfway = -0.5 * machine.fields(couplings, jnp.ones((4, N)))
    truth = Exact(couplings._replace(biases=halfway))
    rows = truth.states[np.random.default_rng(2).choice(len(truth.p), 4000, p=truth.p)].astype(np.float32)
    apart = lambda params: np.sum(truth.p * (np.log(truth.p) - np.log(Exact(params).p)))
    start = machine.init(jax.random.key(0), N, spread=0.0, frequencies=jnp.asarray(rows.mean(0)))
    optimiser = gradients.adam(0.03)

    def step(state, number):
        params, moments, chains = state
        keys = jax.random.split(jax.random.fold_in(jax.random.key(100), number), len(chains))
        chains = gibbs.sample(params, chains, keys, 2, clamped=False)
        batch = jax.lax.dynamic_slice_in_dim(jnp.asarray(rows), number * 64 % 3936, 64)
        change, moments = optimiser.update(
            jax.grad(lambda p: gradients.contrastive_loss(p, batch, chains))(params), moments, params
        )
        return (optax.apply_updates(params, change), moments, chains), None

    begun = (start, optimiser.init(start), jnp.asarray(rows[:256]))
    (learned, _, _), _ = jax.jit(lambda state: jax.lax.scan(step, state, jnp.arange(600)))(begun)
    before, after = apart(start), apart(learned)
    assert before > 1.5 and after < 0.25 * before, (before, after)
