import numpy as np
import pytest

from calojax import geometry
from calojax.systems.pyramid.coarse import NEIGHBOURS, OUTSIDE, tree


@pytest.mark.parametrize("name", ["ds1-photons", "ds1-pions", "ds2", "ds3"])
def test_every_cell_has_its_place_in_one_ring_and_every_ring_in_one_layer(name):
    cylinder = geometry.load(name)
    whole = tree(cylinder)
    cells = whole.ring_cells[whole.ring_cells != OUTSIDE]
    np.testing.assert_array_equal(np.sort(cells), np.arange(cylinder.n_cells))
    np.testing.assert_array_equal(whole.ring_cells[whole.cell_ring, whole.cell_alpha], np.arange(cylinder.n_cells))
    rings = whole.layer_rings[whole.layer_rings != OUTSIDE]
    np.testing.assert_array_equal(np.sort(rings), np.arange(len(whole.ring_layer)))
    np.testing.assert_array_equal(whole.ring_layer[whole.cell_ring], cylinder.layer)


def test_neighbouring_rings_of_a_regular_detector_are_neighbours_of_each_other(ds2):
    near = tree(ds2).ring_near
    for step, back in ((0, 1), (2, 3), (4, 5), (6, 9), (7, 8)):
        assert NEIGHBOURS[step] == tuple(-s for s in NEIGHBOURS[back])
        there = near[step]
        known = there != OUTSIDE
        np.testing.assert_array_equal(near[back][there[known]], np.flatnonzero(known))


def test_a_layer_binned_differently_is_met_at_the_nearest_radius(detector):
    whole = tree(detector)
    outer, behind = whole.layer_rings[1, 2], whole.layer_rings[2]
    assert whole.ring_near[0][outer] == behind[1]  # 15 mm: nearer to 14 than to 4
    assert whole.ring_near[1][behind[0]] == whole.layer_rings[1, 0]  # 4 mm: nearer to 2.5 than to 7.5
