"""What the layers and rings of a tile know about themselves and their neighbours before they are placed.

Features are (F, G) on the grid of all layers and (F, E) on the list of hit rings.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

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
    parity (G,); owner (G,); inside (len(VECTORS), G): is there a layer so far away."""

    incident_energy: Array
    energy: Array
    context: Array
    hit: Array  # (G,) bool
    parity: Array
    owner: Array
    inside: Array


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
    layer, owner = number % depth, number // depth
    there = layer + jnp.asarray(VECTORS)[:, None]
    inside = (there >= 0) & (there < depth)
    return Grid(incident_energy, energy, jnp.concatenate(context), hit, layer % 2, owner, inside)


def context_size(constants: Constants) -> int:
    """F of `Grid.context`."""
    return 3 + constants.layer_features.shape[0] + 1 + len(NUMBERS) + 1


def from_front(body: Callable, carry: Any, layers: Any, hit: Array, empty: Any) -> Any:
    """What `jax.lax.scan` of the layers puts out, (L, T) in the tree of `empty`, as far as any shower reaches: as in
    `empty` behind that. hit (L, T) bool; no gradient."""
    reach = jnp.max(jnp.where(jnp.any(hit, 1), jnp.arange(1, len(hit) + 1), 0))

    def step(number, state):
        carry, new = body(state[0], jax.tree.map(lambda x: x[number], layers))
        return carry, jax.tree.map(lambda all, one: all.at[number].set(one), state[1], new)

    return jax.lax.fori_loop(0, reach, step, (carry, empty))[1]


def ring_order(parity: Array, radii: int) -> Array:
    """(R, G) the ring of each layer in each step, see `coarse.swapped`."""
    steps = jnp.arange(radii)[:, None]
    return jnp.where(parity == 1, swapped(steps, radii), steps)


def in_order(values: Array, parity: Array) -> Array:
    """values (R, G) by ring -> by step, see `ring_order`."""
    pairs, size = len(values) // 2, values.shape[1]
    # `coarse.swapped`: a gather of rows with numbers known to the compiler takes several times as long
    turned = jnp.concatenate(
        [values[: 2 * pairs].reshape(pairs, 2, size)[:, ::-1].reshape(-1, size), values[2 * pairs :]]
    )
    return jnp.where(parity == 1, turned, values)


def around_ring(values: Array, step: Array, known: Grid) -> list[Array]:
    """Around the ring that is placed in this step, values (R, G), 0 outside: of the whole layer, (2 R - 1, G), and of
    the layers around (`VECTORS`) near that ring, (2 REACH + 1, G) each."""
    (radii, size), most = values.shape, max(abs(away) for away in VECTORS)
    turn = lambda even, odd: jnp.where(known.parity == 1, odd, even)
    parts = [turn(*_windows(values, step, radii - 1))]
    even, odd = _windows(jnp.pad(values, ((0, 0), (most, most))), step, REACH)
    for away, inside in zip(VECTORS, known.inside, strict=True):
        there = slice(most + away, most + away + size)  # of a flat list: the next shower's, where not inside
        parts.append(jnp.where(inside, turn(even[:, there], odd[:, there]), 0))
    return parts


def _windows(values, step, reach):
    """The rings around those that even and odd layers place in this step: (2 reach + 1, G) each."""
    padded = jnp.pad(values, ((reach, reach), (0, 0)))
    window = lambda first: jax.lax.dynamic_slice_in_dim(padded, first, 2 * reach + 1)
    return window(step), window(swapped(step, len(values)))


def seen_from_ring(radii: int) -> int:
    """Rows of `around_ring`."""
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
