"""The network of `energy_cells` for some of the hit cells, all in the same step: what decides where energies are drawn.

The cells of a ring stand in the order of their steps, so that which of them are seen is the same for all cells of a
step (`windows`), and with one number for each: how far its energy departs from the mean of its ring. Rows are cells or
rings, since rows that belong to some rings are copied as a whole, and products are faster.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from calojax.nn import rows
from calojax.systems.pyramid.coarse import FACES
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages import shares
from calojax.systems.pyramid.truth import Rings
from calojax.systems.pyramid.windows import GROUP

_NO_HIT = -100.0  # in place of a departure


def memory(hit: Array) -> Array:
    """hit (A, E) by step -> departures before any is known, ((E + 1) A,)."""
    return jnp.pad(jnp.where(hit.T, 0.0, _NO_HIT), ((0, 1), (0, 0)), constant_values=_NO_HIT).ravel()


def look(
    params: dict[str, Any], energy: Array, rings: Rings, counts: Array, mean: Array, constants: Constants
) -> Callable[[Array], Callable[[Array, Array, Array, Array], Array]]:
    """A step -> what decides about some of its cells: departures as in `memory`, ring (C,), logarithm of what its hits
    have left over what is usual, number of these hits (C,) -> raw parameters of the mixture.

    energy (3, T) features of the showers; counts, mean (E,) hits of the rings, and their mean energy.
    """
    windows, cells = constants.windows.of_energies, constants.tree.ring_cells.shape[1]
    owner = jnp.minimum(rings.owner, len(rings.table) - 1)[:, None]
    there = windows.ring.T[rings.ring]
    listed = rows.take(rings.table.ravel(), owner * rings.table.shape[1] + jnp.maximum(there, 0))
    place = jnp.where(there >= 0, listed, len(owner))  # (E, 1 + FACES)
    seen, layer = params["seen"], params["cell_context"]
    known = energy.shape[0] + len(constants.ring_features) + 2 * (1 + FACES)
    context = _context(layer, energy, rings, place, counts, mean, constants) + (seen.bias + layer.bias)
    of_counted, of_step = layer.weight[:, known : known + 2], layer.weight[:, known + 2 :].T
    columns = lambda weight: jnp.pad(weight, ((0, 0), (0, 1)))[:, windows.column]
    of_seen = jnp.concatenate([columns(half) for half in jnp.split(seen.weight, 2, axis=1)], 1)
    hidden, last = params["cells"]
    groups = place[:, windows.seen] * cells
    first, second = rows.ready(seen._replace(weight=of_seen)), rows.ready(hidden)

    earlier = (windows.step < jnp.arange(cells)[:, None, None]).astype(jnp.float32)
    scales = jnp.stack([earlier, jnp.zeros_like(earlier)], 2)  # (A, K, 2, S)

    def at_step(step):
        steps, scale, now = windows.step[step], scales[step], of_step[step]

        def decide(departed, at, ratio, owed):
            of_ring = lambda table: table if len(table) == 1 else rows.take(table, rows.take(rings.ring, at))
            near = rows.take(groups, at)[:, :, None] + of_ring(steps).reshape(-1, groups.shape[1], GROUP)
            found = rows.take(departed, near.reshape(len(at), -1))
            x = rows.product(first, _seen(found, of_ring(scale)))
            counted = ratio[:, None] * of_counted[:, 0] + (owed / cells)[:, None] * of_counted[:, 1]
            x = rows.rectified(x + rows.take(context, at) + now + counted)
            x = rows.rectified(rows.product(second, x) + second.bias)
            return rows.to_columns(last, x)

        return decide

    return at_step


def _seen(found, scale):
    """found (C, S) departures or _NO_HIT, scale (1 or C, 2, S) -> departures of the earlier ones, 0 for all others, and
    hits; (C, 2 S)."""
    is_hit = jnp.arange(2, dtype=jnp.float32)[:, None]
    return jnp.where(found[:, None] > _NO_HIT, found[:, None] * scale + is_hit, 0.0).reshape(len(found), -1)


def _context(layer, energy, rings, place, counts, mean, constants):
    """What rings give to the context layer, without its bias: (E, hidden)."""
    features, faces = constants.ring_features, jnp.arange(FACES)
    share = counts / constants.ring_size[rings.ring]
    logarithm = jnp.where(rings.real, jnp.log(mean + shares.TINY), 0.0) / 3.0
    of_hits = rows.take(jnp.pad(jnp.stack([logarithm, share], 1), ((0, 1), (0, 0))), place).reshape(len(place), -1)
    split = (len(energy), len(energy) + len(features), len(energy) + len(features) + of_hits.shape[1])
    of_energy, of_ring, of_hit, _ = jnp.split(layer.weight, split, axis=1)
    order = jnp.concatenate([jnp.array([[1, 0]]), jnp.stack([2 + faces, 2 + FACES + faces], 1)]).ravel()
    part = lambda weight, x: rows.product(rows.ready(layer._replace(weight=weight)), x)
    if len(place) < features.shape[1]:
        x = jnp.concatenate([rows.take(features.T, rings.ring), of_hits], 1)
        of_rings = part(jnp.concatenate([of_ring, of_hit[:, order]], 1), x)
    else:
        of_rings = rows.take(part(of_ring, features.T), rings.ring) + part(of_hit[:, order], of_hits)
    return of_rings + rows.take(part(of_energy, energy.T), jnp.minimum(rings.owner, energy.shape[1] - 1))
