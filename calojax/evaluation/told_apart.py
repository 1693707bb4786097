"""What classifiers make of generated showers: the metrics and curves of all kinds of a level."""

import sys
from collections.abc import Mapping
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
    """classifier.<kind>.auc|jsd, and curves roc.<kind>, of the level's kinds; says first how long it will take.

    showers: reference, generated and, if there are any, train; saved: a folder where every network is kept.
    """
    kinds = [kind for kind in level.classifiers if classifiers.possible(kind, geometry)]
    if not kinds:
        return {}, {}
    real, fake = showers["reference"], showers["generated"]
    options: dict[str, Any] = {
        "train": showers.get("train"),
        "epochs": level.epochs,
        "seeds": level.seeds,
        "folder": saved,
    }
    try:
        requests = {kind: classifiers.request(real, fake, geometry, kind, **options) for kind in kinds}
    except InputError as error:
        nothing = metric(None, None, None, (len(real), len(fake)), f"{error.found}, but {error.rule}")
        return {f"classifier.{kind}.{name}": nothing for kind in kinds for name in ("auc", "jsd")}, {}
    works = {kind: classifiers.work(one) for kind, one in requests.items()}
    if progress:
        print(_announcement(works, geometry), file=sys.stderr, flush=True)
    metrics, roc = {}, {}
    gflop = round(sum(one.flop for one in works.values()) / 1e9)
    with Progress(gflop, "classify", unit="GFLOP", enabled=progress) as bar:
        for kind, request in requests.items():
            found = classifiers.run(request, bar.advance)
            metrics |= {f"classifier.{kind}.{name}": one for name, one in _metrics(found, level).items()}
            roc[f"roc.{kind}"] = found.roc
    return metrics, roc


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


def _announcement(works: Mapping[str, classifiers.Work], geometry: Any) -> str:
    """What the classifiers will cost."""
    seconds = sum(classifiers.seconds(one.flop - one.saved, kind, geometry) for kind, one in works.items())
    flop, kept = (sum(getattr(one, name) for one in works.values()) for name in ("flop", "saved"))
    before = f", {kept / flop:.0%} of it done before" if kept else ""
    time = f"{seconds / 3600:.1f} hours" if seconds > 5400 else f"{max(seconds, 60) / 60:.0f} minutes"
    return f"classifiers: {flop / 1e12:,.3g} TFLOP{before}, about {time} on this machine"
