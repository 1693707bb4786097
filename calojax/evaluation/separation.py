"""Separation power of two histograms.

    S = 1/2 sum_b (p_b - q_b)^2 / (p_b + q_b),   p, q normalised over the entries inside the range

0: the same; 1: disjoint. Two samples of N and M showers of one distribution over B occupied bins give on average
S = (B - 1)/4 (1/N + 1/M): a value means little without its floor. Source: CaloChallenge/homepage, code/evaluate.py.
"""

import numpy as np

from calojax.evaluation import arrays


def separation_power(reference: np.ndarray, generated: np.ndarray, edges: np.ndarray) -> float:
    """S of values (N,) and (M,) in bins with edges (B + 1,), the last one closed on both sides.

    1 if only one of the samples has entries in the range; nan if neither has.
    """
    counts = [np.histogram(values, edges)[0] for values in arrays.values(reference, generated)]
    return float(separation_of_counts(*counts))


def separation_of_counts(reference: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """S along the last axis of histograms (..., B), of any normalisation -> (...)."""
    n, m = (counts.sum(axis=-1, keepdims=True, dtype=np.float64) for counts in (reference, generated))
    p = reference / np.where(n > 0, n, 1.0)
    q = generated / np.where(m > 0, m, 1.0)
    total = p + q
    value = 0.5 * np.sum((p - q) ** 2 / np.where(total > 0, total, 1.0), axis=-1)
    n, m = n[..., 0] > 0, m[..., 0] > 0
    return np.where(n & m, value, np.where(n | m, 1.0, np.nan))
