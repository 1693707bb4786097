"""What the layers and rings of a tile know about themselves and their neighbours before they are placed.

Features are (F, G) on the grid of all layers and (F, E) on the list of hit rings.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.systems.pyramid import truth
from calojax.systems.pyramid.coarse import OUTSIDE, swapped
from calojax.systems.pyramid.constants import Constants

NUMBERS = (-4, -3, -2, -1, 1, 2, 3, 4)  # layers away whose single numbers are seen
VECTORS = (-3, -2, -1, 1, 2, 3)  # layers away whose ring by ring numbers are seen
REACH = 2  # rings to either side that are seen there


class Grid(NamedTuple):
    """incident_energy (T,), MeV, and its features energy (3, T); context (F, G): energy, position, hit layers around;
    parity (G,); owner (G,)."""

    incident_energy: Array
    energy: Array
    context: Array
    hit: Array  # (G,) bool
    parity: Array
    owner: Array


def build(incident_energy: Array, layers: Array, constants: Constants) -> Grid:
    """incident_energy (T,), MeV; layers (T, L) bool."""
    showers, depth = layers.shape
    energy = truth.energy_features(incident_energy, constants)
    hit = layers.ravel()
    own = hit[None].astype(jnp.float32)
    context = [
        truth.on_grid(energy, depth),
        truth.on_layers(constants.layer_features, showers),
        own,
        truth.layers_apart(depth, NUMBERS)(own),
        truth.on_grid(jnp.mean(layers, 1)[None].astype(jnp.float32), depth),
    ]
    number = jnp.arange(showers * depth)
    return Grid(incident_energy, energy, jnp.concatenate(context), hit, number % depth % 2, number // depth)


def context_size(constants: Constants) -> int:
    """F of `Grid.context`."""
    return 3 + constants.layer_features.shape[0] + 1 + len(NUMBERS) + 1


def ring_order(parity: Array, radii: int) -> Array:
    """(R, G) the ring of each layer in each step, see `coarse.swapped`."""
    steps = jnp.arange(radii)[:, None]
    return jnp.where(parity == 1, swapped(steps, radii), steps)


def from_ring(values: Array, step: Array, parity: Array, reach: int) -> Array:
    """values (..., R, G) around the ring that is placed in this step, 0 outside: (..., 2 reach + 1, G)."""
    axis = values.ndim - 2
    padded = jnp.pad(values, [(0, 0)] * axis + [(reach, reach), (0, 0)])
    window = lambda first: jax.lax.dynamic_slice_in_dim(padded, first, 2 * reach + 1, axis)
    return jnp.where(parity == 1, window(swapped(step, values.shape[-2])), window(step))


def near_ring(values: Array, step: Array, parity: Array, layers: int) -> Array:
    """values (R, G) of the layers around (`VECTORS`) near that ring: (len(VECTORS) (2 REACH + 1), G)."""
    around = truth.layers_apart(layers, VECTORS)(values).reshape(len(VECTORS), *values.shape)
    return from_ring(around, step, parity, REACH).reshape(-1, values.shape[1])


def seen_from_ring(radii: int) -> int:
    """Rows of `from_ring` over the whole layer and `near_ring` together."""
    return 2 * radii - 1 + len(VECTORS) * (2 * REACH + 1)


def real_rings(constants: Constants, showers: int) -> Array:
    """(R, G) bool: rings that exist in the geometry."""
    exists = (constants.tree.layer_rings != OUTSIDE).T
    return jnp.tile(exists, (1, showers))


def ring_sizes(constants: Constants, showers: int) -> Array:
    """(R, G) int32 cells of each ring, 0 where a layer has no such ring."""
    layer_rings = constants.tree.layer_rings
    return jnp.tile(jnp.where(layer_rings >= 0, constants.ring_size[layer_rings], 0).T, (1, showers))


def one_hot(index: Array, n: int) -> Array:
    """index (E,) -> (n, E) float32."""
    return (jnp.arange(n)[:, None] == index).astype(jnp.float32)


def at(values: Array, index: Array) -> Array:
    """values (n, E) at index (E,) -> (E,), without a gather."""
    return jnp.sum(jnp.where(jnp.arange(values.shape[0])[:, None] == index, values, 0), 0)
