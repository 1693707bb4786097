"""What a cell of a hit ring sees of its own ring and of the neighbouring ones, by angle.

The cells of a ring get their turn in the order of `placement.interleaved`, turned on by about a third of a turn from
layer to layer and by half a turn from ring to ring. So cells at the same angle in neighbouring rings come one after the
other, and cells of different rings that get their turn at the same time, which cannot see each other, are far apart.
Everything is seen from the cell, so that one network serves all cells of all rings; a neighbour with another number of
cells is entered at the cell that holds the same angle.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.nn import placement
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.truth import Rings


class Surroundings(NamedTuple):
    """Of the rings of a list (or of those of some cells): place and shift of the order (E,), cells (E,); of the M
    neighbours of each: place (M, E), E where not hit, E + 1 outside the detector; cells (M, E).
    """

    place: Array
    shift: Array
    size: Array
    near: Array
    near_size: Array

    def of(self, place: Array) -> "Surroundings":
        """Of the rings at these places."""
        return Surroundings(*(x[..., place] for x in self))

    def some(self, which: slice) -> "Surroundings":
        """With some of the neighbours."""
        return self._replace(near=self.near[which], near_size=self.near_size[which])


def surroundings(rings: Rings, constants: Constants, shift_showers: int = 0) -> Surroundings:
    """shift_showers takes the neighbours from another shower of the tile: a control, for tests and ablations."""
    showers, capacity = rings.table.shape[0], rings.owner.shape[0]
    tree, size = constants.tree, jnp.asarray(constants.ring_size)
    ring = jnp.asarray(tree.ring_near)[:, rings.ring]  # (M, E)
    owner = (jnp.minimum(rings.owner, showers - 1) + shift_showers) % showers
    place = jnp.where(ring >= 0, rings.table[owner, jnp.maximum(ring, 0)], capacity + 1)
    own = size[rings.ring]
    layer, radius = (jnp.asarray(x)[rings.ring] for x in (tree.ring_layer, tree.ring_radius))
    shift = (own * 5 // 16) * layer + own // 2 * radius
    return Surroundings(jnp.arange(capacity), shift % own, own, place, size[jnp.maximum(ring, 0)])


def order(cells: int, around: Surroundings) -> Array:
    """(A, E) the cell of each ring in each step; A where a smaller ring has none."""
    turn = jnp.asarray(placement.interleaved(cells))[:, None]
    return jnp.where(turn < around.size, (turn + around.shift) % around.size, cells)


def rank(cells: int, around: Surroundings) -> Array:
    """(A, E) the step of each cell."""
    steps = jnp.argsort(jnp.asarray(placement.interleaved(cells)))
    return steps[(jnp.arange(cells)[:, None] - around.shift) % around.size]


def table(values: Array, around: Surroundings) -> Array:
    """values (A, E) of all rings, twice around: (E + 2, 2 A); the last two rows are empty."""
    cells = values.shape[0]
    twice = jnp.arange(2 * cells)[:, None] % around.size
    return jnp.pad(jnp.take_along_axis(values, twice, axis=0).T, ((0, 2), (0, 0)))


def own_view(twice: Array, around: Surroundings, cell: Array) -> Array:
    """The other cells of the own ring, from `cell` (C,) on: (C, A - 1)."""
    return _slices(twice, around.place, (cell + 1) % around.size, twice.shape[1] // 2 - 1)


def near_view(twice: Array, around: Surroundings, cell: Array, reach: int | None = None) -> Array:
    """Cells of every neighbour: `window` of them around the angle of `cell` (C,), or all A from it on; (C, M width)."""
    same = jnp.floor((cell + 0.5) * (around.near_size / around.size)).astype(jnp.int32)
    cells = twice.shape[1] // 2
    width = cells if reach is None else window(cells, reach)
    first = same if reach is None else (same - (width - 1) // 2) % around.near_size
    return _slices(twice, around.near.T, first.T, width).reshape(cell.shape[0], -1)


def window(cells: int, reach: int) -> int:
    """Cells that are seen of a neighbour."""
    return min(2 * reach + 1, cells + 1)


def _slices(twice, row, first, width):
    dimensions = jax.lax.GatherDimensionNumbers((row.ndim,), (0,), (0, 1))
    start = jnp.stack([row, first], -1)
    return jax.lax.gather(twice, start, dimensions, (1, width), mode=jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS)


def near_numbers(values: Array, around: Surroundings) -> Array:
    """values (F, E) of each neighbour, 0 where there is none: (F M, E)."""
    padded = jnp.pad(values, ((0, 0), (0, 2)))
    return padded[:, around.near].reshape(-1, values.shape[1])
