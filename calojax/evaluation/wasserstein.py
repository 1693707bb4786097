"""Wasserstein-1 distance of two samples of a quantity: the area between their distribution functions, in its units."""

import numpy as np

from calojax.evaluation import arrays
from calojax.evaluation.jackknife import BLOCKS, Estimate, combine


def wasserstein_distance(reference: np.ndarray, generated: np.ndarray) -> float:
    """Distance of values (N,) and (M,), in their units."""
    return float(_distances(*arrays.values(reference, generated), 0)[0])


def with_errors(reference: np.ndarray, generated: np.ndarray, n_blocks: int = BLOCKS) -> Estimate:
    """Distances of each of the C columns of (N, C) and (M, C), and their mean: (C + 1,), with errors."""
    pairs = zip(reference.T, generated.T, strict=True)
    each = np.stack([_distances(*pair, n_blocks) for pair in pairs], axis=1)
    found = np.concatenate([each, each.mean(axis=1, keepdims=True)], axis=1)
    return combine(found[0], found[1:])


def _distances(reference: np.ndarray, generated: np.ndarray, n_blocks: int) -> np.ndarray:
    """The distance of all, then without every n_blocks-th shower from each of the first on: (1 + n_blocks,)."""
    values = np.concatenate([reference, generated])
    order = np.argsort(values, kind="stable")
    gaps = np.diff(values[order])
    block = np.concatenate([np.arange(len(x)) % max(n_blocks, 1) for x in (reference, generated)])[order]
    ours = order < len(reference)
    found = []
    for left_out in range(-1, n_blocks):
        there = block != left_out
        n, m = np.sum(there & ours), np.sum(there & ~ours)
        step = np.where(ours, 1 / max(n, 1), -1 / max(m, 1)) * there
        found.append(np.abs(np.cumsum(step)[:-1]) @ gaps if n and m else np.nan)
    return np.array(found)
