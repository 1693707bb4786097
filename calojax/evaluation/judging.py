"""The judge: every metric of a generator against a reference, with errors and floors.

Order: one pass over each set, which inspects it; then metrics. A reference or training showers whose cells make no
sense are refused; generated ones are counted, and left out (not finite) or cut (negative cells). The floor of a metric
is its value for real showers in place of the generated ones: as many training showers as there are generated ones, or,
without a training file, one half of the reference against the other. Distances at their floor go with 1/N + 1/M (its
root for a Frobenius distance); where the floor was made with other numbers of showers than the value, `floor_at_counts`
is the floor brought to the value's.
"""

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from calojax.evaluation import (
    correlations,
    curves,
    digest,
    distances,
    histograms,
    inspection,
    levels,
    memorisation,
    sample,
    told_apart,
    words,
)
from calojax.evaluation.digest import Digest
from calojax.evaluation.inspection import Inspection
from calojax.evaluation.levels import Level
from calojax.evaluation.measures import Measured, measures
from calojax.evaluation.schema import Metric, Metrics, metric
from calojax.evaluation.sources import Source, count, label, origin
from calojax.evaluation.sparse import Sparse
from calojax.geometry import Grid
from calojax.progress import Progress

Sources = Mapping[str, Source]
Floor = tuple[Digest, Digest] | None  # what is compared for the floors; None if there is nothing


class Asked(NamedTuple):
    """What is to be judged: where it is from, all of the showers, what is wrong with them, geometry and level."""

    sources: Sources
    showers: dict[str, Sparse]
    found: dict[str, Inspection]
    geometry: Any
    depth: Level

    @property
    def digests(self) -> dict[str, str]:
        """What `Metrics.digests` will say."""
        return {name: one.digest for name, one in self.showers.items()} | {"geometry": self.geometry.digest}


_NEIGHBOUR_WORK = 6.5e11  # showers^2 x cells that neighbours are looked for in
_UNITS_PER_TILE = 250  # a tile of a matrix of cells takes about as long as reading this many showers


def judge(
    reference: Source,
    generated: Source,
    geometry: Any,
    out: Path | str | None = None,
    train: Source | None = None,
    level: str = "standard",
    saved: Path | None = None,
    progress: bool = True,
) -> Metrics:
    """Compare generated showers with a reference.

    reference, generated, train: a CaloChallenge file, one of crystal images, or (incident_energy (N,), showers (N, V))
    in MeV. geometry: a Cylinder, a Grid, or what `geometry.load` takes. train: the showers the generator was trained
    on; gives fair floors and the share of memorised showers. out: a folder for metrics.json and curves.npz. level:
    quick, standard or full. saved: a folder where every classifier is kept when it is done, and is found again. Raises
    InputError for what cannot be compared, before anything is written.
    """
    asked = read(reference, generated, geometry, train, level, progress)
    if progress:
        announce([asked], saved)
    result = judge_read(asked, saved, progress)
    if out is not None:
        result.save(out)
    return result


def read(
    reference: Source,
    generated: Source,
    geometry: Any,
    train: Source | None = None,
    level: str = "standard",
    progress: bool = True,
) -> Asked:
    """The sources of `judge`, read and inspected, nothing judged yet."""
    from calojax import geometry as geometries  # noqa: PLC0415

    depth = levels.level(level)
    geometry = geometries.load(geometry) if isinstance(geometry, (str, Path)) else geometry
    sources: dict[str, Source] = {"reference": reference, "generated": generated}
    if train is not None:
        sources["train"] = train
    return Asked(sources, *_read(sources, geometry, progress), geometry, depth)


def read_another(asked: Asked, generated: Source, progress: bool = True) -> Asked:
    """The same with the showers of another generator; only these are read."""
    showers, found = _read({"generated": generated}, asked.geometry, progress, asked)
    return asked._replace(sources={**asked.sources, "generated": generated}, showers=showers, found=found)


def announce(several: Sequence[Asked], saved: Path | None = None) -> None:
    """Say on stderr how long the classifiers of all these generators will take; nothing if there are none."""
    first = several[0]
    if said := told_apart.announcement([one.showers for one in several], first.geometry, first.depth, saved):
        print(said, file=sys.stderr, flush=True)


def judge_read(asked: Asked, saved: Path | None = None, progress: bool = True) -> Metrics:
    """Every metric of showers that have been read; the rest is as for `judge`."""
    sources, showers, found, geometry, depth = asked
    train = showers.get("train")
    n = (len(showers["reference"]), len(showers["generated"]))
    digested = showers | {"train": showers["train"].first(n[1])} if "train" in showers else showers
    work = sum(map(len, digested.values())) + correlations.n_tiles(geometry) * _UNITS_PER_TILE
    compared = 2 * memorisation.n_compared(n[0]) if train is not None else 0
    with Progress(work + compared, "judge", enabled=progress) as bar:
        digests = _digest(digested, found["reference"].maximum, geometry, bar)
        floor = (digests["reference"], digests["train"]) if train is not None else _halves(digests["reference"])
        compare = partial(_compare, rows=_rows(digests, floor, depth))
        pairs = [(digests["reference"], digests["generated"]), *([floor] if floor else [])]
        cells = correlations.of_cells(pairs, lambda tiles: bar.advance(tiles * _UNITS_PER_TILE))
        measured = [compare(*pair) | of_cells for pair, of_cells in zip(pairs, cells.measured, strict=True)]
        metrics = _with_floor(measured, floor, n)
        metrics["memorisation.share"] = _memorisation(showers, bar)
    told, roc = told_apart.judge(showers, geometry, depth, saved, progress)
    return Metrics(
        _inputs(sources, showers, floor, geometry, depth) | {"inspection": _inspected(found)},
        metrics | told,
        tuple(_warnings(found, digests, train is not None)),
        curves.curves(digests)
        | cells.curves
        | roc
        | curves.events(showers["reference"], showers["generated"])
        | curves.examples(showers["reference"], showers["generated"]),
    )


def _read(
    sources: Sources, geometry: Any, progress: bool, before: Asked | None = None
) -> tuple[dict[str, Sparse], dict[str, Inspection]]:
    """Every set, front to back, and what is wrong with it; beside what was read before, if anything was."""
    showers = dict(before.showers) if before else {}
    found = dict(before.found) if before else {}
    with Progress(sum(map(count, sources.values())), "read", enabled=progress) as bar:
        for name, source in sources.items():
            showers[name], found[name] = inspection.read(
                source, geometry, name=name, any_values=name == "generated", advance=bar.advance
            )
    for name in sources if "train" in showers else ():
        if name != "train":
            found[name] = replace(found[name], n_copied=inspection.copies(showers[name], showers["train"]))
    return showers, found


def _digest(showers: Mapping[str, Sparse], maximum: float, geometry: Any, bar: Progress) -> dict[str, Digest]:
    """All sets in the frame of the reference, whose largest voxel is given."""
    edges = histograms.log_edges(geometry.threshold, maximum, 49)
    samples = {name: sample.collect(one, geometry, edges, advance=bar.advance) for name, one in showers.items()}
    frame = digest.frame(samples["reference"], edges, geometry)
    return {name: Digest(frame, one) for name, one in samples.items()}


def _halves(reference: Digest) -> Floor:
    """The reference's even and odd showers, in the same frame; None if there are not two."""
    if len(reference) < 2:
        return None
    return Digest(reference.frame, reference.sample.half(0)), Digest(reference.frame, reference.sample.half(1))


def _compare(reference: Digest, other: Digest, rows: int) -> dict[str, Measured]:
    """Everything that a floor is made of in the same way."""
    return (
        measures(reference, other)
        | distances.of_features(reference, other)
        | distances.of_showers(reference, other, rows)
        | correlations.of_layers(reference, other)
    )


def _rows(digests: Mapping[str, Digest], floor: Floor, depth: Level) -> int:
    """How many showers of every set neighbours are looked for among: as many for the value as for the floor."""
    least = min(len(one) for one in (*digests.values(), *(floor or ())))
    return min(least, depth.neighbours, int((_NEIGHBOUR_WORK / digests["reference"].frame.geometry.n_cells) ** 0.5))


def _with_floor(measured: list[dict[str, Measured]], floor: Floor, n: tuple[int, int]) -> dict[str, Metric]:
    """Each measure of the generated showers as a metric, with its floor and the floor's error if there is a floor."""
    metrics = {}
    for name, one in measured[0].items():
        counts, more, at = one.n or n, dict(one.more), None
        if floor is not None:
            at = measured[1][name]
            more["floor_error"] = at.error
            scale = _floor_scale(counts, at.n or (len(floor[0]), len(floor[1]))) ** one.power
            if "reference" in one.more:
                more["floor_reference"] = at.more["reference"]
            elif scale != 1:
                more["floor_at_counts"] = scale * at.value
        metrics[name] = metric(one.value, one.error, at and at.value, counts, one.reason, **more)
    return metrics


def _floor_scale(n: tuple[int, int], n_floor: tuple[int, int]) -> float:
    """What a squared distance at its floor changes by when it is made with n instead of n_floor showers."""
    return (1 / n[0] + 1 / n[1]) / (1 / n_floor[0] + 1 / n_floor[1])


def _memorisation(showers: Mapping[str, Sparse], bar: Progress) -> Metric:
    """memorisation.share; its floor, 0.5, holds by construction."""
    n = (len(showers["reference"]), len(showers["generated"]))
    if "train" not in showers:
        return metric(None, None, 0.5, n, "needs the training showers")
    found = memorisation.share(showers["reference"], showers["generated"], showers["train"], bar.advance)
    return metric(
        found.share,
        found.error,
        0.5,
        (found.n_reference, found.n_generated),
        distance_generated=found.distance_generated,
        distance_reference=found.distance_reference,
        n_train=len(showers["train"]),
    )


def _inputs(
    sources: Sources, showers: Mapping[str, Sparse], floor: Floor, geometry: Any, depth: Level
) -> dict[str, Any]:
    """What was compared, so that a number can be traced."""
    from calojax import __version__  # noqa: PLC0415

    kind = "training showers against the reference" if "train" in showers else "halves of the reference"
    n_floor = {"n_reference": len(floor[0]) if floor else 0, "n_generated": len(floor[1]) if floor else 0}
    given = {
        name: {"source": label(source), "showers": len(showers[name]), "digest": showers[name].digest} | origin(source)
        for name, source in sources.items()
    }
    return given | {
        "geometry": {
            "name": geometry.name,
            "kind": words.GRID if isinstance(geometry, Grid) else "cylinder",
            "digest": geometry.digest,
            "threshold": geometry.threshold,
        },
        "floor": {"kind": kind, **n_floor},
        "level": depth.name,
        "versions": {"calojax": __version__, "numpy": np.__version__, "python": platform.python_version()},
    }


def _inspected(found: Mapping[str, Inspection]) -> dict[str, Any]:
    """How many showers of each set have which defect, and how far the incident energies are apart."""
    energies = [found[name].incident_energy for name in ("reference", "generated")]
    distance, p_value = inspection.kolmogorov_smirnov(*energies)
    spectra = {"kolmogorov_smirnov": distance, "p_value": p_value}
    return {name: inspection.counts(one) for name, one in found.items()} | {"incident_energies": spectra}


def _warnings(found: Mapping[str, Inspection], digests: Mapping[str, Digest], has_train: bool) -> list[str]:
    """Sentences on what a reader has to know before the numbers."""
    said = [sentence for name in found if name != "train" for sentence in inspection.complaints(found[name], name)]
    energies = {name: one.incident_energy for name, one in found.items()}
    spectrum = inspection.spectrum_complaint(energies["reference"], energies["generated"])
    outside = int(np.sum(digests["reference"].frame.bins.place(energies["generated"]) < 0))
    said += [spectrum] if spectrum else []
    if outside > 0.005 * len(found["generated"]):
        said.append(f"{outside} generated showers have incident energies outside the reference's range")
    n = {name: len(one) for name, one in digests.items()}
    if min(n["reference"], n["generated"]) < 1000:
        said.append(f"{n['reference']} against {n['generated']} showers: small differences cannot be seen")
    if has_train and n["train"] < n["generated"]:
        said.append(f"floors are made with {n['train']} training showers for {n['generated']} generated ones")
    return said
