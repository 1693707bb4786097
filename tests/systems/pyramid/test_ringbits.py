"""Rings as bits, against rolled arrays; 50 cells take four words, 16 one."""

import jax
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
    first = draw.integers(0, size)
    widths = sorted({0, 1, min(5, cells), cells})

    @jax.jit
    def views(pattern, size, first):
        bits = ringbits.of_cell(jnp.arange(cells)[:, None], size, cells)  # (W, cells, 40)
        words = jnp.bitwise_or.reduce(jnp.where(pattern.T, bits, 0), 1)
        return [ringbits.unpack(ringbits.view(words, first, width), width) for width in widths]

    for width, seen in zip(widths, map(np.asarray, views(pattern, size, first)), strict=True):
        for ring in range(40):
            expected = pattern[ring, (first[ring] + np.arange(width)) % size[ring]]
            np.testing.assert_array_equal(seen[:, ring], expected)
