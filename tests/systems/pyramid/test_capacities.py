"""Places in the lists of a tile: enough, not many more, and in few sizes."""

import numpy as np
import pytest

from calojax.generation import Generation
from calojax.systems.pyramid import system
from calojax.systems.pyramid.config import Config


def config(tile):
    return Config(generation=Generation(tile=tile))


@pytest.fixture(scope="module")
def known(prepared):
    """Constants of four layers of 10 rings, of which 4 +- 0.6 are hit at 10 GeV."""
    found = system.constants(config(1), prepared.manifest)
    mean, log_width = np.zeros((2, 4), np.float32), np.zeros((2, 2), np.float32)
    mean[0, :2], log_width[0, 0] = (4.0, 1.0), -0.5
    return found._replace(sizes=found.sizes._replace(mean=mean, log_width=log_width))


@pytest.mark.parametrize("tile", [1, 5, 25, 2_500])
def test_capacities_grow_by_less_than_a_third_to_one_that_holds_everything(known, tile):
    rings, cells = np.array(system.capacities(config(tile), known)).T
    assert rings[-1] == tile * len(known.ring_size) and cells[-1] == rings[-1] * known.tree.ring_cells.shape[1]
    assert (rings[:-1] % 8 == 0).all()
    assert (rings[1:] > rings[:-1]).all() and (rings[1:] <= 1.25 * rings[:-1]).all()
    assert (cells[1:] >= cells[:-1]).all()


@pytest.mark.parametrize("tile", [25, 2_500])
def test_the_expected_capacity_is_the_first_that_holds_nearly_all_tiles(known, tile):
    energy = np.geomspace(2e3, 5e4, tile).astype(np.float32)
    lists = system.capacities(config(tile), known)
    level = system.expected_capacity(config(tile), known, {"incident_energy": energy})
    value = lambda c: np.polynomial.polynomial.polyval(np.log(energy / 1e4), np.asarray(c[0], float))
    mean, width = value(known.sizes.mean), np.exp(value(known.sizes.log_width))
    rings = np.random.default_rng(0).normal(mean, width, (2_000, tile)).sum(1)
    assert (rings > lists[level][0]).mean() < 1e-3
    assert level == len(lists) - 1 or (level > 0 and lists[level - 1][0] < mean.sum() + 4 * np.sqrt((width**2).sum()))


def test_more_energy_never_means_fewer_places(known):
    levels = [
        system.expected_capacity(config(25), known, {"incident_energy": np.full(25, energy)})
        for energy in np.geomspace(1e3, 1e5, 9)
    ]
    assert levels == sorted(levels)
