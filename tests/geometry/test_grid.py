"""Crystal grids: order and place of the cells, neighbours, what is refused."""

import numpy as np
import pytest

from calojax import geometry
from calojax.errors import InputError
from calojax.geometry import Grid

GRID = Grid("small", 4, 3, 10.0, 0.001)


def test_cells_are_where_images_have_them():
    assert GRID.n_cells == 12 and GRID.n_layers == 1
    image = np.arange(12).reshape(3, 4)  # (y, x)
    assert np.array_equal(image[GRID.alpha, GRID.ring], np.arange(12))
    assert GRID.centres[:, 0].reshape(3, 4)[0].tolist() == [-15, -5, 5, 15]
    assert GRID.centres[:, 1].reshape(3, 4)[:, 0].tolist() == [-10, 0, 10]


def test_neighbours_are_the_next_crystals():
    image = np.arange(12).reshape(3, 4)
    assert np.array_equal(GRID.neighbours("x").reshape(3, 4)[:, :-1], image[:, 1:])
    assert np.all(GRID.neighbours("x").reshape(3, 4)[:, -1] == -1)
    assert np.array_equal(GRID.neighbours("y").reshape(3, 4)[:-1], image[1:])
    assert np.all(GRID.neighbours("y").reshape(3, 4)[-1] == -1)
    with pytest.raises(ValueError, match="alpha"):
        GRID.neighbours("alpha")


def test_the_crystal_array_has_a_name():
    found = geometry.load("crystals-20x20")
    assert isinstance(found, Grid) and (found.n_x, found.n_y, found.pitch) == (20, 20, 20.0)
    assert np.abs(found.centres[:, :2]).max() == 190
    assert found.digest != GRID.digest


@pytest.mark.parametrize("size", [(0, 3, 10.0, 1.0), (4, 3, np.inf, 1.0), (4, 3, 10.0, 0.0)])
def test_a_grid_needs_a_size(size):
    with pytest.raises(InputError, match="geometry bad, "):
        Grid("bad", *size)
