"""The judge: every metric of a generator against a reference, with errors and floors.

Order: one pass over each set, which inspects it; then metrics. A reference or training showers whose cells make no
sense are refused; generated ones are counted, and left out (not finite) or cut (negative cells).
"""

import importlib.metadata
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from calojax import geometry as geometries
from calojax.evaluation import (
    cautions,
    chi_squared,
    correlations,
    curves,
    digest,
    distances,
    floors,
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

SAMPLES = ("reference", "generated", "train")
_NEIGHBOUR_WORK = 6.5e11  # showers^2 x cells that neighbours are looked for in
_UNITS_PER_TILE = 250  # a tile of a matrix of cells takes about as long as reading this many showers


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

    depth = levels.level(level)
    geometry = geometries.load(geometry)
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
    sets, pairs = floors.sets_and_pairs(showers)
    work = sum(map(len, sets.values())) + correlations.n_tiles(geometry) * _UNITS_PER_TILE
    compared = 2 * memorisation.n_compared(n[0]) if train is not None else 0
    with Progress(work + compared, "judge", enabled=progress) as bar:
        digests = _digest(sets, found["reference"].maximum, geometry, bar)
        rows = correlations.most_rows(geometry, depth.matrices)
        compare = partial(_compare, neighbours=_neighbours(sets, depth, geometry), rows=rows)
        compared_sets = [(digests[a], digests[b]) for a, b in pairs]
        cells = correlations.of_cells(compared_sets, rows, lambda tiles: bar.advance(tiles * _UNITS_PER_TILE))
        measured = [compare(*pair) | of_cells for pair, of_cells in zip(compared_sets, cells.measured, strict=True)]
        metrics = floors.with_floor(measured, [(len(a), len(b)) for a, b in compared_sets])
        metrics["memorisation.share"] = _memorisation(showers, bar)
    told, roc = told_apart.judge(showers, geometry, depth, saved, progress)
    return Metrics(
        _inputs(sources, showers, sets, pairs, geometry, depth) | {"inspection": _inspected(found)},
        metrics | told,
        cautions.sentences(found, sets, metrics),
        curves.curves({name: digests[name] for name in SAMPLES if name in digests})
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
    copies = lambda name, of: int(inspection.copies(showers[name], showers[of]).sum())
    found["generated"] = replace(found["generated"], n_copied_reference=copies("generated", "reference"))
    for name in sources if "train" in showers else ():
        if name != "train":
            found[name] = replace(found[name], n_copied=copies(name, "train"))
    return showers, found


def _digest(showers: Mapping[str, Sparse], maximum: float, geometry: Any, bar: Progress) -> dict[str, Digest]:
    """All sets in the frame of the reference, whose largest voxel is given."""
    edges = histograms.log_edges(geometry.threshold, maximum, 49)
    samples = {name: sample.collect(one, geometry, edges, advance=bar.advance) for name, one in showers.items()}
    frame = digest.frame(samples["reference"], edges, geometry)
    return {name: Digest(frame, one) for name, one in samples.items()}


def _compare(reference: Digest, other: Digest, neighbours: int, rows: int) -> dict[str, Measured]:
    """Everything that a floor is made of in the same way."""
    return (
        measures(reference, other)
        | chi_squared.of_response(reference, other)
        | distances.of_features(reference, other)
        | distances.of_showers(reference, other, neighbours)
        | correlations.of_layers(reference, other, rows)
    )


def _neighbours(sets: Mapping[str, Sparse], depth: Level, geometry: Any) -> int:
    """How many showers of every set neighbours are looked for among: as many for the value as for the floor."""
    return min(*map(len, sets.values()), depth.neighbours, int((_NEIGHBOUR_WORK / geometry.n_cells) ** 0.5))


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
    sources: Sources,
    showers: Mapping[str, Sparse],
    sets: Mapping[str, Sparse],
    pairs: list[floors.Pair],
    geometry: Any,
    depth: Level,
) -> dict[str, Any]:
    """What was compared, so that a number can be traced."""
    from calojax import __version__  # noqa: PLC0415

    kind = "training showers against the reference" if "train" in sets else "halves of the reference"
    n_floor = [len(sets[name]) for name in pairs[1]] if len(pairs) > 1 else [0, 0]
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
        "floor": {"kind": kind, "n_reference": n_floor[0], "n_generated": n_floor[1]},
        "level": depth.name,
        "versions": {"calojax": __version__, "python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in ("jax", "numpy", "scipy")},
    }


def _inspected(found: Mapping[str, Inspection]) -> dict[str, Any]:
    """How many showers of each set have which defect, and how far the incident energies are apart."""
    energies = [found[name].incident_energy for name in ("reference", "generated")]
    distance, p_value = inspection.kolmogorov_smirnov(*energies)
    spectra = {"kolmogorov_smirnov": distance, "p_value": p_value}
    return {name: inspection.counts(one) for name, one in found.items()} | {"incident_energies": spectra}
