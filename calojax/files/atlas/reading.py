"""ATLAS voxel files of every form, read in blocks: raw, concatenated and cleaned. Letters: N events, V cells."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from calojax.files import hdf5
from calojax.files.atlas import voxels
from calojax.files.atlas.concatenated import SHOWERS, Concatenated
from calojax.files.atlas.voxels import EventFile, Events, RawFile
from calojax.files.calochallenge import Showers
from calojax.files.hdf5 import refused
from calojax.geometry import Cylinder, Layered
from calojax.progress import Progress

NEGATIVES = ("keep", "clip", "refuse")
_BLOCK_BYTES = 64 * 2**20
_ROWS = 1024


class Summary(NamedTuple):
    """What a file says of itself without all its showers being read; energies in MeV.

    missing: layers that have bins and no energies; unit: what the voxels are stored in, `atlas.units`.
    """

    rows: int
    geometry: Layered
    missing: tuple[int, ...]
    unit: str
    lowest_energy: float
    highest_energy: float
    attributes: dict[str, Any]

    @property
    def n_cells(self) -> int:
        """Voxels of all layers."""
        return self.geometry.n_cells


def opened(
    path: str | Path, unit: str | None = None, raw: str | Path | None = None, layers: Sequence[int] | None = None
) -> EventFile:
    """A file of any form, to be closed by the caller; for all others see `stream`.

    raw, layers: for a concatenated file without bins, a raw file that has them and the layers that are concatenated.
    """
    path = Path(path)
    with hdf5.opened(path) as file:
        is_raw = SHOWERS not in file
    if is_raw:
        return RawFile(path, unit)
    if raw is None:
        return Concatenated(path)
    with RawFile(Path(raw)) as file:
        return Concatenated(path, {id: each for id, each in file.bins.items() if layers is None or id in layers})


def geometry(path: str | Path) -> Layered:
    """The layers of a file with their rings and sectors; its name is that of the file."""
    with opened(path) as file:
        return file.geometry


def summary(path: str | Path) -> Summary:
    """Size, layers, unit, range of incident energies and attributes, checked like what `stream` reads."""
    with opened(path) as file:
        energy = file.energies()
        missing = tuple(id for id in file.bins if id not in file.layers)
        lowest, highest = float(energy.min()), float(energy.max())
        return Summary(file.rows, file.geometry, missing, file.unit, lowest, highest, file.attributes)


def read(
    path: str | Path,
    geometry: Layered | Cylinder,
    rows: slice = slice(None),
    *,
    negatives: str = "keep",
    unit: str | None = None,
    raw: str | Path | None = None,
    dtype: Any = np.float32,
) -> Events:
    """Some events (a slice with step 1), like those of `stream`."""
    _check_negatives(negatives)
    with opened(path, unit, raw, _ids(geometry)) as file:
        first, last, step = rows.indices(file.rows)
        if step != 1:
            raise ValueError("rows must be consecutive")
        return file.block(file.picks(geometry), slice(first, max(first, last)), negatives, dtype)


def read_energies(path: str | Path) -> np.ndarray:
    """(N,) float64 MeV: the incident energies alone, checked; a file may hold nothing else."""
    with hdf5.opened(Path(path)) as file:
        return voxels.read_energies(Path(path), voxels.energy_dataset(Path(path), file), slice(None))


def read_places(path: str | Path) -> dict[str, np.ndarray]:
    """(N,) float64 of each of `voxels.PLACE_KEYS` that a file has; InputError for one that is not finite, or of another
    length than the incident energies."""
    path, rows = Path(path), len(read_energies(path))
    with hdf5.opened(path) as file:
        found = {key: voxels.values(path, file, key, slice(None)) for key in voxels.PLACE_KEYS if key in file}
    for key, array in found.items():
        if array.size != rows or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            rule, remedy = f"it is a finite number for each of {rows:,} events", "write it again, or remove it"
            raise refused(f"{path}, {key}", f"has {array.size:,} values, or some that are none", rule, remedy)
    return {key: array.reshape(-1).astype(np.float64) for key, array in found.items()}


def stream(
    paths: str | Path | Sequence[str | Path],
    geometry: Layered | Cylinder,
    rows: int = 2048,
    *,
    progress: str | None = None,
    start: int = 0,
    negatives: str = "keep",
    unit: str | None = None,
    raw: str | Path | None = None,
    dtype: Any = np.float32,
) -> Iterator[Events]:
    """Events of one or several files in order, in blocks of at most `rows`, cells in the order of the geometry, MeV.

    negatives: voxels below 0 are kept (`keep`), set to 0 (`clip`) or refused (`refuse`), and counted in any case;
    unit: `fractions` or `MeV` of raw files, default: as their sums say; raw: for concatenated files without bins, a raw
    file that has them (the layers are those of the geometry); start: events left out at the beginning; progress: title
    of a line of progress, default none. All files are checked first. Raises InputError naming file, key, row and rule.
    """
    _check_negatives(negatives)
    files = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
    ids = _ids(geometry)
    sizes = []
    for path in files:
        with opened(path, unit, raw, ids) as file:
            file.picks(geometry)
            sizes.append(len(file.energies()))
    rows = max(1, min(rows, _BLOCK_BYTES // (8 * geometry.n_cells)))
    with Progress(sum(sizes), progress or "", unit="showers", enabled=progress is not None) as line:
        line.show(start)
        for path, size in zip(files, sizes, strict=True):
            with opened(path, unit, raw, ids) as file:
                picks = file.picks(geometry)
                for first in range(start, size, rows):
                    block = file.block(picks, slice(first, min(first + rows, size)), negatives, dtype)
                    yield block
                    line.advance(len(block.incident_energy))
                start = max(0, start - size)


def active_layers(path: str | Path) -> tuple[int, ...]:
    """Layers in which some event has a sum of voxels that is not 0; reads no more than it needs."""
    with opened(path) as file:
        blocks = [slice(first, first + _ROWS) for first in range(0, file.rows, _ROWS)]
        is_active = lambda layer: any(np.any(file.stored(layer, rows).sum(axis=1, dtype=float)) for rows in blocks)
        return tuple(layer for layer in file.layers if is_active(layer))


def cylinder(path: str | Path) -> Cylinder:
    """The active layers of a file as a `Cylinder`; InputError names a layer that is none of one."""
    with opened(path) as file:
        return file.geometry.select(active_layers(path)).cylinder()[0]


def without_negatives(
    path: Path, geometry: Layered | Cylinder, rows: int = 2048, any_values: bool = False
) -> Iterator[Showers]:
    """For whoever reads showers of several formats: negative voxels are refused unless there may be `any_values`."""
    for block in stream(path, geometry, rows, negatives="keep" if any_values else "refuse"):
        yield Showers(block.incident_energy, block.showers)


def _ids(geometry: Layered | Cylinder) -> tuple[int, ...]:
    return tuple(layer.id for layer in geometry.layers)


def _check_negatives(negatives: str) -> None:
    if negatives not in NEGATIVES:
        raise ValueError(f"negatives are one of {', '.join(NEGATIVES)}, not {negatives}")
