"""Precision, recall, density and coverage: do generated showers lie where real ones do, and are all of them reached?

A ball is around every shower, out to its k-th nearest neighbour within its own set.

    precision  share of generated showers inside the ball of any real one
    recall     share of real showers inside the ball of any generated one
    density    balls of real showers around a generated one, mean, over k
    coverage   share of real showers whose ball holds a generated one

Values depend strongly on the numbers of showers: compare at equal numbers only, with the floor beside. Definitions:
arXiv:2002.09797 and prdc 0.2; the CaloChallenge takes k = 5 and log10 of the voxel energies, zeros set to 0.1 MeV.
Distances are made in tiles, so that memory does not grow with the square of the number of showers.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from calojax.evaluation import arrays
from calojax.evaluation.jackknife import BLOCKS, combine
from calojax.evaluation.sparse import Sparse

_TILE = 1024


class Prdc(NamedTuple):
    """Precision, recall, density, coverage; each a number, or in `errors` the standard error of one."""

    precision: float
    recall: float
    density: float
    coverage: float


class Counted(NamedTuple):
    """Numbers by blocks of the other set (shower i in block i mod K): balls (K, M) of real showers around each
    generated one; reached (K, N): balls of generated showers around each real one; covered (K, N): generated showers in
    the ball of each real one; nearest_k: k."""

    balls: np.ndarray
    reached: np.ndarray
    covered: np.ndarray
    nearest_k: int

    @property
    def values(self) -> Prdc:
        return Prdc(*(float(mean(table.sum(axis=0)).mean()) for table, mean in self._terms()))

    @property
    def errors(self) -> Prdc:
        """Standard errors: the spread over the showers counted, and leaving out one block of the others after another.

        The balls keep their sizes, which makes errors of shares too large by up to a factor of two.
        """
        return Prdc(*(_error(*term) for term in self._terms()))

    def _terms(self) -> tuple[tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]], ...]:
        """Of each of the four the table, and what is averaged over showers."""
        some, share = (lambda n: n > 0), (lambda n: n / self.nearest_k)
        return (self.balls, some), (self.reached, some), (self.balls, share), (self.covered, some)


def prdc(real: np.ndarray, fake: np.ndarray, nearest_k: int = 5) -> Prdc:
    """Precision, recall, density and coverage of points (N, D) and (M, D), more than nearest_k of each.

    float32 points are compared in float32, all others in float64.
    """
    return count(*arrays.points(real, fake, least=nearest_k + 1), nearest_k).values


def count(real: np.ndarray, fake: np.ndarray, nearest_k: int = 5) -> Counted:
    """What the four are means of; arguments as of `prdc`."""
    kind = np.float32 if real.dtype == fake.dtype == np.float32 else np.float64
    centre = real.mean(axis=0, dtype=np.float64)
    real, fake = ((x - centre).astype(kind) for x in (real, fake))
    of_real, of_fake = _radii(real, nearest_k), _radii(fake, nearest_k)
    balls = np.zeros((BLOCKS, len(fake)), np.int32)
    reached, covered = (np.zeros((BLOCKS, len(real)), np.int32) for _ in range(2))
    for first in range(0, len(real), _TILE):
        rows = slice(first, first + _TILE)
        squared = squared_distances(real[rows], fake)
        inside, around = squared < of_real[rows, None], squared < of_fake
        for block in range(BLOCKS):
            balls[block] += inside[(block - first) % BLOCKS :: BLOCKS].sum(axis=0, dtype=np.int32)
            covered[block, rows] = inside[:, block::BLOCKS].sum(axis=1)
            reached[block, rows] = around[:, block::BLOCKS].sum(axis=1)
    return Counted(balls, reached, covered, nearest_k)


def _error(table: np.ndarray, mean: Callable[[np.ndarray], np.ndarray]) -> float:
    """Of the mean over showers of what (K, n) counts come to, by blocks of the other set."""
    total = table.sum(axis=0)
    each = mean(total)
    scale = len(table) / (len(table) - 1)
    left_out = np.array([mean((total - block) * scale).mean() for block in table])
    return float(np.hypot(each.std() / np.sqrt(len(each)), combine(each.mean(), left_out).error))


def log_voxels(showers: Sparse, rows: np.ndarray) -> np.ndarray:
    """log10 of the voxel energies over 0.1 MeV, which empty ones count as: (n, V) float32 of the given showers."""
    dense = showers.dense(rows)
    return np.where(dense > 0, np.log10(np.maximum(dense, 1e-30)) + 1, np.float32(0))


def _radii(points: np.ndarray, nearest_k: int) -> np.ndarray:
    """Squared distance (N,) of each point to its k-th nearest neighbour."""
    tiles = [points[first : first + _TILE] for first in range(0, len(points), _TILE)]
    return np.concatenate([np.partition(squared_distances(t, points), nearest_k)[:, nearest_k] for t in tiles])


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n, m) of points (n, D) and (m, D), each at least 0."""
    squared = x @ y.T
    squared *= -2
    squared += np.einsum("nd,nd->n", x, x)[:, None]
    squared += np.einsum("nd,nd->n", y, y)
    return np.maximum(squared, 0, out=squared)
