"""Stage 3, first half: how many cells of each hit ring are hit.

The layer's number of hit cells is shared out ring by ring, all layers at once, so that it comes out exactly: the number
of one ring is a categorical variable over what leaves room for the rest, with the ring's table as its prior (the
piecewise linear map in the CDF's picture, see `stages.layers`).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages import grid
from calojax.systems.pyramid.stages import numbers as stage_numbers
from calojax.systems.pyramid.stages.grid import Grid
from calojax.systems.pyramid.stages.layers import categorical
from calojax.systems.pyramid.stages.numbers import Numbers


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    keys = jax.random.split(key, 2)
    radii, hidden = constants.tree.layer_rings.shape[1], config.hidden
    cells = constants.tree.ring_cells.shape[1]
    return {
        "context": dense.init(keys[0], stage_numbers.seen_size(constants), hidden),
        "share": dense.init_stack(keys[1], (2 * grid.seen_from_ring(radii) + radii + 5, hidden, hidden, cells)),
    }


def log_probability(
    params: dict[str, Any], known: Grid, numbers: Numbers, pattern: Array, counts: Array, constants: Constants
) -> Array:
    """pattern (R, G) bool, counts (R, G) int32, their sum over rings numbers.cells -> (G,)."""
    return _share(params, known, numbers, pattern, counts, constants, lambda logits, count: count)[1]


def draw(
    params: dict[str, Any], known: Grid, numbers: Numbers, pattern: Array, uniforms: Array, constants: Constants
) -> Array:
    """Hit cells (R, G) int32 of each hit ring; uniforms (R, G), one per ring."""

    choose = lambda logits, uniform: categorical(logits, uniform) + 1
    return _share(params, known, numbers, pattern, uniforms, constants, choose)[0]


def _share(params, known, numbers, pattern, given, constants, choose):
    """Counts (R, G) and their log probability (G,); given (R, G): what `choose` takes beside the logits."""
    layers, radii = constants.tree.layer_rings.shape
    showers = known.hit.shape[0] // layers
    cells = constants.tree.ring_cells.shape[1]
    size = jnp.where(pattern, grid.ring_sizes(constants, showers), 0)
    order = grid.ring_order(known.parity, radii)
    context = dense.apply(params["context"], stage_numbers.seen(known, numbers, constants))
    possible = jnp.arange(1, cells + 1)[:, None]
    number, hit = jnp.arange(radii)[:, None], pattern.astype(jnp.float32)

    def body(carry, now):
        counts, owed, rings_left, room_left, total = carry
        step, cell, base, here, own, mine = now
        rings_left, room_left = rings_left - here, room_left - own
        per_ring = jnp.log1p(owed / jnp.maximum(rings_left + here, 1))
        counted = jnp.stack([owed / cells, per_ring, room_left / cells, rings_left / radii, own / cells])
        inputs = [grid.one_hot(cell, radii), counted]
        for values in (jnp.log1p(counts) / 3.0, hit):
            inputs += grid.around_ring(values, step, known)
        logits = dense.apply_stack(params["share"], jnp.concatenate(inputs), context) + jnp.tile(base, (1, showers))
        allowed = (possible <= jnp.minimum(own, owed - rings_left)) & (possible >= owed - room_left)
        logits = jnp.where(allowed, logits, stage_numbers.NEVER)
        k = jnp.where(here, jnp.clip(choose(logits, mine), 1, jnp.maximum(own, 1)), 0)
        chosen = jnp.sum(jnp.where(possible == k, jax.nn.log_softmax(logits, 0), 0.0), 0)
        counts = jnp.where(number == cell, k.astype(counts.dtype), counts)
        return (counts, owed - k, rings_left, room_left, total + jnp.where(here, chosen, 0.0)), None

    rings_left, room_left = jnp.sum(pattern, 0, dtype=jnp.int32), jnp.sum(size, 0)
    start = (jnp.zeros(pattern.shape), numbers.cells, rings_left, room_left, jnp.zeros(known.hit.shape))
    by_step = [grid.in_order(values, known.parity) for values in (pattern, size, given)]
    steps = (jnp.arange(radii), order, _prior(order[:, :layers], constants), *by_step)
    # the last ring takes what is left: nothing is decided there
    (counts, owed, *_, total), _ = jax.lax.scan(jax.checkpoint(body), start, jax.tree.map(lambda x: x[:-1], steps))
    counts = jnp.where((number == order[-1]) & pattern, owed, counts)
    return counts.astype(jnp.int32), total


def _prior(order, constants):
    """(R, A, L): log prior of the ring that each layer shares out to in each step."""
    layers = constants.tree.layer_rings.shape[0]
    ring = jnp.asarray(constants.tree.layer_rings)[jnp.arange(layers), order]  # (R, L)
    return jnp.moveaxis(jnp.asarray(constants.hit_cells)[jnp.maximum(ring, 0)], 2, 1)
