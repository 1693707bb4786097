"""Kernel distance of two sets of feature vectors (KPD): maximum mean discrepancy with the kernel (x.y/D + 1)^4.

    MMD^2 = mean of k over pairs within X + mean within Y - 2 mean between X and Y        (unbiased: no row with itself)

of batches drawn with replacement, after every feature is divided by its largest magnitude in the reference; the value
is the median of the batches, the error half of their central 68 %.

Protocol: JetNet 0.2.5, kpd (arXiv:2211.10295), as the CaloChallenge calls it. Here a batch is a vector c of how often
each row is in it: the pairs within it sum to c^T K c - sum_i c_i K_ii, so that one kernel over the rows serves all
batches; it is made in tiles, in float32, and nothing of it is kept.
"""

import numpy as np

from calojax.evaluation.frechet import ValueAndError, normalised

_TILE = 1024


def kpd(
    reference: np.ndarray, generated: np.ndarray, num_batches: int = 10, batch_size: int = 10_000, seed: int = 42
) -> ValueAndError:
    """Kernel distance of feature vectors (N, D) and (M, D): median and error of num_batches batches."""
    x, y = (z.astype(np.float32) for z in normalised(reference, generated))
    counts_x, counts_y = np.zeros((len(x), num_batches), np.float32), np.zeros((len(y), num_batches), np.float32)
    for batch in range(num_batches):
        rng = np.random.default_rng(seed + 1000 * batch)
        for z, counts in ((x, counts_x), (y, counts_y)):
            counts[:, batch] = np.bincount(rng.choice(len(z), batch_size), minlength=len(z))
    apart = max(len(x), len(y)) ** 2 > num_batches * batch_size**2  # then every batch has its own, smaller kernel
    batches = [[batch] for batch in range(num_batches)] if apart else [list(range(num_batches))]
    values = np.concatenate([_discrepancies(x, counts_x[:, some], y, counts_y[:, some]) for some in batches])
    low, high = np.percentile(values, [16.275, 83.725])
    return ValueAndError(float(np.median(values)), float(high - low) / 2)


def _discrepancies(x: np.ndarray, counts_x: np.ndarray, y: np.ndarray, counts_y: np.ndarray) -> np.ndarray:
    """Unbiased MMD^2 (B,) of batches of the rows (N, D), (M, D), given as counts (N, B), (M, B)."""
    (x, counts_x), (y, counts_y) = (_drawn(z, counts) for z, counts in ((x, counts_x), (y, counts_y)))
    size = counts_x.sum(axis=0, dtype=np.float64)
    within = sum(_within(z, counts) for z, counts in ((x, counts_x), (y, counts_y)))
    return within / (size * (size - 1)) - 2 * _between(x, counts_x, y, counts_y) / size**2


def _drawn(z: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Only the rows that are in a batch."""
    some = counts.any(axis=1)
    return z[some], counts[some]


def _within(z: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """c^T K c - sum_i c_i K_ii, (B,), from the tiles on and above the diagonal."""
    total = np.zeros(counts.shape[1])
    for first in range(0, len(z), _TILE):
        rows, later = slice(first, first + _TILE), slice(first + _TILE, None)
        total += _between(z[rows], counts[rows], z[rows], counts[rows])
        total += 2 * _between(z[rows], counts[rows], z[later], counts[later])
    alone = (np.einsum("nd,nd->n", z, z, dtype=np.float64) / z.shape[1] + 1) ** 4
    return total - alone @ counts


def _between(x: np.ndarray, counts_x: np.ndarray, y: np.ndarray, counts_y: np.ndarray) -> np.ndarray:
    """c_x^T K c_y, (B,)."""
    total = np.zeros(counts_x.shape[1])
    for a in range(0, len(x), _TILE):
        for b in range(0, len(y), _TILE):
            kernel = x[a : a + _TILE] @ y[b : b + _TILE].T
            kernel *= np.float32(1 / x.shape[1])
            kernel += 1
            np.square(kernel, out=kernel)
            np.square(kernel, out=kernel)
            rows = kernel @ counts_y[b : b + _TILE]
            total += np.einsum("nb,nb->b", rows, counts_x[a : a + _TILE], dtype=np.float64)
    return total
