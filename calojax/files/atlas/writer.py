"""ATLAS voxel files, written in blocks with the keys of the raw files, so that their readers read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calojax.files.atlas import bins as voxel_bins
from calojax.files.atlas import probabilities as sub_voxels
from calojax.files.atlas import units
from calojax.files.atlas.growing import Growing
from calojax.geometry import Cylinder, Layered, layered

_UNITS = "energy_layer_L: fraction of incident_energy; incident_energy: MeV; radius: mm; alpha: rad"


class Writer:
    """A raw file that grows under a temporary name and gets its own when it is whole; a context manager.

    geometry: of the showers that are appended; bins: the order of voxels in the file, as `bins.read` finds it in one
    that shall be matched, default ring by ring, by alpha from 0; attributes: written into the file beside units;
    probabilities (V, 3): of the sub-voxels of each cell (`atlas.probabilities`).
    Energies are stored as fractions of the incident energy, in float32.
    """

    def __init__(
        self,
        path: str | Path,
        geometry: Layered | Cylinder,
        attributes: Mapping[str, Any] | None = None,
        *,
        bins: voxel_bins.Bins | None = None,
        probabilities: np.ndarray | None = None,
    ):
        self._rings = geometry if isinstance(geometry, Layered) else layered.from_cylinder(geometry)
        found = voxel_bins.from_zero(self._rings) if bins is None else bins
        picks = voxel_bins.picks(Path(path), found, geometry)
        self._stored = {id: np.argsort(pick) for id, pick in picks.items()}
        digests = {"geometry": geometry.name, "geometry_digest": geometry.digest}
        described = {"units": _UNITS, units.ATTRIBUTE: units.FRACTIONS} | digests | dict(attributes or {})
        tables = voxel_bins.arrays({id: found[id] for id in picks})
        if probabilities is not None:
            tables |= {sub_voxels.key(id): cuts for id, cuts in self._by_layer(probabilities, axis=0).items()}
        self._grown = Growing(Path(path), described, tables)

    def __enter__(self) -> "Writer":
        self._grown.__enter__()
        return self

    def append(
        self, incident_energy: np.ndarray, showers: np.ndarray, places: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Add n events: incident_energy (n,) or (n, 1), showers (n, V) in the order of the geometry, MeV; places: (n,)
        of each of `voxels.PLACE_KEYS` that is known, the same ones at every call."""
        incident = np.asarray(incident_energy, np.float64).reshape(-1)
        if showers.shape != (len(incident), self._rings.n_cells):
            raise ValueError(f"{showers.shape} is not ({len(incident)}, {self._rings.n_cells})")
        fractions = (showers / incident[:, None]).astype(np.float32)
        energies = {f"energy_layer_{id}": part for id, part in self._by_layer(fractions, axis=1).items()}
        self._grown.append(energies | {"incident_energy": incident} | dict(places or {}))

    def _by_layer(self, values: np.ndarray, axis: int) -> dict[int, np.ndarray]:
        """What is in the order of the geometry along an axis, layer by layer in the order of the file."""
        parts = np.split(values, self._rings.layer_offsets[1:-1], axis=axis)
        layers = zip(self._stored.items(), parts, strict=True)
        return {id: np.take(part, stored, axis=axis) for (id, stored), part in layers}

    def __exit__(self, *error) -> None:
        self._grown.__exit__(*error)
