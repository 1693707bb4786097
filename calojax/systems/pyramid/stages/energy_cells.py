"""Stage 4, last level: a ring's energy shared out to its hit cells, in the order of their placement.

A cell sees the hits, and the energies of those whose turn was before, in its own ring and in the four that share a face
with it. Only hit cells are computed: all at once where the energies are known; where they are drawn, step by step, each
a short list of the rings whose turn it is.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, mixtures, sets
from calojax.systems.pyramid.coarse import FACES
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.hits import Hits
from calojax.systems.pyramid.stages import grid, ringlist, shares
from calojax.systems.pyramid.truth import Cells

REACH = 1  # cells to either side that are seen of a neighbouring ring


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    keys, cells, hidden = jax.random.split(key, 3), constants.tree.ring_cells.shape[1], config.cell_hidden
    seen = 2 * (cells - 1) + 2 * FACES * ringlist.window(cells, REACH)
    context = 3 + constants.ring_features.shape[0] + 2 + 2 * FACES + 2 + cells
    return {
        "seen": dense.init(keys[0], seen, hidden),
        "cell_context": dense.init(keys[1], context, hidden),
        "cells": dense.init_stack(keys[2], (hidden, hidden, mixtures.parameters(config.components))),
    }


def log_density(params: dict[str, Any], pattern: Hits, energy: Array, listed: Cells, constants: Constants) -> Array:
    """Of the logits of the cells' energies (A, E): (C,), for the hit cells `listed` (C,)."""
    views = _views(pattern, constants)
    per_cell, of_ring = _of_ring(pattern, jnp.sum(energy, 0), views, constants)
    ordered = _in_order(energy, views)
    behind = shares.left_behind(ordered)
    hits_left = jnp.cumsum((ordered > 0)[::-1], 0)[::-1]
    place, real = jnp.minimum(listed.place, per_cell.shape[0] - 1), listed.place < per_cell.shape[0]
    rank = views.rank[listed.alpha, place]
    taken, rest, left_hits = (x[rank, place] for x in (ordered, behind, hits_left))
    free = real & (left_hits > 1)
    scaled = _departure(energy, per_cell, pattern.cells)
    seen = _seen(scaled, place, listed.alpha, rank, views)
    raw = _raw(params, seen, taken + rest, left_hits, per_cell[place], of_ring[:, place], rank, len(views.rank))
    return shares.log_density(raw, _fit(left_hits), taken, rest, free)


def draw(
    params: dict[str, Any], pattern: Hits, by_ring: Array, uniforms: Array, per_step: int, constants: Constants
) -> tuple[Array, Array]:
    """Energies of the cells (A, E), and whether some step had more than `per_step` rings to compute.

    by_ring (E,), uniforms (A, E).
    """
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
        raw = _raw(params, seen, left[inside], hits, per_cell[inside], of_ring[:, inside], rank, n)
        uniform = uniforms[alpha, inside]
        some = jnp.ones(per_step, bool)
        drawn = shares.draw(raw, uniform, _fit(hits), left[inside], some, some)
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


class _Views(NamedTuple):
    """The surroundings of the rings, and when their cells get their energy."""

    around: ringlist.Surroundings
    order: Array  # (A, E) cell of each ring in each step
    rank: Array  # (A, E) step of each cell
    ahead: Array  # `ringlist.table` of the steps from each hit cell to the end, 0 where not hit


def _views(pattern, constants):
    n = constants.tree.ring_cells.shape[1]
    around = ringlist.surroundings(pattern.rings, constants).some(slice(FACES))
    rank = ringlist.rank(n, around)
    ahead = ringlist.table(jnp.where(pattern.cells, n - rank, 0).astype(jnp.float32), around)
    return _Views(around, ringlist.order(n, around), rank, ahead)


def _in_order(values, views):
    """values (A, E) by cell -> by step."""
    empty = jnp.zeros((1, values.shape[1]), values.dtype)
    return jnp.take_along_axis(jnp.concatenate([values, empty]), views.order, axis=0)


def _departure(energy, per_cell, hit):
    """How far cells are from the mean of their ring, 0 where not hit or not yet known."""
    return jnp.where(hit, shares.log_ratio(energy, per_cell, 8.0) / 2.0, 0.0)


def _of_ring(pattern, by_ring, views, constants):
    """Mean energy of a hit cell in each ring, (E,), and what a ring's cells know of it and its neighbours, (F, E)."""
    listed = pattern.rings
    counts = jnp.sum(pattern.cells, 0, dtype=jnp.int32)
    per_cell = by_ring / jnp.maximum(counts, 1)
    energy = sets.of_owner(pattern.known.energy, listed.owner)
    share = (counts / constants.ring_size[listed.ring])[None]
    own = jnp.where(listed.real, jnp.log(per_cell + shares.TINY), 0.0)[None] / 3.0
    near = [ringlist.near_numbers(x, views.around) for x in (own, share)]
    return per_cell, jnp.concatenate([energy, constants.ring_features[:, listed.ring], share, own, *near])


def _seen(scaled, place, alpha, rank, views):
    """What cells (C,) see: departures of those with energy and hits, in the own ring and beside it; (C, F)."""
    n = scaled.shape[0]
    around = views.around.of(place)
    view = lambda twice: jnp.concatenate(
        [ringlist.own_view(twice, around, alpha), ringlist.near_view(twice, around, alpha, REACH)], 1
    )
    departed, ahead = view(ringlist.table(scaled, views.around)), view(views.ahead)
    departed = jnp.where(ahead > n - rank[:, None], departed, 0.0)
    return jnp.concatenate([departed, (ahead > 0).astype(jnp.float32)], 1)


def _raw(params, seen, left, hits_left, per_cell, of_ring, rank, n):
    ratio = shares.log_ratio(left, per_cell * jnp.maximum(hits_left, 1), 8.0)
    counted = jnp.stack([ratio, hits_left / n])
    context = jnp.concatenate([of_ring, counted, grid.one_hot(rank, n)])
    hidden = dense.apply(params["seen"], seen.T) + dense.apply(params["cell_context"], context)
    return dense.apply_stack(params["cells"], jax.nn.relu(hidden))


def _fit(hits_left):
    return shares.Fit(-jnp.log(jnp.maximum(hits_left - 1.0, 1.0)), 1.0)
