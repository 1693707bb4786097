"""What the numbers mean, in words: one line for each kind of metric, judged by its errors and its floor.

A distance is compared with its floor (at the same numbers of showers), a quantity with the reference. Of several energy
bins or layers the one that is farthest off is quoted. Levels: 0 agrees within 3 standard errors (3.4 for the worst of
four: the same chance of a false alarm); 1 differs by less than the tolerance; 2 by less than four times the tolerance;
3 by more. Agreement within errors larger than the tolerance says so.
"""

from collections.abc import Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from calojax.evaluation import words
from calojax.evaluation.schema import Metric, Metrics

_SEPARATIONS = (  # of families of histograms
    "e_tot",
    "e_layer.mean",
    "ec_eta.mean",
    "ec_phi.mean",
    "width_eta.mean",
    "width_phi.mean",
    "ec_r.mean",
    "width_r.mean",
    "sparsity.mean",
    "voxel",
    "n_hits",
    "hit_layers",
    "hit_rings",
    "hit_cells",
)
_ABOVE_THE_FLOOR = 0.005  # tolerance of a separation power
_DISTANCES = (  # title, metric, tolerance of the excess over the floor
    ("features: Frechet distance", "frechet", 0.02),
    ("features: Frechet distance, extrapolated", "fpd", 0.02),
    ("features: kernel distance", "kpd", 1e-4),
    ("classifier of cells: AUC", "classifier.low.auc", 0.05),
    ("classifier of shares in layers: AUC", "classifier.low_normed.auc", 0.05),
    ("classifier of features: AUC", "classifier.high.auc", 0.05),
    ("convolutional classifier: AUC", "classifier.cnn.auc", 0.05),
)
_MATRICES = (  # title, metric, or start of the names of one for each layer
    ("correlations of cell energies", "frobenius.voxel"),
    ("correlations of hits", "frobenius.occupancy"),
    ("correlations of layer energies", "frobenius.layer"),
    ("correlations of the layers' sparsity", "frobenius.layer_sparsity"),
    ("correlations of energies in patches of cells", "frobenius.patch_layer"),
    ("correlations of cell energies within a layer", "frobenius.within_layer."),
    ("correlations of hits within a layer", "frobenius.occupancy_within_layer."),
)
_LARGE = ", which are large"
_OF_THE_FLOOR = 0.05  # tolerance of a distance of matrices above its floor, as a share of it
_ON_GRID = {  # titles in a grid's own words
    "correlations of cell energies": "correlations of crystal energies",
    "classifier of cells: AUC": "classifier of crystals: AUC",
    "classifier of shares in layers: AUC": "classifier of shares: AUC",
}
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
    lines += [_separation(metrics, name) for name in _SEPARATIONS if f"separation.{name}" in metrics]
    lines += [] if words.on_grid(metrics) else [_worst_layer(metrics)]
    lines += [_distance(title, name, metrics[name], limit) for title, name, limit in _DISTANCES if name in metrics]
    lines += [
        _distance(title, name, metrics[name], limit, either_side=True)
        for title, name, limit in _ALIKE
        if name in metrics
    ]
    lines += [_matrix(metrics, title, name) for title, name in _MATRICES]
    if "memorisation.share" in metrics:
        lines.append(_memorisation(metrics["memorisation.share"]))
    renamed = _ON_GRID if words.on_grid(metrics) else {}
    return [line._replace(title=renamed.get(line.title, line.title)) for line in lines if line is not None]


def _separation(metrics: Metrics, name: str) -> Line:
    family, _, mean = name.partition(".")
    title = words.families(metrics)[family] + (", mean of layers" if mean and not words.on_grid(metrics) else "")
    return _distance(title, f"separation.{name}", metrics[f"separation.{name}"], _ABOVE_THE_FLOOR)


def _worst_layer(metrics: Metrics) -> Line | None:
    """The separation power of a feature in one layer that is farthest off: a mean over layers hides a single one."""
    names = [name for name in _matching(metrics, "separation.", "") if name.rpartition(".")[2].isdigit()]
    title = "any feature in any layer: the worst"
    return _worst([_distance(title, one, metrics[one], _ABOVE_THE_FLOOR, looks=len(names)) for one in names])


def summary(lines: list[Line]) -> str:
    """How many lines say what, the worst first, in a sentence."""
    said = {"clearly different": 3, "visibly different": 2, "with a small difference": 1}
    counts = {words: sum(line.level == level for line in lines) for words, level in said.items()}
    large = sum(line.level == 0 and line.words.endswith(_LARGE) for line in lines)
    counts["in agreement within errors"] = sum(line.level == 0 for line in lines) - large
    counts["within errors too large to tell"] = large
    counts["unknown"] = sum(line.level is None for line in lines)
    return f"Of {len(lines)} lines: " + ", ".join(f"{n} {words}" for words, n in counts.items() if n) + "."


def _matrix(metrics: Metrics, title: str, name: str) -> Line | None:
    """A distance of matrices; of those of layers the one that is farthest off."""
    names = list(_matching(metrics, name, "")) if name.endswith(".") else [name] if name in metrics else []
    lines = []
    for one in names:
        floor = metrics[one].more.get("floor_at_counts") or metrics[one].floor or 0.0
        lines.append(_distance(title, one, metrics[one], _OF_THE_FLOOR * floor, looks=len(names)))
    return _worst(lines)


def _distance(
    title: str, name: str, one: Metric, tolerance: float, *, either_side: bool = False, looks: int = 1
) -> Line:
    if one.value is None or one.floor is None:
        return _unknown(title, name, one)
    floor, error = one.more.get("floor_at_counts"), one.more.get("excess_error")
    if floor is None:
        floor, error = one.floor, _together(one.error, one.more.get("floor_error"))
    excess = one.value - floor
    level, said = _judge(abs(excess) if either_side else max(excess, 0.0), error, tolerance, looks)
    return Line(title, name, one.value, one.error, None, floor, excess, _over(excess, error), level, said)


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
        level, said = _judge(abs(excess), error, tolerance, looks=len(names))
        line = Line(title, name, one.value, one.error, target, one.floor, excess, _over(excess, error), level, said)
        lines.append(line._replace(relative=relative))
    return _worst(lines)


def _worst(lines: list[Line]) -> Line | None:
    """The one that is farthest off, by its level and then by its significance; an unknown one if all are."""
    known = [line for line in lines if line.level is not None]
    off = lambda line: (line.sigma or 0.0) if line.target is None else abs(line.sigma or 0.0)
    return max(known, key=lambda line: (line.level, off(line)), default=lines[0] if lines else None)


def _memorisation(one: Metric) -> Line:
    title, name = "share of memorised showers", "memorisation.share"
    if one.value is None or one.error is None:
        return _unknown(title, name, one)
    sigma = (one.value - 0.5) / one.error
    level = 0 if abs(sigma) <= 3 else 1 if abs(sigma) <= 6 else 2 if one.value < 0.75 else 3
    nearer, farther = "nearer to training showers than fresh ones are", "farther from training showers than fresh ones"
    said = "neither copies nor misses" if level == 0 else nearer if sigma > 0 else farther
    return Line(title, name, one.value, one.error, 0.5, 0.5, one.value - 0.5, sigma, level, said)


def _judge(size: float, error: float | None, tolerance: float, looks: int = 1) -> tuple[int, str]:
    sigmas = NormalDist().inv_cdf(1 - NormalDist().cdf(-3) / looks)
    if error is not None and size <= sigmas * error:
        return 0, "agrees within errors" + (_LARGE if 3 * error > 4 * tolerance else "")
    for level, said in ((1, "small difference"), (2, "visible difference")):
        if size <= tolerance * (1 if level == 1 else 4):
            return level, said
    return 3, "clearly different"


def _unknown(title: str, name: str, one: Metric) -> Line:
    said = one.reason or (
        "no floor to compare with" if one.floor is None else "too few reference showers to compare with"
    )
    return Line(title, name, one.value, one.error, None, one.floor, None, None, None, said)


def _matching(metrics: Metrics, start: str, end: str) -> Iterator[str]:
    return (name for name in metrics if name.startswith(start) and name.endswith(end))


def _together(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else float(np.hypot(a, b))


def _over(excess: float, error: float | None) -> float | None:
    return excess / error if error else None
