"""Random numbers keyed by (shower, purpose, place), so that neither tile nor capacity changes them."""

import jax
import jax.numpy as jnp
from jax import Array

from calojax.systems.pyramid.truth import Rings

PURPOSES = ("hit layers", "numbers", "hit rings", "hit cells by ring", "cells", "energies", "cell energies")


class Noise:
    """keys (T,): one per shower."""

    def __init__(self, keys: Array):
        self.keys = keys

    def by_shower(self, purpose: str, n: int, *, normal: bool = False) -> Array:
        """(n, T), uniform or standard normal."""
        draw = jax.random.normal if normal else jax.random.uniform
        return jax.vmap(lambda key: draw(key, (n,)))(self._for(purpose)).T

    def on_grid(self, purpose: str, rows: int, depth: int, *, normal: bool = False) -> Array:
        """(rows, G) on the grid of all layers."""
        draw = jax.random.normal if normal else jax.random.uniform
        values = jax.vmap(lambda key: draw(key, (depth, rows)))(self._for(purpose))
        return values.reshape(-1, rows).T

    def by_ring(self, purpose: str, listed: Rings, n: int, *, normal: bool = False) -> Array:
        """(n, E): drawn only for the rings in the list, by their number in the detector."""
        draw = jax.random.normal if normal else jax.random.uniform
        owner = jnp.minimum(listed.owner, self.keys.shape[0] - 1)
        each = lambda key, ring: draw(jax.random.fold_in(key, ring), (n,))
        return jax.vmap(each)(self._for(purpose)[owner], listed.ring).T

    def _for(self, purpose: str) -> Array:
        return jax.vmap(lambda key: jax.random.fold_in(key, PURPOSES.index(purpose)))(self.keys)
