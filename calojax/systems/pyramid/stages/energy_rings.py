"""Stage 4, third level: a layer's energy shared out to its hit rings, in the order of their placement.

All layers at once. A ring sees what was taken before it in its own layer and in those around, relative to the shares
of the hits.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, mixtures, rows
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.hits import Hits
from calojax.systems.pyramid.stages import grid, gridlist, numbers, shares


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    keys, hidden, radii = jax.random.split(key, 2), config.hidden, constants.tree.layer_rings.shape[1]
    context = numbers.seen_size(constants) + 1 + len(grid.VECTORS)
    moving = 3 * grid.seen_from_ring(radii) + radii + 3
    sizes = (moving, hidden, hidden, mixtures.parameters(config.components))
    return {"ring_context": dense.init(keys[0], context, hidden), "rings": dense.init_stack(keys[1], sizes)}


def log_density(params: dict[str, Any], pattern: Hits, layers: Array, rings: Array, constants: Constants) -> Array:
    """Of the logits of the rings' energies (R, G): (G,); layers (G,)."""
    given = grid.in_order(rings, pattern.known.parity)
    known = lambda raw, mine, *others: shares.Split(*mine)
    return _divide(params, pattern, layers, jnp.stack([given, shares.left_behind(given)], 1), constants, known)[1]


def draw(params: dict[str, Any], pattern: Hits, layers: Array, uniforms: Array, constants: Constants) -> Array:
    """Energies of the rings (R, G); layers (G,), uniforms (R, G).

    Only rings with a choice are computed: the last hit ring of a layer takes what is left.
    """
    n, parity, most = constants.tree.ring_cells.shape[1], pattern.known.parity, len(pattern.rings.owner)
    hit = pattern.counts > 0
    radii, turns, counts = len(hit), grid.in_order(hit, parity), grid.in_order(pattern.counts, parity)
    behind, hits_behind = shares.left_behind(counts), shares.left_behind(turns.astype(jnp.int32))
    last, per_cell = gridlist.last_ring(turns, parity), layers / jnp.maximum(pattern.numbers.cells, 1)
    network = _of_some(params, _context(params, pattern, per_cell, constants), radii)
    fit, over = _fit_of_some(pattern, constants), gridlist.turns_over(radii, 3)

    def decide(state, step, rings):
        around, left = state
        of_layer = lambda values: rows.take(values, rings.layer)
        cells, uniform = (rows.take(values.ravel(), rings.place) for values in (pattern.counts, uniforms))
        later, hits_later = (rows.take(values.ravel(), rings.turn) for values in (behind, hits_behind))
        mine, usual, cells_left = of_layer(left), of_layer(per_cell), cells + later
        ratio = shares.log_ratio(mine, usual * jnp.maximum(cells_left, 1), 5.0)
        known = 2 * step + of_layer(parity)
        seen = around.around(rings) * rows.take(over, known)
        raw = network(seen, [ratio, cells_left / n, cells / n], rings)
        mean, width = fit(rings)
        own = shares.Fit(mean + _log_odds(cells, cells_left), width)
        taken, rest = shares.draw(raw, uniform, own, mine, rings.here, rings.here)
        departed = [_departed(taken, cells, usual), _departed(rest, later, usual)]
        forced = jnp.where(hits_later == 1, of_layer(last), radii)
        where = [jnp.where(rings.here, ring, radii) for ring in (rings.ring, forced)]
        at = jnp.where(rings.here, rings.layer, len(left))
        left = left.at[at].set(rest, mode="drop", unique_indices=True)
        return (around.put(rings.layer, where, departed), left), taken

    values = [jnp.zeros(hit.shape), pattern.counts / n, hit.astype(jnp.float32)]
    start = (gridlist.surroundings(values, constants), layers)
    (_, left), energies = gridlist.step_by_step(decide, start, turns & (hits_behind > 0), pattern.known, most)
    return jnp.where(jnp.arange(radii)[:, None] == last, left, grid.in_order(energies, parity))


def _of_some(params, context, radii):
    """The network of `_divide` for rows of rings."""
    return gridlist.network(params["rings"], context, slice(radii + 3, None), slice(radii), 3)


def _departed(energy, cells, per_cell):
    return shares.log_ratio(energy / jnp.maximum(cells, 1), per_cell, 9.0) / 3.0


def _divide(params, pattern, layers, given, constants, take):
    """Energies (R, G) and their log density (G,), all rings in every step; given (R, ..., G) by step: what `take` needs
    to say what a ring takes: (raw, given, fit, left, here, free) -> Split."""
    radii, n = constants.tree.layer_rings.shape[1], constants.tree.ring_cells.shape[1]
    known, counts = pattern.known, pattern.counts
    order = grid.ring_order(known.parity, radii)
    hit, number = counts > 0, jnp.arange(radii)[:, None]
    per_cell = layers / jnp.maximum(pattern.numbers.cells, 1)
    context = _context(params, pattern, per_cell, constants)
    static = (counts / n, hit.astype(jnp.float32))

    def body(carry, now):
        scaled, energies, left, cells_left, total = carry
        step, ring, here, cells, mean, width, mine = now
        free = here & (cells_left > cells)
        ratio = shares.log_ratio(left, per_cell * jnp.maximum(cells_left, 1), 5.0)
        counted = jnp.stack([jnp.where(here, ratio, 0.0), cells_left / n, cells / n])
        inputs = [grid.one_hot(ring, radii), counted]
        for values in (scaled, *static):
            inputs += grid.around_ring(values, step, known)
        raw = dense.apply_stack(params["rings"], jnp.concatenate(inputs), context)
        own = shares.Fit(mean + _log_odds(cells, cells_left), width)
        taken, left = take(raw, mine, own, left, here, free)
        total += shares.log_density(raw, own, taken, left, free & (left > 0))
        scaled = jnp.where((number == ring) & here, _departed(taken, cells, per_cell), scaled)
        energies = jnp.where(number == ring, taken, energies)
        return (scaled, energies, left, cells_left - cells, total), None

    zeros = jnp.zeros(hit.shape)
    start = (zeros, zeros, layers, pattern.numbers.cells, jnp.zeros(layers.shape))
    by_step = [grid.in_order(values, known.parity) for values in (hit, counts, *_fit(pattern, constants))]
    steps = (jnp.arange(radii), order, *by_step, given)
    # the last ring takes what is left: nothing is decided there
    (_, energies, left, *_, total), _ = jax.lax.scan(jax.checkpoint(body), start, jax.tree.map(lambda x: x[:-1], steps))
    return jnp.where((number == order[-1]) & hit, left, energies), total


def _log_odds(cells, cells_left):
    """Logit of the share of the hit cells."""
    return jnp.log(jnp.maximum(cells, 1)) - jnp.log(jnp.maximum(cells_left - cells, 1))


def _context(params, pattern, per_cell, constants):
    known = pattern.known
    around = truth.layers_apart(constants.tree.layer_rings.shape[0], grid.VECTORS)
    own = jnp.where(known.hit, jnp.log(per_cell + shares.TINY), 0.0)[None] / 3.0
    parts = [numbers.seen(known, pattern.numbers, constants), own, around(own)]
    return dense.apply(params["ring_context"], jnp.concatenate(parts))


def _fit(pattern, constants):
    """Mean, but for the share of the hits, and width (R, G) of the logits of the rings' shares."""
    on_grid = lambda values: truth.to_grid(values, constants)
    mean, width = _fit_in_tree(pattern, constants)
    return on_grid(mean), jnp.maximum(on_grid(width), 1e-2)


def _fit_in_tree(pattern, constants):
    """The same (T, N)."""
    energy = pattern.known.incident_energy
    return truth.mean(constants.ring_share, energy).T, truth.width(constants.ring_share, energy).T


def _fit_of_some(pattern, constants):
    """The same of rings that exist."""
    fits = _fit_in_tree(pattern, constants)

    def of_some(rings):
        owner, ring = gridlist.in_tree(rings, pattern.known, constants)
        mean, width = (rows.take(x.ravel(), owner * x.shape[1] + ring) for x in fits)
        return mean, jnp.maximum(width, 1e-2)

    return of_some
