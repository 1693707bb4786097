"""Stage 4: the energy of every hit cell, divided along the same tree.

    incident energy -> total -> layers -> rings -> cells

Each level shares out the energy above threshold that the level above has left, child by child: a hit child takes the
fraction v of what remains, the last hit child takes all of it. So cells that are not hit are zero, hit cells are at or
above threshold, and the sums of layers and of the shower are exact. The logits of the fractions follow mixtures of
logistics, given all that was shared out before: layers from front to back, rings and cells in the order of their
placement. Cells that are not hit cost nothing: the network of the last level runs once per hit cell.

Sharing out what is left, by layer: the u variables of CaloFlow and CaloINN (arXiv:2106.05285, arXiv:2312.09290); only
hit layers, down to cells, and above threshold: ours.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, mixtures, sets
from calojax.systems.pyramid import truth
from calojax.systems.pyramid.coarse import FACES
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.hits import Hits
from calojax.systems.pyramid.noise import Noise
from calojax.systems.pyramid.stages import grid, numbers, ringlist, shares
from calojax.systems.pyramid.truth import Cells, Rings

TINY = 1e-12


class Uniforms(NamedTuple):
    """total (T,), layers (G,), rings (R, G), cells (A, E)."""

    total: Array
    layers: Array
    rings: Array
    cells: Array


class Energies(NamedTuple):
    """MeV above threshold: total (T,), layers (G,), rings (R, G), cells (A, E)."""

    total: Array
    layers: Array
    rings: Array
    cells: Array


def noise(of_showers: Noise, listed: Rings, constants: Constants) -> Uniforms:
    """All that stage 4 takes."""
    depth, radii = constants.tree.layer_rings.shape
    on_grid = of_showers.on_grid("energies", radii + 2, depth)
    total = on_grid[-1].reshape(-1, depth)[:, 0]
    in_cells = of_showers.by_ring("cell energies", listed, constants.tree.ring_cells.shape[1])
    return Uniforms(total, on_grid[radii], on_grid[:radii], in_cells)


def of_showers(excess: Array, rings: Rings, constants: Constants) -> Energies:
    """True energies of every level from those of the cells, excess (A, E)."""
    by_ring = truth.grid(jnp.sum(excess, 0), rings, constants)
    layers = jnp.sum(by_ring, 0)
    total = jnp.sum(layers.reshape(-1, constants.tree.layer_rings.shape[0]), 1)
    return Energies(total, layers, by_ring, excess)


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    keys = jax.random.split(key, 8)
    layers, radii = constants.tree.layer_rings.shape
    cells, hidden, narrow = constants.tree.ring_cells.shape[1], config.hidden, config.cell_hidden
    outputs = mixtures.parameters(config.components)
    by_layer = grid.context_size(constants) + 2 * (1 + len(grid.NUMBERS))
    seen = 2 * (cells - 1) + 2 * FACES * ringlist.window(cells, REACH)
    of_ring = 3 + constants.ring_features.shape[0] + 2 + 2 * FACES
    return {
        "total": dense.init_stack(keys[0], (3 + 2 * layers, hidden, hidden, outputs)),
        "layer_context": dense.init(keys[1], by_layer + 1, hidden),
        "layers": dense.init_stack(keys[2], (len(numbers.HISTORY) + 2, hidden, hidden, outputs)),
        "ring_context": dense.init(keys[3], by_layer + 1 + len(grid.VECTORS), hidden),
        "rings": dense.init_stack(keys[4], (3 * grid.seen_from_ring(radii) + radii + 3, hidden, hidden, outputs)),
        "seen": dense.init(keys[5], seen, narrow),
        "cell_context": dense.init(keys[6], of_ring + 2 + cells, narrow),
        "cells": dense.init_stack(keys[7], (narrow, narrow, outputs)),
    }


def log_probability(
    params: dict[str, Any], pattern: Hits, energies: Energies, listed: Cells, constants: Constants
) -> dict[str, Array]:
    """Log densities of the standardised logits, by level, each (T,); listed: all hit cells of the pattern."""
    showers, depth = pattern.known.energy.shape[1], constants.tree.layer_rings.shape[0]
    by_shower = lambda score: jnp.sum(score.reshape(showers, depth), 1)
    total = _standard_total(pattern, energies.total, constants)
    of_total = mixtures.log_density(_total_raw(params, pattern, constants), total)
    of_cells = _score_cells(params, pattern, energies, listed, constants)
    owner = jnp.concatenate([pattern.rings.owner, jnp.full(1, showers)])[listed.place]
    return {
        "total": jnp.where(energies.total > 0, of_total, 0.0),
        "layers": by_shower(_score_layers(params, pattern, energies, total, constants)),
        "rings": by_shower(_divide_layers(params, pattern, energies.layers, energies.rings, constants, draw=False)[1]),
        "cells": sets.sum_by_owner(of_cells, owner, showers),
    }


def draw(
    params: dict[str, Any], pattern: Hits, uniforms: Uniforms, per_step: int, constants: Constants
) -> tuple[Array, Array]:
    """Energies above threshold of the hit cells, (A, E), MeV; and whether `per_step` was too few.

    per_step: rings of the list that can share out energy in one step.
    """
    raw = _total_raw(params, pattern, constants)
    total = jnp.clip(mixtures.draw(raw, uniforms.total), -8.0, 8.0)
    log_response = total * constants.response.width[0] + _response(pattern, constants)
    energy = pattern.known.incident_energy * jnp.exp(log_response)
    layers = _draw_layers(params, pattern, energy, total, uniforms.layers, constants)
    by_ring = _divide_layers(params, pattern, layers, uniforms.rings, constants, draw=True)[0]
    in_tree = truth.from_grid(by_ring, constants)
    in_list = in_tree[jnp.minimum(pattern.rings.owner, in_tree.shape[0] - 1), pattern.rings.ring]
    return _draw_cells(params, pattern, in_list, uniforms.cells, per_step, constants)


# --- total


def _response(pattern, constants):
    return truth.polynomial(constants.response, pattern.known.incident_energy)[0]


def _standard_total(pattern, total, constants):
    log_ratio = jnp.log(jnp.maximum(total, TINY) / pattern.known.incident_energy)
    return (log_ratio - _response(pattern, constants)) / constants.response.width[0]


def _total_raw(params, pattern, constants):
    layers, radii = constants.tree.layer_rings.shape
    by_layer = lambda x: x.reshape(-1, layers).T
    found = pattern.numbers
    parts = [pattern.known.energy, by_layer(jnp.log1p(found.cells) / 4.0), by_layer(found.rings) / radii]
    return dense.apply_stack(params["total"], jnp.concatenate(parts))


# --- layers


def _layer_context(params, pattern, total, constants):
    depth = constants.tree.layer_rings.shape[0]
    own_total = truth.on_grid(total[None], depth)
    seen = [pattern.known.context, numbers.features(pattern.numbers, constants), own_total]
    return dense.apply(params["layer_context"], jnp.concatenate(seen))


def _layer_fit(pattern, constants):
    """Mean and width (G,) of the logits of the layers' shares: those of their hits, and a polynomial in ln E."""
    energy = pattern.known.incident_energy
    mean = truth.polynomial(constants.layer_share, energy).T.ravel()
    of_hits = shares.logits(pattern.numbers.cells.reshape(energy.shape[0], -1).T.astype(jnp.float32))
    return shares.Fit(mean + of_hits.T.ravel(), jnp.tile(constants.layer_share.width, energy.shape[0]))


def _layer_raw(params, context, history, left, hits_left, energy_per_hit):
    """What a layer sees: how those before it departed, and the energy per hit that is left against the shower's."""
    ratio = jnp.log(left + TINY) - jnp.log(jnp.maximum(hits_left, 1) * energy_per_hit + TINY)
    inputs = jnp.concatenate([history / 2.0, jnp.clip(ratio, -5.0, 5.0)[None], jnp.log1p(hits_left)[None] / 4.0])
    first, *rest = params["layers"]
    return dense.apply_stack(tuple(rest), jax.nn.relu(dense.apply(first, inputs) + context))


def _score_layers(params, pattern, energies, total, constants):
    depth = constants.tree.layer_rings.shape[0]
    by_layer = lambda x: x.reshape(-1, depth).T
    energy, hits = by_layer(energies.layers), by_layer(pattern.numbers.cells)
    rest, hits_rest = shares.left_behind(energy), shares.left_behind(hits)
    on_grid = lambda x: x.T.ravel()
    free = on_grid((hits > 0) & (hits_rest > 0))
    fit = _layer_fit(pattern, constants)
    departed = jnp.clip(shares.standard(fit, energies.layers, on_grid(rest), free), -8.0, 8.0)
    history = truth.layers_apart(depth, numbers.HISTORY)(departed[None])
    per_hit = truth.on_grid((energies.total / jnp.maximum(jnp.sum(hits, 0), 1))[None], depth)[0]
    context = _layer_context(params, pattern, total, constants)
    raw = _layer_raw(params, context, history, on_grid(energy + rest), on_grid(hits + hits_rest), per_hit)
    return shares.log_density(raw, fit, energies.layers, on_grid(rest), free)


def _draw_layers(params, pattern, energy, total, uniforms, constants):
    """(G,)"""
    depth = constants.tree.layer_rings.shape[0]
    by_layer = lambda x: jnp.moveaxis(x.reshape(*x.shape[:-1], -1, depth), -1, 0)
    hits = by_layer(pattern.numbers.cells)
    hits_rest = shares.left_behind(hits)
    per_hit = energy / jnp.maximum(jnp.sum(hits, 0), 1)
    fits = shares.Fit(*(by_layer(x) for x in _layer_fit(pattern, constants)))
    context = by_layer(_layer_context(params, pattern, total, constants))

    def body(carry, layer):
        left, history = carry
        hits, hits_rest, fit, context, uniform = layer
        here, free = hits > 0, (hits > 0) & (hits_rest > 0)
        raw = _layer_raw(params, context, history, left, hits + hits_rest, per_hit)
        taken, rest = shares.draw(raw, uniform, fit, left, here, free)
        departed = jnp.clip(shares.standard(fit, taken, rest, free & (taken > 0) & (rest > 0)), -8.0, 8.0)
        return (rest, jnp.concatenate([departed[None], history[:-1]])), taken

    start = (energy, jnp.zeros((len(numbers.HISTORY), energy.shape[0])))
    _, taken = jax.lax.scan(body, start, (hits, hits_rest, fits, context, by_layer(uniforms)))
    return taken.T.ravel()


# --- rings of a layer


def _divide_layers(params, pattern, layers, given, constants, *, draw):
    """Energies of the rings (R, G) and their log density (G,); given (R, G): uniform numbers to draw them, or they."""
    depth, radii = constants.tree.layer_rings.shape
    n = constants.tree.ring_cells.shape[1]
    order = grid.ring_order(pattern.known.parity, radii)
    hit, counts = pattern.counts > 0, pattern.counts
    per_cell = layers / jnp.maximum(pattern.numbers.cells, 1)
    context = _ring_context(params, pattern, per_cell, constants)
    mean, width = _ring_fit(pattern, constants)
    first, *rest = params["rings"]
    static = (counts / n, hit.astype(jnp.float32))
    ordered = jnp.take_along_axis(given, order, axis=0)
    behind = shares.left_behind(ordered)

    def body(carry, step_ring_given):
        scaled, energies, left, cells_left, total = carry
        step, ring, mine, mine_rest = step_ring_given
        here, cells = grid.at(hit.astype(jnp.int32), ring) > 0, grid.at(counts, ring)
        free = here & (cells_left > cells)
        ratio = jnp.log(left + TINY) - jnp.log(per_cell * jnp.maximum(cells_left, 1) + TINY)
        counted = jnp.stack([jnp.where(here, jnp.clip(ratio, -5.0, 5.0), 0.0), cells_left / n, cells / n])
        inputs = [grid.one_hot(ring, radii), counted]
        for values in (scaled, *static):
            inputs.append(grid.from_ring(values, step, pattern.known.parity, radii - 1))
            inputs.append(grid.near_ring(values, step, pattern.known.parity, depth))
        raw = dense.apply_stack(tuple(rest), jax.nn.relu(dense.apply(first, jnp.concatenate(inputs)) + context))
        own = shares.Fit(grid.at(mean, ring) + _log_odds(cells, cells_left), grid.at(width, ring))
        if draw:
            taken, left = shares.draw(raw, mine, own, left, here, free)
        else:
            taken, left = mine, mine_rest
            total += shares.log_density(raw, own, taken, left, free & (left > 0))
        at = jnp.arange(radii)[:, None] == ring
        departed = jnp.log(taken / jnp.maximum(cells, 1) + TINY) - jnp.log(per_cell + TINY)
        scaled = jnp.where(at & here, jnp.clip(departed, -9.0, 9.0) / 3.0, scaled)
        energies = jnp.where(at, taken, energies)
        return (scaled, energies, left, cells_left - cells, total), None

    zeros = jnp.zeros(hit.shape)
    start = (zeros, zeros, layers, pattern.numbers.cells, jnp.zeros(layers.shape))
    (_, energies, _, _, total), _ = jax.lax.scan(
        jax.checkpoint(body), start, (jnp.arange(radii), order, ordered, behind)
    )
    return energies, total


def _log_odds(cells, cells_left):
    """Logit of the share of the hit cells."""
    return jnp.log(jnp.maximum(cells, 1)) - jnp.log(jnp.maximum(cells_left - cells, 1))


def _ring_context(params, pattern, per_cell, constants):
    known = pattern.known
    around = truth.layers_apart(constants.tree.layer_rings.shape[0], grid.VECTORS)
    own = jnp.where(known.hit, jnp.log(per_cell + TINY), 0.0)[None] / 3.0
    parts = [known.context, numbers.features(pattern.numbers, constants), own, around(own)]
    return dense.apply(params["ring_context"], jnp.concatenate(parts))


def _ring_fit(pattern, constants):
    """Mean, but for the share of the hits, and width (R, G) of the logits of the rings' shares."""
    energy = pattern.known.incident_energy
    mean = truth.to_grid(truth.polynomial(constants.ring_share, energy).T, constants)
    width = truth.to_grid(jnp.tile(constants.ring_share.width, (energy.shape[0], 1)), constants)
    return mean, jnp.maximum(width, 1e-2)


# --- cells of a ring


REACH = 1  # cells to either side that are seen of a neighbouring ring


class _Views(NamedTuple):
    """The surroundings of the rings, and when their cells get their energy."""

    around: ringlist.Surroundings
    order: Array  # (A, E) cell of each ring in each step
    rank: Array  # (A, E) step of each cell that is hit, A for those that are not


def _views(pattern, constants):
    n = constants.tree.ring_cells.shape[1]
    around = ringlist.surroundings(pattern.rings, constants).some(slice(FACES))
    rank = jnp.where(pattern.cells, ringlist.rank(n, around), n)
    return _Views(around, ringlist.order(n, around), rank)


def _score_cells(params, pattern, energies, listed, constants):
    """(C,): every hit cell with all that was shared out before it."""
    views = _views(pattern, constants)
    per_cell, of_ring = _of_ring(pattern, jnp.sum(energies.cells, 0), views, constants)
    ordered = _in_order(energies.cells, views)
    behind = shares.left_behind(ordered)
    hits_left = jnp.cumsum((ordered > 0)[::-1], 0)[::-1]
    place, real = jnp.minimum(listed.place, per_cell.shape[0] - 1), listed.place < per_cell.shape[0]
    rank = views.rank[listed.alpha, place]
    taken, rest, left_hits = (x[rank, place] for x in (ordered, behind, hits_left))
    free = real & (left_hits > 1)
    scaled = _departure(energies.cells, per_cell, pattern.cells)
    seen = _seen(scaled, place, listed.alpha, rank, views)
    raw = _cell_raw(params, seen, taken + rest, left_hits, per_cell[place], of_ring[:, place], rank, len(views.rank))
    return shares.log_density(raw, _cell_fit(left_hits), taken, rest, free)


def _draw_cells(params, pattern, by_ring, uniforms, per_step, constants):
    views = _views(pattern, constants)
    n, rings = pattern.cells.shape
    per_cell, of_ring = _of_ring(pattern, by_ring, views, constants)
    counts = jnp.sum(pattern.cells, 0, dtype=jnp.int32)

    def body(carry, step_and_cell):
        energy, scaled, left, hits_left, overflow = carry
        step, cell = step_and_cell
        at = jnp.arange(n)[:, None] == cell
        here = jnp.any(at & pattern.cells, 0)
        free = here & (hits_left > 1)
        place = jnp.nonzero(free, size=per_step, fill_value=rings)[0]
        inside = jnp.minimum(place, rings - 1)
        rank = jnp.full(per_step, step)
        alpha = jnp.minimum(cell, n - 1)[inside]
        seen = _seen(scaled, inside, alpha, rank, views)
        hits = hits_left[inside]
        raw = _cell_raw(params, seen, left[inside], hits, per_cell[inside], of_ring[:, inside], rank, n)
        uniform = uniforms[alpha, inside]
        some = jnp.ones(per_step, bool)
        drawn = shares.draw(raw, uniform, _cell_fit(hits), left[inside], some, some)
        shared = [jnp.zeros(rings).at[place].set(x, mode="drop") for x in drawn]
        taken = jnp.where(free, shared[0], jnp.where(here, left, 0.0))
        left = jnp.where(free, shared[1], jnp.where(here, 0.0, left))
        energy = jnp.where(at & here, taken, energy)
        scaled = jnp.where(at & here, _departure(taken, per_cell, here), scaled)
        overflow |= jnp.sum(free) > per_step
        return (energy, scaled, left, hits_left - here, overflow), None

    zeros = jnp.zeros((n, rings))
    start = (zeros, zeros, by_ring, counts, jnp.asarray(False))
    (energy, *_, overflow), _ = jax.lax.scan(body, start, (jnp.arange(n), views.order))
    return energy, overflow


def _in_order(values, views):
    """values (A, E) by cell -> by step."""
    empty = jnp.zeros((1, values.shape[1]), values.dtype)
    return jnp.take_along_axis(jnp.concatenate([values, empty]), views.order, axis=0)


def _departure(energy, per_cell, hit):
    """How far cells are from the mean of their ring, 0 where not hit or not yet known."""
    departed = jnp.log(energy + TINY) - jnp.log(per_cell + TINY)
    return jnp.where(hit, jnp.clip(departed, -8.0, 8.0) / 2.0, 0.0)


def _of_ring(pattern, by_ring, views, constants):
    """Mean energy of a hit cell in each ring, (E,), and what a ring's cells know of it and its neighbours, (F, E)."""
    listed = pattern.rings
    counts = jnp.sum(pattern.cells, 0, dtype=jnp.int32)
    per_cell = by_ring / jnp.maximum(counts, 1)
    energy = sets.of_owner(pattern.known.energy, listed.owner)
    share = (counts / constants.ring_size[listed.ring])[None]
    own = jnp.where(listed.real, jnp.log(per_cell + TINY), 0.0)[None] / 3.0
    near = [ringlist.near_numbers(x, views.around) for x in (own, share)]
    return per_cell, jnp.concatenate([energy, constants.ring_features[:, listed.ring], share, own, *near])


def _seen(scaled, place, alpha, rank, views):
    """What cells (C,) see: departures of those with energy and hits, in the own ring and beside it; (C, F)."""
    n = scaled.shape[0]
    around = views.around.of(place)
    both = []
    for values in (scaled, (n - views.rank).astype(jnp.float32)):
        twice = ringlist.table(values, views.around)
        own = ringlist.own_view(twice, around, alpha)
        both.append(jnp.concatenate([own, ringlist.near_view(twice, around, alpha, REACH)], 1))
    departed, ahead = both  # ahead: steps until the end, 0 where not hit
    departed = jnp.where(ahead > n - rank[:, None], departed, 0.0)
    return jnp.concatenate([departed, (ahead > 0).astype(jnp.float32)], 1)


def _cell_raw(params, seen, left, hits_left, per_cell, of_ring, rank, n):
    ratio = jnp.log(left + TINY) - jnp.log(per_cell * jnp.maximum(hits_left, 1) + TINY)
    counted = jnp.stack([jnp.clip(ratio, -8.0, 8.0), hits_left / n])
    context = jnp.concatenate([of_ring, counted, grid.one_hot(rank, n)])
    hidden = dense.apply(params["seen"], seen.T) + dense.apply(params["cell_context"], context)
    return dense.apply_stack(params["cells"], jax.nn.relu(hidden))


def _cell_fit(hits_left):
    return shares.Fit(-jnp.log(jnp.maximum(hits_left - 1.0, 1.0)), 1.0)
