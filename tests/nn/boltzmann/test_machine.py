import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.nn.boltzmann import machine
from calojax.nn.boltzmann.machine import PAIRS
from tests.nn.boltzmann.enumeration import Exact

N = 4
MASK = np.random.default_rng(0).random((6, N, N)) < 0.5


@pytest.fixture(scope="module")
def params():
    return machine.Machine(
        jax.random.normal(jax.random.key(0), (6, N, N)), jax.random.normal(jax.random.key(1), (4, N))
    )


def states(count):
    return jax.random.bernoulli(jax.random.key(2), 0.5, (count, 4, N)).astype(jnp.float32)


@pytest.mark.parametrize("bits", [None, [1, 0, 0, 1]], ids=["free", "given"])
def test_energies_and_conditionals_are_those_of_enumeration(params, bits):
    exact = Exact(params, bits)
    np.testing.assert_allclose(machine.energy(params, exact.states[::97]), exact.energies[::97], atol=1e-4)
    v = np.asarray(states(1)[0]) if bits is None else np.concatenate([[bits], states(1)[0, 1:]])
    for partition in range(0 if bits is None else 1, 4):
        others = [q for q in range(4) if q != partition]
        same = np.all(exact.states[:, others] == v[others], (1, 2))
        expected = exact.p[same] @ exact.states[same, partition] / exact.p[same].sum()
        np.testing.assert_allclose(machine.conditional(params, v, partition), expected, atol=1e-5)


def test_conditional_energy_leaves_out_the_biases_of_what_is_given(params):
    v = states(5)
    apart = machine.energy(params, v) - machine.conditional_energy(params, v)
    np.testing.assert_allclose(apart, -v[:, 0] @ params.biases[0], atol=1e-5)


def test_fields_are_what_a_flip_costs(params):
    v = states(1)[0]
    flipped = np.abs(np.asarray(v) - np.eye(4 * N).reshape(4 * N, 4, N))
    change = machine.energy(params, flipped) - machine.energy(params, v)
    np.testing.assert_allclose(change, (-(1 - 2 * v) * machine.fields(params, v)).ravel(), atol=1e-4)


def test_energies_do_not_depend_on_how_nodes_are_called(params):
    v = np.asarray(states(5))
    rng = np.random.default_rng(3)
    within = [rng.permutation(N) for _ in range(4)]
    moved = [block[within[i]][:, within[j]] for (i, j), block in zip(PAIRS, np.asarray(params.weights), strict=True)]
    within_v = np.stack([v[:, p, within[p]] for p in range(4)], 1)
    biases = np.stack([np.asarray(params.biases)[p, within[p]] for p in range(4)])
    np.testing.assert_allclose(
        machine.energy(machine.Machine(np.stack(moved), biases), within_v), machine.energy(params, v), atol=1e-4
    )
    order = (2, 0, 3, 1)  # partitions
    block = {pair: w for pair, w in zip(PAIRS, np.asarray(params.weights), strict=True)}
    block |= {(j, i): w.T for (i, j), w in block.items()}
    swapped = machine.Machine(np.stack([block[order[i], order[j]] for i, j in PAIRS]), params.biases[np.array(order)])
    np.testing.assert_allclose(machine.energy(swapped, v[:, order]), machine.energy(params, v), atol=1e-4)


def test_a_scaled_machine_has_scaled_energies(params):
    v = states(5)
    np.testing.assert_allclose(
        machine.energy(machine.scaled(params, 0.3), v), 0.3 * machine.energy(params, v), rtol=1e-4
    )


def test_a_new_machine_has_the_frequencies_of_the_data_and_its_mask():
    frequencies = jnp.linspace(0.0, 1.0, 4 * N).reshape(4, N)
    made = machine.init(jax.random.key(0), N, spread=0.01, frequencies=frequencies, mask=MASK)
    np.testing.assert_allclose(jax.nn.sigmoid(made.biases), np.clip(frequencies, 1e-4, 1 - 1e-4), atol=1e-5)
    assert np.all((np.asarray(made.weights) != 0) == MASK) and np.std(made.weights[MASK]) < 0.02
    assert not np.any(machine.init(jax.random.key(0), N).biases)
