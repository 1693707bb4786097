"""Comparisons of two digested samples as clouds of points: of their feature vectors, and of their showers."""

import numpy as np

from calojax.evaluation import frechet, kernel, neighbours
from calojax.evaluation.digest import Digest
from calojax.evaluation.jackknife import BLOCKS, combine
from calojax.evaluation.measures import Measured
from calojax.evaluation.sparse import evenly

_FRECHET, _KERNEL = (10_000, 50_000), 10_000  # sizes of the protocol's draws
_NEAREST = 5  # neighbours that a ball reaches to
_ENOUGH = 20  # showers, below which nothing is said


def of_features(reference: Digest, other: Digest) -> dict[str, Measured]:
    """frechet, fpd and kpd of the protocol's feature vectors.

    Of fewer than 10,000 showers n in the smaller set, draws are of n to 5 n rows (FPD) and of n rows (KPD).
    """
    n = min(len(reference), len(other))
    reason = f"fewer than {_ENOUGH} showers"
    if n < _ENOUGH:
        return {name: Measured(np.nan, np.nan, reason, {}) for name in ("frechet", "fpd", "kpd")}
    features, batch = (reference.features, other.features), min(_KERNEL, n)
    plain = Measured(frechet.frechet_distance(*features), _frechet_error(*features), reason, {})
    distance = kernel.kpd(*features, batch_size=batch)
    return {
        "frechet": plain,
        "fpd": _extrapolated(*features, plain.error),
        "kpd": Measured(distance.value, distance.error, reason, {"batch_size": float(batch)}),
    }


def _extrapolated(x: np.ndarray, y: np.ndarray, error: float) -> Measured:
    """FPD; it is the Frechet distance of all showers, but for its fit, and so has the error of that as well.

    With no more showers than features a covariance has no inverse, and distances of draws do not go with 1/n.
    """
    n, n_features = min(len(x), len(y)), x.shape[1]
    if n <= n_features:
        reason = f"no more showers ({n}) than features ({n_features}): see `frechet`"
        return Measured(np.nan, np.nan, reason, {})
    least, most = min(_FRECHET[0], n), min(_FRECHET[1], 5 * n)
    found = frechet.fpd(x, y, min_samples=least, max_samples=most)
    more = {"min_samples": float(least), "max_samples": float(most), "fit_error": found.error}
    return Measured(found.value, float(np.hypot(found.error, error)), "", more)


def of_showers(reference: Digest, other: Digest, rows: int) -> dict[str, Measured]:
    """prdc.precision|recall|density|coverage of `rows` showers evenly over each set."""
    names = neighbours.Prdc._fields
    if rows <= _NEAREST:
        return {f"prdc.{name}": Measured(np.nan, np.nan, "fewer than 6 showers", {}) for name in names}
    real, fake = (neighbours.log_voxels(one.sample.showers, evenly(len(one), rows)) for one in (reference, other))
    found = neighbours.count(real, fake, _NEAREST)
    more = {"rows": float(rows), "nearest_k": float(_NEAREST)}
    return {
        f"prdc.{name}": Measured(value, error, "", more, power=0.0)
        for name, value, error in zip(names, found.values, found.errors, strict=True)
    }


def _frechet_error(x: np.ndarray, y: np.ndarray) -> float:
    """Error of the Frechet distance, leaving out one block of both sets after another."""
    left_out = [
        frechet.frechet_distance(*(np.delete(z, np.s_[block::BLOCKS], axis=0) for z in (x, y)))
        for block in range(BLOCKS)
    ]
    return float(combine(np.array(np.nan), np.array(left_out)).error)
