"""Stage 2: how many rings of each hit layer are hit, how many cells, and which rings.

The two numbers of every hit layer, made continuous by their CDF tables, are elements of a set with a permutation-
invariant spline coupling flow (`nn.couplings`). The number of hit cells is ours: it fixes the shower's total number of
hits here, where all layers are seen together, and stage 3 only shares it out. The rings are then placed one after
another, all layers at once.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import cdf, couplings, dense, placement
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages import grid
from calojax.systems.pyramid.stages.grid import Grid


class Noise(NamedTuple):
    """numbers (2, G) standard normal, rings (R, G) uniform."""

    numbers: Array
    rings: Array


class Numbers(NamedTuple):
    """Of each layer of the grid: hit rings and hit cells (G,) int32, 0 where the layer is not hit."""

    rings: Array
    cells: Array


def flow_shape(config: Model, constants: Constants) -> couplings.Shape:
    """The set flow on (hit rings, hit cells) of the layers."""
    return couplings.Shape(
        dims=2,
        context=grid.context_size(constants),
        neighbours=len(grid.NUMBERS),
        couplings=config.couplings,
        hidden=config.hidden,
        pooled=config.pooled,
        bins=config.bins,
        bound=config.bound,
    )


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    keys = jax.random.split(key, 3)
    radii, hidden = constants.tree.layer_rings.shape[1], config.hidden
    numbers = 2 * (1 + len(grid.NUMBERS))
    return {
        "numbers": couplings.init(keys[0], flow_shape(config, constants)),
        "context": dense.init(keys[1], grid.context_size(constants) + numbers, hidden),
        "place": dense.init_stack(keys[2], (radii * (2 + len(grid.VECTORS)) + 2, hidden, hidden, 1)),
    }


def log_probability(
    params: dict[str, Any],
    known: Grid,
    numbers: Numbers,
    pattern: Array,
    uniforms: Array,
    config: Model,
    constants: Constants,
) -> tuple[Array, Array]:
    """pattern (R, G) bool, uniforms (2, G) for the dequantisation -> log probabilities of numbers and rings, (G,)."""
    shape, layer = flow_shape(config, constants), _layer_of(known, constants)
    z = jnp.stack(
        [
            cdf.dequantise(constants.hit_rings, layer, numbers.rings, uniforms[0]),
            cdf.dequantise(constants.layer_hits, layer, numbers.cells, uniforms[1]),
        ]
    )
    density = couplings.log_density(params["numbers"], jnp.where(known.hit, z, 0.0), _setting(known, constants), shape)
    # with respect to the table: the flow's density over the standard normal one
    numbers_score = density - jnp.where(known.hit, jnp.sum(couplings.standard_normal(z), 0), 0.0)
    prior = cdf.log_probability(constants.hit_rings, layer, numbers.rings)
    prior += cdf.log_probability(constants.layer_hits, layer, numbers.cells)
    logit = _logit(params, known, numbers, constants)
    placed = placement.score(logit, _order(known, constants), numbers.rings, _real(known, constants), pattern)
    return jnp.where(known.hit, numbers_score + prior, 0.0), placed.log_probability


def draw(
    params: dict[str, Any], known: Grid, noise: Noise, config: Model, constants: Constants
) -> tuple[Numbers, Array]:
    """Numbers and hit rings (R, G) bool of the hit layers."""
    shape, layer = flow_shape(config, constants), _layer_of(known, constants)
    z = couplings.inverse(params["numbers"], noise.numbers, _setting(known, constants), shape).values
    rings = cdf.quantise(constants.hit_rings, layer, z[0])
    cells = cdf.quantise(constants.layer_hits, layer, z[1])
    rings = jnp.where(known.hit, jnp.maximum(rings, 1), 0)
    numbers = Numbers(rings, jnp.where(known.hit, cells, 0))
    logit = _logit(params, known, numbers, constants)
    placed = placement.draw(logit, _order(known, constants), rings, _real(known, constants), noise.rings)
    return numbers, placed.pattern


def feasible(numbers: Numbers, pattern: Array, constants: Constants) -> Numbers:
    """The number of hit cells moved, where it must, to what the hit rings (R, G) can hold."""
    showers = pattern.shape[1] // constants.tree.layer_rings.shape[0]
    size = ring_sizes(constants, showers)
    room = jnp.sum(jnp.where(pattern, size, 0), 0)
    return Numbers(numbers.rings, jnp.clip(numbers.cells, jnp.sum(pattern, 0), room))


def ring_sizes(constants: Constants, showers: int) -> Array:
    """(R, G) int32 cells of each ring, 0 where a layer has no such ring."""
    layer_rings = constants.tree.layer_rings
    return jnp.tile(jnp.where(layer_rings >= 0, constants.ring_size[layer_rings], 0).T, (1, showers))


def number_features(numbers: Numbers, constants: Constants) -> Array:
    """Own and neighbouring layers' numbers, scaled: (2 (1 + len(NUMBERS)), G)."""
    layers, radii = constants.tree.layer_rings.shape
    own = jnp.stack([numbers.rings / radii, jnp.log1p(numbers.cells) / 4.0])
    return jnp.concatenate([own, truth.layers_apart(layers, grid.NUMBERS)(own)])


def _layer_of(known, constants):
    return jnp.arange(known.hit.shape[0]) % constants.tree.layer_rings.shape[0]


def _setting(known, constants):
    layers = constants.tree.layer_rings.shape[0]
    showers = known.hit.shape[0] // layers
    neighbours = truth.layers_apart(layers, grid.NUMBERS)
    return couplings.Setting(known.context, known.hit, known.parity, known.owner, showers, neighbours)


def _order(known, constants):
    layers, radii = constants.tree.layer_rings.shape
    return jnp.asarray(grid.ring_order(layers, radii, known.hit.shape[0] // layers))


def _real(known, constants):
    showers = known.hit.shape[0] // constants.tree.layer_rings.shape[0]
    return grid.real_rings(constants, showers) & known.hit


def _logit(params, known, numbers, constants):
    layers, radii = constants.tree.layer_rings.shape
    around = truth.layers_apart(layers, grid.VECTORS)
    context = dense.apply(params["context"], jnp.concatenate([known.context, number_features(numbers, constants)]))
    first, *rest = params["place"]

    def logit(step, cell, states, owed, left):
        inputs = [states, around(states), grid.one_hot(cell, radii), jnp.stack([owed, left]) / radii]
        hidden = jax.nn.relu(dense.apply(first, jnp.concatenate(inputs)) + context)
        return dense.apply_stack(tuple(rest), hidden)[0]

    return logit
