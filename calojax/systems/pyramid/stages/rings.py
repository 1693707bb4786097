"""Stage 2, second half: which rings of each hit layer are hit, one after another (`nn.placement`), all layers at once.

Everything is seen from the ring that is placed, so that what one ring learns of its neighbours serves all.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, placement, rows
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages import grid, gridlist
from calojax.systems.pyramid.stages import numbers as stage_numbers
from calojax.systems.pyramid.stages.grid import Grid
from calojax.systems.pyramid.stages.numbers import Numbers


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    keys = jax.random.split(key, 2)
    radii, hidden = constants.tree.layer_rings.shape[1], config.hidden
    return {
        "context": dense.init(keys[0], stage_numbers.seen_size(constants), hidden),
        "place": dense.init_stack(keys[1], (grid.seen_from_ring(radii) + radii + 3, hidden, hidden, 1)),
    }


def log_probability(
    params: dict[str, Any], known: Grid, numbers: Numbers, pattern: Array, constants: Constants
) -> Array:
    """pattern (R, G) bool -> (G,)."""
    logit = _logit(params, known, numbers, constants)
    order = grid.ring_order(known.parity, pattern.shape[0])
    return placement.score(logit, order, numbers.rings, _real(known, constants), pattern).log_probability


def draw(params: dict[str, Any], known: Grid, numbers: Numbers, uniforms: Array, constants: Constants) -> Array:
    """Hit rings (R, G) bool of the hit layers; uniforms (R, G). Only rings with a choice are computed."""
    order, real = grid.ring_order(known.parity, len(uniforms)), _real(known, constants)
    logit = placement.where_open(_look(params, known, numbers, order, constants), gridlist.chunk(2 * order.shape[1]))
    memory = _memory(real, order, constants)
    return placement.draw(logit, order, numbers.rings, real, uniforms, memory).pattern


def _memory(real, order, constants):
    """As `placement.states`, for `_look`."""
    layer, usual = jnp.arange(order.shape[1]), placement.states(real, order)

    def put(memory, step, hit):
        return memory.put(layer, [order[step]], [jnp.where(hit, placement.HIT, placement.EMPTY)])

    start = gridlist.surroundings([usual.start], constants)
    return placement.Memory(start, put, lambda memory: usual.pattern(memory.first()))


def _look(params, known, numbers, order, constants):
    """The network of `_logit` for some rings."""
    radii, size = order.shape
    context = dense.apply(params["context"], stage_numbers.seen(known, numbers, constants))
    around = grid.seen_from_ring(radii)
    network = gridlist.network(params["place"], context, slice(around), slice(around, around + radii), 1)

    def look(step, memory):
        def decide(layer, owed, left):
            ring = rows.take(order[step], layer)
            some = gridlist.Rings(layer, ring, layer >= 0, ring * size + layer, step * size + layer)
            return network(memory.around(some), [owed / radii, left / radii, owed / jnp.maximum(left, 1)], some)[0]

        return decide

    return look


def _real(known, constants):
    showers = known.hit.shape[0] // constants.tree.layer_rings.shape[0]
    return grid.real_rings(constants, showers) & known.hit


def _logit(params, known, numbers, constants):
    radii = constants.tree.layer_rings.shape[1]
    context = dense.apply(params["context"], stage_numbers.seen(known, numbers, constants))

    def logit(step, cell, states, owed, left):
        counted = jnp.stack([owed / radii, left / radii, owed / jnp.maximum(left, 1)])
        inputs = jnp.concatenate([*grid.around_ring(states, step, known), grid.one_hot(cell, radii), counted])
        return dense.apply_stack(params["place"], inputs, context)[0]

    return logit
