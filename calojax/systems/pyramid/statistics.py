"""Numbers that training takes from the data once: tables of hit counts, means and widths of the energy variables.

Gathered from the shards, block by block, so that files larger than memory pass through. The blocks are always cut in
the same places: sums come out the same to the last bit however the showers were read and written.
"""

from typing import NamedTuple

import numpy as np

from calojax.geometry import Cylinder
from calojax.progress import Progress
from calojax.shards import Shards
from calojax.systems.pyramid.coarse import swapped, tree

SMALLEST_EXCESS = 1e-6  # MeV; energies above threshold are kept at or above it, so that their logarithm exists
_PRIOR = 10.0  # times that each quantity is seen more
DEGREE = 3  # of the means in ln E
_EDGES = np.arange(-10.0, 10.5, 0.5)  # of the bins of ln(E / 10 GeV) in which widths are taken
_LEAST = 1e-12  # smallest variance
_BLOCK = 1024  # showers taken at once; part of the last bits
_SMALL = 1e-3  # keeps equations solvable where there is nothing to fit


class Hits(NamedTuple):
    """The hit cells of a block of showers: row, cell (H,) and their energy above threshold (H,), MeV; by row, cell."""

    row: np.ndarray
    cell: np.ndarray
    excess: np.ndarray
    energy: np.ndarray


def hits(showers: np.ndarray, threshold: float) -> Hits:
    """Hit cells of showers (B, V), MeV: those at or above threshold (MeV)."""
    row, cell = np.nonzero(showers >= np.float32(threshold))
    return _hits(row, cell, showers[row, cell].astype(np.float32), threshold)


def _hits(row: np.ndarray, cell: np.ndarray, energy: np.ndarray, threshold: float) -> Hits:
    return Hits(row, cell, np.maximum(energy.astype(np.float64) - threshold, SMALLEST_EXCESS), energy)


def gather(found: Shards, geometry: Cylinder, threshold: float) -> "Statistics":
    """Statistics of all showers of some shards; threshold: MeV."""
    gathered = Statistics(geometry, threshold)
    with Progress(found.rows, "statistics", unit="showers") as line:
        for first in range(0, found.rows, _BLOCK):
            block = found.read(first, min(first + _BLOCK, found.rows))
            energy = block["incident_energy"].astype(np.float64)
            row = np.repeat(np.arange(len(energy)), np.diff(block["hit.offsets"]))
            gathered.add(energy, _hits(row, block["hit.cell"], block["hit.energy"], threshold))
            line.advance(len(energy))
    return gathered


class Fit:
    """Many quantities as functions of x, gathered in blocks: a polynomial for the mean, and a width that is exponential
    in x.

    y = m(x) + exp(w(x)) z,   z of mean 0 and variance 1
    """

    def __init__(self, quantities: int):
        shape = (quantities, len(_EDGES) + 1)
        self.squares = np.zeros((*shape, DEGREE + 1, DEGREE + 1))
        self.products = np.zeros((*shape, DEGREE + 1))
        self.total = np.zeros(shape)
        self.count = np.zeros(shape)

    def add(self, quantity: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        """quantity, x, y: (H,); which quantity, where, and its value."""
        powers = x[:, None] ** np.arange(DEGREE + 1)
        at = quantity, np.searchsorted(_EDGES, x)
        np.add.at(self.squares, at, powers[:, :, None] * powers[:, None])
        np.add.at(self.products, at, powers * y[:, None])
        np.add.at(self.total, at, y * y)
        np.add.at(self.count, at, 1)

    def solve(self) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients of the mean (quantities, DEGREE + 1) and of the logarithm of the width (quantities, 2).

        Every quantity as if it had been seen a few times more, at all energies, where all quantities together lie: one
        that is rare does not run away where it was never seen.
        """
        squares, products = self.squares.sum(1), self.products.sum(1)
        mean = _least_squares(squares, products, np.zeros(DEGREE + 1))
        return mean, self._log_width(mean)

    def _log_width(self, mean: np.ndarray) -> np.ndarray:
        """Half the logarithm of the variance in each bin of x, as a straight line in x: (quantities, 2)."""
        inner = np.einsum("qi,qbij,qj->qb", mean, self.squares, mean)
        residual = np.maximum(self.total - 2 * np.einsum("qi,qbi->qb", mean, self.products) + inner, 0.0)
        everywhere = residual.sum() / max(self.count.sum(), 1.0)
        together = (residual.sum(0) + everywhere) / (self.count.sum(0) + 1.0)
        half_log = 0.5 * np.log((residual + together) / (self.count + 1.0) + _LEAST)
        squares = self.squares[..., :2, :2].sum(1)
        products = np.einsum("qb,qbi->qi", half_log, self.squares[..., 0, :2])
        return _least_squares(squares, products, np.array([0.0, 1.0]))  # level where all showers have one energy


def _least_squares(squares: np.ndarray, products: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """Coefficients (Q, n) for normal equations (Q, n, n), (Q, n), each quantity drawn towards all of them together, and
    each coefficient towards 0 by ridge (n,)."""
    small = np.diag(ridge) + _SMALL * np.eye(squares.shape[-1])
    pool = np.linalg.solve(squares.sum(0) + small, products.sum(0))
    more = _PRIOR * squares.sum(0) / max(squares[:, 0, 0].sum(), 1.0) + _SMALL * small
    return np.linalg.solve(squares + more, (products + more @ pool)[..., None])[..., 0]


class Statistics:
    """Accumulates over blocks of showers; `arrays()` gives what the manifest keeps."""

    def __init__(self, geometry: Cylinder, threshold: float):
        self.tree, self.threshold, self.geometry = tree(geometry), threshold, geometry
        layers, rings_per_layer = self.tree.layer_rings.shape
        rings, cells_per_ring = self.tree.ring_cells.shape
        self.shape = (layers, rings_per_layer, rings, cells_per_ring)
        self.hit_layers = np.zeros((1, layers + 1))
        self.hit_rings = np.zeros((layers, rings_per_layer + 1))
        self.hit_cells = np.zeros((rings, cells_per_ring + 1))
        self.log_energy = np.array([np.inf, -np.inf])
        self.showers = 0
        self.ratio = 0.0
        self.moments = np.zeros((2, 2))  # sums and sums of squares of hit rings and hit cells of a shower
        self.sizes, self.log_hits, self.hit_share = Fit(2), Fit(1), Fit(layers)
        self.response, self.layer_share, self.ring_share = Fit(1), Fit(layers), Fit(rings)

    def add(self, incident_energy: np.ndarray, found: Hits) -> None:
        """incident_energy (B,), MeV, and the block's hits."""
        rows = len(incident_energy)
        log_energy = np.log(incident_energy)
        self.log_energy = np.array(
            [min(self.log_energy[0], log_energy.min()), max(self.log_energy[1], log_energy.max())]
        )
        x = centred(log_energy)
        ring = self.tree.cell_ring[found.cell]
        rings = self.shape[2]
        counts = np.bincount(found.row * rings + ring, minlength=rows * rings).reshape(rows, rings)
        energy = np.bincount(found.row * rings + ring, found.excess, rows * rings).reshape(rows, rings)
        self._count(counts, x)
        self._energies(counts, energy, incident_energy, x)
        self.showers += rows

    def _count(self, counts, x):
        n_hit = counts.sum(1)
        n_rings = (counts > 0).sum(1)
        if n_rings.max(initial=0) > 0:
            self.ratio = max(self.ratio, (n_hit / np.maximum(n_rings, 1)).max())
        for quantity, values in enumerate((n_rings, n_hit)):
            self.sizes.add(np.full(len(x), quantity), x, values.astype(float))
            self.moments[quantity] += values.sum(), (values.astype(float) ** 2).sum()
        grid = self.grid(counts)
        layer_hits, layer_rings = grid.sum(2), (grid > 0).sum(2)
        layers = np.broadcast_to(np.arange(self.shape[0]), layer_hits.shape)
        present = layer_hits > 0
        np.add.at(self.hit_layers[0], present.sum(1), 1)
        np.add.at(self.hit_rings, (layers[present], layer_rings[present]), 1)
        self.log_hits.add(np.zeros((n_hit > 0).sum(), int), x[n_hit > 0], np.log(n_hit[n_hit > 0]))
        self._hit_shares(layer_hits, layers, x)
        row, ring = np.nonzero(counts)
        np.add.at(self.hit_cells, (ring, counts[row, ring]), 1)

    def _hit_shares(self, layer_hits, layers, x):
        """Logit of the share that each hit layer takes, front to back, of the cells beyond one per hit layer."""
        behind = lambda a: np.cumsum(a[:, ::-1], 1)[:, ::-1]
        hit = layer_hits > 0
        given, left = layer_hits - 1, behind(layer_hits) - behind(hit)
        row, layer = np.nonzero(hit & (behind(hit) > 1))
        logit = np.log(given[row, layer] + 0.5) - np.log(left[row, layer] - given[row, layer] + 0.5)
        self.hit_share.add(layers[row, layer], x[row], logit)

    def _energies(self, counts, energy, incident_energy, x):
        total = energy.sum(1)
        some = total > 0
        self.response.add(np.zeros(some.sum(), int), x[some], np.log(total[some] / incident_energy[some]))
        grid = self.grid(energy)
        hits = self.grid(counts)
        layers = np.broadcast_to(np.arange(self.shape[0]), (len(x), self.shape[0]))
        self._shares(self.layer_share, grid.sum(2), hits.sum(2), layers, x)
        in_order = lambda a: np.take_along_axis(np.broadcast_to(a, grid.shape), order, axis=2).reshape(
            -1, self.shape[1]
        )
        order = np.broadcast_to(_ring_order(*self.shape[:2]), grid.shape)
        parents, children, numbers = (in_order(a) for a in (grid, hits, self.tree.layer_rings))
        self._shares(self.ring_share, parents, children, numbers, np.repeat(x, self.shape[0]))

    def _shares(self, fit, energy, hits, quantity, x):
        """Logit of the share that each child takes of what is left for it and those behind it, less that of hits."""
        behind, hits_behind = (np.cumsum(a[:, ::-1], 1)[:, ::-1] - a for a in (energy, hits))
        row, child = np.nonzero((hits > 0) & (hits_behind > 0) & (behind > 0))
        of_energy = np.log(energy[row, child] / behind[row, child])
        fit.add(quantity[row, child], x[row], of_energy - np.log(hits[row, child] / hits_behind[row, child]))

    def grid(self, per_ring: np.ndarray) -> np.ndarray:
        """(B, N) -> (B, L, R), 0 where a layer has no such ring."""
        return np.where(self.tree.layer_rings >= 0, per_ring[:, self.tree.layer_rings], 0)

    def arrays(self) -> dict[str, np.ndarray]:
        """Counts and fits, float64."""
        out = {name: getattr(self, name) for name in ("hit_layers", "hit_rings", "hit_cells")}
        for name in ("response", "layer_share", "ring_share", "sizes", "log_hits", "hit_share"):
            out[f"{name}.mean"], out[f"{name}.log_width"] = getattr(self, name).solve()
        mean, square = self.moments.T / self.showers
        spread = np.sqrt(np.maximum(square - mean**2, 0))
        return out | {
            "log_energy": self.log_energy,
            "cells_per_ring": np.array([self.ratio]),
            "size_moments": np.stack([mean, spread]),
        }


def _ring_order(layers: int, radii: int) -> np.ndarray:
    """(L, R) the order in which a layer's rings share out its energy."""
    rings = np.arange(radii)
    return np.where(np.arange(layers)[:, None] % 2 == 1, swapped(rings, radii), rings)


def centred(log_energy: np.ndarray) -> np.ndarray:
    """ln(E / 10 GeV): where polynomials are taken; E in MeV."""
    return log_energy - np.log(1e4)
