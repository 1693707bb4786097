"""What goes over the tiles of a batch: one tile after another on each device, the devices side by side.

A tile at a time keeps the arrays of a step in a core's cache; the leading axis that is left is the one that the mesh
splits. Systems call it in their loss.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, PartitionSpec

AXIS = "data"


def devices_for(tiles: int) -> int:
    """As many devices as divide the number of tiles."""
    return next(n for n in range(jax.device_count(), 0, -1) if tiles % n == 0)


def mesh(tiles: int) -> Mesh:
    """The devices of a step on so many tiles, along the one axis."""
    devices = jax.devices()[: devices_for(tiles)]
    return jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def side_by_side(function: Callable[..., Any], tiles: int, shared: Any, *parts: Any) -> Any:
    """function(shared, *parts), each device of a step on so many tiles with its rows of the parts alone.

    parts, and what comes out: trees of arrays along whose first axis nothing depends on other rows. What the compiler
    would gather on every device, such as a loop over tiles or chains, stays where it is. Parts that the devices do not
    divide are computed on all of them.
    """
    devices = devices_for(tiles)
    if devices == 1 or any(leaf.shape[0] % devices for leaf in jax.tree.leaves(parts)):
        return function(shared, *parts)
    split, whole = PartitionSpec(AXIS), PartitionSpec()
    specs = (whole, *(split for _ in parts))
    return jax.shard_map(function, mesh=mesh(tiles), in_specs=specs, out_specs=split)(shared, *parts)


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
