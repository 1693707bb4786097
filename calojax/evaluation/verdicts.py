"""What the numbers mean, in words: one line for each kind of metric, judged by its errors and its floor.

A distance is compared with its floor (at the same numbers of showers), a quantity with the reference. Of several energy
bins the one that is farthest off is quoted. Levels: 0 agrees within 3 standard errors (3.4 for the worst of four bins:
the same chance of a false alarm); 1 differs by less than the tolerance; 2 by less than four times the tolerance; 3 by
more. Agreement within errors larger than the tolerance says so.
"""

from collections.abc import Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from calojax.evaluation.schema import Metric, Metrics

_DISTANCES = (  # title, metric, tolerance of the excess over the floor
    ("total energy over incident energy", "separation.e_tot", 0.005),
    ("energy per layer, mean of layers", "separation.e_layer.mean", 0.005),
    ("centre in eta, mean of layers", "separation.ec_eta.mean", 0.005),
    ("centre in phi, mean of layers", "separation.ec_phi.mean", 0.005),
    ("width in eta, mean of layers", "separation.width_eta.mean", 0.005),
    ("width in phi, mean of layers", "separation.width_phi.mean", 0.005),
    ("centre in r, mean of layers", "separation.ec_r.mean", 0.005),
    ("width in r, mean of layers", "separation.width_r.mean", 0.005),
    ("sparsity, mean of layers", "separation.sparsity.mean", 0.005),
    ("energy per cell", "separation.voxel", 0.005),
    ("number of hits", "separation.n_hits", 0.005),
    ("hit layers per shower", "separation.hit_layers", 0.005),
    ("hit rings per hit layer", "separation.hit_rings", 0.005),
    ("hit cells per hit ring", "separation.hit_cells", 0.005),
    ("features: Frechet distance", "frechet", 0.02),
    ("features: Frechet distance, extrapolated", "fpd", 0.02),
    ("features: kernel distance", "kpd", 1e-4),
    ("classifier of cells: AUC", "classifier.low.auc", 0.05),
    ("classifier of shares in layers: AUC", "classifier.low_normed.auc", 0.05),
    ("classifier of features: AUC", "classifier.high.auc", 0.05),
    ("convolutional classifier: AUC", "classifier.cnn.auc", 0.05),
)
_ALIKE = (  # title, metric, tolerance of the difference from the floor on either side
    ("showers near real ones: precision", "prdc.precision", 0.05),
    ("real showers reached: recall", "prdc.recall", 0.05),
    ("density around generated ones", "prdc.density", 0.1),
    ("real showers covered: coverage", "prdc.coverage", 0.05),
)
_QUANTITIES = (  # title, start and end of the names, tolerance, relative to the reference
    ("response: mean of E_tot/E_inc", "response.", ".mean", 0.01, True),
    ("resolution: width of E_tot/E_inc", "response.", ".width", 0.10, True),
    ("mean number of hits", "hits.", ".mean", 0.05, True),
    ("spread of hits at fixed energy", "hits.", ".width", 0.15, True),
    ("hit correlation, next in alpha", "correlation.hits.alpha.", "", 0.03, False),
    ("hit correlation, opposite cell", "correlation.hits.opposite.", "", 0.03, False),
    ("hit correlation, next layer", "correlation.hits.z.", "", 0.03, False),
    ("hit correlation, next ring", "correlation.hits.r.", "", 0.03, False),
    ("hit correlation, next in x", "correlation.hits.x.", "", 0.03, False),
    ("hit correlation, next in y", "correlation.hits.y.", "", 0.03, False),
)


class Line(NamedTuple):
    """One line of the verdict; numbers None where they cannot be had.

    value is the metric `name` of the generated showers, target its reference value (quantities) or None (distances);
    floor is what real showers give; excess: how far value is from target (as a share of it if `relative`), or above
    floor; sigma: excess over its error.
    """

    title: str
    name: str
    value: float | None
    error: float | None
    target: float | None
    floor: float | None
    excess: float | None
    sigma: float | None
    level: int | None
    words: str
    relative: bool = False


def verdict(metrics: Metrics) -> list[Line]:
    """All lines for which the judge has numbers, physics first."""
    lines = [_quantity(metrics, *entry) for entry in _QUANTITIES]
    lines += [_distance(title, name, metrics[name], limit) for title, name, limit in _DISTANCES if name in metrics]
    lines += [
        _distance(title, name, metrics[name], limit, either_side=True)
        for title, name, limit in _ALIKE
        if name in metrics
    ]
    name = "frobenius.occupancy"
    if name in metrics:
        floor = metrics[name].more.get("floor_at_counts") or metrics[name].floor or 0.0
        lines.append(_distance("matrix of hit correlations", name, metrics[name], 0.05 * floor))
    if "memorisation.share" in metrics:
        lines.append(_memorisation(metrics["memorisation.share"]))
    return [line for line in lines if line is not None]


def _distance(title: str, name: str, one: Metric, tolerance: float, *, either_side: bool = False) -> Line:
    if one.value is None or one.floor is None:
        return _unknown(title, name, one)
    floor, floor_error = one.more.get("floor_at_counts"), one.more.get("floor_error")
    if floor is None:
        floor = one.floor
    elif floor_error is not None and one.floor:
        floor_error *= floor / one.floor
    excess, error = one.value - floor, _together(one.error, floor_error)
    level, words = _judge(abs(excess) if either_side else max(excess, 0.0), error, tolerance)
    return Line(title, name, one.value, one.error, None, floor, excess, _over(excess, error), level, words)


def _quantity(metrics: Metrics, title: str, start: str, end: str, tolerance: float, relative: bool) -> Line | None:
    """The bin that is farthest off, by its level and then by its significance."""
    lines, names = [], list(_matching(metrics, start, end))
    for name in names:
        one = metrics[name]
        target = one.more.get("reference")
        if one.value is None or target is None:
            lines.append(_unknown(title, name, one))
            continue
        scale = abs(target) if relative and target else 1.0
        excess = (one.value - target) / scale
        error = _together(one.error, one.more.get("reference_error"))
        error = None if error is None else error / scale
        level, words = _judge(abs(excess), error, tolerance, looks=len(names))
        line = Line(title, name, one.value, one.error, target, one.floor, excess, _over(excess, error), level, words)
        lines.append(line._replace(relative=relative))
    known = [line for line in lines if line.level is not None]
    return max(known, key=lambda x: (x.level, abs(x.sigma or 0.0)), default=lines[0] if lines else None)


def _memorisation(one: Metric) -> Line:
    title, name = "share of memorised showers", "memorisation.share"
    if one.value is None or one.error is None:
        return _unknown(title, name, one)
    sigma = (one.value - 0.5) / one.error
    level = 0 if abs(sigma) <= 3 else 1 if abs(sigma) <= 6 else 2 if one.value < 0.75 else 3
    nearer, farther = "nearer to training showers than fresh ones are", "farther from training showers than fresh ones"
    words = "neither copies nor misses" if level == 0 else nearer if sigma > 0 else farther
    return Line(title, name, one.value, one.error, 0.5, 0.5, one.value - 0.5, sigma, level, words)


def _judge(size: float, error: float | None, tolerance: float, looks: int = 1) -> tuple[int, str]:
    sigmas = NormalDist().inv_cdf(1 - NormalDist().cdf(-3) / looks)
    if error is not None and size <= sigmas * error:
        return 0, "agrees within errors" + (", which are large" if 3 * error > 4 * tolerance else "")
    for level, words in ((1, "small difference"), (2, "visible difference")):
        if size <= tolerance * (1 if level == 1 else 4):
            return level, words
    return 3, "clearly different"


def _unknown(title: str, name: str, one: Metric) -> Line:
    words = one.reason or (
        "no floor to compare with" if one.floor is None else "too few reference showers to compare with"
    )
    return Line(title, name, one.value, one.error, None, one.floor, None, None, None, words)


def _matching(metrics: Metrics, start: str, end: str) -> Iterator[str]:
    return (name for name in metrics if name.startswith(start) and name.endswith(end))


def _together(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else float(np.hypot(a, b))


def _over(excess: float, error: float | None) -> float | None:
    return excess / error if error else None
