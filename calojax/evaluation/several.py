"""A generator judged into a folder, alone or beside others: all is looked at and read before anything is judged."""

import contextlib
import dataclasses
import functools
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from calojax import geometry as geometries
from calojax import writing
from calojax.evaluation import folder, judging, schema, sources
from calojax.evaluation.judging import Asked
from calojax.evaluation.published import published as published_results
from calojax.evaluation.schema import Metric, Metrics


class Own(NamedTuple):
    """What a system has to say beside the judge. run: what it was found of, as JSON can hold it; find() -> metrics and
    curves by name."""

    run: Mapping[str, Any]
    find: Callable[[], tuple[Mapping[str, Metric], Mapping[str, np.ndarray]]]


class Judged(NamedTuple):
    """What was found of the folder's generator, and of others by name."""

    metrics: Metrics
    others: dict[str, Metrics]


def judge(
    reference: Any,
    generated: Any,
    geometry: Any,
    out: Path,
    *,
    train: Any,
    level: str,
    compare: Mapping[str, Any],
    published: bool,
    resume: bool,
    drawn: bool,
    progress: bool,
    own: Own | None = None,
) -> Judged:
    """metrics.json of the new folder `out`, and what a report needs beside; arguments as those of `calojax.evaluate`.

    drawn: there is a report already; then others are not judged again where the folder is done; own: what is added to
    the metrics of the generator.
    """
    geometry = geometries.load(geometry)
    if published and not published_results(geometry.name):
        warnings.warn(f"there are no published results on {geometry.name}: the report shows none", stacklevel=3)
    schema.refuse_own_name(sources.title(sources.label(generated), "generated"), compare)
    others = {name: _judged_before(source) for name, source in compare.items()}
    done = folder.finished(out) if resume else None
    with contextlib.nullcontext() if done else folder.growing(out, resume) as place:
        for name, source in {"reference": reference, "generated": generated, "train": train, **others}.items():
            _refuse_unusable(source, geometry, name)
        asked = judging.read(reference, generated, geometry, train, level, progress)
        beside = {name: _beside(asked, source, name, progress) for name, source in others.items()}
        shown = {"compare": {name: one.digests["generated"] for name, one in beside.items()}, "published": published}
        if done:
            before = {"published": False, "compare": {}, **done.digests, **done.inputs.get("report", {})}
            before |= {name: done.inputs.get(name) for name in ("level", "run")}
            now = {**asked.digests, **shown, "level": level, "run": own and dict(own.run)}
            writing.refuse_other_request(out, before, now, what="folder")
            if drawn:
                return Judged(done, {})
        saved = place and place / "classifiers"
        if progress and not done:
            judging.announce([asked, *(one for one in beside.values() if isinstance(one, Asked))], saved)
        more = own.find() if own and not done else ({}, {})  # first: what it refuses is known before hours have passed
        find = functools.partial(judging.judge_read, saved=saved, progress=progress)
        metrics = done or find(asked)
        found = {name: find(one) if isinstance(one, Asked) else one for name, one in beside.items()}
        if place:
            inputs = {**metrics.inputs, "report": shown} | ({"run": dict(own.run)} if own else {})
            found_metrics, curves = {**metrics.metrics, **more[0]}, {**metrics.curves, **more[1]}
            metrics = dataclasses.replace(metrics, inputs=inputs, metrics=found_metrics, curves=curves)
            metrics.save(place)
    return Judged(metrics, found)


def _judged_before(source: Any) -> Any:
    """What the judge said of the showers of a folder; other sources as they are."""
    is_folder = isinstance(source, (str, Path)) and Path(source).is_dir()
    return schema.load_metrics(source) if is_folder else source


def _refuse_unusable(source: Any, geometry: Any, name: str) -> None:
    """InputError for showers or a folder that nothing can be made of."""
    if isinstance(source, Metrics):
        schema.refuse_untraced(source, name)
    elif source is not None:
        sources.refuse_unusable(source, geometry, name=name)


def _beside(asked: Asked, source: Any, name: str, progress: bool) -> Asked | Metrics:
    """The showers of another generator to be judged in the same way, or what was found when they were."""
    if not isinstance(source, Metrics):
        return judging.read_another(asked, source, progress)
    schema.refuse_other_reference(asked.digests, source, name)
    return source
