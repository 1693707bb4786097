"""Some rings of the grid of all layers: those with a choice, step after step, and what is seen around each.

Rings are rows here, (C, F), where the stages that know every ring have them as columns of a grid.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from calojax.nn import dense, placement, rows
from calojax.systems.pyramid.coarse import swapped
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.stages.grid import REACH, VECTORS, Grid

_MOST = max(VECTORS)  # layers that are seen to either side
_ROWS = 256  # rings that are computed together at most: what they need fits a core's cache


class Rings(NamedTuple):
    """Rings of one step: layer (C,) column of the grid, ring (C,), here (C,) bool: is there one at all.

    place (C,) in values (R, G) by ring as one list, turn (C,) in values by step.
    """

    layer: Array
    ring: Array
    here: Array
    place: Array
    turn: Array


class Network(NamedTuple):
    """A stack of layers whose first takes what `Surroundings.around` gives of Q quantities and single numbers.

    of_ring (R, H), of_layer (G, H): what else is added there.
    """

    layers: tuple[dense.Dense, ...]
    of_ring: Array
    of_layer: Array

    def __call__(self, around: Array, numbers: list[Array], rings: Rings) -> Array:
        """around (C, F Q), numbers of (C,) -> (out, C)."""
        # what is computed in a concatenation is so one by one
        around, numbers = lax.optimization_barrier((around, numbers))
        x = jnp.concatenate([around, jnp.stack(numbers, 1)], 1)
        first, *others, last = self.layers
        x = rows.product(first, x) + rows.take(self.of_layer, rings.layer) + rows.take(self.of_ring, rings.ring)
        x = rows.rectified(x)
        for layer in others:
            x = rows.rectified(rows.product(layer, x) + layer.bias)
        return rows.to_columns(last, x)


def network(layers: tuple[dense.Dense, ...], context: Array, around: slice, one_hot: slice, quantities: int) -> Network:
    """Of layers for columns of a grid: where in the input is what is `around`, where the one-hot ring; what is not in
    these are the numbers. context (H, G)."""
    first = layers[0]
    parts = [np.arange(first.weight.shape[1])[some] for some in (around, one_hot)]
    numbers = np.setdiff1d(np.arange(first.weight.shape[1]), np.concatenate(parts))
    pieces = first.weight[:, around].reshape(len(first.weight), quantities, -1).swapaxes(1, 2)
    weight = jnp.concatenate([pieces.reshape(len(first.weight), -1), first.weight[:, numbers]], 1)
    turned = [rows.ready(layer) for layer in (first._replace(weight=weight), *layers[1:-1])]
    return Network((*turned, layers[-1]), first.weight[:, one_hot].T, context.T + first.bias)


class Surroundings(NamedTuple):
    """Values of all rings so that what is seen around one is a few pieces of rows: rows (P, R + 2 `_beside`, Q), the
    showers apart and nothing around them; row (G,) of each layer."""

    rows: Array
    row: Array

    def around(self, rings: Rings) -> Array:
        """What `grid.around_ring` gives, ring by ring and not quantity by quantity: (C, F Q)."""
        radii, row = _radii(self.rows), rows.take(self.row, rings.layer)
        column = rings.ring + _beside(radii)
        own = _pieces(self.rows, row, column - (radii - 1), (1, 2 * radii - 1))
        near = [_pieces(self.rows, row + first, column - REACH, (_MOST, 2 * REACH + 1)) for first in (-_MOST, 1)]
        return jnp.concatenate([own, *near], 1)

    def put(self, layer: Array, rings: list[Array], values: list[Array]) -> "Surroundings":
        """With the first of the values of some rings of layers (C,) as given; not where ring is R or more."""
        radii = _radii(self.rows)
        values = lax.optimization_barrier(values)
        column = jnp.concatenate([jnp.where(ring < radii, ring + _beside(radii), self.rows.shape[1]) for ring in rings])
        row = jnp.concatenate([rows.take(self.row, layer)] * len(rings))
        put = self.rows.at[row, column, 0].set(jnp.concatenate(values), mode="drop", unique_indices=True)
        return self._replace(rows=put)

    def first(self) -> Array:
        """The first of the values, (R, G)."""
        radii = _radii(self.rows)
        return self.rows[self.row, _beside(radii) : _beside(radii) + radii, 0].T


def surroundings(values: list[Array], constants: Constants) -> Surroundings:
    """values: Q arrays (R, G)."""
    layers, radii = constants.tree.layer_rings.shape
    by_layer = jnp.stack([x.T for x in values], -1).reshape(-1, layers, radii, len(values))
    showers = len(by_layer)
    column = np.arange(showers * layers)
    row = jnp.asarray(column + _MOST * (1 + column // layers), jnp.int32)
    beside = _beside(radii)
    empty = jnp.zeros((showers, layers + _MOST, radii + 2 * beside, len(values)))
    rows = empty.at[:, :layers, beside : beside + radii].set(by_layer).reshape(-1, *empty.shape[2:])
    return Surroundings(jnp.concatenate([jnp.zeros((_MOST, *rows.shape[1:])), rows]), row)


def turns_over(radii: int, quantities: int) -> Array:
    """Of what is `Surroundings.around`, (2 R, F Q), by step and whether the layer is an odd one: 1 but for the first
    quantity of rings that did not have their turn before that step."""
    step = np.arange(radii)
    rank = np.stack([step, swapped(step, radii)])  # of a ring, and its inverse
    reaches = [(0, radii - 1), *((away, REACH) for away in VECTORS)]

    def of_layer(parity, away, reach):
        ring = rank[parity][:, None] + np.arange(-reach, reach + 1)
        turn = rank[(parity + away) % 2][np.clip(ring, 0, radii - 1)]
        over = np.ones((*ring.shape, quantities), np.float32)
        over[:, :, 0] = (turn < step[:, None]) & (ring >= 0) & (ring < radii)
        return over

    of_layers = [np.concatenate([of_layer(parity, *x) for x in reaches], 1) for parity in (0, 1)]
    return jnp.asarray(np.stack(of_layers, 1).reshape(2 * radii, -1))


def step_by_step(
    decide: Callable[[Any, Array, Rings], tuple[Any, Array]], state: Any, choice: Array, known: Grid, most: int
) -> tuple[Any, Array]:
    """What is decided for rings with a choice (R, G), by step: the state in the end, and (R, G) by step, 0 for others.

    decide: (state, step, some rings of the step) -> state, what it decided for them (C,). All rings of a step are
    decided before those of the next; most: rings that are computed at all.
    """
    radii, size = choice.shape
    together = chunk(most)
    listed, _ = placement.listed(choice.ravel(), most + together)
    ends = jnp.minimum(jnp.cumsum(jnp.sum(choice, 1)), most)

    def some(now):
        begin, state, found = now
        step = jnp.sum(ends <= begin)
        end = jnp.minimum(begin + together, ends[step])
        here = begin + jnp.arange(together) < end
        turn = jnp.where(here, lax.dynamic_slice_in_dim(listed, begin, together), step * size)
        layer = turn - step * size
        ring = jnp.where(rows.take(known.parity, layer) == 1, swapped(step, radii), step)
        rings = Rings(layer, ring, here, ring * size + layer, turn)
        state, decided = decide(state, step, rings)
        return end, state, lax.dynamic_update_slice_in_dim(found, decided, begin, 0)

    start = (jnp.int32(0), state, jnp.zeros(most + together))
    _, state, found = lax.while_loop(lambda now: now[0] < ends[-1], some, start)
    return state, jnp.zeros(radii * size).at[listed].set(found, mode="drop", unique_indices=True).reshape(radii, size)


def in_tree(rings: Rings, known: Grid, constants: Constants) -> tuple[Array, Array]:
    """(C,) shower and number in the detector of rings that exist."""
    layers, radii = constants.tree.layer_rings.shape
    owner = rows.take(known.owner, rings.layer)
    place = (rings.layer - owner * layers) * radii + rings.ring
    return owner, jnp.maximum(rows.take(constants.tree.layer_rings.ravel(), place), 0)


def last_ring(hit: Array, parity: Array) -> Array:
    """(G,) the ring of each layer that is hit in the last of the steps, R if none is; hit (R, G) by step."""
    radii = len(hit)
    step = radii - 1 - jnp.argmax(hit[::-1], 0)
    ring = jnp.where(parity == 1, swapped(step, radii), step)
    return jnp.where(jnp.any(hit, 0), ring, radii)


def chunk(most: int) -> int:
    """Rings of a step that are computed together, of so many in all steps: few chunks without many empty places."""
    return min(max(most // 8 // 32, 1) * 32, _ROWS)


def _beside(radii):
    """Places of nothing to either side of a layer's rings: as far as anything is seen."""
    return max(radii - 1, REACH)


def _radii(rows):
    width = rows.shape[1]
    return next(radii for radii in range(1, width + 1) if radii + 2 * _beside(radii) == width)


def _pieces(rows, row, column, sizes):
    """(C, F, Q): pieces (layers, rings) of the rows, from these on."""
    dimensions = lax.GatherDimensionNumbers(offset_dims=(1, 2, 3), collapsed_slice_dims=(), start_index_map=(0, 1))
    found = lax.gather(
        rows,
        jnp.stack([row, column], 1),
        dimensions,
        (*sizes, rows.shape[2]),
        mode=lax.GatherScatterMode.PROMISE_IN_BOUNDS,
    )
    return found.reshape(len(row), -1)
