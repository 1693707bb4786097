"""Showers as their hits, for metrics that need single showers again."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from calojax import digests
from calojax.evaluation import features
from calojax.evaluation.features import Hits
from calojax.evaluation.sources import Block

_MIXING = (0x7FB5D329728EA185, 0x81DADEF4BC2DD44D)  # odd, so that no two hits are mixed into the same number


def evenly(n: int, chosen: int) -> np.ndarray:
    """`chosen` of the numbers 0..n-1, evenly spaced; all if there are fewer."""
    chosen = min(n, chosen)
    return np.arange(chosen) * n // max(chosen, 1)


@dataclass(frozen=True)
class Sparse:
    """N showers of n_cells cells: incident_energy (N,) float64 MeV, rows (N,) in their source, offsets (N + 1,) into
    their hits: cell (H,) int32, energy (H,) float32 MeV."""

    incident_energy: np.ndarray
    rows: np.ndarray
    offsets: np.ndarray
    cell: np.ndarray
    energy: np.ndarray
    n_cells: int

    def __len__(self) -> int:
        return len(self.incident_energy)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the energies and hits."""
        return digests.of_arrays((self.incident_energy, self.offsets, self.cell, self.energy))

    def take(self, rows: np.ndarray) -> "Sparse":
        """The given rows (n,), in that order; one may be there several times."""
        counts = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        hit = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], counts)
        return Sparse(
            self.incident_energy[rows], self.rows[rows], offsets, self.cell[hit], self.energy[hit], self.n_cells
        )

    def spread(self, n: int) -> "Sparse":
        """n showers evenly over all, in their order, so that a file sorted by energy has its spectrum; all if fewer."""
        return self if n >= len(self) else self.take(evenly(len(self), n))

    def hits(self, first: int, last: int) -> Hits:
        """The hits of the showers first..last, rows counted from 0."""
        inside = slice(self.offsets[first], self.offsets[last])
        row = np.repeat(np.arange(last - first), np.diff(self.offsets[first : last + 1]))
        return Hits(row, self.cell[inside].astype(np.int64), self.energy[inside].astype(np.float64))

    @cached_property
    def fingerprints(self) -> np.ndarray:
        """(N,) uint64: the same for showers with the same hits, 0 for those without any."""
        mixed = self.cell.astype(np.uint64) << np.uint64(32) | self.energy.view(np.uint32)
        for factor in _MIXING:
            mixed = (mixed ^ mixed >> np.uint64(31)) * np.uint64(factor)
        summed = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed ^ mixed >> np.uint64(31), dtype=np.uint64)])
        return np.diff(summed[self.offsets])  # modulo 2^64

    def dense(self, rows: np.ndarray) -> np.ndarray:
        """Showers (n, V) float32, MeV, of the given rows (n,)."""
        taken = self.take(rows)
        showers = np.zeros((len(rows), self.n_cells), np.float32)
        showers[np.repeat(np.arange(len(rows)), np.diff(taken.offsets)), taken.cell] = taken.energy
        return showers


class Builder:
    """Showers of n_cells cells, added block after block; those that are not finite are left out."""

    def __init__(self, n_cells: int, threshold: float):
        self._n_cells, self._threshold, self._seen = n_cells, threshold, 0
        self._parts: list[tuple[np.ndarray, ...]] = []

    def add(self, block: Block) -> None:
        """Keep the voxels at or above threshold of the next showers."""
        finite = np.flatnonzero(np.isfinite(block.showers).all(axis=1))
        hits = features.find_hits(block.showers[finite], self._threshold)
        counts = np.bincount(hits.row, minlength=len(finite))
        cell, energy = hits.cell.astype(np.int32), hits.energy.astype(np.float32)
        self._parts.append((block.incident_energy[finite], self._seen + finite, counts, cell, energy))
        self._seen += len(block.showers)

    def done(self) -> Sparse:
        """All that was added."""
        incident, rows, counts, cell, energy = map(np.concatenate, zip(*self._parts, strict=True))
        return Sparse(incident, rows, np.concatenate([[0], np.cumsum(counts)]), cell, energy, self._n_cells)
