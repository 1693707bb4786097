"""The network of `cells` for some of the rings of a list: what decides where cells are drawn.

All that geometry fixes is in tables (`windows`), the state of a ring is a few words (`ringbytes`), and what a ring
knows from the start is one row of numbers: little has to be moved to leave out rings where nothing is to be decided.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax.nn import placement, rows
from calojax.systems.pyramid import truth
from calojax.systems.pyramid import windows as tables
from calojax.systems.pyramid.coarse import NEIGHBOURS
from calojax.systems.pyramid.config import Model
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages import ringbytes
from calojax.systems.pyramid.truth import Rings
from calojax.systems.pyramid.windows import BYTE


def memory(rings: Rings, constants: Constants) -> placement.Memory:
    """The words of every ring."""
    windows, size = constants.windows, constants.ring_size[rings.ring]
    steps, words, kinds = windows.mask.shape

    def put(words, step, hit):
        mask = windows.mask[step]
        return ringbytes.put(words, mask if kinds == 1 else mask[:, rings.ring], hit)

    def pattern(words):
        cell = jnp.arange(steps)[:, None]
        turn = cell - windows.shift[rings.ring]
        return ringbytes.hits(words, jnp.where(turn < 0, turn + size, turn)) & (cell < size)

    return placement.Memory(jnp.zeros((words, len(rings.ring)), jnp.uint32), put, pattern)


def look(
    params: dict[str, Any], incident_energy: Array, rings: Rings, counts: Array, config: Model, constants: Constants
) -> Callable[[Array, Array], placement.Decide]:
    """For `placement.where_open`: the step and the words so far -> what decides about some rings."""
    cells, elements, seen = constants.tree.ring_cells.shape[1], len(counts), params["seen"]
    place = _places(rings, config, constants)
    share = counts / constants.ring_size[rings.ring]
    shares = jnp.pad(share, (0, 1))[place]
    context = _context(params["context"], incident_energy, rings, shares, place, constants) + seen.bias
    of_cells, of_counts = seen.weight[:, :-2], seen.weight[:, -2:]
    of_bits = jnp.pad(of_cells, ((0, 0), (0, 1)))[:, constants.windows.column]
    hidden, last = params["place"]
    first_layer, second = rows.ready(seen._replace(weight=of_bits)), rows.ready(hidden)

    def at_step(step, words):
        words = jnp.pad(words, ((0, 0), (0, 1))).ravel()
        first, of_step = constants.windows.first[step], params["step"][:, step]
        word, begin = first // BYTE * (elements + 1), (first % BYTE).astype(jnp.uint32)

        def decide(at, owed, left):
            ring = rows.take(rings.ring, at)
            of_ring = lambda table: table if len(table) == 1 else rows.take(table, ring)
            near = rows.take(words, rows.take(place, at) + of_ring(word))
            x = rows.product(first_layer, ringbytes.departures(near, of_ring(begin), rows.take(shares, at)))
            odds, part = (owed / jnp.maximum(left, 1))[:, None], (left / cells)[:, None]
            counted = odds * of_counts[:, 0] + part * of_counts[:, 1]
            x = rows.rectified(x + rows.take(context, at) + of_step + counted)
            x = rows.rectified(rows.product(second, x) + second.bias)
            # rounding the operands of a single row would take longer than multiplying them
            return jnp.matmul(x, last.weight[0], precision="highest") + last.bias[0]

        return decide

    return at_step


def _places(rings, config, constants):
    """(E, B) place of the ring that is seen in each byte, E where there is none."""
    ring = constants.windows.ring.T[rings.ring]
    if not config.neighbours:
        ring = ring.at[:, tables.starts(constants.tree.ring_cells.shape[1])[1] :].set(-1)
    owner = jnp.minimum(rings.owner, len(rings.table) - 1)[:, None]
    return jnp.where(ring >= 0, rings.table[owner, jnp.maximum(ring, 0)], len(rings.ring))


def _context(layer, incident_energy, rings, shares, place, constants):
    """What `cells` gives to its context layer, in parts: of the shower, of the ring, of what is hit; (E, hidden)."""
    energy, features = truth.energy_features(incident_energy, constants), constants.ring_features
    near, cells = len(NEIGHBOURS), constants.tree.ring_cells.shape[1]
    sizes = [len(energy), len(features), 1, 1, near, near]
    of_energy, of_ring, *of_hits = jnp.split(layer.weight, np.cumsum(sizes)[:-1], axis=1)
    once = lambda w: jnp.zeros((len(w), place.shape[1])).at[:, jnp.array(tables.starts(cells))].set(w)
    own_share, full, near_share, near_hit = of_hits
    weight = [once(jnp.concatenate(pair, 1)) for pair in ((own_share, near_share), (full, near_hit))]
    is_hit = (place < len(rings.ring)).astype(jnp.float32).at[:, 0].set((shares[:, 0] == 1.0).astype(jnp.float32))
    part = lambda weight, x: rows.product(rows.ready(layer._replace(weight=weight)), x)
    found = part(jnp.concatenate(weight, 1), jnp.concatenate([shares, is_hit], 1))
    of_shower = part(of_energy, energy.T) + layer.bias
    if len(rings.ring) < features.shape[1]:  # fewer than the detector has
        known = part(of_ring, rows.take(features.T, rings.ring))
    else:
        known = rows.take(part(of_ring, features.T), rings.ring)
    return rows.take(of_shower, jnp.minimum(rings.owner, len(of_shower) - 1)) + known + found
