"""Numbers of hits: of the whole shower at fixed energy, and stage by stage (layers, rings, cells).

A hit is a cell at or above threshold; a ring is hit if one of its cells is, a layer if one of its rings is. With
l = ln E_inc and q(l) the quadratic in l fitted to the number of hits n in one energy bin,

    mean = <n>,   width = sd(n - q(l)) / <n>
"""

from typing import Any, NamedTuple

import numpy as np

from calojax.evaluation import arrays, patterns
from calojax.evaluation.energy import Energies
from calojax.evaluation.energy_response import MeanAndWidth, mean_and_width
from calojax.evaluation.jackknife import BLOCKS, Estimate
from calojax.evaluation.patterns import Patterns


class HitCounts(NamedTuple):
    """Histograms per block of showers, (K, largest + 1): bin k counts the parents with k hit children."""

    hit_layers: np.ndarray  # hit layers per shower
    hit_rings: np.ndarray  # hit rings per hit layer
    hit_cells: np.ndarray  # hit cells per hit ring


def hits_at_energy(n_hits: np.ndarray, incident_energy: np.ndarray, bins: Energies) -> MeanAndWidth:
    """Mean and relative width of the number of hits (N,) in bins of incident energy (N,), MeV."""
    n_hits = arrays.series(n_hits, "numbers of hits").astype(np.float64)
    incident_energy = arrays.incident_energies(incident_energy, len(n_hits))
    residual = n_hits.copy()
    place = bins.place(incident_energy)
    for b in range(bins.n_bins):
        rows = place == b
        basis = quadratic_basis(incident_energy[rows])
        residual[rows] -= basis @ (basis.T @ residual[rows])
    mean = mean_and_width(n_hits, incident_energy, bins)
    spread = mean_and_width(residual, incident_energy, bins).width
    scale = np.where(mean.mean.value > 0, mean.mean.value, np.nan)
    return MeanAndWidth(mean.mean, Estimate(spread.value / scale, spread.error / scale), mean.count)


def quadratic_basis(incident_energy: np.ndarray) -> np.ndarray:
    """Orthonormal basis (N, <= 3) of the functions 1, l, l^2 of l = ln E over N showers."""
    if len(incident_energy) == 0:
        return np.zeros((0, 0))
    log_energy = np.log(incident_energy)
    log_energy = log_energy - log_energy.mean()
    scale = np.abs(log_energy).max()
    log_energy = log_energy / scale if scale > 1e-5 else np.zeros_like(log_energy)
    powers = np.stack([np.ones_like(log_energy), log_energy, log_energy**2], axis=1)
    basis, sizes, _ = np.linalg.svd(powers, full_matrices=False)
    return basis[:, sizes > 1e-6 * sizes[0]]


def hit_counts(hits: np.ndarray | Patterns, geometry: Any, n_blocks: int = BLOCKS) -> HitCounts:
    """How many children are hit, stage by stage, in showers with hits (N, V)."""
    sizes = (geometry.n_layers, int(np.max(geometry.n_rings)), int(np.max(geometry.n_alpha)))
    counts = [np.zeros((n_blocks, size + 1), np.int64) for size in sizes]
    ring_starts = np.concatenate([[0], np.cumsum(geometry.n_rings)[:-1]])
    first = 0
    for block in patterns.of(hits).blocks():
        of_shower = (first + np.arange(len(block))) % n_blocks
        cells = ring_hits(block, geometry)
        rings = np.add.reduceat(cells > 0, ring_starts, axis=1, dtype=np.int64)
        layers = np.count_nonzero(rings, axis=1)[:, None]
        for stage, children in zip(counts, (layers, rings, cells), strict=True):
            hit = np.ones_like(children, bool) if stage is counts[0] else children > 0
            flat = np.broadcast_to(of_shower[:, None], children.shape)[hit] * stage.shape[1] + children[hit]
            stage += np.bincount(flat, minlength=stage.size).reshape(stage.shape)
        first += len(block)
    return HitCounts(*counts)


def ring_hits(hits: np.ndarray, geometry: Any) -> np.ndarray:
    """Hit cells per ring of hits (n, V): (n, R) int64, rings of all layers one after another."""
    parts = []
    for layer, (n_alpha, n_rings) in enumerate(zip(geometry.n_alpha, geometry.n_rings, strict=True)):
        cells = hits[:, geometry.layer_offsets[layer] : geometry.layer_offsets[layer + 1]]
        parts.append(cells.reshape(len(hits), n_alpha, n_rings).sum(axis=1, dtype=np.int64))
    return np.concatenate(parts, axis=1)
