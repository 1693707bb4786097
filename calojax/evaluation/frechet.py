"""Frechet distance of two sets of feature vectors, and its extrapolation to endless samples (FPD).

    d(X, Y) = |mean X - mean Y|^2 + Tr(C_X + C_Y - 2 (C_X C_Y)^(1/2))

after every feature is divided by its largest magnitude in the reference. FPD: d of samples of n rows drawn with
replacement, averaged, for several n; the value a of the fit a + b/n. It removes the bias of n, not that of the N rows
behind it: two samples of one distribution have about (1/N + 1/M) times the variance's (D + D(D + 1)/4). Compare only at
equal N and M, with the floor beside.

Protocol: JetNet 0.2.5, fpd (arXiv:2211.10295), as the CaloChallenge calls it. Here a draw is a vector of how often each
row is in it; covariances are products in float32 of rows that are white in the union of both sets, which costs no
digits where features are nearly dependent; and the trace of the root comes from eigenvalues of a symmetric matrix.
"""

from typing import NamedTuple

import numpy as np

from calojax.evaluation import arrays

_ROWS = 2048  # that a processor's cache holds
_NULL = 1e-13  # of the largest eigenvalue of the covariance: directions without spread


class ValueAndError(NamedTuple):
    """A distance and its error."""

    value: float
    error: float


def normalised(reference: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both (N, D), (M, D) in units of the largest magnitude of each column of the reference, float64.

    Raises InputError for what is no finite (N, D), and for fewer than two rows.
    """
    reference, generated = (x.astype(np.float64) for x in arrays.points(reference, generated))
    scale = np.abs(reference).max(axis=0)
    scale = np.where(scale == 0, 1.0, scale)
    return reference / scale, generated / scale


def frechet_distance(reference: np.ndarray, generated: np.ndarray) -> float:
    """Frechet distance of feature vectors (N, D) and (M, D), normalised by the reference; N, M >= 2."""
    x, y = normalised(reference, generated)
    root = _root(np.cov(x, rowvar=False).reshape(x.shape[1], -1))
    covariance = np.cov(y, rowvar=False).reshape(x.shape[1], -1)
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance @ root), 0.0)).sum()
    apart = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum()
    return float(apart + (root**2).sum() + np.trace(covariance) - 2 * shared)


def fpd(
    reference: np.ndarray,
    generated: np.ndarray,
    min_samples: int = 10_000,
    max_samples: int = 50_000,
    num_batches: int = 20,
    num_points: int = 10,
    seed: int = 42,
) -> ValueAndError:
    """Frechet distance of feature vectors (N, D) and (M, D) extrapolated to endless samples, with the fit's error.

    num_batches draws of each of num_points sizes, evenly spaced in 1/n between the smallest and the largest.
    """
    x, y = normalised(reference, generated)
    white = _White(x, y)
    rows = [white.of(z) for z in (x, y)]
    rng = np.random.default_rng(seed)
    sizes = (1 / np.linspace(1 / min_samples, 1 / max_samples, num_points)).astype(np.int32)
    means = []
    for size in sizes:
        distances = []
        for _ in range(num_batches):
            counts = [np.bincount(rng.choice(len(z), size), minlength=len(z)) for z in rows]
            distances.append(white.distance(*(_moments(z, c) for z, c in zip(rows, counts, strict=True))))
        means.append(np.mean(distances))
    return _intercept(sizes, np.array(means))


class _White:
    """A frame in which the union of two sets has unit covariance: z = (x - mean) V / s, with C = V s^2 V^T."""

    def __init__(self, x: np.ndarray, y: np.ndarray):
        self._mean = (x.mean(axis=0) + y.mean(axis=0)) / 2
        both = [z - self._mean for z in (x, y)]
        values, vectors = np.linalg.eigh(sum(z.T @ z / len(z) for z in both) / 2)
        kept = values > _NULL * values[-1]
        self.spread = np.sqrt(values[kept])
        self._vectors = vectors[:, kept] / self.spread

    def of(self, x: np.ndarray) -> np.ndarray:
        """Rows (N, d + 1) float32 in the frame, with a column of ones."""
        white = (x - self._mean) @ self._vectors
        return np.pad(white.astype(np.float32), ((0, 0), (0, 1)), constant_values=1.0)

    def distance(self, x: "_Moments", y: "_Moments") -> float:
        """Frechet distance, outside the frame, of two samples given in it."""
        apart = ((self.spread * (x.mean - y.mean)) ** 2).sum()
        traces = (self.spread**2 * (np.diag(x.covariance) + np.diag(y.covariance))).sum()
        half = self.spread[:, None] * _factor(x.covariance)
        scaled = self.spread[:, None] * y.covariance * self.spread
        shared = np.sqrt(np.maximum(np.linalg.eigvalsh(half.T @ scaled @ half), 0.0)).sum()
        return float(apart + traces - 2 * shared)


class _Moments(NamedTuple):
    mean: np.ndarray
    covariance: np.ndarray


def _moments(z: np.ndarray, counts: np.ndarray) -> _Moments:
    """Mean (d,) and covariance (d, d), float64, of rows (N, d + 1) ending in 1 that are there so often (N,)."""
    drawn = np.flatnonzero(counts)
    weight = np.sqrt(counts[drawn], dtype=np.float32)[:, None]
    sums = np.zeros((z.shape[1],) * 2)  # of products, and in the last row of the features and of ones
    for part in (slice(first, first + _ROWS) for first in range(0, len(drawn), _ROWS)):
        weighted = z[drawn[part]]
        weighted *= weight[part]
        sums += weighted.T @ weighted
    n = sums[-1, -1]
    mean = sums[-1, :-1] / n
    return _Moments(mean, (sums[:-1, :-1] - n * np.outer(mean, mean)) / (n - 1))


def _factor(covariance: np.ndarray) -> np.ndarray:
    """L with L L^T the covariance; the symmetric root where there are fewer rows than features."""
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return _root(covariance)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Symmetric root of a covariance (D, D)."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _intercept(sizes: np.ndarray, means: np.ndarray) -> ValueAndError:
    """a of the least-squares fit a + b/n, neither negative, and its error."""
    from scipy.optimize import curve_fit  # noqa: PLC0415

    line = lambda inverse, a, b: a + b * inverse
    (value, _), covariance = curve_fit(line, 1 / sizes, means, bounds=([0, 0], [np.inf, np.inf]))
    return ValueAndError(float(value), float(np.sqrt(covariance[0, 0])))
