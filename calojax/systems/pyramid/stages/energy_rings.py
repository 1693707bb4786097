"""Stage 4, third level: a layer's energy shared out to its hit rings, in the order of their placement.

All layers at once. A ring sees what was taken before it in its own layer and in those around, relative to the shares
of the hits.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, mixtures
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.hits import Hits
from calojax.systems.pyramid.stages import grid, numbers, shares


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    keys, hidden, radii = jax.random.split(key, 2), config.hidden, constants.tree.layer_rings.shape[1]
    context = numbers.seen_size(constants) + 1 + len(grid.VECTORS)
    moving = 3 * grid.seen_from_ring(radii) + radii + 3
    sizes = (moving, hidden, hidden, mixtures.parameters(config.components))
    return {"ring_context": dense.init(keys[0], context, hidden), "rings": dense.init_stack(keys[1], sizes)}


def log_density(params: dict[str, Any], pattern: Hits, layers: Array, rings: Array, constants: Constants) -> Array:
    """Of the logits of the rings' energies (R, G): (G,); layers (G,)."""
    return _divide(params, pattern, layers, rings, constants, draw=False)[1]


def draw(params: dict[str, Any], pattern: Hits, layers: Array, uniforms: Array, constants: Constants) -> Array:
    """Energies of the rings (R, G); layers (G,), uniforms (R, G)."""
    return _divide(params, pattern, layers, uniforms, constants, draw=True)[0]


def _divide(params, pattern, layers, given, constants, *, draw):
    """Energies (R, G) and their log density (G,); given (R, G): the energies, or uniform numbers to draw them."""
    radii, n = constants.tree.layer_rings.shape[1], constants.tree.ring_cells.shape[1]
    known, counts = pattern.known, pattern.counts
    order = grid.ring_order(known.parity, radii)
    hit, number = counts > 0, jnp.arange(radii)[:, None]
    per_cell = layers / jnp.maximum(pattern.numbers.cells, 1)
    context = _context(params, pattern, per_cell, constants)
    static = (counts / n, hit.astype(jnp.float32))

    def body(carry, now):
        scaled, energies, left, cells_left, total = carry
        step, ring, here, cells, mean, width, mine, mine_rest = now
        free = here & (cells_left > cells)
        ratio = shares.log_ratio(left, per_cell * jnp.maximum(cells_left, 1), 5.0)
        counted = jnp.stack([jnp.where(here, ratio, 0.0), cells_left / n, cells / n])
        inputs = [grid.one_hot(ring, radii), counted]
        for values in (scaled, *static):
            inputs += grid.around_ring(values, step, known)
        raw = dense.apply_stack(params["rings"], jnp.concatenate(inputs), context)
        own = shares.Fit(mean + _log_odds(cells, cells_left), width)
        if draw:
            taken, left = shares.draw(raw, mine, own, left, here, free)
        else:
            taken, left = mine, mine_rest
            total += shares.log_density(raw, own, taken, left, free & (left > 0))
        departed = shares.log_ratio(taken / jnp.maximum(cells, 1), per_cell, 9.0)
        scaled = jnp.where((number == ring) & here, departed / 3.0, scaled)
        energies = jnp.where(number == ring, taken, energies)
        return (scaled, energies, left, cells_left - cells, total), None

    zeros = jnp.zeros(hit.shape)
    start = (zeros, zeros, layers, pattern.numbers.cells, jnp.zeros(layers.shape))
    by_step = [grid.in_order(values, known.parity) for values in (hit, counts, *_fit(pattern, constants), given)]
    steps = (jnp.arange(radii), order, *by_step, shares.left_behind(by_step[-1]))
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
    energy = pattern.known.incident_energy
    on_grid = lambda values: truth.to_grid(values.T, constants)
    width = jnp.maximum(on_grid(truth.width(constants.ring_share, energy)), 1e-2)
    return on_grid(truth.mean(constants.ring_share, energy)), width
