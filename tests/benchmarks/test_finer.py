"""The toy of data set 3: a valid file, with the energy of every layer where it was."""

import numpy as np
import pytest

from benchmarks import finer
from calojax import data, geometry
from calojax.files import calochallenge

ROWS = 40


@pytest.fixture(scope="module")
def showers(tmp_path_factory):
    """(of data set 2, of the toy): as the reader gives them."""
    source, out = data.sample("pyramid"), tmp_path_factory.mktemp("toy") / "toy.hdf5"
    finer.write(source, out, ROWS)
    return calochallenge.read(source, geometry.load("ds2"), slice(ROWS)), calochallenge.read(out, geometry.load("ds3"))


def by_layer(showers, cylinder):
    return np.add.reduceat(showers.astype(float), cylinder.layer_offsets[:-1], axis=1)


def test_showers_keep_their_incident_energy_and_the_energy_of_every_layer(showers):
    before, after = showers
    np.testing.assert_array_equal(before.incident_energy, after.incident_energy)
    energies = by_layer(before.showers, geometry.load("ds2")), by_layer(after.showers, geometry.load("ds3"))
    np.testing.assert_allclose(*energies, rtol=1e-6)


def test_energy_stays_within_its_voxel():
    """A voxel covers two rings and three to five alpha bins of the finer grid."""
    coarse, fine = geometry.load("ds2"), geometry.load("ds3")
    for cell in (0, 5, 143, 3000, coarse.n_cells - 1):
        one = np.zeros((1, coarse.n_cells), np.float32)
        one[0, cell] = 1e3
        found = np.nonzero(finer.split(one, coarse, fine, np.random.default_rng(0))[0])[0]
        assert set(fine.layer[found]) == {coarse.layer[cell]}
        assert set(fine.ring[found]) == {2 * coarse.ring[cell], 2 * coarse.ring[cell] + 1}
        turns = (coarse.alpha[cell] + np.array([0, 1])) / 16 * 50
        assert set(fine.alpha[found]) == set(range(int(turns[0]), int(np.ceil(turns[1]))))


def test_a_hit_stays_a_hit_and_the_same_seed_gives_the_same(showers):
    before, after = showers
    threshold = geometry.load("ds3").threshold
    hit = before.showers[before.showers > 0]
    assert after.showers[after.showers > 0].min() >= min(threshold, hit.min())
    again = finer.split(before.showers, geometry.load("ds2"), geometry.load("ds3"), np.random.default_rng(0))
    np.testing.assert_array_equal(after.showers, again)
