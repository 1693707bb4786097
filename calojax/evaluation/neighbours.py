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

from typing import NamedTuple

import numpy as np

from calojax.evaluation.sparse import Sparse

_TILE = 1024


class Prdc(NamedTuple):
    """Precision, recall, density, coverage; each a number, or in `errors` the standard error of one."""

    precision: float
    recall: float
    density: float
    coverage: float


class Counted(NamedTuple):
    """balls (M,): of real showers around each generated one; reached (N,): whether a ball of a generated one holds each
    real one; covered (N,): whether the ball of each real one holds a generated one; nearest_k: k."""

    balls: np.ndarray
    reached: np.ndarray
    covered: np.ndarray
    nearest_k: int

    @property
    def values(self) -> Prdc:
        return Prdc(*(float(each.mean()) for each in self._terms()))

    @property
    def errors(self) -> Prdc:
        """Standard errors from the spread over the showers that are counted; the balls are taken as given."""
        return Prdc(*(float(each.std() / np.sqrt(len(each))) for each in self._terms()))

    def _terms(self) -> tuple[np.ndarray, ...]:
        return self.balls > 0, self.reached, self.balls / self.nearest_k, self.covered


def prdc(real: np.ndarray, fake: np.ndarray, nearest_k: int = 5) -> Prdc:
    """Precision, recall, density and coverage of points (N, D) and (M, D), more than nearest_k of each.

    float32 points are compared in float32, all others in float64.
    """
    return count(real, fake, nearest_k).values


def count(real: np.ndarray, fake: np.ndarray, nearest_k: int = 5) -> Counted:
    """What the four are means of; arguments as of `prdc`."""
    kind = np.float32 if real.dtype == fake.dtype == np.float32 else np.float64
    centre = real.mean(axis=0, dtype=np.float64)
    real, fake = ((x - centre).astype(kind) for x in (real, fake))
    of_real, of_fake = _radii(real, nearest_k), _radii(fake, nearest_k)
    balls = np.zeros(len(fake), np.int64)
    reached, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for first in range(0, len(real), _TILE):
        rows = slice(first, first + _TILE)
        squared = _squared_distances(real[rows], fake)
        inside = squared < of_real[rows, None]
        balls += inside.sum(axis=0)
        covered[rows] = inside.any(axis=1)
        reached[rows] = (squared < of_fake).any(axis=1)
    return Counted(balls, reached, covered, nearest_k)


def log_voxels(showers: Sparse, rows: np.ndarray) -> np.ndarray:
    """log10 of the voxel energies over 0.1 MeV, which empty ones count as: (n, V) float32 of the given showers."""
    dense = showers.dense(rows)
    return np.where(dense > 0, np.log10(np.maximum(dense, 1e-30)) + 1, np.float32(0))


def _radii(points: np.ndarray, nearest_k: int) -> np.ndarray:
    """Squared distance (N,) of each point to its k-th nearest neighbour."""
    tiles = [points[first : first + _TILE] for first in range(0, len(points), _TILE)]
    return np.concatenate([np.partition(_squared_distances(t, points), nearest_k)[:, nearest_k] for t in tiles])


def _squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n, m) of points (n, D) and (m, D)."""
    squared = x @ y.T
    squared *= -2
    squared += np.einsum("nd,nd->n", x, x)[:, None]
    squared += np.einsum("nd,nd->n", y, y)
    return np.maximum(squared, 0, out=squared)
