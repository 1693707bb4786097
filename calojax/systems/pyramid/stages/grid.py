"""What the layers and rings of a tile know about themselves and their neighbours before they are placed.

Features are (F, G) on the grid of all layers and (F, E) on the list of hit rings.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax.systems.pyramid import truth
from calojax.systems.pyramid.coarse import OUTSIDE
from calojax.systems.pyramid.constants import Constants

NUMBERS = (-4, -3, -2, -1, 1, 2, 3, 4)  # layers away whose single numbers are seen
VECTORS = (-2, -1, 1, 2)  # layers away whose ring by ring numbers are seen


class Grid(NamedTuple):
    """energy (3, T) features; context (F, G): energy, position, hit layers around; parity (G,); owner (G,)."""

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
    return Grid(energy, jnp.concatenate(context), hit, number % depth % 2, number // depth)


def context_size(constants: Constants) -> int:
    """F of `Grid.context`."""
    return 3 + constants.layer_features.shape[0] + 1 + len(NUMBERS) + 1


def ring_order(layers: int, radii: int, showers: int) -> np.ndarray:
    """(R, G): even layers go through their rings outwards, odd ones two by two the other way round.

    So of two rings at the same radius in adjacent layers one is always placed before the other.
    """
    even = np.arange(radii)
    odd = np.where(even % 2 == 0, np.minimum(even + 1, radii - 1), even - 1)
    odd[-1] = radii - 1 if radii % 2 else radii - 2
    by_layer = np.where(np.arange(layers) % 2 == 0, even[:, None], odd[:, None])
    return np.tile(by_layer, (1, showers)).astype(np.int32)


def real_rings(constants: Constants, showers: int) -> Array:
    """(R, G) bool: rings that exist in the geometry."""
    exists = (constants.tree.layer_rings != OUTSIDE).T
    return jnp.tile(exists, (1, showers))


def one_hot(index: Array, n: int) -> Array:
    """index (E,) -> (n, E) float32."""
    return (jnp.arange(n)[:, None] == index).astype(jnp.float32)


def at(values: Array, index: Array) -> Array:
    """values (n, E) at index (E,) -> (E,), without a gather."""
    return jnp.sum(jnp.where(jnp.arange(values.shape[0])[:, None] == index, values, 0), 0)
