"""Showers as their hits, for metrics that need single showers again."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from calojax.evaluation import features
from calojax.evaluation.sample import Advance, finite_blocks
from calojax.evaluation.sources import Source


@dataclass(frozen=True)
class Sparse:
    """N showers of n_cells cells: incident_energy (N,) float64, offsets (N + 1,); hits: cell int32, energy float32."""

    incident_energy: np.ndarray
    offsets: np.ndarray
    cell: np.ndarray
    energy: np.ndarray
    n_cells: int

    def __len__(self) -> int:
        return len(self.incident_energy)

    def dense(self, rows: np.ndarray) -> np.ndarray:
        """Showers (n, V) float32, MeV, of the given rows (n,)."""
        counts = np.diff(self.offsets)[rows]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        hit = np.repeat(self.offsets[rows], counts) + within
        showers = np.zeros((len(rows), self.n_cells), np.float32)
        showers[np.repeat(np.arange(len(rows)), counts), self.cell[hit]] = self.energy[hit]
        return showers


def read(source: Source, geometry: Any, *, name: str, advance: Advance | None = None) -> Sparse:
    """All finite showers of a source, voxels below threshold left out."""
    energies, counts, cells, deposits = [], [np.zeros(1, np.int64)], [], []
    for incident, showers in finite_blocks(source, geometry, name=name, advance=advance):
        hits = features.find_hits(showers, geometry.threshold)
        energies.append(incident)
        counts.append(np.bincount(hits.row, minlength=len(showers)))
        cells.append(hits.cell.astype(np.int32))
        deposits.append(hits.energy.astype(np.float32))
    offsets = np.cumsum(np.concatenate(counts))
    return Sparse(np.concatenate(energies), offsets, np.concatenate(cells), np.concatenate(deposits), geometry.n_cells)
