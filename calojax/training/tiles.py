"""Sums over the tiles of a batch: one tile after another on each device, the devices side by side.

A tile at a time keeps the arrays of a step in a core's cache; the leading axis that is left is the one that the mesh
splits. Systems call it in their loss.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def devices_for(tiles: int) -> int:
    """As many devices as divide the number of tiles."""
    return next(n for n in range(jax.device_count(), 0, -1) if tiles % n == 0)


def sum_over_tiles(of_tile: Callable[[dict[str, Any], Any], Any], batch: dict[str, Any], keys: Any) -> Any:
    """of_tile(tile, key) -> tree of arrays; batch: arrays with leading axis S, keys (S,) -> the sum over tiles."""
    tiles = keys.shape[0]
    devices = devices_for(tiles)

    def in_turn(batch, keys):
        return jax.tree.map(lambda a: jnp.sum(a, 0), jax.lax.map(lambda x: of_tile(*x), (batch, keys)))

    if devices == 1:
        return in_turn(batch, keys)
    split = lambda a: a.reshape(devices, tiles // devices, *a.shape[1:])
    sums = jax.vmap(in_turn)(jax.tree.map(split, batch), split(keys))
    return jax.tree.map(lambda a: jnp.sum(a, 0), sums)
