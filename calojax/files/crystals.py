"""Showers in a grid of crystals: HDF5 with `energy` (N,), the incident one, and `images` (N, y, x), both in MeV."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from calojax.files import hdf5
from calojax.files.calochallenge import Showers, Summary
from calojax.files.hdf5 import refused
from calojax.geometry import Cylinder, Grid

ENERGY, IMAGES = "energy", "images"


def summary(path: Path) -> Summary:
    """Size, range of incident energies and attributes; n_cells of one image."""
    with hdf5.opened(path) as file:
        energies, images = _datasets(path, file)
        energy = _energies(path, energies)
        attributes = {name: hdf5.plain(value) for name, value in file.attrs.items()}
        return Summary(
            len(energy), int(np.prod(images.shape[1:])), float(energy.min()), float(energy.max()), attributes
        )


def stream(path: Path, geometry: Cylinder | Grid, rows: int = 2048, any_values: bool = False) -> Iterator[Showers]:
    """Showers in order, at most `rows` at a time, as rows of cells (n, V).

    any_values: crystals may be negative or not finite. Raises InputError naming file, key, row and rule.
    """
    with hdf5.opened(path) as file:
        energies, images = _datasets(path, file)
        if not isinstance(geometry, Grid):
            raise refused(f"{path}, {IMAGES}", "is of crystals", f"{geometry.name} is none", "give the name of a grid")
        if images.shape[1:] != (geometry.n_y, geometry.n_x):
            found = f"has images of {' x '.join(map(str, images.shape[1:]))} crystals (y, x)"
            rule = f"{geometry.name} has {geometry.n_y} x {geometry.n_x}"
            raise refused(f"{path}, {IMAGES}", found, rule, "give another geometry or another file")
        energy = _energies(path, energies)
        for first in range(0, len(energy), rows):
            try:
                block = images.astype(np.float32)[first : first + rows].reshape(-1, geometry.n_cells)
            except (OSError, RuntimeError) as error:
                last = min(first + rows, len(energy)) - 1
                raise hdf5.unreadable(path, IMAGES, f"rows {first} to {last}", error) from None
            bad = ~((block >= 0) & (block < np.inf))
            if not any_values and bad.any():
                row, column = np.argwhere(bad)[0]
                found = f"the energy is {block[row, column]}"
                place = f"{path}, {IMAGES}, row {first + row}, crystal {column}"
                rule = "energies of crystals are finite and not negative, in MeV"
                raise refused(place, found, rule, "remove or mend this shower")
            yield Showers(energy[first : first + rows], block)


def _datasets(path: Path, file: h5py.File) -> tuple[h5py.Dataset, h5py.Dataset]:
    energies, images = (hdf5.dataset(path, file, key, layout=f"{ENERGY} and {IMAGES}") for key in (ENERGY, IMAGES))
    if energies.ndim not in (1, 2) or energies.shape[1:] not in ((), (1,)) or len(energies) == 0:
        raise refused(f"{path}, {ENERGY}", f"has the shape {energies.shape}", "it must be (N,), N > 0", "reshape it")
    if images.ndim != 3 or len(images) != len(energies):
        rule = f"images are (N, y, x), N = {len(energies)} as {ENERGY} has"
        raise refused(f"{path}, {IMAGES}", f"has the shape {images.shape}", rule, "reshape it")
    return energies, images


def _energies(path: Path, dataset: h5py.Dataset) -> np.ndarray:
    try:
        energy = np.asarray(dataset[:], np.float64).reshape(-1)
    except (OSError, RuntimeError) as error:
        raise hdf5.unreadable(path, ENERGY, "some rows", error) from None
    bad = ~(np.isfinite(energy) & (energy > 0))
    if bad.any():
        row = int(np.argmax(bad))
        rule = "incident energies are finite and above 0, in MeV"
        raise refused(f"{path}, {ENERGY}, row {row}", f"the energy is {energy[row]}", rule, "remove this shower")
    return energy
