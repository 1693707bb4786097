"""Showers in the CaloChallenge HDF5 layout, read and written in blocks.

`incident_energies` (N, 1) or (N,), also spelled `incident_energy`, and `showers` (N, V), both in MeV; flat order of the
cells as in `calojax.geometry`. Source: arXiv:2410.21611 and its public evaluation script, which checks less.
Letters: N showers, V cells of the geometry.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from calojax.errors import InputError
from calojax.geometry import Cylinder
from calojax.geometry.catalogue import load, names
from calojax.progress import Progress

ENERGY_KEYS = ("incident_energies", "incident_energy")
SHOWERS_KEY = "showers"
_BLOCK_BYTES = 64 * 2**20
_CHUNK_ROWS = 64


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

    Raises InputError like `stream`, but does not look into the showers.
    """
    with _Source(Path(path), geometry) as source:
        energy = source.energies(slice(None))
        attributes = {name: _plain(value) for name, value in source.file.attrs.items()}
        return Summary(source.rows, source.n_cells, float(energy.min()), float(energy.max()), attributes)


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
    with _opened(Path(path)) as file:
        energies = _energy_dataset(Path(path), file)
        return _read_energies(Path(path), energies, slice(None))


def stream(
    paths: str | Path | Sequence[str | Path],
    geometry: Cylinder,
    rows: int = 2048,
    progress: str | None = None,
    start: int = 0,
) -> Iterator[Showers]:
    """Showers of one or several files in order, in blocks of at most `rows` (fewer where 64 MB hold fewer).

    progress: title of a line of progress, default none; start: showers left out at the beginning. Layout and width of
    all files are checked first, every block when it is read: energies must be finite and not negative, incident
    energies above 0.
    Raises InputError naming file, key, row and rule.
    """
    files = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
    total = sum(summary(path, geometry).rows for path in files)
    rows = max(1, min(rows, _BLOCK_BYTES // (4 * geometry.n_cells)))
    with Progress(total, progress or "", unit="showers", enabled=progress is not None) as line:
        line.show(start)
        for path in files:
            with _Source(path, geometry) as source:
                for first in range(start, source.rows, rows):
                    block = source.block(first, min(first + rows, source.rows))
                    yield block
                    line.advance(len(block.incident_energy))
                start = max(0, start - source.rows)


def digest(path: str | Path) -> str:
    """SHA-256 (hex) of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Writer:
    """A file that grows block by block under a temporary name and gets its own when it is whole; a context manager.

    attributes: written into the file, beside units = "MeV"; compression: gzip level, 0 for none. After an exception
    nothing is left. Raises InputError if the path exists.
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
        self._partial = self.path.with_name(f".{self.path.name}.partial")
        self._geometry = geometry
        self._attributes = {"units": "MeV", "geometry": geometry.name, "geometry_digest": geometry.digest}
        self._attributes |= attributes or {}
        self._compression = compression

    def __enter__(self) -> "Writer":
        refuse_existing(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = h5py.File(self._partial, "w")
        except OSError as error:
            found = f"cannot be written ({error.strerror or _first_line(error)})"
            raise _refused(str(self.path), found, "there must be room for a new file", "give another --out") from None
        self._file.attrs.update(self._attributes)
        filters = {"compression": "gzip", "compression_opts": self._compression} if self._compression else {}
        self._energies = self._file.create_dataset(ENERGY_KEYS[0], (0, 1), "f8", maxshape=(None, 1))
        width = self._geometry.n_cells
        self._showers = self._file.create_dataset(
            SHOWERS_KEY, (0, width), "f4", maxshape=(None, width), chunks=(_CHUNK_ROWS, width), **filters
        )
        return self

    def append(self, incident_energy: np.ndarray, showers: np.ndarray) -> None:
        """Add n showers: incident_energy (n,) or (n, 1), showers (n, V), MeV."""
        energies = np.asarray(incident_energy, np.float64).reshape(-1, 1)
        if showers.shape != (len(energies), self._geometry.n_cells):
            raise ValueError(f"{showers.shape} is not ({len(energies)}, {self._geometry.n_cells})")
        first, last = len(self._energies), len(self._energies) + len(energies)
        self._energies.resize(last, axis=0)
        self._showers.resize(last, axis=0)
        self._energies[first:] = energies
        self._showers[first:] = showers

    def __exit__(self, kind, *error) -> None:
        self._file.close()
        if kind is None:
            os.replace(self._partial, self.path)
        else:
            self._partial.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """InputError if there is something at the path already."""
    if path.exists():
        raise _refused(str(path), "exists already", "files are never overwritten", "remove it or give another --out")


class _Source:
    """An open file whose layout was checked; blocks are checked as they are read."""

    def __init__(self, path: Path, geometry: Cylinder | None):
        self.path = path
        self.file = _opened(path)
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

    def block(self, first: int, last: int) -> Showers:
        energies = self.energies(slice(first, last))
        try:
            showers = self._showers.astype(np.float32)[first:last]
        except (OSError, RuntimeError) as error:
            raise _unreadable(self.path, SHOWERS_KEY, f"rows {first} to {last - 1}", error) from None
        if showers.size and not (showers.min() >= 0 and showers.max() < np.inf):
            row, column = np.argwhere(~((showers >= 0) & (showers < np.inf)))[0]
            raise _refused(
                f"{self.path}, {SHOWERS_KEY}, row {first + row}, column {column}",
                f"the energy is {showers[row, column]}",
                "energies of cells are finite and not negative, in MeV",
                "remove or mend this shower",
            )
        return Showers(energies, showers)

    def _check_shapes(self, geometry: Cylinder | None) -> tuple[int, int]:
        place = f"{self.path}, {SHOWERS_KEY}"
        if self._showers.ndim != 2:
            raise _refused(
                place, f"has the shape {self._showers.shape}", "showers are rows of cells, (N, V)", "reshape it"
            )
        rows, width = self._showers.shape
        if len(self._energies) != rows:
            raise _refused(
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
            raise _refused(place, f"has {width:,} columns", f"{geometry.name} has {geometry.n_cells:,} cells", remedy)
        return rows, width


def _opened(path: Path) -> h5py.File:
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise _refused(str(path), found, "an HDF5 file is needed", "check the path")
    if path.stat().st_size == 0:
        raise _refused(str(path), "is empty", "an HDF5 file is needed", "copy or download it again")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        what = "is cut short or damaged" if _looks_like_hdf5(path) else "is not HDF5"
        raise _refused(
            str(path), f"{what} ({_first_line(error)})", "an HDF5 file is needed", "copy or download it again"
        ) from None


def _looks_like_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def _energy_dataset(path: Path, file: h5py.File) -> h5py.Dataset:
    key = next((key for key in ENERGY_KEYS if key in file), ENERGY_KEYS[0])
    dataset = _dataset(path, file, key)
    if dataset.ndim not in (1, 2) or dataset.shape[1:] not in ((), (1,)):
        raise _refused(f"{path}, {key}", f"has the shape {dataset.shape}", "it must be (N,) or (N, 1)", "reshape it")
    if len(dataset) == 0:
        raise _refused(f"{path}, {key}", "has no rows", "at least one shower is needed", "give another file")
    return dataset


def _dataset(path: Path, file: h5py.File, key: str) -> h5py.Dataset:
    found = file.get(key)
    if not isinstance(found, h5py.Dataset):
        has = ", ".join(sorted(file)) or "nothing"
        raise _refused(
            f"{path}, {key}",
            f"is missing (the file has {has})" if found is None else "is a group",
            f"the layout has {ENERGY_KEYS[0]} and {SHOWERS_KEY}",
            "rename the keys or give another file",
        )
    if found.dtype.kind not in "fiu":
        raise _refused(f"{path}, {key}", f"holds {found.dtype}", "it must hold numbers", "give another file")
    return found


def _read_energies(path: Path, dataset: h5py.Dataset, rows: slice) -> np.ndarray:
    key = _key(dataset)
    try:
        energies = np.asarray(dataset[rows], np.float64).reshape(-1)
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, key, "some rows", error) from None
    bad = ~(np.isfinite(energies) & (energies > 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise _refused(
            f"{path}, {key}, row {(rows.start or 0) + row}",
            f"the energy is {energies[row]}",
            "incident energies are finite and above 0, in MeV",
            "remove or mend this shower",
        )
    return energies


def _key(dataset: h5py.Dataset) -> str:
    return str(dataset.name).lstrip("/")


def _unreadable(path: Path, key: str, rows: str, error: Exception) -> InputError:
    found = f"{rows} cannot be read ({_first_line(error)})"
    return _refused(f"{path}, {key}", found, "the file must be whole", "copy or download it again")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _plain(value: Any) -> Any:
    """An HDF5 attribute as JSON can hold it."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    return value if isinstance(value, (str, int, float, bool, list)) else str(value)


def _refused(where: str, found: str, rule: str, remedy: str) -> InputError:
    return InputError(where=where, found=found, rule=rule, remedy=remedy)
