"""Hit correlations at fixed energy: what remains once the common energy is taken out.

In a bin of incident energy, with l = ln E_inc and h_c = 1 where cell c is hit, remove from every h_c its regression on
(1, l, l^2); correlate the residuals of a cell and its neighbour; average over the pairs whose cells both have residual
variance above 0.05 in the reference. A generator that draws every cell independently, with the right probability at
its energy, reproduces the plain correlation matrix of hits (the energy rules it) and is at 0 here.
"""

from typing import Any, NamedTuple

import numpy as np

from calojax.evaluation import arrays, patterns
from calojax.evaluation.energy import Energies
from calojax.evaluation.hits import quadratic_basis
from calojax.evaluation.jackknife import BLOCKS, Estimate, jackknife
from calojax.evaluation.patterns import Patterns

LEAST_VARIANCE = 0.05
LEAST_PAIRS = 10  # the error of a mean over fewer is too uncertain to judge by

Pairs = dict[str, list[tuple[np.ndarray, np.ndarray]]]  # direction -> per energy bin (cells, their neighbours)


class FixedEnergyCorrelations(NamedTuple):
    """values: direction -> Estimate (n_bins,), nan with under 10 pairs, too few showers or no cell that varies; pairs:
    those that count."""

    values: dict[str, Estimate]
    pairs: Pairs


def fixed_energy_correlations(
    hits: np.ndarray | Patterns,
    incident_energy: np.ndarray,
    geometry: Any,
    bins: Energies,
    pairs: Pairs | None = None,
    n_blocks: int = BLOCKS,
) -> FixedEnergyCorrelations:
    """Mean correlation of neighbouring hits (N, V) at fixed incident energy (N,), per direction and energy bin.

    pairs: those of the reference; by default this sample is the reference.
    """
    hits = patterns.of(hits)
    incident_energy = arrays.incident_energies(incident_energy, len(hits))
    place = bins.place(incident_energy)
    fits = [_Fit(hits, incident_energy, np.flatnonzero(place == b)) for b in range(bins.n_bins)]
    if pairs is None:
        pairs = {d: [_pairs(fit.variance, geometry.neighbours(d)) for fit in fits] for d in geometry.directions}
    results = [_in_bin(hits, fit, {d: pairs[d][b] for d in pairs}, n_blocks) for b, fit in enumerate(fits)]
    values = {d: Estimate(*(np.array(part) for part in zip(*(r[d] for r in results), strict=True))) for d in pairs}
    return FixedEnergyCorrelations(values, pairs)


def independent_cells(
    hits: np.ndarray | Patterns, incident_energy: np.ndarray, bins: Energies, rng: np.random.Generator
) -> Patterns:
    """Patterns of the same shape in which every cell is drawn alone, with its probability at the shower's energy.

    What a generator without any correlation of its own would give; showers outside the bins stay empty.
    """
    hits, place = patterns.of(hits), bins.place(incident_energy)
    bits = np.zeros_like(hits.bits)
    for b in range(bins.n_bins):
        fit = _Fit(hits, incident_energy, np.flatnonzero(place == b))
        for part in np.array_split(np.arange(len(fit.rows)), max(1, len(fit.rows) // 512)):
            probability = fit.basis[part] @ fit.coefficients
            drawn = rng.random(probability.shape, np.float32) < probability
            bits[fit.rows[part]] = patterns.pack(drawn).bits
    return Patterns(bits, hits.n_cells)


class _Fit:
    """Regression of every cell's hits on (1, l, l^2) over the showers `rows` (n,) of one energy bin."""

    def __init__(self, hits: Patterns, incident_energy: np.ndarray, rows: np.ndarray):
        self.rows = rows
        self.basis = quadratic_basis(incident_energy[rows]).astype(np.float32)  # (n, 3), orthonormal
        self.coefficients = np.zeros((self.basis.shape[1], hits.n_cells), np.float32)
        count = np.zeros(hits.n_cells)
        for part in np.array_split(np.arange(len(rows)), max(1, len(rows) // 512)):
            dense = hits[rows[part]].dense()
            self.coefficients += self.basis[part].T @ dense.astype(np.float32)
            count += dense.sum(axis=0, dtype=np.int64)
        explained = np.sum(self.coefficients.astype(np.float64) ** 2, axis=0)
        self.variance = np.maximum(count - explained, 0.0) / max(len(rows), 1)  # sum h^2 = sum h


def _pairs(variance: np.ndarray, neighbour: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells with a neighbour other than themselves, both of enough residual variance (V,)."""
    cells = np.flatnonzero((neighbour >= 0) & (neighbour != np.arange(len(neighbour))))
    others = neighbour[cells]
    enough = (variance[cells] > LEAST_VARIANCE) & (variance[others] > LEAST_VARIANCE)
    return cells[enough], others[enough]


def _in_bin(hits: Patterns, fit: _Fit, pairs: dict[str, tuple[np.ndarray, np.ndarray]], n_blocks: int) -> dict:
    """Direction -> (value, error) in one energy bin."""
    cells = np.unique(np.concatenate([side for pair in pairs.values() for side in pair]))
    variance = np.zeros((n_blocks, len(cells)))
    products = {d: np.zeros((n_blocks, len(pair[0]))) for d, pair in pairs.items()}
    sides = {d: tuple(np.searchsorted(cells, side) for side in pair) for d, pair in pairs.items()}
    for k in range(n_blocks):
        part = np.flatnonzero(fit.rows % n_blocks == k)
        dense = hits[fit.rows[part]].dense()[:, cells].T.astype(np.float32)
        residual = np.ascontiguousarray(dense - fit.coefficients[:, cells].T @ fit.basis[part].T)
        variance[k] = np.einsum("cn,cn->c", residual, residual)
        for d, (left, right) in sides.items():
            products[d][k] = np.einsum("cn,cn->c", residual[left], residual[right])
    result = {}
    for d, (left, right) in sides.items():
        if len(left) < LEAST_PAIRS or len(fit.rows) < 3 * n_blocks or not variance.any():
            result[d] = (np.nan, np.nan)
            continue
        result[d] = jackknife(lambda v, p, a=left, b=right: _mean_correlation(v, p, a, b), variance, products[d])
    return result


def _mean_correlation(variance: np.ndarray, product: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Plain mean over pairs; a cell that does not vary has correlation 0."""
    size = np.sqrt(np.maximum(variance[left] * variance[right], 0.0))
    return np.asarray(np.mean(np.where(size > 0, product / np.where(size > 0, size, 1.0), 0.0)))
