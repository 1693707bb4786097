"""What every metric is made of: showers, with what is summed up of them.

Features are kept per shower, hit patterns as one bit per voxel; spectra and mean energies are sums over blocks of
showers (see `jackknife`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from calojax.evaluation import features, histograms, patterns
from calojax.evaluation.features import Hits, Moments
from calojax.evaluation.jackknife import BLOCKS
from calojax.evaluation.patterns import Patterns
from calojax.evaluation.sources import ROWS, Advance
from calojax.evaluation.sparse import Sparse


@dataclass(frozen=True)
class Sample:
    """N showers, digested; shower i belongs to block i mod K.

    showers: their hits; moments of (N, L); patterns of (N, V); spectrum (K, B + 2): voxel energies in the bins of
    `edges`; shares (K, V): sums over showers of E_voxel / E_inc.
    """

    showers: Sparse
    moments: Moments
    patterns: Patterns
    spectrum: np.ndarray
    shares: np.ndarray

    def __len__(self) -> int:
        return len(self.showers)

    @property
    def incident_energy(self) -> np.ndarray:
        """(N,), MeV."""
        return self.showers.incident_energy

    @property
    def n_blocks(self) -> int:
        """K, the blocks that errors are made from."""
        return len(self.spectrum)


def collect(showers: Sparse, geometry: Any, edges: np.ndarray, *, advance: Advance | None = None) -> Sample:
    """Digest showers. edges (B + 1,): bins of the voxel energies, MeV; advance(n): called after every n showers."""
    n_blocks, n_cells, n_bins = BLOCKS, geometry.n_cells, len(edges) + 1
    spectrum, shares = np.zeros(n_blocks * n_bins, np.int64), np.zeros(n_blocks * n_cells)
    moments, bits = [], []
    for first in range(0, len(showers), ROWS):
        n = min(ROWS, len(showers) - first)
        hits, incident = showers.hits(first, first + n), showers.incident_energy[first : first + n]
        moments.append(features.hit_moments(hits, n, geometry))
        bits.append(_pack(hits, (n, n_cells)))
        block = (first + hits.row) % n_blocks
        spectrum += np.bincount(block * n_bins + histograms.place(hits.energy, edges), minlength=len(spectrum))
        shares += np.bincount(block * n_cells + hits.cell, hits.energy / incident[hits.row], len(shares))
        if advance is not None:
            advance(n)
    return Sample(
        showers,
        Moments(*(np.concatenate(field) for field in zip(*moments, strict=True))),
        Patterns(np.concatenate(bits), n_cells),
        spectrum.reshape(n_blocks, n_bins),
        shares.reshape(n_blocks, n_cells),
    )


def _pack(hits: Hits, shape: tuple[int, ...]) -> np.ndarray:
    """Bits (n, ceil(V/8)) of the hits of n showers."""
    dense = np.zeros(shape, bool)
    dense[hits.row, hits.cell] = True
    return patterns.pack(dense).bits
