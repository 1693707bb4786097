"""The judge: every metric of a generator against a reference, with errors and floors.

Order: one pass over each set, which inspects it; then metrics. A reference or training showers whose cells make no
sense are refused; generated ones are counted, and left out (not finite) or cut (negative cells). The floor of a metric
is its value for real showers in place of the generated ones: as many training showers as there are generated ones, or,
without a training file, one half of the reference against the other. Distances at their floor depend on how many
showers there are. Where the floor is made with other numbers than the value, as many generated showers are compared in
the same way: what they are above the floor is the generator's part, and `floor_at_counts` is the value without it.
"""

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from calojax import geometry as geometries
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
from calojax.evaluation.sparse import Sparse, evenly
from calojax.geometry import Grid
from calojax.progress import Progress

Sources = Mapping[str, Source]
Pair = tuple[str, str]  # names of sets: a reference, and what is compared with it

SAMPLES = ("reference", "generated", "train")
NAMES = {"reference": "reference", "generated": "generated", "train": "training"}
_OTHER_SPECTRUM = {
    "generated": "every metric that is not at fixed energy compares two spectra as well as two detectors",
    "train": "floors of metrics that are not at fixed energy are too high",
}
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
    depth = levels.level(level)
    geometry = geometries.load(geometry)
    sources: dict[str, Source] = {"reference": reference, "generated": generated}
    if train is not None:
        sources["train"] = train
    showers, found = _read(sources, geometry, progress)
    n = (len(showers["reference"]), len(showers["generated"]))
    sets, pairs = _sets(showers)
    work = sum(map(len, sets.values())) + correlations.n_tiles(geometry) * _UNITS_PER_TILE
    compared = 2 * memorisation.n_compared(n[0]) if train is not None else 0
    with Progress(work + compared, "judge", enabled=progress) as bar:
        digests = _digest(sets, found["reference"].maximum, geometry, bar)
        rows = correlations.most_rows(geometry, depth.matrices)
        compare = partial(_compare, neighbours=_neighbours(sets, depth, geometry), rows=rows)
        compared_sets = [(digests[a], digests[b]) for a, b in pairs]
        cells = correlations.of_cells(compared_sets, rows, lambda tiles: bar.advance(tiles * _UNITS_PER_TILE))
        measured = [compare(*pair) | of_cells for pair, of_cells in zip(compared_sets, cells.measured, strict=True)]
        metrics = _with_floor(measured, [(len(a), len(b)) for a, b in compared_sets])
        metrics["memorisation.share"] = _memorisation(showers, bar)
    told, roc = told_apart.judge(showers, geometry, depth, saved, progress)
    result = Metrics(
        _inputs(sources, showers, sets, pairs, geometry, depth) | {"inspection": _inspected(found)},
        metrics | told,
        tuple(_warnings(found, sets, pairs)),
        curves.curves({name: digests[name] for name in SAMPLES if name in digests})
        | cells.curves
        | roc
        | curves.events(showers["reference"], showers["generated"])
        | curves.examples(showers["reference"], showers["generated"]),
    )
    if out is not None:
        result.save(out)
    return result


def _read(sources: Sources, geometry: Any, progress: bool) -> tuple[dict[str, Sparse], dict[str, Inspection]]:
    """Every set, front to back, and what is wrong with it."""
    showers, found = {}, {}
    with Progress(sum(map(count, sources.values())), "read", enabled=progress) as bar:
        for name, source in sources.items():
            showers[name], found[name] = inspection.read(
                source, geometry, name=name, any_values=name == "generated", advance=bar.advance
            )
    copies = lambda name, of: int(inspection.copies(showers[name], showers[of]).sum())
    found["generated"] = replace(found["generated"], n_copied_reference=copies("generated", "reference"))
    if "train" in showers:
        for name in ("reference", "generated"):
            found[name] = replace(found[name], n_copied=copies(name, "train"))
    return showers, found


def _sets(showers: Mapping[str, Sparse]) -> tuple[dict[str, Sparse], list[Pair]]:
    """What is digested, by name, and what is compared: for the value, for its floor, and, where that has other numbers
    of showers, as many generated ones in the place of the floor's.

    train: as many training showers as there are generated ones, none of them a copy of a reference shower.
    """
    reference, generated = showers["reference"], showers["generated"]
    sets, pairs = {"reference": reference, "generated": generated}, [("reference", "generated")]
    if "train" in showers:
        fresh = np.flatnonzero(~inspection.copies(showers["train"], reference))
        if 2 * len(fresh) > len(showers["train"]):
            sets["train"] = showers["train"].take(fresh[evenly(len(fresh), len(generated))])
            pairs.append(("reference", "train"))
    if len(pairs) == 1 and len(reference) > 1:
        even, odd = (np.arange(first, len(reference), 2) for first in (0, 1))
        sets["half"] = reference.take(even)
        sets["other half"] = reference.take(odd).spread(len(generated))
        pairs.append(("half", "other half"))
    if len(pairs) > 1:
        of_floor, other = pairs[1]
        if (len(sets[of_floor]), len(sets[other])) != (len(reference), len(generated)):
            sets["as many"] = generated.spread(len(sets[other]))
            pairs.append((of_floor, "as many"))
    return sets, pairs


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
        | distances.of_features(reference, other)
        | distances.of_showers(reference, other, neighbours)
        | correlations.of_layers(reference, other, rows)
    )


def _neighbours(sets: Mapping[str, Sparse], depth: Level, geometry: Any) -> int:
    """How many showers of every set neighbours are looked for among: as many for the value as for the floor."""
    return min(*map(len, sets.values()), depth.neighbours, int((_NEIGHBOUR_WORK / geometry.n_cells) ** 0.5))


def _with_floor(measured: list[dict[str, Measured]], n: list[tuple[int, int]]) -> dict[str, Metric]:
    """Each measure of the generated showers as a metric, with its floor. measured, n: of the value, then, if there are
    any, of the floor and of as many generated showers; n are the showers that were compared."""
    metrics = {}
    for name, one in measured[0].items():
        counts, more, floor = one.n or n[0], dict(one.more), None
        if len(measured) > 1:
            floor = measured[1][name]
            more["floor_error"] = floor.error
            if "reference" in one.more:
                more["floor_reference"] = floor.more["reference"]
            elif len(measured) > 2 and one.power and (floor.n or n[1]) != counts:
                more |= _at_counts(one, floor, measured[2][name])
        metrics[name] = metric(one.value, one.error, floor and floor.value, counts, one.reason, **more)
    return metrics


def _at_counts(one: Measured, floor: Measured, as_many: Measured) -> dict[str, float]:
    """floor_at_counts, and the error of the value's excess over it; values go as (1/N + 1/M)^power at their floor."""
    of_value, of_floor, of_as_many = (max(x.value, 0.0) ** (1 / one.power) for x in (one, floor, as_many))
    at_counts = max(of_value - of_as_many + of_floor, 0.0) ** one.power
    return {"floor_at_counts": at_counts, "excess_error": float(np.hypot(floor.error, as_many.error))}


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
    pairs: list[Pair],
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


def _warnings(found: Mapping[str, Inspection], sets: Mapping[str, Sparse], pairs: list[Pair]) -> list[str]:
    """Sentences on what a reader has to know before the numbers."""
    said = [sentence for name, one in found.items() for sentence in inspection.complaints(one, NAMES[name])]
    energies = {name: one.incident_energy for name, one in found.items()}
    for name, meaning in _OTHER_SPECTRUM.items():
        if name in energies:
            said += inspection.spectrum_complaints(energies["reference"], energies[name], NAMES[name], meaning)
    low, high = energies["reference"].min(), energies["reference"].max()
    outside = int(np.sum((energies["generated"] < low) | (energies["generated"] > high)))
    if outside > max(0.005 * len(found["generated"]), 2):
        said.append(f"{outside} generated showers have incident energies outside the reference's range")
    n = {name: len(one) for name, one in sets.items()}
    if min(n["reference"], n["generated"]) < 1000:
        said.append(f"{n['reference']} against {n['generated']} showers: small differences cannot be seen")
    if "train" in found and "train" not in sets:
        said.append(
            "most training showers are copies of reference showers: floors are those of halves of the reference"
        )
    elif "train" in sets and n["train"] < n["generated"]:
        said.append(f"floors are made with {n['train']} training showers for {n['generated']} generated ones")
    return said
