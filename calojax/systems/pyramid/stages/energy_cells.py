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
_CHUNK = 1024  # cells whose energies are drawn together: their features fit a core's cache


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
    """Energies of the cells (A, E); by_ring (E,), uniforms (A, E); most: hit cells that are computed."""
    turns = _turns(pattern, constants)
    n, rings = pattern.cells.shape
    per_cell, of_ring = _of_ring(pattern, by_ring, turns, constants)
    hit = _in_order(pattern.cells, turns)
    size = min(_CHUNK, -(-most // n))
    listed = jnp.nonzero(hit.ravel(), size=most + size, fill_value=n * rings)[0]  # step after step
    ends = jnp.minimum(jnp.cumsum(jnp.sum(hit, 1)), most)

    def chunk(state: _Drawing) -> _Drawing:
        begin, step = state.begin, state.step
        here = begin + jnp.arange(size) < ends[step]
        place = jnp.where(here, jax.lax.dynamic_slice_in_dim(listed, begin, size) - step * rings, rings)
        inside = jnp.minimum(place, rings - 1)
        alpha = jnp.minimum(turns.order[step, inside], n - 1)
        rank, left, hits_left = jnp.full(size, step), state.left[inside], state.hits_left[inside]
        usual = per_cell[inside]
        seen = _seen(state.departed, inside, alpha, rank, turns)
        raw = _raw(params, seen, left, hits_left, usual, of_ring[:, inside], rank, n)
        drawn = shares.draw(raw, uniforms[alpha, inside], _fit(hits_left), left, here, hits_left > 1)
        put = lambda values, new: values.at[place].set(new, mode="drop")
        cell = jnp.where(here, place * n + alpha, len(state.departed))
        end = jnp.minimum(begin + size, ends[step])
        return _Drawing(
            end,
            step + (end == ends[step]),
            state.energy.at[cell].set(drawn.taken, mode="drop"),
            state.departed.at[cell].set(_departure(drawn.taken, usual, here)),
            put(state.left, drawn.rest),
            put(state.hits_left, hits_left - 1),
        )

    counts = jnp.sum(pattern.cells, 0, dtype=jnp.int32)
    empty = jnp.zeros((n, rings))
    start = _Drawing(jnp.int32(0), jnp.int32(0), jnp.zeros(rings * n), _table(empty), by_ring, counts)
    drawn = jax.lax.while_loop(lambda state: state.step < n, chunk, start)
    return drawn.energy.reshape(rings, n).T


class _Drawing(NamedTuple):
    """begin: of the next chunk in the list; step: the turn that it belongs to; energy (E A,) so far, departed: their
    `_table`; left (E,) MeV to share out and hits_left (E,) to share it out to."""

    begin: Array
    step: Array
    energy: Array
    departed: Array
    left: Array
    hits_left: Array


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


def _raw(params, seen, left, hits_left, per_cell, of_ring, rank, n):
    ratio = shares.log_ratio(left, per_cell * jnp.maximum(hits_left, 1), 8.0)
    counted = jnp.stack([ratio, hits_left / n])
    context = jnp.concatenate([of_ring, counted, grid.one_hot(rank, n)])
    hidden = dense.apply(params["seen"], seen) + dense.apply(params["cell_context"], context)
    return dense.apply_stack(params["cells"], jax.nn.relu(hidden))


def _fit(hits_left):
    return shares.Fit(-jnp.log(jnp.maximum(hits_left - 1.0, 1.0)), 1.0)
