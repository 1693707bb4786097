"""Direct paths beside the networks: every voxel moves every bit, and every bit every voxel, in proportion.

What many voxels do together (a shower that begins late is deep in all its voxels) is nearly linear in these, and is
learned in a few hundred steps; the networks add what is not. Not published; a fraction of the networks' arithmetic.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.systems.qvae.models.decoded import Decoded
from calojax.systems.qvae.models.plan import Grid

_LEVELS = 3
_SMALL = 0.01


class Linear(NamedTuple):
    """logits (3, Z, A, R, n); hits and energies (3, n, Z, A, R)."""

    logits: Array
    hits: Array
    energies: Array


def init(key: Array, grid: Grid, nodes: int) -> Linear:
    """Logits of the size of their noise, for voxels of variance 1; voxels hardly moved."""
    of_logits, of_hits, of_energies = jax.random.split(key, 3)
    cells = grid[0] * grid[1] * grid[2]
    logits = jax.random.normal(of_logits, (_LEVELS, *grid, nodes)) * 2 * cells**-0.5
    moved = (_SMALL * jax.random.normal(one, (_LEVELS, nodes, *grid)) for one in (of_hits, of_energies))
    return Linear(logits, *moved)


def logits(params: Linear, voxels: Array) -> Array:
    """voxels (N, Z, A, R) -> what is added to the logits of the bits (N, 3, n)."""
    return jnp.einsum("nzar,lzark->nlk", voxels, params.logits)


def heads(params: Linear, bits: Array) -> Decoded:
    """bits (N, 3, n), 0 to 1 -> what is added to both heads (N, Z, A, R)."""
    return Decoded(*(jnp.einsum("nlk,lkzar->nzar", 2 * bits - 1, part) for part in (params.hits, params.energies)))
