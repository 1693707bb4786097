"""Every comparison of two digested samples, by its stable name."""

from typing import NamedTuple

import numpy as np

from calojax.evaluation import histograms, wasserstein
from calojax.evaluation.digest import Digest
from calojax.evaluation.jackknife import BLOCKS, Estimate, jackknife
from calojax.evaluation.separation import separation_of_counts


class Measured(NamedTuple):
    """value and error of the second sample against the first; reason: why it would be nan; more: further numbers.

    power: the value of two samples of one distribution goes as (1/N + 1/M)^power. n: the showers (N, M) it was made
    of, if not all of both.
    """

    value: float
    error: float
    reason: str
    more: dict[str, float]
    power: float = 1.0
    n: tuple[int, int] | None = None


def measures(reference: Digest, other: Digest) -> dict[str, Measured]:
    """Separation powers, Wasserstein distances, response, hits and hit correlations of `other` against `reference`."""
    return (
        separations(reference, other)
        | separations_in_bins(reference, other)
        | wassersteins(reference, other)
        | quantities(reference, other)
    )


def separations(reference: Digest, other: Digest) -> dict[str, Measured]:
    """separation.<family>[.<layer>|.mean|.max] of every family of the frame."""
    enough = min(len(reference), len(other)) >= 2 * reference.sample.n_blocks
    found = {}
    for name, family in reference.frame.families.items():
        a, b = reference.histograms[name], other.histograms[name]
        value, error = jackknife(_with_mean_and_max, a[..., 1:-1], b[..., 1:-1])
        error = error if enough else np.full_like(error, np.nan)
        outside = _outside(a), _outside(b)
        reason = "no entries inside the range in either sample"
        for column, layer in enumerate(family.layers):
            key = f"separation.{name}" + (f".{layer}" if layer >= 0 else "")
            found[key] = Measured(value[column], error[column], reason, _shares(outside, column))
        if family.layers[:1].tolist() != [-1]:
            worst = int(np.argmax(np.nan_to_num(value[:-2], nan=-1.0))) if len(family.layers) else None
            found[f"separation.{name}.mean"] = Measured(value[-2], error[-2], reason, _shares(outside))
            found[f"separation.{name}.max"] = Measured(value[-1], error[-1], reason, _shares(outside, worst))
    return found


def separations_in_bins(reference: Digest, other: Digest) -> dict[str, Measured]:
    """separation_in_bin.<bin>.<family>, the mean over layers, of the feature families in bins of incident energy."""
    bins, found = reference.frame.bins, {}
    places = [bins.place(one.sample.incident_energy) for one in (reference, other)]
    for name in histograms.FAMILIES:
        family = reference.frame.families[name]
        values = [one.values(name) for one in (reference, other)]
        for b in range(bins.n_bins):
            inside = [x[place == b] for x, place in zip(values, places, strict=True)]
            counts = [histograms.counts(x, family.edges) for x in inside]
            value, error = (each[-2] for each in jackknife(_with_mean_and_max, *(c[..., 1:-1] for c in counts)))
            enough = min(map(len, inside)) >= 2 * BLOCKS
            more = {"energy_low": bins.edges[b], "energy_high": bins.edges[b + 1]}
            more |= _shares((_outside(counts[0]), _outside(counts[1])))
            reason = "no entries inside the range in either sample"
            key, n = f"separation_in_bin.{b}.{name}", (len(inside[0]), len(inside[1]))
            found[key] = Measured(value, error if enough else np.nan, reason, more, n=n)
    return found


def wassersteins(reference: Digest, other: Digest) -> dict[str, Measured]:
    """wasserstein.<family>[.<layer>|.mean] of the feature families and the number of hits, in their units."""
    enough = min(len(reference), len(other)) >= 2 * BLOCKS
    found = {}
    for name in (*histograms.FAMILIES, "n_hits"):
        layers = reference.frame.families[name].layers.tolist()
        if not layers:
            continue
        keys = [f"wasserstein.{name}"] if layers == [-1] else [f"wasserstein.{name}.{i}" for i in (*layers, "mean")]
        one = wasserstein.with_errors(reference.values(name), other.values(name))
        for i, key in enumerate(keys):
            found[key] = Measured(one.value[i], one.error[i] if enough else np.nan, "", {}, power=0.5)
    return found


def quantities(reference: Digest, other: Digest) -> dict[str, Measured]:
    """response.<bin>.mean|width, hits.<bin>.mean|width, correlation.hits.<direction>.<bin>: values of `other`."""
    bins = reference.frame.bins
    ours, theirs = other.correlations, reference.correlations
    pairs: dict[str, tuple[Estimate, Estimate]] = {}
    for name in ("response", "hits"):
        a, b = getattr(reference, name)(bins), getattr(other, name)(bins)
        pairs |= {f"{name}.{{}}.mean": (a.mean, b.mean), f"{name}.{{}}.width": (a.width, b.width)}
    pairs |= {f"correlation.hits.{d}.{{}}": (theirs.values[d], ours.values[d]) for d in ours.values}
    n = [bins.count(one.sample.incident_energy).tolist() for one in (reference, other)]
    found = {}
    for key, (a, b) in pairs.items():
        correlation = key.startswith("correlation")
        reason = (
            "fewer than 10 pairs of cells vary enough in the reference, no cell varies, or too few showers"
            if correlation
            else "too few showers in this bin"
        )
        for i in range(bins.n_bins):
            more = {"reference": a.value[i], "reference_error": a.error[i]}
            more |= {"energy_low": bins.edges[i], "energy_high": bins.edges[i + 1]}
            found[key.format(i)] = Measured(b.value[i], b.error[i], reason, more, n=(n[0][i], n[1][i]))
    return found


def _with_mean_and_max(reference: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """S of each of C histograms (C, B), then their mean and their largest: (C + 2,); empty ones are left out."""
    value = separation_of_counts(reference, generated)
    known = value[np.isfinite(value)]
    summary = [known.mean(), known.max()] if len(known) else [np.nan, np.nan]
    return np.concatenate([value, summary])


def _outside(counts: np.ndarray) -> np.ndarray:
    """Share of the entries outside the range, per histogram of (K, C, B + 2)."""
    total = counts.sum(axis=0)
    return (total[:, 0] + total[:, -1]) / np.maximum(total.sum(axis=1), 1)


def _shares(outside: tuple[np.ndarray, np.ndarray], column: int | None = None) -> dict[str, float]:
    """Shares of the entries outside the range of both samples (C,): of one histogram, or the mean of all."""
    if not len(outside[0]):
        return {}
    reference, generated = (x.mean() if column is None else x[column] for x in outside)
    return {"outside_reference": float(reference), "outside_generated": float(generated)}
