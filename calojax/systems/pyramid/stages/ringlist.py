"""What a hit ring sees of itself and its neighbours, in coordinates that turn with the cell being placed.

Cells of a ring are placed in the order of `placement.interleaved`, shifted by one cell in every second ring (even or
odd layer + radius), so that of two neighbouring cells one is always placed before the other. Everything is seen
relative to the cell, so that one network serves all cells of all rings.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from calojax.nn import placement
from calojax.systems.pyramid.constants import Constants
from calojax.systems.pyramid.truth import Rings


class Surroundings(NamedTuple):
    """parity (E,) bool; near (M, E) place of each neighbour: 0..E-1, E not hit, E + 1 outside the detector."""

    parity: Array
    near: Array


def surroundings(rings: Rings, constants: Constants, shift_showers: int = 0) -> Surroundings:
    """shift_showers takes the neighbours from another shower of the tile: a control, for tests and ablations."""
    showers, capacity = rings.table.shape[0], rings.owner.shape[0]
    ring = constants.tree.ring_near[:, rings.ring]  # (M, E)
    owner = (jnp.minimum(rings.owner, showers - 1) + shift_showers) % showers
    place = jnp.where(ring >= 0, rings.table[owner, jnp.maximum(ring, 0)], capacity + 1)
    parity = (constants.tree.ring_layer + constants.tree.ring_radius)[rings.ring] % 2 == 1
    return Surroundings(parity, place)


def split(around: Surroundings, n: int) -> tuple[Surroundings, Surroundings]:
    """The first n neighbours, and the others."""
    return around._replace(near=around.near[:n]), around._replace(near=around.near[n:])


def order(cells: int, parity: Array) -> Array:
    """(A, E) the cell of each ring in each step."""
    return (jnp.asarray(placement.interleaved(cells))[:, None] + parity) % cells


def turned(values: Array, base: Array) -> Array:
    """values (A, E) with cell `base` first."""
    return jnp.roll(values, -base, axis=0)


def own_view(rolled: Array, parity: Array) -> Array:
    """The ring from its cell's place: rolled (A, E) by the step's base -> (A, E), the cell itself first."""
    return jnp.where(parity, jnp.roll(rolled, -1, axis=0), rolled)


def near_view(rolled: Array, around: Surroundings, reach: int) -> Array:
    """The 2 reach + 1 cells of each neighbour around the same angle, 0 where it is not hit: (M (2 reach + 1), E)."""
    return _near(jnp.roll(rolled, reach, axis=0)[: 2 * reach + 2], around)


def near_rings(rolled: Array, around: Surroundings) -> Array:
    """All cells of each neighbour, the one at the same angle first, 0 where it is not hit: (M A, E)."""
    return _near(jnp.concatenate([rolled, rolled[:1]]), around)


def _near(window, around):
    edge = jnp.zeros((window.shape[0], 2), window.dtype)
    seen = jnp.concatenate([window, edge], 1)[:, around.near]  # (rows, M, E)
    seen = jnp.where(around.parity, seen[1:], seen[:-1])
    return seen.reshape(-1, seen.shape[2])


def near_numbers(values: Array, around: Surroundings) -> Array:
    """values (F, E) of each neighbour, 0 where there is none: (F M, E)."""
    padded = jnp.pad(values, ((0, 0), (0, 2)))
    return padded[:, around.near].reshape(-1, values.shape[1])
