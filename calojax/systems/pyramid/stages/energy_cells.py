"""Stage 4, last level: a ring's energy shared out to its hit cells, in the order of their placement.

A cell sees the hits, and the energies of those whose turn was before, in its own ring and in the four that share a face
with it. Only hit cells are computed: all at once where the energies are known; where they are drawn, step by step, the
cells of a step in chunks, as many as there are.
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
    turns = _turns(pattern, constants)
    per_cell, of_ring = _of_ring(pattern, jnp.sum(energy, 0), turns, constants)
    ordered = _in_order(energy, turns)
    behind = shares.left_behind(ordered)
    hits_left = jnp.cumsum((ordered > 0)[::-1], 0)[::-1]
    place, real = jnp.minimum(listed.place, per_cell.shape[0] - 1), listed.place < per_cell.shape[0]
    rank = turns.rank[listed.alpha, place]
    taken, rest, left_hits = (x[rank, place] for x in (ordered, behind, hits_left))
    free = real & (left_hits > 1)
    departed = _table(_departure(energy, per_cell, pattern.cells))
    seen = _seen(departed, place, listed.alpha, rank, turns)
    raw = _raw(params, seen, taken + rest, left_hits, per_cell[place], of_ring[:, place], rank, len(turns.rank))
    return shares.log_density(raw, _fit(left_hits), taken, rest, free)


def draw(
    params: dict[str, Any], pattern: Hits, by_ring: Array, uniforms: Array, most: int, constants: Constants
) -> Array:
    """Energies of the cells (A, E); by_ring (E,), uniforms (A, E); most: hit cells that are computed.

    Only cells with a choice are: the last hit of a ring takes what is left.
    """
    turns = _turns(pattern, constants)
    n, rings = pattern.cells.shape
    per_cell, of_ring = _of_ring(pattern, by_ring, turns, constants)
    layers, of_ring, of_step = _divided(params, of_ring)
    hit = _in_order(pattern.cells, turns)
    behind = shares.left_behind(hit.astype(jnp.int32))
    last = _last(hit, turns)
    size = _chunk(rings)
    listed = sets.places((hit & (behind > 0)).ravel(), most + size)  # step after step
    ends = jnp.minimum(jnp.cumsum(jnp.sum(hit & (behind > 0), 1)), most)

    def chunk(state: _Drawing) -> _Drawing:
        step = jnp.sum(ends <= state.begin)
        end = jnp.minimum(state.begin + size, ends[step])
        here = state.begin + jnp.arange(size) < end
        place = jnp.where(here, jax.lax.dynamic_slice_in_dim(listed, state.begin, size) - step * rings, rings)
        inside = jnp.minimum(place, rings - 1)
        alpha = jnp.minimum(turns.order[step, inside], n - 1)
        left, hits_left, usual = state.left[inside], behind[step, inside] + 1, per_cell[inside]
        seen = _seen(state.departed, inside, alpha, step, turns)
        moving = jnp.concatenate([seen, _counted(left, hits_left, usual, n)])
        (context,) = jax.lax.optimization_barrier((of_ring[inside],))  # apart from the sum, it is a copy of rows
        raw = dense.apply_stack(layers, moving, context.T + of_step[:, step][:, None])
        taken, rest = shares.draw(raw, uniforms[alpha, inside], _fit(hits_left), left, here, here)
        none = len(state.departed)
        cell = jnp.where(here, place * n + alpha, none)
        forced = jnp.where(here & (hits_left == 2), last[inside], none)
        departed = _departure(jnp.stack([taken, rest]), usual, here)
        return _Drawing(
            end,
            state.energy.at[cell].set(taken, mode="drop"),
            state.departed.at[jnp.stack([cell, forced])].set(departed, mode="drop"),  # of use only from its turn on
            state.left.at[place].set(rest, mode="drop"),
        )

    start = _Drawing(jnp.int32(0), jnp.zeros(rings * n), _table(jnp.zeros((n, rings))), by_ring)
    drawn = jax.lax.while_loop(lambda state: state.begin < ends[-1], chunk, start)
    return drawn.energy.at[last].set(drawn.left, mode="drop").reshape(rings, n).T


class _Drawing(NamedTuple):
    """begin: of the next chunk in the list; energy (E A,) so far, departed: their `_table`; left (E,) MeV to share."""

    begin: Array
    energy: Array
    departed: Array
    left: Array


def _chunk(rings):
    """Cells that are drawn together, of so many places for rings: so that the cells of a step are few chunks, without
    many empty places in the last one."""
    return max(rings // 8 // 32, 1) * 32


def _last(hit, turns):
    """(E,) in a list of A cells for every ring: the one hit in the last of the steps, none of the list if there is
    none; hit (A, E) by step."""
    n, rings = hit.shape
    step = n - 1 - jnp.argmax(hit[::-1], 0)
    cell = jnp.arange(rings) * n + jnp.take_along_axis(turns.order, step[None], 0)[0]
    return jnp.where(jnp.any(hit, 0), cell, rings * n)


class _Turns(NamedTuple):
    """The surroundings of the rings, and when their cells get their energy."""

    around: ringlist.Surroundings
    order: Array  # (A, E) cell of each ring in each step
    rank: Array  # (A, E) step of each cell
    of_hits: Array  # `_table` of the steps of the hit cells, A of the others


def _turns(pattern, constants):
    n = constants.tree.ring_cells.shape[1]
    around = ringlist.surroundings(pattern.rings, constants).some(slice(FACES))
    rank = ringlist.rank(n, around)
    return _Turns(around, ringlist.order(n, around), rank, _table(jnp.where(pattern.cells, rank, n), n))


def _table(values, empty=0):
    """values (A, E) ring by ring, and two rings of nothing: ((E + 2) A,)."""
    return jnp.pad(values.T, ((0, 2), (0, 0)), constant_values=empty).ravel()


def _in_order(values, turns):
    """values (A, E) by cell -> by step, 0 where there is no cell."""
    empty = jnp.zeros((1, values.shape[1]), values.dtype)
    return jnp.take_along_axis(jnp.concatenate([values, empty]), turns.order, axis=0)


def _departure(energy, per_cell, hit):
    """How far cells are from the mean of their ring, 0 where not hit or not yet known."""
    return jnp.where(hit, shares.log_ratio(energy, per_cell, 8.0) / 2.0, 0.0)


def _of_ring(pattern, by_ring, turns, constants):
    """Mean energy of a hit cell in each ring, (E,), and what a ring's cells know of it and its neighbours, (F, E)."""
    listed = pattern.rings
    counts = jnp.sum(pattern.cells, 0, dtype=jnp.int32)
    per_cell = by_ring / jnp.maximum(counts, 1)
    energy = sets.of_owner(pattern.known.energy, listed.owner)
    share = (counts / constants.ring_size[listed.ring])[None]
    own = jnp.where(listed.real, jnp.log(per_cell + shares.TINY), 0.0)[None] / 3.0
    near = [ringlist.near_numbers(x, turns.around) for x in (own, share)]
    return per_cell, jnp.concatenate([energy, constants.ring_features[:, listed.ring], share, own, *near])


def _seen(departed, place, alpha, rank, turns):
    """What cells (C,) see: departures of those with energy and hits, in the own ring and beside it; (F, C)."""
    cells = ringlist.neighbourhood(turns.around.of(place), alpha, len(turns.rank), REACH)
    of_hits = turns.of_hits[cells]
    hit = (of_hits < len(turns.rank)).astype(jnp.float32)
    return jnp.concatenate([jnp.where(of_hits < rank, departed[cells], 0.0), hit])


def _counted(left, hits_left, per_cell, n):
    ratio = shares.log_ratio(left, per_cell * jnp.maximum(hits_left, 1), 8.0)
    return jnp.stack([ratio, hits_left / n])


def _raw(params, seen, left, hits_left, per_cell, of_ring, rank, n):
    context = jnp.concatenate([of_ring, _counted(left, hits_left, per_cell, n), grid.one_hot(rank, n)])
    hidden = dense.apply(params["seen"], seen) + dense.apply(params["cell_context"], context)
    return dense.apply_stack(params["cells"], jax.nn.relu(hidden))


def _divided(params, of_ring):
    """The same network for cells of one step, what is the same for many cells multiplied before: layers of what is
    `_seen` and `_counted`, contexts of the rings (E, H) and of the steps (H, A)."""
    seen, context = params["seen"], params["cell_context"]
    rings, counted = len(of_ring), len(of_ring) + 2
    first = seen._replace(weight=jnp.concatenate([seen.weight, context.weight[:, rings:counted]], 1))
    of_rings = dense.apply(context._replace(weight=context.weight[:, :rings]), of_ring)
    return (first, *params["cells"]), of_rings.T, context.weight[:, counted:]


def _fit(hits_left):
    return shares.Fit(-jnp.log(jnp.maximum(hits_left - 1.0, 1.0)), 1.0)
