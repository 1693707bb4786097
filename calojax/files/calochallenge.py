"""Showers in the CaloChallenge HDF5 layout, read and written in blocks.

`incident_energies` (N, 1) or (N,), also spelled `incident_energy`, and `showers` (N, V), both in MeV; flat order of the
cells as in `calojax.geometry`. Source: arXiv:2410.21611 and its public evaluation script, which checks less.
Letters: N showers, V cells of the geometry.
"""

import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from calojax import writing
from calojax.files import hdf5
from calojax.files.hdf5 import refused
from calojax.files.unfinished import Unfinished
from calojax.geometry import Cylinder
from calojax.geometry.catalogue import load, names
from calojax.progress import Progress

ENERGY_KEYS = ("incident_energies", "incident_energy")
SHOWERS_KEY = "showers"
_BLOCK_BYTES = 64 * 2**20
CHUNK_ROWS = 64  # showers in one chunk of a file that is written
_GEV_BELOW = 200  # MeV; if no shower of a file has more, its energies are rather in GeV


class Showers(NamedTuple):
    """incident_energy (N,) float64 MeV; showers (N, V) float32 MeV."""

    incident_energy: np.ndarray
    showers: np.ndarray


class Summary(NamedTuple):
    """What a file says of itself without its showers being read; energies in MeV."""

    rows: int
    n_cells: int
    lowest_energy: float
    highest_energy: float
    attributes: dict[str, Any]


def summary(path: str | Path, geometry: Cylinder | None = None) -> Summary:
    """Size, range of incident energies and attributes; checks the layout, and the width if a geometry is given.

    Raises InputError like `stream`, but does not look into the showers. Warns if the energies look like GeV.
    """
    found = _size(Path(path), geometry)
    _warn_of_gev(path, found.highest_energy)
    return found


def read(path: str | Path, geometry: Cylinder, rows: slice = slice(None)) -> Showers:
    """The showers of some rows (a slice with step 1), checked like those of `stream`."""
    with _Source(Path(path), geometry) as source:
        first, last, step = rows.indices(source.rows)
        if step != 1:
            raise ValueError("rows must be consecutive")
        return source.block(first, max(first, last))


def read_energies(path: str | Path) -> np.ndarray:
    """(N,) float64 MeV: the incident energies alone, checked; a file may hold nothing else.

    Raises InputError naming file, key and row.
    """
    with hdf5.opened(Path(path)) as file:
        energies = _energy_dataset(Path(path), file)
        return _read_energies(Path(path), energies, slice(None))


def stream(
    paths: str | Path | Sequence[str | Path],
    geometry: Cylinder,
    rows: int = 2048,
    progress: str | None = None,
    most_energy: float | None = None,
    start: int = 0,
    any_values: bool = False,
    negative: bool = False,
) -> Iterator[Showers]:
    """Showers of one or several files in order, in blocks of at most `rows` (fewer where 64 MB hold fewer).

    progress: title of a line of progress, default none; start: showers left out at the beginning. Layout and width of
    all files are checked first, every block when it is read: energies must be finite and not negative, incident
    energies above 0, the energy of a shower at most `most_energy` times its incident energy (default: any). any_values:
    cells may hold what they want, for someone who counts what is wrong; negative: what is finite. Raises InputError
    naming file, key, row and rule. Warns of files whose energies look like GeV.
    """
    files = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
    sizes = [_size(path, geometry) for path in files]
    rows = max(1, min(rows, _BLOCK_BYTES // (4 * geometry.n_cells)))
    total = sum(size.rows for size in sizes)
    with Progress(total, progress or "", unit="showers", enabled=progress is not None) as line:
        line.show(start)
        for path, size in zip(files, sizes, strict=True):
            with _Source(path, geometry) as source:
                for first in range(start, source.rows, rows):
                    block = source.block(first, min(first + rows, source.rows), any_values, negative)
                    if most_energy is not None:
                        source.check_totals(block, first, most_energy)
                    if first == 0:  # only now: what is refused needs no warning
                        _warn_of_gev(path, size.highest_energy)
                    yield block
                    line.advance(len(block.incident_energy))
                start = max(0, start - source.rows)


def pack(showers: np.ndarray, compression: int = 1) -> bytes:
    """One chunk of a file: at most CHUNK_ROWS showers (n, V) float32, filled up with zeros; compression: gzip level."""
    whole = np.zeros((CHUNK_ROWS, showers.shape[1]), "<f4")
    whole[: len(showers)] = showers
    return zlib.compress(whole.data, compression) if compression else whole.tobytes()


class Writer:
    """A file that grows under a temporary name and gets its own when it is whole; a context manager.

    attributes: written into the file, beside units = "MeV"; compression: gzip level, 0 for none. How many showers are
    appended at a time does not matter. After an exception nothing is left. Raises InputError if the path exists or the
    disk has no room.
    """

    def __init__(
        self,
        path: str | Path,
        geometry: Cylinder,
        attributes: dict[str, Any] | None = None,
        *,
        compression: int = 1,
    ):
        self.path = Path(path)
        self._unfinished = Unfinished(self.path)
        self._geometry = geometry
        self._attributes = {"units": "MeV", "geometry": geometry.name, "geometry_digest": geometry.digest}
        self._attributes |= attributes or {}
        self._compression = compression
        self._rows = 0
        self._energies = np.empty(0)
        self._showers = np.empty((0, geometry.n_cells), np.float32)  # not a whole chunk yet

    def __enter__(self) -> "Writer":
        self._file = self._unfinished.begin()
        try:
            self._create()
        except BaseException:
            self._unfinished.discard()
            raise
        return self

    def append(self, incident_energy: np.ndarray, showers: np.ndarray) -> None:
        """Add n showers: incident_energy (n,) or (n, 1), showers (n, V), MeV."""
        energies = np.asarray(incident_energy, np.float64).reshape(-1)
        if showers.shape != (len(energies), self._geometry.n_cells):
            raise ValueError(f"{showers.shape} is not ({len(energies)}, {self._geometry.n_cells})")
        energies, showers = np.concatenate([self._energies, energies]), np.concatenate([self._showers, showers])
        whole = len(energies) // CHUNK_ROWS * CHUNK_ROWS
        self._energies, self._showers = energies[whole:], showers[whole:]
        for first in range(0, whole, CHUNK_ROWS):
            part = slice(first, first + CHUNK_ROWS)
            self._write(energies[part], [pack(showers[part], self._compression)])

    def append_packed(self, incident_energy: np.ndarray, chunks: Sequence[bytes]) -> None:
        """Add n showers that were packed with this file's compression: incident_energy (n,) MeV; chunks: of CHUNK_ROWS
        showers each, fewer in the last one of the file."""
        if len(chunks) != -(-len(incident_energy) // CHUNK_ROWS) or self._rows % CHUNK_ROWS or len(self._energies):
            raise ValueError("only the last chunk of a file holds fewer showers than the others")
        self._write(incident_energy, chunks)

    def _write(self, incident_energy: np.ndarray, chunks: Sequence[bytes]) -> None:
        writing.need_room(self._unfinished.partial, sum(map(len, chunks)) + incident_energy.nbytes)
        first, last = self._rows, self._rows + len(incident_energy)
        self._of_energies.resize(last, axis=0)
        self._of_showers.resize(last, axis=0)
        self._of_energies[first:] = np.reshape(incident_energy, (-1, 1))
        for number, chunk in enumerate(chunks):
            self._of_showers.id.write_direct_chunk((first + number * CHUNK_ROWS, 0), chunk)
        self._rows = last

    def __exit__(self, kind, *error) -> None:
        if kind is not None:
            return self._unfinished.discard()
        try:
            if len(self._energies):
                self._write(self._energies, [pack(self._showers, self._compression)])
            self._unfinished.keep()
        except BaseException:
            self._unfinished.discard()
            raise

    def _create(self) -> None:
        width = self._geometry.n_cells
        filters = {"compression": "gzip", "compression_opts": self._compression} if self._compression else {}
        self._file.attrs.update(self._attributes)
        self._of_energies = self._file.create_dataset(ENERGY_KEYS[0], (0, 1), "<f8", maxshape=(None, 1))
        self._of_showers = self._file.create_dataset(
            SHOWERS_KEY, (0, width), "<f4", maxshape=(None, width), chunks=(CHUNK_ROWS, width), **filters
        )


class _Source:
    """An open file whose layout was checked; blocks are checked as they are read."""

    def __init__(self, path: Path, geometry: Cylinder | None):
        self.path = path
        self.file = hdf5.opened(path)
        try:
            self._energies = _energy_dataset(path, self.file)
            self._showers = _dataset(path, self.file, SHOWERS_KEY)
            self.rows, self.n_cells = self._check_shapes(geometry)
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> "_Source":
        return self

    def __exit__(self, *error) -> None:
        self.file.close()

    def energies(self, rows: slice) -> np.ndarray:
        """(n,) float64 MeV."""
        return _read_energies(self.path, self._energies, rows)

    def block(self, first: int, last: int, any_values: bool = False, negative: bool = False) -> Showers:
        energies = self.energies(slice(first, last))
        try:
            showers = self._showers.astype(np.float32)[first:last]
        except (OSError, RuntimeError) as error:
            raise hdf5.unreadable(self.path, SHOWERS_KEY, f"rows {first} to {last - 1}", error) from None
        least = np.finfo(np.float32).min if negative else 0
        if showers.size and not any_values and not (showers.min() >= least and showers.max() < np.inf):
            row, column = np.argwhere(~((showers >= least) & (showers < np.inf)))[0]
            raise refused(
                f"{self.path}, {SHOWERS_KEY}, row {first + row}, column {column}",
                _energy(showers[row, column], self._showers),
                f"energies of cells are finite{'' if negative else ' and not negative'}, in MeV",
                "remove or mend this shower",
            )
        return Showers(energies, showers)

    def check_totals(self, block: Showers, first: int, most: float) -> None:
        """InputError if a shower of a block, which begins with row `first`, has more than `most` of its energy."""
        ratio = block.showers.sum(axis=1, dtype=np.float64) / block.incident_energy
        if ratio.max(initial=0.0) > most:
            row = int(np.argmax(ratio > most))
            raise refused(
                f"{self.path}, {SHOWERS_KEY}, row {first + row}",
                f"holds {ratio[row]:,.4g} times its incident energy of {block.incident_energy[row]:,.6g} MeV",
                f"at most {most:g} times is allowed",
                "bring showers and incident energies to the same unit, MeV, or allow more (most_energy)",
            )

    def _check_shapes(self, geometry: Cylinder | None) -> tuple[int, int]:
        place = f"{self.path}, {SHOWERS_KEY}"
        if self._showers.ndim != 2:
            raise refused(
                place, f"has the shape {self._showers.shape}", "showers are rows of cells, (N, V)", "reshape it"
            )
        rows, width = self._showers.shape
        if len(self._energies) != rows:
            raise refused(
                f"{self.path}, {_key(self._energies)}",
                f"has {len(self._energies):,} rows",
                f"{SHOWERS_KEY} has {rows:,}",
                "give every shower its incident energy",
            )
        if geometry is not None and width != geometry.n_cells:
            fitting = [name for name in names() if load(name).n_cells == width]
            remedy = (
                f"give the geometry {fitting[0]} or another file" if fitting else "give its geometry, or another file"
            )
            raise refused(place, f"has {width:,} columns", f"{geometry.name} has {geometry.n_cells:,} cells", remedy)
        return rows, width


def _size(path: Path, geometry: Cylinder | None) -> Summary:
    with _Source(path, geometry) as source:
        energy = source.energies(slice(None))
        attributes = {name: hdf5.plain(value) for name, value in source.file.attrs.items()}
        return Summary(source.rows, source.n_cells, float(energy.min()), float(energy.max()), attributes)


def _warn_of_gev(path: str | Path, largest: float) -> None:
    if largest < _GEV_BELOW:
        said = f"the largest incident energy is {largest:g}, which looks like GeV where MeV are expected"
        warnings.warn(f"{path}: {said}", stacklevel=1)  # of this line, so that one file is warned of once


def _energy_dataset(path: Path, file: h5py.File) -> h5py.Dataset:
    key = next((key for key in ENERGY_KEYS if key in file), ENERGY_KEYS[0])
    dataset = _dataset(path, file, key)
    if dataset.ndim not in (1, 2) or dataset.shape[1:] not in ((), (1,)):
        raise refused(f"{path}, {key}", f"has the shape {dataset.shape}", "it must be (N,) or (N, 1)", "reshape it")
    if len(dataset) == 0:
        raise refused(f"{path}, {key}", "has no rows", "at least one shower is needed", "give another file")
    return dataset


def _dataset(path: Path, file: h5py.File, key: str) -> h5py.Dataset:
    return hdf5.dataset(path, file, key, layout=f"{ENERGY_KEYS[0]} and {SHOWERS_KEY}")


def _read_energies(path: Path, dataset: h5py.Dataset, rows: slice) -> np.ndarray:
    key = _key(dataset)
    try:
        energies = np.asarray(dataset[rows], np.float64).reshape(-1)
    except (OSError, RuntimeError) as error:
        raise hdf5.unreadable(path, key, "some rows", error) from None
    bad = ~(np.isfinite(energies) & (energies > 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise refused(
            f"{path}, {key}, row {(rows.start or 0) + row}",
            _energy(energies[row], dataset),
            "incident energies are finite and above 0, in MeV",
            "remove or mend this shower",
        )
    return energies


def _energy(value: np.floating, dataset: h5py.Dataset) -> str:
    """What is wrong with an energy; an infinite one may have been too large for the type it was stored in."""
    return f"the energy is {value}" + (f" (stored as {dataset.dtype.name})" if np.isinf(value) else "")


def _key(dataset: h5py.Dataset) -> str:
    return str(dataset.name).lstrip("/")
