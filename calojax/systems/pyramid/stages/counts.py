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
    return _share(params, known, numbers, pattern, constants, lambda step, logits, cell: grid.at(counts, cell))[1]


def draw(
    params: dict[str, Any], known: Grid, numbers: Numbers, pattern: Array, uniforms: Array, constants: Constants
) -> Array:
    """Hit cells (R, G) int32 of each hit ring; uniforms (R, G), one per ring."""

    def choose(step, logits, cell):
        return categorical(logits, grid.at(uniforms, cell)) + 1

    return _share(params, known, numbers, pattern, constants, choose)[0]


def _share(params, known, numbers, pattern, constants, choose):
    layers, radii = constants.tree.layer_rings.shape
    showers = known.hit.shape[0] // layers
    cells = constants.tree.ring_cells.shape[1]
    size = jnp.where(pattern, grid.ring_sizes(constants, showers), 0)
    order = grid.ring_order(known.parity, radii)
    prior = _prior(order[:, :layers], constants)
    context = dense.apply(params["context"], stage_numbers.seen(known, numbers, constants))
    possible = jnp.arange(1, cells + 1)[:, None]
    hit = pattern.astype(jnp.float32)

    def body(carry, step_order_prior):
        counts, owed, rings_left, room_left, total = carry
        step, cell, base = step_order_prior
        here = grid.at(pattern.astype(jnp.int32), cell)
        own = grid.at(size, cell)
        rings_left, room_left = rings_left - here, room_left - own
        per_ring = jnp.log1p(owed / jnp.maximum(rings_left + here, 1))
        counted = [owed / cells, per_ring, room_left / cells, rings_left / radii, own / cells]
        inputs = [grid.one_hot(cell, radii), jnp.stack(counted)]
        for values in (jnp.log1p(counts) / 3.0, hit):
            inputs.append(grid.from_ring(values, step, known.parity, radii - 1))
            inputs.append(grid.near_ring(values, step, known.parity, layers))
        logits = dense.apply_stack(params["share"], jnp.concatenate(inputs), context) + jnp.tile(base, (1, showers))
        allowed = (possible <= jnp.minimum(own, owed - rings_left)) & (possible >= owed - room_left)
        logits = jnp.where(allowed, logits, stage_numbers.NEVER)
        k = jnp.where(here > 0, jnp.clip(choose(step, logits, cell), 1, jnp.maximum(own, 1)), 0)
        chosen = jnp.sum(jnp.where(possible == k, jax.nn.log_softmax(logits, 0), 0.0), 0)
        counts = jnp.where(jnp.arange(radii)[:, None] == cell, k.astype(counts.dtype), counts)
        return (counts, owed - k, rings_left, room_left, total + jnp.where(here > 0, chosen, 0.0)), None

    start = (
        jnp.zeros(pattern.shape),
        numbers.cells,
        jnp.sum(pattern, 0, dtype=jnp.int32),
        jnp.sum(size, 0),
        jnp.zeros(known.hit.shape),
    )
    (counts, *_, total), _ = jax.lax.scan(jax.checkpoint(body), start, (jnp.arange(radii), order, prior))
    return counts.astype(jnp.int32), total


def _prior(order, constants):
    """(R, A, L): log prior of the ring that each layer shares out to in each step."""
    layers = constants.tree.layer_rings.shape[0]
    ring = jnp.asarray(constants.tree.layer_rings)[jnp.arange(layers), order]  # (R, L)
    return jnp.moveaxis(jnp.asarray(constants.hit_cells)[jnp.maximum(ring, 0)], 2, 1)
