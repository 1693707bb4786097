"""Which reader a file of showers needs: its keys say it."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from calojax.files import calochallenge, crystals, hdf5
from calojax.files.atlas import reading as atlas
from calojax.files.atlas.bins import KEYS
from calojax.files.calochallenge import Showers
from calojax.geometry import load


class Reader(NamedTuple):
    """name: of the layout; summary(path): with rows, n_cells, lowest_energy, highest_energy and attributes;
    stream(path, geometry, rows=, any_values=): blocks of showers."""

    name: str
    summary: Callable[[Path], Any]
    stream: Callable[..., Iterator[Showers]]


_CALOCHALLENGE = Reader("calochallenge", calochallenge.summary, calochallenge.stream)
_CRYSTALS = Reader("crystals", crystals.summary, crystals.stream)
_ATLAS = Reader("atlas", atlas.summary, atlas.without_negatives)


def geometry(source: Any) -> Any:
    """What `geometry.load` gives, and of a file of ATLAS voxels its active layers."""
    if isinstance(source, (str, Path)) and Path(source).suffix in (".hdf5", ".h5") and reader(Path(source)) is _ATLAS:
        return atlas.cylinder(source)
    return load(source)


def read(path: Path, geometry: Any, rows: slice = slice(None)) -> Showers:
    """Some showers of a file of any layout, MeV."""
    energies, showers = zip(*reader(path).stream(path, geometry), strict=True)
    return Showers(np.concatenate(energies)[rows], np.concatenate(showers)[rows])


def reader(path: Path) -> Reader:
    """Of ATLAS voxels for a file with bins of voxels, of crystals for one of images, else of the CaloChallenge.

    Raises InputError for a file that cannot be opened.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever reads it is told that it is locked
        with hdf5.opened(path) as file:
            if any(key.startswith(KEYS[0]) for key in map(str, file)):
                return _ATLAS
            return _CRYSTALS if crystals.IMAGES in file and calochallenge.SHOWERS_KEY not in file else _CALOCHALLENGE
