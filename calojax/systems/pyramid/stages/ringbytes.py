"""The cells of rings as bits by turn, so that what a cell sees of a ring is a few bytes of its words (`windows`).

Word w of a ring of n cells holds the cells of turns 8 w to 8 w + 15, going on from turn 0 behind n - 1: in its lower
half whether they are hit, in its upper half whether they are placed. So a byte from any turn on is within one word.
Words are (W, E) uint32. What is seen is one ring after another, (C, F): then the rows that belong to some rings are
copied as a whole, and products are faster.
"""

import jax.numpy as jnp
from jax import Array

from calojax.systems.pyramid.windows import BYTE


def put(words: Array, mask: Array, hit: Array) -> Array:
    """With one more cell of each ring placed: mask (W, 1 or E) its bits, hit (E,) bool."""
    return words | (mask << 2 * BYTE) | jnp.where(hit, mask, 0)


def hits(words: Array, turn: Array) -> Array:
    """turn (A, E) -> (A, E) bool, whether the cells of these turns are hit."""
    bits = jnp.zeros(turn.shape, jnp.uint32)
    for number, word in enumerate(words):
        shift = jnp.clip(turn - BYTE * number, 0, BYTE - 1).astype(jnp.uint32)
        bits |= jnp.where(turn // BYTE == number, word >> shift, 0)
    return bits & 1 > 0


def departures(words: Array, begin: Array, share: Array) -> Array:
    """1 - share where hit, -share where not, 0 where not placed, for the 8 cells from bit `begin` (1 or C, B) on of
    words (C, B), each of a ring with share (C, B) of its cells hit; (C, 8 B)."""
    bits = words[:, :, None] >> (begin[:, :, None] + jnp.arange(BYTE, dtype=jnp.uint32))
    placed = jnp.where((bits >> 2 * BYTE) & 1 > 0, -share[:, :, None], 0.0)
    return jnp.where(bits & 1 > 0, 1 - share[:, :, None], placed).reshape(len(words), -1)
