"""What classifiers make of generated showers: the metrics and curves of all kinds of a level."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from calojax.errors import InputError
from calojax.evaluation import classifiers
from calojax.evaluation.classifiers.two_sample import Classified
from calojax.evaluation.levels import Level
from calojax.evaluation.schema import Metric, metric
from calojax.evaluation.sparse import Sparse
from calojax.progress import Progress


def judge(
    showers: Mapping[str, Sparse], geometry: Any, level: Level, saved: Path | None, progress: bool
) -> tuple[dict[str, Metric], dict[str, np.ndarray]]:
    """classifier.<kind>.auc|jsd, and curves roc.<kind>, of the level's kinds.

    showers: reference, generated and, if there are any, train; saved: a folder where every network is kept.
    """
    try:
        requests = _requests(showers, geometry, level, saved)
    except InputError as error:
        n = len(showers["reference"]), len(showers["generated"])
        nothing = metric(None, None, None, n, f"{error.found}, but {error.rule}")
        kinds = _kinds(geometry, level)
        return {f"classifier.{kind}.{name}": nothing for kind in kinds for name in ("auc", "jsd")}, {}
    if not requests:
        return {}, {}
    metrics, roc = {}, {}
    gflop = round(sum(classifiers.work(one).flop for one in requests.values()) / 1e9)
    with Progress(gflop, "classify", unit="GFLOP", enabled=progress) as bar:
        for kind, request in requests.items():
            found = classifiers.run(request, bar.advance)
            metrics |= {f"classifier.{kind}.{name}": one for name, one in _metrics(found, level).items()}
            roc[f"roc.{kind}"] = found.roc
    return metrics, roc


def announcement(
    several: Sequence[Mapping[str, Sparse]], geometry: Any, level: Level, saved: Path | None = None
) -> str:
    """What the classifiers of several generators will take, each with its showers as for `judge`; "" for none."""
    works: dict[str, list[classifiers.Work]] = {}
    for showers in several:
        with suppress(InputError):  # too few showers
            for kind, request in _requests(showers, geometry, level, saved).items():
                works.setdefault(kind, []).append(classifiers.work(request))
    flop, kept = (
        sum(getattr(one, name) for of_kind in works.values() for one in of_kind) for name in ("flop", "saved")
    )
    if not flop:
        return ""
    left = {kind: sum(one.flop - one.saved for one in of_kind) for kind, of_kind in works.items()}
    seconds = sum(classifiers.seconds(more, kind, geometry) for kind, more in left.items())
    whose = f" of {len(several)} generators" if len(several) > 1 else ""
    before = f", {kept / flop:.0%} of it done before" if kept else ""
    return f"classifiers{whose}: {flop / 1e12:,.3g} TFLOP{before}, {in_words(seconds)} on this machine"


def in_words(seconds: float) -> str:
    """A time that is not known better than that."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return "about a minute" if minutes else "less than a minute"
    return f"about {minutes} minutes" if minutes <= 90 else f"about {seconds / 3600:.1f} hours"


def _kinds(geometry: Any, level: Level) -> list[str]:
    return [kind for kind in level.classifiers if classifiers.possible(kind, geometry)]


def _requests(
    showers: Mapping[str, Sparse], geometry: Any, level: Level, saved: Path | None
) -> dict[str, classifiers.Request]:
    """What is asked for, by kind; InputError for too few showers."""
    return {
        kind: classifiers.request(
            showers["reference"],
            showers["generated"],
            geometry,
            kind,
            train=showers.get("train"),
            epochs=level.epochs,
            seeds=level.seeds,
            folder=saved,
        )
        for kind in _kinds(geometry, level)
    }


def _metrics(found: Classified, level: Level) -> dict[str, Metric]:
    """auc and jsd; their floors hold by construction."""
    n, asked = (found.n, found.n), {"floor_error": 0.0, "seeds": level.seeds, "epochs": level.epochs}
    return {
        "auc": metric(
            found.auc,
            found.auc_error,
            0.5,
            n,
            spread=_spread(found.aucs),
            uncalibrated=found.auc_uncalibrated,
            **asked,
        ),
        "jsd": metric(found.jsd, found.jsd_error, 0.0, n, spread=_spread(found.jsds), **asked),
    }


def _spread(values: np.ndarray) -> float:
    """Standard deviation over the seeds."""
    return float(values.std(ddof=1)) if len(values) > 1 else np.nan
