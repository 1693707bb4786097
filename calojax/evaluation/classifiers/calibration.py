"""What the outputs of a classifier say: AUC, ROC curve, isotonic calibration, Jensen-Shannon divergence.

The calibrated output at x is the least-squares non-decreasing fit of the labels over the outputs of a selection set,
linear between its points, constant outside, clipped to 1e-6 .. 1 - 1e-6. With the calibrated outputs p of equally many
showers of both kinds, BCE = -mean log p(the right label) and

    JSD = (ln 2 - BCE) / ln 2

0: nothing is told apart; 1: everything. Calibration makes ties, which moves the AUC a little. Isotonic regression:
Barlow et al. (1972), as in scikit-learn; the error of an AUC: Hanley and McNeil, Radiology 143 (1982) 29.
"""

from typing import NamedTuple

import numpy as np

ROC_POINTS = 200
_LEAST = 1e-6  # calibrated outputs stay this far from 0 and 1


class Quality(NamedTuple):
    """Of one set of outputs: AUC and JSD after calibration, JSD's statistical error, AUC before; ROC on `roc_grid`."""

    auc: float
    jsd: float
    jsd_error: float
    auc_uncalibrated: float
    tpr: np.ndarray


def roc_grid() -> np.ndarray:
    """(P,): the shares of generated showers taken for real at which an ROC curve is given."""
    return np.linspace(0.0, 1.0, ROC_POINTS)


def quality(logits: np.ndarray, labels: np.ndarray, selection: np.ndarray, selection_labels: np.ndarray) -> Quality:
    """Of scored showers (n,), calibrated with a selection set (m,); labels: True for reference showers."""
    p = isotonic(_sigmoid(selection), selection_labels, _sigmoid(logits))
    right = np.log2(np.where(labels, p, 1 - p))
    return Quality(
        auc(p[labels], p[~labels]),
        float(1 + right.mean()),
        float(right.std() / np.sqrt(len(right))),
        auc(logits[labels], logits[~labels]),
        roc(p[labels], p[~labels]),
    )


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Share of pairs of outputs (n,) and (m,) in which the positive one is larger, ties counted half."""
    n, m = _counts(positive, negative)
    below = np.cumsum(m) - m
    return float(np.sum(n * (below + m / 2)) / (len(positive) * len(negative)))


def auc_error(auc: float, n: float, m: float) -> float:
    """Standard error of an AUC of n positives and m negatives; at 0.5 with n = m it is sqrt((2n + 1) / (12 n^2))."""
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (n - 1) * (first - auc**2) + (m - 1) * (second - auc**2)
    return float(np.sqrt(max(variance, 0.0) / (n * m)))


def roc(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Share (P,) of the positives that are kept where the shares of `roc_grid` of the negatives are."""
    n, m = (np.concatenate([[0], np.cumsum(counts[::-1])]) for counts in _counts(positive, negative))
    fpr, tpr = m / len(negative), n / len(positive)
    last = np.append(np.flatnonzero(np.diff(fpr)), len(fpr) - 1)  # the ends of what goes straight up
    ends = np.stack([np.append(0, last[:-1] + 1), last], axis=1).ravel()
    return np.interp(roc_grid(), fpr[ends], tpr[ends])


def isotonic(x: np.ndarray, labels: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The isotonic fit of labels (n,) over x (n,), at places (m,); equal x count as one, with their mean label."""
    from scipy import optimize  # noqa: PLC0415

    places, inverse, weights = np.unique(x, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, labels.astype(np.float64)) / weights
    fitted = optimize.isotonic_regression(means, weights=weights).x
    return np.interp(at, places, np.clip(fitted, _LEAST, 1 - _LEAST))


def _counts(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of each there are at every different output, the smallest first."""
    values, inverse = np.unique(np.concatenate([positive, negative]), return_inverse=True)
    n, m = inverse[: len(positive)], inverse[len(positive) :]
    return np.bincount(n, minlength=len(values)), np.bincount(m, minlength=len(values))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    x = np.asarray(logits, np.float64)
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1.0) / (1 + np.exp(-np.abs(x)))
