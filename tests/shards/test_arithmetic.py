"""Index arithmetic of ragged rows, on counts that nobody thought of."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calojax.shards.batches import capacities
from calojax.shards.reader import ranges

COUNTS = st.lists(st.integers(0, 500), min_size=1, max_size=60).map(np.array)


@given(COUNTS, st.integers(0, 2**31))
def test_ranges_are_the_places_of_rows_one_after_another(counts, seed):
    starts = np.random.default_rng(seed).integers(0, 10_000, len(counts))
    expected = [np.arange(start, start + count) for start, count in zip(starts, counts, strict=True)]
    np.testing.assert_array_equal(ranges(starts, counts), np.concatenate(expected))


@given(COUNTS, st.integers(1, 16), st.integers(0, 2**31))
def test_the_last_capacity_holds_any_tile(counts, tile, seed):
    sizes = capacities(counts, tile)
    assert list(sizes) == sorted(set(sizes)) and len(sizes) <= 2
    rows = np.resize(np.random.default_rng(seed).permutation(len(counts)), tile)  # too few rows are repeated
    assert counts[rows].sum() <= sizes[-1]
