"""Direct paths beside the networks: every voxel moves every bit, and every bit every voxel, in proportion.

A shower that begins late is late in all its voxels: the networks would have to find each voxel's part in it through
many layers, these have a parameter for it. They are 9 n V parameters, n nodes and V voxels. Not published.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from calojax.systems.qvae.models.decoded import Decoded
from calojax.systems.qvae.models.encoder import LEVELS
from calojax.systems.qvae.models.plan import Grid

_SMALL = 0.03
_RATE = 3.5  # Adam moves all parameters as fast, and what many bits do to a voxel adds up: found by trial at 128 nodes


class Direct(NamedTuple):
    """logits (3, Z, A, R, n); hits and energies (3, n, Z, A, R)."""

    logits: Array
    hits: Array
    energies: Array


def init(key: Array, grid: Grid, nodes: int) -> Direct:
    """Logits of the size of their noise, for voxels of variance 1; voxels hardly moved."""
    of_logits, of_hits, of_energies = jax.random.split(key, 3)
    cells = grid[0] * grid[1] * grid[2]
    logits = jax.random.normal(of_logits, (LEVELS, *grid, nodes)) * 2 * cells**-0.5
    moved = (_SMALL * jax.random.normal(one, (LEVELS, nodes, *grid)) for one in (of_hits, of_energies))
    return Direct(logits, *moved)


def logits(params: Direct, voxels: Array) -> Array:
    """voxels (N, Z, A, R) -> what is added to the logits of the bits (N, 3, n)."""
    return jnp.einsum("nzar,lzark->nlk", voxels, params.logits)


def heads(params: Direct, bits: Array) -> Decoded:
    """bits (N, 3, n), 0 to 1 -> what is added to both heads (N, Z, A, R)."""
    signs = (2 * bits - 1) * _RATE * bits[0].size ** -0.5
    return Decoded(*(jnp.einsum("nlk,lkzar->nzar", signs, part) for part in (params.hits, params.energies)))
