"""Random numbers keyed by (shower, purpose, place), so that neither tile nor capacity changes them.

They are those of `jax.random` for threefry keys, bit for bit; but JAX lowers its cipher to a loop on a CPU, with a
launch for each of its steps, and for keys that differ element by element. Written out and applied to whole arrays of
keys and counters it is a few element-wise kernels.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from calojax.systems.pyramid.truth import Rings

PURPOSES = ("hit layers", "numbers", "hit rings", "hit cells by ring", "cells", "energies", "cell energies")
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_ONE = np.uint32(0x3F800000)  # the bits of 1.0


class Noise:
    """keys (T,): one per shower, of JAX's threefry2x32."""

    def __init__(self, keys: Array):
        self._keys = _fold_in(jax.random.key_data(keys).T, jnp.arange(len(PURPOSES))[:, None])

    def by_shower(self, purpose: str, n: int, *, normal: bool = False) -> Array:
        """(n, T), uniform or standard normal."""
        return _draw(self._for(purpose), jnp.arange(n)[:, None], normal)

    def on_grid(self, purpose: str, rows: int, depth: int, *, normal: bool = False) -> Array:
        """(rows, G) on the grid of all layers."""
        place = jnp.arange(depth) * rows + jnp.arange(rows)[:, None, None]
        return _draw(self._for(purpose)[..., None], place, normal).reshape(rows, -1)

    def by_ring(self, purpose: str, listed: Rings, n: int, *, normal: bool = False) -> Array:
        """(n, E): drawn only for the rings in the list, by their number in the detector."""
        keys = self._for(purpose)
        owner = jnp.minimum(listed.owner, keys.shape[1] - 1)
        return _draw(_fold_in(keys[:, owner], listed.ring), jnp.arange(n)[:, None], normal)

    def _for(self, purpose: str) -> Array:
        return self._keys[:, PURPOSES.index(purpose)]


def _draw(keys, place, normal):
    """What `jax.random.uniform` or `normal` gives at these places for these keys."""
    high, low = _threefry(keys, place)
    uniform = jax.lax.bitcast_convert_type(((high ^ low) >> 9) | _ONE, jnp.float32) - 1.0
    if not normal:
        return _once(uniform)
    least = np.nextafter(np.float32(-1), np.float32(0))
    return np.float32(np.sqrt(2)) * jax.lax.erf_inv(jnp.maximum(uniform * (1 - least) + least, least))


def _fold_in(keys, number):
    """As `jax.random.fold_in`, of broadcast keys (2, ...)."""
    return _once(jnp.stack(_threefry(keys, number)))


def _once(x):
    """Kept from being computed again in everything that uses it."""
    return jax.lax.optimization_barrier(x)


def _threefry(keys, number):
    """Threefry-2x32 of 20 rounds (Salmon et al. 2011, doi:10.1145/2063384.2063405): two words for (0, number)."""
    words = (keys[0], keys[1], keys[0] ^ keys[1] ^ _PARITY)
    a, b = words[0], number.astype(jnp.uint32) + words[1]
    for turn in range(5):
        for by in _ROTATIONS[turn % 2]:
            a = a + b
            b = ((b << by) | (b >> (32 - by))) ^ a
        a, b = a + words[(turn + 1) % 3], b + words[(turn + 2) % 3] + np.uint32(turn + 1)
    return a, b
