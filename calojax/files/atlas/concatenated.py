"""The forms in which the active layers of all events are one table, in MeV.

`showers` (N, V): the layers one after another by increasing number, each in the order of the raw file; with
`incident_energy` (N,) as concatenated, with `incident_energies` (N,) when cleaned of events with a voxel at or above
their incident energy. Files written here carry the bins of their layers too; for others the raw file tells them.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from calojax import writing
from calojax.files import hdf5
from calojax.files.atlas import bins as voxel_bins
from calojax.files.atlas import units
from calojax.files.atlas.growing import Growing
from calojax.files.atlas.voxels import EventFile, RawFile, values
from calojax.files.hdf5 import refused
from calojax.progress import Progress

SHOWERS = "showers"
_ROWS = 1024


class Concatenated(EventFile):
    """A concatenated or cleaned file. bins: those of its layers, for a file that has none."""

    def __init__(self, path: Path, bins: voxel_bins.Bins | None = None):
        self._given = bins
        super().__init__(path)

    def stored(self, layer: int, rows: slice) -> np.ndarray:
        if self._block[0] != rows:  # a chunk holds all layers of some events
            self._block = rows, values(self.path, self.file, SHOWERS, rows)
        return self._block[1][:, slice(*self._columns[layer])]

    def _place(self, layer: int, voxel: int) -> tuple[str, int]:
        return SHOWERS, self._columns[layer][0] + voxel

    def _check(self) -> None:
        self._block = slice(0), np.empty(0)
        self.bins = voxel_bins.read(self.path, self.file) or self._given or {}
        if not self.bins:
            rule = "the order of the voxels is read from the bins"
            raise refused(f"{self.path}, {voxel_bins.KEYS[0]}_layer_*", "is missing", rule, "name the raw file too")
        self.layers = tuple(self.bins)
        ends = np.cumsum([0, *(each.layer.n_cells for each in self.bins.values())])
        self._columns = dict(zip(self.bins, pairwise(map(int, ends)), strict=True))
        shape = hdf5.dataset(self.path, self.file, SHOWERS, layout=f"{SHOWERS} (N, V)").shape
        if shape != (self.rows, ends[-1]):
            rule = f"{self.rows:,} incident energies and layers {', '.join(map(str, self.bins))} need "
            rule += f"({self.rows}, {ends[-1]})"
            raise refused(f"{self.path}, {SHOWERS}", f"has the shape {shape}", rule, "name its layers, or another file")
        self.unit = self.detected(units.MEV)


def concatenate(source: Path, out: Path, layers: Sequence[int], *, progress: bool = True) -> int:
    """Write some layers of a raw file as one table, in float64 and MeV, and give the number of events."""
    with RawFile(source) as file:
        chosen = {id: file.bins[id] for id in sorted(layers)}
        attributes = file.attributes | _described(source, chosen)
        with Growing(out, attributes, voxel_bins.copied(file.file, chosen)) as grown:
            for incident, showers in _tables(file, chosen, out.name, progress):
                grown.append({SHOWERS: showers, "incident_energy": incident})
        return file.rows


class Cleaned(NamedTuple):
    """Events that were kept, and those removed for a voxel at or above the incident energy."""

    kept: int
    removed: int


def clean(source: Path, out: Path, bins: voxel_bins.Bins | None = None, *, progress: bool = True) -> Cleaned:
    """Write a concatenated file without the events that have a voxel at or above their incident energy.

    bins: for a file that has none. Raises InputError if no event is left.
    """
    with Concatenated(source, bins) as file:
        attributes = file.attributes | _described(source, file.layers)
        tables = voxel_bins.arrays(file.bins) if file.bins is bins else voxel_bins.copied(file.file, file.bins)
        with Growing(out, attributes, tables) as grown:
            for incident, showers in _tables(file, file.layers, out.name, progress):
                kept = showers.max(axis=1) < incident
                grown.append({SHOWERS: showers[kept], "incident_energies": incident[kept]})
            if grown.rows == 0:
                rule = "some event has all its voxels below its incident energy"
                raise refused(str(source), "has none that is left", rule, "check the units of voxels and energies")
            found = Cleaned(grown.rows, file.rows - grown.rows)
            grown.describe({"events_removed": found.removed})
    return found


def _described(source: Path, layers: Iterable[int]) -> dict[str, Any]:
    """Attributes of a file that is written."""
    return {"units": "MeV", units.ATTRIBUTE: units.MEV, "layers": list(layers), "source": writing.storable(source.name)}


def _tables(file: EventFile, layers: Iterable[int], title: str, progress: bool) -> Iterator[tuple]:
    """Incident energies (n,) and voxels of some layers (n, V), MeV, block by block, in the order of the file."""
    with Progress(file.rows, title, unit="events", enabled=progress) as line:
        for first in range(0, file.rows, _ROWS):
            rows = slice(first, min(first + _ROWS, file.rows))
            incident = file.energies(rows)
            yield incident, np.concatenate([file.layer(id, rows, incident) for id in layers], axis=1)
            line.advance(len(incident))
