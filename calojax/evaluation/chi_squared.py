"""chi2 of E_tot / E_inc within octaves of the incident energy.

    chi2 = sum_b (P_b sqrt(M/N) - Q_b sqrt(N/M))^2 / (P_b + Q_b)

over 30 equal bins between the extremes of the reference, in which N reference and M other showers give the counts P
and Q; what lies beyond is in the last bins, and empty ones do not count. Not divided by degrees of freedom: about the
number of occupied bins less one if both are alike, whatever N and M. Octaves reach from 2^(k - 1/2) to 2^(k + 1/2) MeV.
Source: the CaloQVAE line (arXiv:2410.22870 and its public code), which selects models by the mean over energies of this
chi2 with N = M; its bins also depend on the other samples.
"""

from typing import NamedTuple

import numpy as np

from calojax.evaluation import arrays, histograms
from calojax.evaluation.digest import Digest
from calojax.evaluation.jackknife import BLOCKS, Estimate, jackknife
from calojax.evaluation.measures import Measured

_BINS = 30
_REASON = "fewer than two showers of some octave in either sample"


class Octaves(NamedTuple):
    """k (O,): the octaves from the reference's lowest to its highest, around 2^k MeV; chi2 (O,) of each, and mean over
    those with two showers in both samples, with errors; n (O, 2): showers of both samples."""

    k: np.ndarray
    chi2: Estimate
    mean: Estimate
    n: np.ndarray


def of_response(reference: Digest, other: Digest) -> dict[str, Measured]:
    """chi2.e_tot.<octave>, from the reference's lowest on, and chi2.e_tot.mean over those with showers in both."""
    ours, theirs = ((one.sample.incident_energy, one.e_tot) for one in (reference, other))
    found = response_chi2(*ours, *theirs, octaves=octave(reference.frame.bins.edges))
    measured = {}
    for i, k in enumerate(found.k):
        more = {"energy_low": 2.0 ** (k - 0.5), "energy_high": 2.0 ** (k + 0.5)}
        n = (int(found.n[i, 0]), int(found.n[i, 1]))
        one = Measured(float(found.chi2.value[i]), float(found.chi2.error[i]), _REASON, more, power=0.0, n=n)
        measured[f"chi2.e_tot.{i}"] = one
    return measured | {
        "chi2.e_tot.mean": Measured(float(found.mean.value), float(found.mean.error), _REASON, {}, power=0.0)
    }


def response_chi2(
    incident_energy: np.ndarray,
    energy: np.ndarray,
    other_incident_energy: np.ndarray,
    other_energy: np.ndarray,
    *,
    octaves: np.ndarray | None = None,
) -> Octaves:
    """chi2 of E_tot / E_inc, octave by octave: energies (N,) of the reference, (M,) of other showers, MeV.

    octaves: from the smallest to the largest of these, default those of the reference.
    """
    given = []
    for incident, total in ((incident_energy, energy), (other_incident_energy, other_energy)):
        total = arrays.series(total, "energies")
        given.append((arrays.incident_energies(incident, len(total)), total))
    octaves = octave(given[0][0]) if octaves is None else octaves
    k = np.arange(octaves.min(), octaves.max() + 1)
    inside = [[(total / incident)[octave(incident) == one] for one in k] for incident, total in given]
    of_octaves = [histograms.between_extremes(truth, other, _BINS) for truth, other in zip(*inside, strict=True)]
    counts = [np.stack(parts, axis=1) for parts in zip(*of_octaves, strict=True)]
    value, error = jackknife(_with_mean, *counts)
    n = np.array([[len(values) for values in parts] for parts in inside]).T
    enough = n.min(axis=1) >= 2 * BLOCKS
    error = np.where([*enough, enough.any()], error, np.nan)
    return Octaves(k, Estimate(value[:-1], error[:-1]), Estimate(value[-1], error[-1]), n)


def chi2_of_counts(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """chi2 of counts (..., B) of two samples, whose sizes are their sums -> (...); nan if either has fewer than two."""
    p, q = (np.asarray(counts, np.float64) for counts in (reference, other))
    n, m = p.sum(axis=-1, keepdims=True), q.sum(axis=-1, keepdims=True)
    scale = np.sqrt(np.maximum(m, 1) / np.maximum(n, 1))
    both = np.where(p + q > 0, p + q, 1.0)
    found = np.sum((p * scale - q / scale) ** 2 / both, axis=-1)
    return np.where(np.minimum(n, m)[..., 0] > 1, found, np.nan)


def octave(incident_energy: np.ndarray) -> np.ndarray:
    """k (N,) of the octave around 2^k MeV in which each energy (N,), MeV, lies."""
    return np.round(np.log2(incident_energy)).astype(int)


def _with_mean(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """chi2 of each octave (O, B), then their mean: (O + 1,)."""
    value = chi2_of_counts(reference, other)
    known = value[np.isfinite(value)]
    return np.append(value, known.mean() if len(known) else np.nan)
