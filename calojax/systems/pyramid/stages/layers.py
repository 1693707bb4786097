"""Stage 1: how many layers are hit, and which.

The number is a categorical variable whose prior is its table; in the CDF's picture (`nn.cdf`) that is a piecewise
linear monotone map with its knots at the edges of the integers. The layers are then placed one after another
(`nn.placement`), from front to back: whatever is left over when all but the last are placed has to go there, and the
tail of a shower is where it belongs.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, placement, rows
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages import grid


class Noise(NamedTuple):
    """count (T,) and layers (L, T), uniform in [0, 1)."""

    count: Array
    layers: Array


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    layers, hidden = constants.tree.layer_rings.shape[0], config.hidden
    keys = jax.random.split(key, 2)
    return {
        "count": dense.init_stack(keys[0], (3, hidden, layers + 1)),
        "place": dense.init_stack(keys[1], (3 + 2 * layers + 2, hidden, hidden, 1)),
    }


def log_probability(params: dict[str, Any], incident_energy: Array, layers: Array, constants: Constants) -> Array:
    """layers (T, L) bool -> (T,)."""
    energy = truth.energy_features(incident_energy, constants)
    k = jnp.sum(layers, 1)
    logits = _count_logits(params, energy, constants)
    count = jnp.take_along_axis(jax.nn.log_softmax(logits, 0), k[None], 0)[0]
    logit = _logit(partial(dense.apply_stack, params["place"]), energy)
    placed = placement.score(logit, _order(layers.T), k, jnp.ones_like(layers.T), layers.T)
    return count + placed.log_probability


def draw(params: dict[str, Any], incident_energy: Array, noise: Noise, constants: Constants) -> Array:
    """Hit layers (T, L) bool."""
    energy = truth.energy_features(incident_energy, constants)
    k = categorical(_count_logits(params, energy, constants), noise.count)
    real = jnp.ones(noise.layers.shape, bool)
    logit = _logit(rows.network(params["place"]), energy)
    return placement.draw(logit, _order(real), k, real, noise.layers).pattern.T


def categorical(logits: Array, uniform: Array) -> Array:
    """The class (E,) int32 at a uniform number (E,) of the distribution with these logits (n, E)."""
    weight = jnp.exp(logits - jnp.max(logits, 0))
    target = uniform * sum(weight[1:], weight[0])
    found, end = jnp.zeros(uniform.shape, jnp.int32), jnp.zeros_like(uniform)
    for each in weight[:-1]:  # a walk: sums and cumulative sums over a short first axis take longer
        end = end + each
        found = found + (target >= end)
    return found


def _count_logits(params, energy, constants):
    return dense.apply_stack(params["count"], energy) + constants.hit_layers[:, None]


def _order(pattern):
    layers, showers = pattern.shape
    return jnp.tile(jnp.arange(layers)[:, None], (1, showers))


def _logit(network, energy):
    def logit(step, cell, states, owed, left):
        layers = states.shape[0]
        counts = jnp.stack([owed, left]) / layers
        inputs = jnp.concatenate([energy, states, grid.one_hot(cell, layers), counts])
        return network(inputs)[0]

    return logit
