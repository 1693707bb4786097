"""What is counted and summed in one pass over a file: active layers, negative voxels, energies of events and voxels.

Only one number for each event and for each voxel is kept. Letters: N events, V voxels of a layer.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from calojax.files.atlas import reading
from calojax.files.atlas.voxels import EventFile
from calojax.geometry import Layered
from calojax.progress import Progress

_BLOCK_BYTES = 16 * 2**20


@dataclass
class Statistics:
    """Of one file, or of several of one geometry. Energies are in MeV.

    incident, sums, clipped (N,): incident energy, sum of all voxels, and the same with negative ones as 0;
    negatives (N,) int32 and negative_sums (N,): how many voxels are negative, and their sum; nonzero: by layer, how
    many events have a sum there that is not 0; voxels: by layer (V,), the sum over events of the energy of each voxel
    in canonical order; at_or_above: events with a voxel at or above their incident energy; missing: layers that have
    bins and no energies.
    """

    geometry: Layered
    unit: str
    missing: tuple[int, ...]
    incident: np.ndarray = field(default_factory=lambda: np.empty(0))
    sums: np.ndarray = field(default_factory=lambda: np.empty(0))
    clipped: np.ndarray = field(default_factory=lambda: np.empty(0))
    negatives: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    negative_sums: np.ndarray = field(default_factory=lambda: np.empty(0))
    lowest: float = 0.0
    at_or_above: int = 0
    nonzero: dict[int, int] = field(default_factory=dict)
    voxels: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """N."""
        return len(self.incident)

    @property
    def active(self) -> tuple[int, ...]:
        """Layers in which some event has a sum that is not 0."""
        return tuple(layer for layer, events in sorted(self.nonzero.items()) if events)

    def to_json(self) -> dict[str, Any]:
        """What there is to say of it."""
        return {
            "events": self.events,
            "unit": self.unit,
            "layers": list(self.geometry.ids),
            "layers without energies": list(self.missing),
            "active layers": list(self.active),
            "binning": {str(layer.id): layer.binning for layer in self.geometry.layers},
            "voxels": {str(layer.id): layer.n_cells for layer in self.geometry.layers},
            "events per layer": {str(layer): events for layer, events in sorted(self.nonzero.items())},
            "incident energy (MeV)": {"lowest": float(self.incident.min()), "highest": float(self.incident.max())},
            "energy over incident energy": _spread(self.sums / self.incident),
            "negative voxels per event": _spread(self.negatives) | {"largest": int(self.negatives.max())},
            "sum of negative voxels per event (MeV)": _spread(self.negative_sums),
            "lowest voxel (MeV)": self.lowest,
            "events with negative voxels": int(np.count_nonzero(self.negatives)),
            "events with a voxel at or above the incident energy": self.at_or_above,
        }


def of_file(path: Path, *, progress: bool = True) -> Statistics:
    """Read a file of any form once."""
    with reading.opened(path) as file:
        missing = tuple(layer for layer in file.bins if layer not in file.layers)
        found = Statistics(file.geometry, file.unit, missing)
        found.nonzero = {layer: 0 for layer in file.layers}
        found.voxels = {layer: np.zeros(file.bins[layer].layer.n_cells) for layer in file.layers}
        rows = max(1, _BLOCK_BYTES // (8 * max(file.bins[layer].layer.n_cells for layer in file.layers)))
        parts = []
        with Progress(file.rows, _title(path), unit="events", enabled=progress) as line:
            for first in range(0, file.rows, rows):
                parts.append(_block(file, found, slice(first, min(first + rows, file.rows))))
                line.advance(len(parts[-1][0]))
        columns = (np.concatenate(column) for column in zip(*parts, strict=True))
        found.incident, found.sums, found.clipped, found.negatives, found.negative_sums = columns
    return found


def together(several: list[Statistics]) -> Statistics:
    """Of the events of all."""
    first = several[0]
    whole = Statistics(first.geometry, first.unit, first.missing)
    for name in ("incident", "sums", "clipped", "negatives", "negative_sums"):
        setattr(whole, name, np.concatenate([getattr(each, name) for each in several]))
    whole.lowest = min(each.lowest for each in several)
    whole.at_or_above = sum(each.at_or_above for each in several)
    for each in several:
        for layer, events in each.nonzero.items():
            whole.nonzero[layer] = whole.nonzero.get(layer, 0) + events
            whole.voxels[layer] = whole.voxels.get(layer, 0) + each.voxels[layer]
    whole.missing = tuple(layer for layer in whole.geometry.ids if layer not in whole.nonzero)
    return whole


def _block(file: EventFile, found: Statistics, rows: slice) -> tuple[np.ndarray, ...]:
    """The numbers of some events, each (n,); sums over events are added to those found so far."""
    incident = file.energies(rows)
    sums, clipped, negative_sums, largest = np.zeros((4, len(incident)))
    negatives = np.zeros(len(incident), np.int32)
    for layer in file.layers:
        energy = file.layer(layer, rows, incident)
        in_layer, below = energy.sum(axis=1), np.minimum(energy, 0)
        under = below.sum(axis=1)
        sums += in_layer
        clipped += in_layer - under
        negative_sums += under
        negatives += np.count_nonzero(below, axis=1).astype(np.int32)
        largest = np.maximum(largest, energy.max(axis=1))
        found.lowest = min(found.lowest, float(below.min()))
        found.nonzero[layer] += int(np.count_nonzero(in_layer))
        found.voxels[layer] += energy.sum(axis=0)[file.bins[layer].order]
    found.at_or_above += int(np.count_nonzero(largest >= incident))
    return incident, sums, clipped, negatives, negative_sums


def _spread(values: np.ndarray) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "median": float(np.median(values))}


def _title(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"
