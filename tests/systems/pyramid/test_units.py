"""From files to shards: what cannot be showers in MeV is refused and leaves nothing."""

import h5py
import numpy as np
import pytest

from calojax.data import sample
from calojax.errors import InputError
from calojax.systems.pyramid import preparation
from calojax.systems.pyramid.config import Data


@pytest.fixture
def units(tmp_path):
    """Showers in MeV whose incident energies are in GeV, and their largest ratio."""
    with h5py.File(sample("pyramid")) as whole, h5py.File(tmp_path / "units.hdf5", "w") as file:
        energies, showers = whole["incident_energies"][:20, 0] / 1000, whole["showers"][:20]
        file["incident_energies"], file["showers"] = energies, showers
    return tmp_path / "units.hdf5", float((showers.sum(1) / energies).max())


@pytest.mark.filterwarnings("ignore:.*looks like GeV")
def test_units_that_differ_between_columns_are_refused_unless_allowed(tmp_path, units):
    path, ratio = units
    with pytest.raises(InputError, match=r"units\.hdf5, showers, row 0: holds .* times its incident energy .* MeV"):
        preparation.prepare([path], tmp_path / "out", Data())
    assert list(tmp_path.iterdir()) == [path]
    assert preparation.prepare([path], tmp_path / "out", Data(most_energy=1.01 * ratio)).rows == 20


@pytest.mark.parametrize("kind", [">f4", ">f8", "f8"])
def test_the_same_numbers_in_another_type_are_the_same_shards(tmp_path, kind):
    parts = []
    for name, stored in (("native", "f4"), ("other", kind)):
        with h5py.File(sample("pyramid")) as whole, h5py.File(tmp_path / name, "w") as file:
            file["incident_energies"] = whole["incident_energies"][:20].astype(stored)
            file["showers"] = np.asarray(whole["showers"][:20], stored)
        parts.append(preparation.prepare([tmp_path / name], tmp_path / f"{name}.shards", Data()).parts)
    assert parts[0] == parts[1]
