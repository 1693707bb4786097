"""Showers as lists of hits in the HDF5 layout of the package `showerdata` (FLC, DESY), written and read in blocks.

`showers` (N,): of every shower the float32 values x, y, z, E of its hits, one hit after another; `energies` (N, 1),
`directions` (N, 3), `pdg`, `shower_ids` and `num_points` (N,), `shape` (3,). Lengths in mm, energies in MeV. Source:
the package itself, https://github.com/FLC-QU-hep/ShowerData, version 0.7.0. Letters: N showers, H hits.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from calojax import writing
from calojax.files import hdf5
from calojax.files.unfinished import Unfinished
from calojax.geometry import Cylinder

KEYS = ("showers", "energies", "directions", "pdg", "shower_ids", "num_points", "shape")
UNITS = {"units": "MeV", "length_units": "mm"}
_COLUMNS = 4  # x, y, z, E; other files have the time as a fifth
_LISTS = h5py.vlen_dtype(np.dtype("f4"))
_HEAP_BYTES = 32  # beside the values of a shower


class Points(NamedTuple):
    """n showers, hits one shower after another: incident_energy (n,) float64 MeV; counts (n,) int32, hits of each;
    position (H, 3) float32 mm; energy (H,) float32 MeV."""

    incident_energy: np.ndarray
    counts: np.ndarray
    position: np.ndarray
    energy: np.ndarray


class Writer:
    """A file of `showers` showers that has its name when it is whole; a context manager. Memory: that of one block.

    Hits lie in the centres of their cells. attributes: written beside the units, the geometry and `layer_begins` (L,),
    where its layers begin in z. After an exception nothing is left. Raises InputError if the path exists or cannot be
    written.
    """

    def __init__(self, path: str | Path, geometry: Cylinder, attributes: dict[str, Any], *, showers: int):
        self.path = Path(path)
        self._unfinished = Unfinished(self.path)
        self._centres = geometry.centres.astype(np.float32)
        self._attributes = UNITS | {
            "geometry": geometry.name,
            "geometry_digest": geometry.digest,
            "layer_begins": [layer.z_min for layer in geometry.layers],
        }
        self._attributes |= attributes
        self._showers, self._rows, self._most_hits = showers, 0, 0

    def __enter__(self) -> "Writer":
        self._file = self._unfinished.begin()
        self._file.attrs.update(self._attributes)
        columns = {
            "showers": ((), _LISTS),
            "energies": ((1,), "f4"),
            "directions": ((3,), "f4"),
            "pdg": ((), "i4"),  # 0, as what particle it was is not known
            "shower_ids": ((), "i4"),
            "num_points": ((), "i4"),
        }
        self._datasets = {
            key: self._file.create_dataset(key, (self._showers, *shape), kind) for key, (shape, kind) in columns.items()
        }
        return self

    def append(self, incident_energy: np.ndarray, counts: np.ndarray, index: np.ndarray, energy: np.ndarray) -> None:
        """Add n showers: incident_energy (n,) MeV, counts (n,) of hits; their cells (H,) and energies (H,) MeV."""
        n, hits = len(counts), int(np.sum(counts))
        if len(incident_energy) != n or not len(index) == len(energy) == hits:
            raise ValueError(f"{len(incident_energy)} energies, {n} counts of {hits} hits, {len(index)}, {len(energy)}")
        if self._rows + n > self._showers:
            raise ValueError(f"{self._rows + n} showers in a file for {self._showers}")
        values = np.concatenate([self._centres[index], np.asarray(energy, np.float32)[:, None]], axis=1)
        rows = slice(self._rows, self._rows + n)
        with writing.refusals(self.path):
            writing.need_room(self._unfinished.partial, values.nbytes + _HEAP_BYTES * n)
            _write_lists(self._datasets["showers"], rows.start, _lists(values, counts))
            self._datasets["energies"][rows] = np.asarray(incident_energy, np.float32)[:, None]
            self._datasets["directions"][rows] = (0.0, 0.0, 1.0)
            self._datasets["shower_ids"][rows] = np.arange(rows.start, rows.stop)
            self._datasets["num_points"][rows] = counts
        self._rows = rows.stop
        self._most_hits = max(self._most_hits, int(np.max(counts, initial=0)))

    def __exit__(self, kind, *error) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._unfinished.discard()

    def _finish(self) -> None:
        if self._rows != self._showers:
            raise ValueError(f"{self._rows} showers in a file for {self._showers}")
        with writing.refusals(self.path):
            self._file["shape"] = np.array([self._showers, self._most_hits, _COLUMNS])
            self._unfinished.keep()


def stream(path: str | Path, rows: int = 2048) -> Iterator[Points]:
    """Showers of a file in order, in blocks of at most `rows`, in the units of the file.

    Files that have a time for every hit are read without it. Raises InputError naming file, key, row and rule.
    """
    path = Path(path)
    with hdf5.opened(path) as file:
        energies = hdf5.dataset(path, file, "energies", ", ".join(KEYS))
        showers, columns = file.get("showers"), _columns(path, file)
        if not isinstance(showers, h5py.Dataset) or h5py.check_vlen_dtype(showers.dtype) != np.dtype("f4"):
            raise hdf5.refused(
                f"{path}, showers", "are no lists of float32", f"the layout has {', '.join(KEYS)}", "give another file"
            )
        hdf5.check_filters(path, showers)
        if energies.shape not in ((len(showers), 1), (len(showers),)):
            rule = f"there are {len(showers):,} showers"
            raise hdf5.refused(f"{path}, energies", f"has the shape {energies.shape}", rule, "give another file")
        for first in range(0, len(showers), rows):
            last = min(first + rows, len(showers))
            try:
                lists, incident = showers[first:last], np.asarray(energies[first:last], np.float64).reshape(-1)
            except (OSError, RuntimeError) as error:
                raise hdf5.unreadable(path, "showers", f"rows {first} to {last - 1}", error) from None
            yield _points(path, first, incident, lists, columns)


def _points(path: Path, first: int, incident: np.ndarray, lists: np.ndarray, columns: int) -> Points:
    lengths = np.array([len(values) for values in lists])
    whole = np.concatenate([*lists, np.zeros(0, np.float32)])
    odd = lengths % columns != 0
    if not odd.any():
        values = whole.reshape(-1, columns)
        odd = np.zeros(len(lists), bool)
        hits = np.flatnonzero(~(np.isfinite(values).all(axis=1) & (values[:, 3] >= 0)))
        odd[np.repeat(np.arange(len(lists)), lengths // columns)[hits]] = True
        if not odd.any():
            return Points(incident, (lengths // columns).astype(np.int32), values[:, :3], values[:, 3])
    raise hdf5.refused(
        f"{path}, showers, row {first + int(np.argmax(odd))}",
        "is no list of hits",
        f"a hit has {columns} finite numbers, its energy not negative",
        "remove or mend this shower",
    )


def _columns(path: Path, file: h5py.File) -> int:
    shape = hdf5.dataset(path, file, "shape", ", ".join(KEYS))
    if shape.shape != (3,) or int(shape[2]) not in (_COLUMNS, _COLUMNS + 1):
        raise hdf5.refused(
            f"{path}, shape", f"is {shape[()]}", "it is (showers, most hits, 4 or 5)", "give another file"
        )
    return int(shape[2])


def _lists(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(n,) of arrays: the values (H, 4) of each shower, flat."""
    lists = np.empty(len(counts), _LISTS)
    ends = np.cumsum(counts)
    for row, (begin, end) in enumerate(zip(ends - counts, ends, strict=True)):
        lists[row] = values[begin:end].reshape(-1)
    return lists


def _write_lists(dataset: h5py.Dataset, first: int, lists: np.ndarray) -> None:
    """`dataset[first:...] = lists`, which h5py takes for a matrix where all lists are equally long."""
    place = dataset.id.get_space()
    place.select_hyperslab((first,), lists.shape)
    dataset.id.write(h5py.h5s.create_simple(lists.shape), place, lists)
