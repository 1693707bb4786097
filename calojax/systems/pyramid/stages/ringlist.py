"""What a cell of a hit ring sees of its own ring and of the neighbouring ones, by angle (see `windows`)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from calojax.nn import placement
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.truth import Rings
from calojax.systems.pyramid.windows import window


class Surroundings(NamedTuple):
    """Of the rings of a list (or of those of some cells): place and shift of the order (E,), cells (E,); of the M
    neighbours of each: place (M, E), E where not hit, E + 1 outside the detector; cells (M, E), and how many of them
    there are for one of the ring's own (M, E).
    """

    place: Array
    shift: Array
    size: Array
    near: Array
    near_size: Array
    per_cell: Array

    def of(self, place: Array) -> "Surroundings":
        """Of the rings at these places."""
        return Surroundings(*(x[..., place] for x in self))

    def some(self, which: slice) -> "Surroundings":
        """With some of the neighbours."""
        return self._replace(near=self.near[which], near_size=self.near_size[which], per_cell=self.per_cell[which])


def surroundings(rings: Rings, constants: Constants, shift_showers: int = 0) -> Surroundings:
    """shift_showers takes the neighbours from another shower of the tile: a control, for tests and ablations."""
    showers, capacity = rings.table.shape[0], rings.owner.shape[0]
    tree, size = constants.tree, jnp.asarray(constants.ring_size)
    ring = jnp.asarray(tree.ring_near)[:, rings.ring]  # (M, E)
    owner = (jnp.minimum(rings.owner, showers - 1) + shift_showers) % showers
    place = jnp.where(ring >= 0, rings.table[owner, jnp.maximum(ring, 0)], capacity + 1)
    own = size[rings.ring]
    shift = constants.windows.shift[rings.ring]
    near_size = size[jnp.maximum(ring, 0)]
    return Surroundings(jnp.arange(capacity), shift, own, place, near_size, near_size / own)


def order(cells: int, around: Surroundings) -> Array:
    """(A, E) the cell of each ring in each step; A where a smaller ring has none."""
    turn = jnp.asarray(placement.interleaved(cells))[:, None]
    cell = turn + around.shift
    return jnp.where(turn < around.size, jnp.where(cell < around.size, cell, cell - around.size), cells)


def rank(cells: int, around: Surroundings) -> Array:
    """(A, E) the step of each cell."""
    steps = jnp.argsort(jnp.asarray(placement.interleaved(cells)))
    return steps[(jnp.arange(cells)[:, None] - around.shift) % around.size]


def neighbourhood(around: Surroundings, cell: Array, cells: int, reach: int) -> Array:
    """Places, in a list of A cells for every ring, of what `cell` (C,) sees: the other cells of its own ring from it
    on, and a window of each neighbour; (A - 1 + M width, C)."""
    first, width = near_from(around, cell, cells, reach)
    others = lambda n: jnp.arange(n)[:, None]
    own = around.place * cells + _around(cell + 1 + others(cells - 1), around.size)
    near = (around.near * cells)[:, None] + _around(first[:, None] + others(width), around.near_size[:, None])
    return jnp.concatenate([own, near.reshape(-1, cell.shape[0])])


def near_from(around: Surroundings, cell: Array, cells: int, reach: int | None) -> tuple[Array, int]:
    """The first cell (M, ..., C) that is seen of every neighbour, and how many are: `window` of them around the angle
    of `cell` (..., C), or with no reach all of them from it on."""
    per_cell, size = (jnp.expand_dims(x, range(1, cell.ndim)) for x in (around.per_cell, around.near_size))
    first = jnp.floor((cell + 0.5) * per_cell).astype(jnp.int32)
    if reach is None:
        return first, cells
    width = window(cells, reach)
    return _around(first - (width - 1) // 2, size), width


def next_cell(around: Surroundings, cell: Array) -> Array:
    """The one after `cell` (..., C) in its ring."""
    return jnp.where(cell + 1 < around.size, cell + 1, 0)


def _around(cell, size):
    """cell % size for small numbers, in floats: a remainder of integers takes longer than all else here."""
    return cell - size * jnp.floor((cell + 0.5) / size).astype(jnp.int32)


def near_numbers(values: Array, around: Surroundings) -> Array:
    """values (F, E) of each neighbour, 0 where there is none: (F M, E)."""
    padded = jnp.pad(values, ((0, 0), (0, 2)))
    return padded[:, around.near].reshape(-1, values.shape[1])
