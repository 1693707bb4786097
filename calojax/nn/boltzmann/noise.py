"""Uniform numbers that are functions of a key and two counters: threefry, computed where they are used.

JAX's own threefry makes whole arrays in a loop; this one is element-wise, and XLA makes it part of the comparison that
takes its numbers, in any layout. Source: Threefry-2x32 with 20 rounds, J. Salmon et al., Parallel Random Numbers: As
Easy as 1, 2, 3 (2011).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_BITS = 23  # of a number; with the half that is added, as many as float32 holds


def words(keys: Array) -> Array:
    """(C,) threefry keys -> (C, 2) uint32."""
    return jax.random.key_data(keys).astype(jnp.uint32)


def uniform(key: Sequence[Array] | Array, first: Array, second: Array) -> Array:
    """In the middle of one of 2^23 bins of (0, 1), of the broadcast shape of the uint32 words of keys and counters.

    What comes true below a probability p does so with p to the nearest multiple of 2^-23.
    """
    number = threefry(key, first, second)[0] >> (32 - _BITS)
    return (number.astype(jnp.float32) + 0.5) * 2.0**-_BITS


def threefry(key: Sequence[Array] | Array, x: Array, y: Array) -> tuple[Array, Array]:
    """The two words that the counters x, y become under a key; all uint32, broadcast."""
    schedule = (*key, key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    x, y = x + schedule[0], y + schedule[1]
    for turn in range(5):
        for distance in _ROTATIONS[turn % 2]:
            x = x + y
            y = x ^ ((y << distance) | (y >> (32 - distance)))
        x, y = x + schedule[(turn + 1) % 3], y + schedule[(turn + 2) % 3] + jnp.uint32(turn + 1)
    return x, y
