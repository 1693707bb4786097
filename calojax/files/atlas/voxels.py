"""Events of ATLAS voxels in an open file, and the raw form of it.

Raw: `energy_layer_L` (N, V_L), fractions of the incident energy; `incident_energy` (N,) or (N, 1), MeV, also spelled
`incident_energies`; the bins of every voxel (`atlas.bins`). A layer without energies is inactive: all its voxels are 0.
Energies in MeV in place of fractions are recognised by their sums (`atlas.units`). Letters: N events, V cells of a
geometry, V_L voxels of a layer.
"""

import abc
import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple, Self

import h5py
import numpy as np

from calojax.files import hdf5
from calojax.files.atlas import bins as voxel_bins
from calojax.files.atlas import units
from calojax.files.hdf5 import refused
from calojax.geometry import Cylinder, Layered

ENERGY_KEYS = ("incident_energy", "incident_energies")
PLACE_KEYS = ("eta_mod", "phi_mod", "center_eta")  # of raw files, (N,): where within a cell the particle came in
_LAYER = re.compile(r"energy_layer_(\d+)")
_LOOKED_AT = 512  # events from which the unit is told


class Events(NamedTuple):
    """incident_energy (n,) float64 MeV; showers (n, V) MeV; negatives (n,) int32: voxels that are below 0 in the file,
    whatever was done with them."""

    incident_energy: np.ndarray
    showers: np.ndarray
    negatives: np.ndarray


class EventFile(abc.ABC):
    """An open file of events whose layout was checked; values are checked as they are read. A context manager.

    rows: N; layers: numbers of those with energies; bins: of all layers; unit: `fractions` or `MeV`.
    """

    bins: voxel_bins.Bins
    layers: tuple[int, ...]
    unit: str

    def __init__(self, path: Path):
        self.path = path
        self.file = hdf5.opened(path)
        try:
            self._energies = energy_dataset(path, self.file)
            self.rows = len(self._energies)
            self._check()
        except BaseException:
            self.file.close()
            raise

    @abc.abstractmethod
    def _check(self) -> None:
        """Check the layout, and set bins, layers and unit."""

    @abc.abstractmethod
    def stored(self, layer: int, rows: slice) -> np.ndarray:
        """(n, V_L) as they are in the file, in its order; zeros for a layer without energies."""

    @abc.abstractmethod
    def _place(self, layer: int, voxel: int) -> tuple[str, int]:
        """Key and column of a voxel."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error) -> None:
        self.file.close()

    @property
    def geometry(self) -> Layered:
        """All layers that have bins."""
        return voxel_bins.geometry(self.bins, self.path.stem)

    @property
    def attributes(self) -> dict[str, Any]:
        """As JSON can hold them."""
        return {name: hdf5.plain(value) for name, value in self.file.attrs.items()}

    def energies(self, rows: slice = slice(None)) -> np.ndarray:
        """(n,) float64 MeV."""
        return read_energies(self.path, self._energies, rows)

    def stored_energies(self, rows: slice) -> np.ndarray:
        """(n,) incident energies in the type they are stored in."""
        return values(self.path, self.file, str(self._energies.name), rows).reshape(-1)

    def detected(self, stated: str | None) -> str:
        """The unit: what a file written here says of itself, or what the first events look like."""
        known = hdf5.plain(self.file.attrs.get(units.ATTRIBUTE, ""))
        if known in units.WORDS:
            return str(known)
        rows = slice(0, min(self.rows, _LOOKED_AT))
        sums = sum(self.stored(layer, rows).sum(axis=1, dtype=np.float64) for layer in self.layers)
        return units.detect(self.path, np.asarray(sums), self.energies(rows), stated)

    def picks(self, geometry: Layered | Cylinder) -> dict[int, np.ndarray]:
        """By layer: which voxel each cell of the geometry is. InputError unless the file has these layers and bins."""
        return voxel_bins.picks(self.path, self.bins, geometry)

    def layer(self, layer: int, rows: slice, incident: np.ndarray) -> np.ndarray:
        """(n, V_L) float64 MeV in the order of the file; incident (n,): the energies of the rows, MeV."""
        found = self.stored(layer, rows).astype(np.float64)
        if not np.isfinite(found).all():
            raise self._refused(layer, rows, found, ~np.isfinite(found), "energies are finite", "remove this event")
        return found * incident[:, None] if self.unit == units.FRACTIONS else found

    def block(
        self, picks: dict[int, np.ndarray], rows: slice, negatives: str = "keep", dtype: Any = np.float32
    ) -> Events:
        """Consecutive events, the cells of the layers in `picks` in their order."""
        incident = self.energies(rows)
        showers = np.zeros((len(incident), sum(map(len, picks.values()))), dtype)
        below, column = np.zeros(len(incident), np.int32), 0
        for layer, pick in picks.items():
            if layer in self.layers:
                found = self.layer(layer, rows, incident)
                under = found < 0
                if negatives == "refuse" and under.any():
                    remedy = "clip negative voxels to 0, or take the positive file"
                    raise self._refused(layer, rows, found, under, "no voxel is negative", remedy)
                below += np.count_nonzero(under, axis=1).astype(np.int32)
                showers[:, column : column + len(pick)] = found[:, pick]
            column += len(pick)
        return Events(incident, np.maximum(showers, 0) if negatives == "clip" else showers, below)

    def _refused(self, layer: int, rows: slice, found: np.ndarray, bad: np.ndarray, rule: str, remedy: str):
        """The error for the first voxel that is bad."""
        row, voxel = np.argwhere(bad)[0]
        key, column = self._place(layer, int(voxel))
        where = f"{self.path}, {key}, row {(rows.start or 0) + row}, column {column}"
        return refused(where, f"the energy is {found[row, voxel]:g}", rule, remedy)


class RawFile(EventFile):
    """A raw file. unit: what it is said to be in, default: as the sums say, with a warning for MeV."""

    def __init__(self, path: Path, unit: str | None = None):
        self._stated = unit
        super().__init__(path)

    def stored(self, layer: int, rows: slice) -> np.ndarray:
        if layer not in self.layers:
            return np.zeros((len(range(*rows.indices(self.rows))), self.bins[layer].layer.n_cells), np.float32)
        return values(self.path, self.file, f"energy_layer_{layer}", rows)

    def _place(self, layer: int, voxel: int) -> tuple[str, int]:
        return f"energy_layer_{layer}", voxel

    def _check(self) -> None:
        self.bins = voxel_bins.read(self.path, self.file)
        found = (_LAYER.fullmatch(key) for key in map(str, self.file) if getattr(self.file[key], "size", 1))
        self.layers = tuple(sorted(int(match[1]) for match in found if match))
        if not self.layers:
            has = ", ".join(sorted(self.file)[:6])
            rule = "a voxel file has energies of some layer"
            raise refused(f"{self.path}, energy_layer_*", f"is missing (the file has {has})", rule, "give another file")
        for layer in self.layers:
            self._check_layer(layer)
        self.unit = self.detected(self._stated)
        if self.unit == units.MEV and self._stated is None and units.ATTRIBUTE not in self.file.attrs:
            said = "the voxels are in MeV, not fractions of the incident energy as in the ATLAS files: read so"
            warnings.warn(f"{self.path}: {said}", stacklevel=1)  # of this line, so that one file is warned of once

    def _check_layer(self, layer: int) -> None:
        key = f"energy_layer_{layer}"
        shape = hdf5.dataset(self.path, self.file, key, layout=f"{key} (N, V)").shape
        if layer not in self.bins:
            rule = f"there are {', '.join(voxel_bins.KEYS)} for each layer with energies"
            raise refused(f"{self.path}, {voxel_bins.KEYS[0]}_layer_{layer}", "is missing", rule, "give another file")
        wanted = (self.rows, self.bins[layer].layer.n_cells)
        if shape != wanted:
            rule = f"{self.rows:,} incident energies and the bins of {wanted[1]} voxels need {wanted}"
            raise refused(f"{self.path}, {key}", f"has the shape {shape}", rule, "write it again, or give another file")


def energy_dataset(path: Path, file: h5py.File) -> h5py.Dataset:
    """The incident energies of a file, (N,) or (N, 1), N > 0."""
    key = next((key for key in ENERGY_KEYS if key in file), ENERGY_KEYS[0])
    found = hdf5.dataset(path, file, key, layout=f"{ENERGY_KEYS[0]} beside the energies of the voxels")
    if found.ndim not in (1, 2) or found.shape[1:] not in ((), (1,)):
        raise refused(f"{path}, {key}", f"has the shape {found.shape}", "it must be (N,) or (N, 1)", "reshape it")
    if len(found) == 0:
        raise refused(f"{path}, {key}", "has no rows", "at least one event is needed", "give another file")
    return found


def read_energies(path: Path, found: h5py.Dataset, rows: slice) -> np.ndarray:
    """(n,) float64 MeV, finite and above 0."""
    key = str(found.name).lstrip("/")
    try:
        energies = np.asarray(found[rows], np.float64).reshape(-1)
    except (OSError, RuntimeError) as error:
        raise hdf5.unreadable(path, key, "some rows", error) from None
    bad = ~(np.isfinite(energies) & (energies > 0))
    if bad.any():
        row = int(np.argmax(bad))
        rule = "incident energies are finite and above 0, in MeV"
        where = f"{path}, {key}, row {(rows.start or 0) + row}"
        raise refused(where, f"the energy is {energies[row]}", rule, "remove or mend this event")
    return energies


def values(path: Path, file: h5py.File, key: str, place: Any) -> np.ndarray:
    """What a dataset holds at a place; InputError if it cannot be read."""
    dataset: Any = file[key]
    try:
        return dataset[place]
    except (OSError, RuntimeError) as error:
        raise hdf5.unreadable(path, key, "some rows", error) from None
