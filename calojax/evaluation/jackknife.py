"""Statistical errors: leave one block of showers out, look how the statistic moves.

    error^2 = (K - 1)/K sum_b (f_b - mean f)^2,   f_b = f(sums over all blocks but b)

Every statistic of the judge is a function of sums over showers; the sums are held per block (K, ...), so that one
formula gives the error of all of them. Shower i belongs to block i mod K. With two samples, block b is left out of
both: the samples are independent, so their variances add.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

BLOCKS = 20


class Estimate(NamedTuple):
    """A statistic and its standard error, of one shape; error is nan where it cannot be known."""

    value: np.ndarray
    error: np.ndarray


def jackknife(statistic: Callable[..., np.ndarray], *sums: np.ndarray) -> Estimate:
    """statistic(*totals) -> (...) evaluated on sums (K, ...) over all blocks, with its error."""
    totals = [s.sum(axis=0) for s in sums]
    value = np.asarray(statistic(*totals), np.float64)
    n_blocks = len(sums[0])
    return combine(value, [statistic(*(t - s[b] for t, s in zip(totals, sums, strict=True))) for b in range(n_blocks)])


def combine(value: np.ndarray, left_out: Sequence[np.ndarray] | np.ndarray) -> Estimate:
    """A statistic (...) with the error that follows from its values without each of the blocks, (K, ...)."""
    spread = np.var(np.asarray(left_out, np.float64), axis=0)  # mean over blocks: (K - 1)/K sum = (K - 1) var
    return Estimate(value, np.sqrt((len(left_out) - 1) * spread))
