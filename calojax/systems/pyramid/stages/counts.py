"""Stage 3, first half: how many cells of each hit ring are hit.

The layer's number of hit cells is shared out ring by ring, all layers at once, so that it comes out exactly: the number
of one ring is a categorical variable over what leaves room for the rest, with the ring's table as its prior (the
piecewise linear map in the CDF's picture, see `stages.layers`).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, rows
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages import grid, gridlist, shares
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
    params: dict[str, Any],
    known: Grid,
    numbers: Numbers,
    pattern: Array,
    uniforms: Array,
    most: int,
    constants: Constants,
) -> Array:
    """Hit cells (R, G) int32 of each hit ring; uniforms (R, G), one per ring; most: hit rings that are computed.

    Only rings with a choice are: the last hit ring of a layer takes what is left.
    """
    cells, radii = constants.tree.ring_cells.shape[1], len(pattern)
    size = jnp.where(pattern, grid.ring_sizes(constants, pattern.shape[1] // len(constants.tree.layer_rings)), 0)
    turns, hits = grid.in_order(pattern, known.parity), jnp.sum(pattern, 0)
    room, later = shares.left_behind(grid.in_order(size, known.parity)), shares.left_behind(turns.astype(jnp.int32))
    is_last = jnp.arange(radii)[:, None] == (last := gridlist.last_ring(turns, known.parity))
    context = dense.apply(params["context"], stage_numbers.seen(known, numbers, constants))
    network = gridlist.network(params["share"], context, slice(radii + 5, None), slice(radii), 2)
    over, possible = gridlist.turns_over(radii, 2), jnp.arange(1, cells + 1)[:, None]
    seen_as = lambda count: jnp.log1p(count) / 3.0

    def decide(state, step, rings):
        around, left = state
        of_layer = lambda values: rows.take(values, rings.layer)
        own, uniform = (rows.take(values.ravel(), rings.place) for values in (size, uniforms))
        room_left, rings_left = (rows.take(values.ravel(), rings.turn) for values in (room, later))
        owed = of_layer(left)
        per_ring = jnp.log1p(owed / (rings_left + 1))
        counted = [owed / cells, per_ring, room_left / cells, rings_left / radii, own / cells]
        seen = around.around(rings) * rows.take(over, 2 * step + of_layer(known.parity))
        prior = rows.take(constants.hit_cells, gridlist.in_tree(rings, known, constants)[1]).T
        allowed = (possible <= jnp.minimum(own, owed - rings_left)) & (possible >= owed - room_left)
        logits = jnp.where(allowed, network(seen, counted, rings) + prior, stage_numbers.NEVER)
        k = jnp.clip(categorical(logits, uniform) + 1, 1, jnp.maximum(own, 1))
        forced = jnp.where(rings_left == 1, of_layer(last), radii)
        where = [jnp.where(rings.here, ring, radii) for ring in (rings.ring, forced)]
        at = jnp.where(rings.here, rings.layer, len(left))
        left = left.at[at].set(owed - k, mode="drop", unique_indices=True)
        return (around.put(rings.layer, where, [seen_as(k), seen_as(owed - k)]), left), k.astype(jnp.float32)

    alone = jnp.where(is_last & (hits == 1), seen_as(numbers.cells), 0.0)
    start = (gridlist.surroundings([alone, pattern.astype(jnp.float32)], constants), numbers.cells)
    (_, left), drawn = gridlist.step_by_step(decide, start, turns & (later > 0), known, most)
    return jnp.where(is_last, left, grid.in_order(drawn, known.parity)).astype(jnp.int32)


def _share(params, known, numbers, pattern, given, constants, choose):
    """Counts (R, G) and their log probability (G,), all rings in every step; given (R, G): what `choose` takes beside
    the logits."""
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
