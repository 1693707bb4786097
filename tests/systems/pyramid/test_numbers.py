"""Stage 2's numbers on a detector small enough to list every outcome."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.systems.pyramid import system
from calojax.systems.pyramid.config import Config, Model
from calojax.systems.pyramid.stages import grid, numbers

HIT = np.array([False, True, True, True])
RINGS, PER_RING = (3, 2, 2), (4, 8, 1)  # of the three hit layers
ROOM = (12, 16, 2)
DRAWS = 20_000


@pytest.fixture(scope="module")
def setting(prepared):
    """Constants, shaken parameters, and a function of a number of showers at one energy, all with layers `HIT`."""
    config = Config(model=Model(hidden=6, cell_hidden=6))
    known = jax.tree.map(jnp.asarray, system.constants(config, prepared.manifest))
    params = numbers.init(jax.random.key(0), config.model, known)
    shaken = jax.tree.map(lambda a: a + 0.2 * jax.random.normal(jax.random.key(a.size), a.shape), params)
    return known, shaken, lambda n: grid.build(jnp.full(n, 2e4), jnp.tile(HIT, (n, 1)), known)


@pytest.fixture(scope="module")
def outcomes(setting):
    """Every possible outcome, (n, 3) rings and cells of the hit layers, and its probability."""
    known, params, showers = setting
    pairs = [
        [(k, n) for k in range(1, rings + 1) for n in range(k, k * cells + 1)]
        for rings, cells in zip(RINGS, PER_RING, strict=True)
    ]
    found = np.array(list(itertools.product(*pairs)))  # (n, 3, 2)
    by_layer = np.zeros((len(found), 4, 2), np.int32)
    by_layer[:, HIT] = found
    given = numbers.Numbers(*(jnp.asarray(by_layer[:, :, i].ravel()) for i in range(2)))
    return found, np.exp(numbers.log_probability(params, showers(len(found)), given, known))


def test_probabilities_of_all_outcomes_sum_to_one(outcomes):
    assert outcomes[1].sum() == pytest.approx(1, abs=1e-3)


def test_draws_are_possible_and_as_frequent_as_probable(setting, outcomes):
    known, params, showers = setting
    uniform = jax.random.uniform(jax.random.key(1), (9, DRAWS))
    noise = numbers.Noise(uniform[0], uniform[1:5].T.ravel(), uniform[5:].T.ravel())
    drawn = jax.jit(numbers.draw)(params, showers(DRAWS), noise, known)
    rings, cells = (np.asarray(x).reshape(DRAWS, 4) for x in drawn)
    assert (rings[:, ~HIT] == 0).all() and (cells[:, ~HIT] == 0).all()
    assert (cells[:, HIT] >= 1).all() and (cells[:, HIT] <= ROOM).all()
    found, probability = outcomes
    for layer in range(3):
        for number in range(1, ROOM[layer] + 1):
            expected = probability[found[:, layer, 1] == number].sum()
            seen = (cells[:, HIT][:, layer] == number).mean()
            assert abs(seen - expected) < 5 * np.sqrt(expected / DRAWS) + 1e-4, (layer, number)
