"""Stage 4, last level: a ring's energy shared out to its hit cells, in the order of their placement.

A cell sees the hits, and the energies of those whose turn was before, in its own ring and in the four that share a face
with it. Only hit cells are computed: all at once where the energies are known, here; where they are drawn, step by
step, the cells of a step in chunks, as many as there are, by the same network in `energy_drawing`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import dense, mixtures, rows, sets
from calojax.systems.pyramid.coarse import FACES
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.hits import Hits
from calojax.systems.pyramid.stages import energy_drawing, grid, ringlist, shares
from calojax.systems.pyramid.truth import Cells
from calojax.systems.pyramid.windows import ENERGY_REACH


def init(key: Array, config: Model, constants: Constants) -> dict[str, Any]:
    """Parameters."""
    keys, cells, hidden = jax.random.split(key, 3), constants.tree.ring_cells.shape[1], config.cell_hidden
    seen = 2 * (cells - 1) + 2 * FACES * ringlist.window(cells, ENERGY_REACH)
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
    ordered = _in_order(energy, turns.order)
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
    n, rings = pattern.cells.shape
    order = ringlist.order(n, ringlist.surroundings(pattern.rings, constants))
    hit = _in_order(pattern.cells, order)
    steps = jnp.arange(n)[:, None]
    last = jnp.max(jnp.where(hit, steps, -1), 0)
    free = hit & (steps < last)
    size = _chunk(rings)
    listed = sets.places(free.ravel(), most + size)  # step after step
    ends = jnp.minimum(jnp.cumsum(jnp.sum(free, 1)), most)
    counts = jnp.sum(pattern.cells, 0, dtype=jnp.int32)
    mean = by_ring / jnp.maximum(counts, 1)
    look = energy_drawing.look(params, pattern.known.energy, pattern.rings, counts, mean, constants)
    cell = (jnp.minimum(order, n - 1) * rings + jnp.arange(rings)).ravel()
    last_column = jnp.arange(rings) * n + last

    def of_step(step, state):
        end, decide = ends[step], look(step)
        cell_now = jax.lax.dynamic_slice_in_dim(cell, step * rings, rings)

        def chunk(state: _Drawing) -> _Drawing:
            here = state.begin + jnp.arange(size) < end
            at = jnp.minimum(jax.lax.dynamic_slice_in_dim(listed, state.begin, size) - step * rings, rings - 1)
            left, owed, usual = rows.take(state.left, at), rows.take(state.owed, at), rows.take(mean, at)
            raw = decide(state.departed, at, shares.log_ratio(left, usual * owed, 8.0), owed)
            mine = rows.take(cell_now, at)
            taken, rest = shares.draw(raw, rows.take(uniforms.ravel(), mine), _fit(owed), left, here, here)
            none = len(state.departed)
            forced = jnp.where(here & (owed == 2), rows.take(last_column, at), none)
            departed = state.departed.at[jnp.where(here, at * n + step, none)].set(
                _departure(taken, usual, here), mode="drop"
            )
            place = jnp.where(here, at, rings)
            return _Drawing(
                jnp.minimum(state.begin + size, end),
                state.energy.at[jnp.where(here, mine, n * rings)].set(taken, mode="drop"),
                departed.at[forced].set(_departure(rest, usual, here), mode="drop"),  # of use only from its turn on
                state.left.at[place].set(rest, mode="drop"),
                state.owed.at[place].set(owed - 1, mode="drop"),
            )

        return jax.lax.while_loop(lambda state: state.begin < end, chunk, state)

    start = _Drawing(jnp.int32(0), jnp.zeros(rings * n), energy_drawing.memory(hit), by_ring, counts)
    drawn = jax.lax.fori_loop(0, n - 1, of_step, start)
    forced = jnp.where(last >= 0, rows.take(cell, jnp.maximum(last, 0) * rings + jnp.arange(rings)), n * rings)
    return drawn.energy.at[forced].set(drawn.left, mode="drop").reshape(n, rings)


class _Drawing(NamedTuple):
    """begin: of the next chunk in the list; energy (A E,) so far, departed: see `energy_drawing`; left, owed (E,) MeV
    and hits to share."""

    begin: Array
    energy: Array
    departed: Array
    left: Array
    owed: Array


def _chunk(rings):
    """Cells that are drawn together, of so many places for rings: so that the cells of a step are few chunks, without
    many empty places in the last one."""
    return max(rings // 16 // 32, 1) * 32


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


def _in_order(values, order):
    """values (A, E) by cell -> by step, 0 where there is no cell."""
    n, rings = values.shape
    at = jnp.minimum(order, n - 1) * rings + jnp.arange(rings)
    return jnp.where(order < n, values.ravel().at[at].get(mode="promise_in_bounds"), 0).astype(values.dtype)


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
    cells = ringlist.neighbourhood(turns.around.of(place), alpha, len(turns.rank), ENERGY_REACH)
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


def _fit(hits_left):
    return shares.Fit(-jnp.log(jnp.maximum(hits_left - 1.0, 1.0)), 1.0)
