"""What one pass over a set of showers leaves behind: enough for nearly every metric, a tenth of the showers' size.

Features and incident energies are kept per shower, hit patterns as one bit per voxel; spectra and mean energies are
sums over blocks of showers (see `jackknife`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from calojax.evaluation import features, histograms
from calojax.evaluation.features import Hits, Moments
from calojax.evaluation.jackknife import BLOCKS
from calojax.evaluation.patterns import Patterns
from calojax.evaluation.sources import Block, Source, blocks

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Sample:
    """N showers, digested; shower i belongs to block i mod K.

    incident_energy (N,) MeV; moments of (N, L); patterns of (N, V); spectrum (K, B + 2): voxel energies in the bins
    of `edges`; shares (K, V): sums over showers of E_voxel / E_inc.
    """

    incident_energy: np.ndarray
    moments: Moments
    patterns: Patterns
    spectrum: np.ndarray
    shares: np.ndarray

    def __len__(self) -> int:
        return len(self.incident_energy)

    @property
    def n_blocks(self) -> int:
        """K, the blocks that errors are made from."""
        return len(self.spectrum)

    def half(self, parity: int) -> "Sample":
        """Every second shower from row `parity` (0 or 1) on, in half as many blocks."""
        rows = slice(parity, None, 2)
        return Sample(
            self.incident_energy[rows],
            Moments(*(field[rows] for field in self.moments)),
            self.patterns[rows],
            self.spectrum[rows],
            self.shares[rows],
        )


def collect(
    source: Source,
    geometry: Any,
    edges: np.ndarray,
    *,
    name: str,
    stop: int | None = None,
    advance: Advance | None = None,
) -> Sample:
    """Digest the first `stop` showers of a source (all by default).

    edges (B + 1,): bins of the voxel energies, MeV; advance(n): called after every n showers.
    Showers with values that are not finite are left out.
    """
    n_blocks, n_cells, n_bins = BLOCKS, geometry.n_cells, len(edges) + 1
    spectrum, shares = np.zeros(n_blocks * n_bins, np.int64), np.zeros(n_blocks * n_cells)
    energies, moments, bits, n_rows = [], [], [], 0
    for incident, showers in finite_blocks(source, geometry, name=name, stop=stop, advance=advance):
        hits = features.find_hits(showers, geometry.threshold)
        moments.append(features.hit_moments(hits, len(showers), geometry))
        bits.append(_pack(hits, showers.shape))
        block = (n_rows + hits.row) % n_blocks
        spectrum += np.bincount(block * n_bins + histograms.place(hits.energy, edges), minlength=len(spectrum))
        shares += np.bincount(block * n_cells + hits.cell, hits.energy / incident[hits.row], len(shares))
        energies.append(incident)
        n_rows += len(incident)
    return Sample(
        np.concatenate(energies),
        Moments(*(np.concatenate(field) for field in zip(*moments, strict=True))),
        Patterns(np.concatenate(bits), n_cells),
        spectrum.reshape(n_blocks, n_bins),
        shares.reshape(n_blocks, n_cells),
    )


def finite_blocks(
    source: Source, geometry: Any, *, name: str, stop: int | None = None, advance: Advance | None = None
) -> Iterator[Block]:
    """Blocks of a source without the showers that are not finite, up to `stop` showers."""
    left = np.inf if stop is None else stop
    for incident, showers in blocks(source, geometry, name=name):
        finite = np.isfinite(showers).all(axis=1)
        if not finite.all():
            incident, showers = incident[finite], showers[finite]
        if len(showers) > left:
            incident, showers = incident[: int(left)], showers[: int(left)]
        yield Block(incident, showers)
        left -= len(showers)
        if advance is not None:
            advance(len(showers))
        if left <= 0:
            return


def _pack(hits: Hits, shape: tuple[int, ...]) -> np.ndarray:
    """Bits (n, ceil(V/8)) of the hits of n showers."""
    dense = np.zeros(shape, bool)
    dense[hits.row, hits.cell] = True
    return np.packbits(dense, axis=1, bitorder="little")
