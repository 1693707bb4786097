"""Rings as bits, against rolled arrays; 50 cells take four words, 16 one."""

import jax.numpy as jnp
import numpy as np
import pytest

from calojax.systems.pyramid.stages import ringbits


@pytest.mark.parametrize("cells", [1, 5, 16, 17, 32, 50])
def test_a_window_of_the_bits_is_the_ring_from_there_on(cells):
    draw = np.random.default_rng(cells)
    size = draw.integers(1, cells + 1, 40)
    size[0] = cells
    pattern = draw.random((40, cells)) < 0.4
    words = jnp.zeros((ringbits.n_words(cells), 40), jnp.uint32)
    for cell in range(cells):
        bits = ringbits.of_cell(jnp.full(40, cell), jnp.asarray(size), cells)
        words = words | jnp.where(pattern[:, cell], bits, 0)
    first = draw.integers(0, size)
    for width in {0, 1, min(5, cells), cells}:
        seen = np.asarray(ringbits.unpack(ringbits.view(words, jnp.asarray(first), width), width))
        for ring in range(40):
            expected = pattern[ring, (first[ring] + np.arange(width)) % size[ring]]
            np.testing.assert_array_equal(seen[:, ring], expected)
