"""The cells of rings as bits, so that what a cell sees of a ring is one shifted word instead of a row of numbers.

Bits go twice around the ring: cell c of a ring of n cells is bits c, c + n, c + 2 n ... up to 2 A, A being the largest
number of cells. So any A cells from any cell on are a window of them. words (W, E) uint32, the lowest bits first.
"""

import jax.numpy as jnp
from jax import Array

WORD = 32


def n_words(cells: int) -> int:
    """W for rings of at most this many cells."""
    return -(-2 * cells // WORD)


def of_cell(cell: Array, size: Array, cells: int) -> Array:
    """The bits of one cell (..., E) of each ring of size (E,), none where cell >= size: (W, ..., E)."""
    word = jnp.arange(n_words(cells)).reshape(-1, *[1] * cell.ndim)
    bits = jnp.where((word == cell // WORD) & (cell < size), jnp.uint32(1) << (cell % WORD).astype(jnp.uint32), 0)
    for doubling in range((2 * cells - 1).bit_length()):
        bits = bits | _left(bits, size << doubling)
    return bits


def view(words: Array, first: Array, width: int) -> Array:
    """The bits of `words` (W, ...) from `first` (...) on, as words of their own: (ceil(width / 32), ...)."""
    return jnp.stack([_word_from(words, first + begin) for begin in range(0, max(width, 1), WORD)])


def unpack(words: Array, width: int) -> Array:
    """The first bits one by one: (W, ..., E) -> (..., width, E) float32, 0 or 1."""
    parts = []
    for i, word in enumerate(words):
        each = jnp.arange(min(WORD, width - WORD * i), dtype=jnp.uint32)[:, None]
        parts.append((word[..., None, :] >> each) & 1)
    return jnp.concatenate(parts, -2).astype(jnp.int32).astype(jnp.float32)


def _word_from(words, first):
    """The 32 bits from `first` on."""
    if len(words) == 1:
        return words[0] >> first.astype(jnp.uint32)
    number, shift = first // WORD, (first % WORD).astype(jnp.uint32)
    low, high = _pick(words, number), _pick(words, number + 1)
    return (low >> shift) | jnp.where(shift > 0, high << ((WORD - shift) % WORD), 0)


def _left(words, by):
    """Words moved `by` (E,) bits up; what leaves the last word is gone."""
    number, shift = by // WORD, (by % WORD).astype(jnp.uint32)
    moved = []
    for i in range(len(words)):
        low, high = _pick(words, i - 1 - number), _pick(words, i - number)
        moved.append((high << shift) | jnp.where(shift > 0, low >> ((WORD - shift) % WORD), 0))
    return jnp.stack(moved)


def _pick(words, number):
    """Word `number` (E,), 0 where there is none."""
    return sum((jnp.where(number == i, word, 0) for i, word in enumerate(words)), jnp.zeros_like(words[0]))
