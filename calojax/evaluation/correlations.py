"""Frobenius distances of the Pearson matrices of two digested samples: cells, patches of cells, layers.

Cells are compared by their energies and by whether they are hit (at or above threshold, the one rule everywhere),
layers by their energies and by their shares of empty cells. A patch is a single cell: 13 of every layer, at the axis
and at 1/6, 5/12 and 5/8 of the rings times 0, 3/14, 6/14 and 9/14 of the circle, rounded down. Source: CaloQVAE, whose
patches these are on 14 alpha bins and 24 rings.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from calojax.evaluation import curves, pearson
from calojax.evaluation.digest import Digest
from calojax.evaluation.jackknife import BLOCKS, Estimate
from calojax.evaluation.measures import Measured
from calojax.evaluation.patterns import Patterns
from calojax.evaluation.pearson import Columns
from calojax.evaluation.sample import Sample
from calojax.evaluation.sparse import evenly

_ROWS, _LEAST = 10_000, 200  # showers that a matrix of cells is made of at most, and where there are very many cells
_RINGS, _TURNS = ((1, 6), (5, 12), (5, 8)), ((0, 1), (3, 14), (6, 14), (9, 14))
_REASON = "one shower has no correlations"
_WHO = ("reference", "generated")

Pairs = Sequence[tuple[Digest, Digest]]


class OfCells(NamedTuple):
    """measured: of each pair; curves: matrices for the report."""

    measured: list[dict[str, Measured]]
    curves: dict[str, np.ndarray]


def of_layers(reference: Digest, other: Digest, rows: int) -> dict[str, Measured]:
    """frobenius.layer, .layer_sparsity, .patch_layer, .within_layer.<i>, .occupancy_within_layer.<i>.

    rows: showers of each sample that matrices of cells are made of.
    """
    geometry = reference.frame.geometry
    samples, patches = (reference.sample, other.sample), patch_cells(geometry)
    few = [one.showers.spread(rows) for one in samples]
    energies, hits = [pearson.of_voxels(one) for one in few], [_hits(one, rows) for one in samples]
    found = {}
    if geometry.n_layers > 1:
        found["frobenius.layer"] = _measured([pearson.of_array(one.moments.energy) for one in samples], BLOCKS)
        sparsity = [pearson.of_array(one.moments.sparsity) for one in samples]
        found["frobenius.layer_sparsity"] = _measured(sparsity, BLOCKS)
        found["frobenius.patch_layer"] = _measured([pearson.of_voxels(one, patches) for one in few], BLOCKS)
    for layer in range(geometry.n_layers) if geometry.n_layers > 1 else ():  # of a single one: voxel and occupancy
        inside = [int(x) for x in geometry.layer_offsets[layer : layer + 2]]
        for kind, both in (("within_layer", energies), ("occupancy_within_layer", hits)):
            found[f"frobenius.{kind}.{layer}"] = _measured([pearson.Part(one, *inside) for one in both])
    return found


def of_cells(pairs: Pairs, rows: int, advance: Callable[[int], None] | None = None) -> OfCells:
    """frobenius.voxel and frobenius.occupancy of each pair, the first being (reference, generated).

    rows: showers of each sample, evenly chosen; advance(n): called after n of the `n_tiles(geometry)` tiles.
    """
    reference = pairs[0][0]
    geometry = reference.frame.geometry
    digests = {str(id(one)): one for pair in pairs for one in pair}
    names = [(str(id(a)), str(id(b))) for a, b in pairs]
    hits = {name: _hits(one.sample, rows) for name, one in digests.items()}
    of_hits = pearson.distances(hits, names, curves.ring_of_cell(geometry), advance=advance)
    energies = {name: pearson.of_voxels(one.sample.showers.spread(rows)) for name, one in digests.items()}
    of_energies = pearson.distances(energies, names, advance=advance)
    measured = []
    for i, pair in enumerate(names):
        one = {}
        for name, found, samples in (
            ("frobenius.occupancy", of_hits, hits),
            ("frobenius.voxel", of_energies, energies),
        ):
            more = {f"constant_cells_{who}": found.n_constant[key] for who, key in zip(_WHO, pair, strict=True)}
            one[name] = _of(found.distance[i], [samples[key] for key in pair], more)
        measured.append(one)
    shown = {who: (of_hits.matrix[key], hits[key]) for who, key in zip(_WHO, names[0], strict=True)}
    return OfCells(measured, curves.matrices(shown, reference))


def n_tiles(geometry: Any) -> int:
    """How often `of_cells` calls `advance`."""
    return 2 * pearson.n_tiles(geometry.n_cells)


def most_rows(geometry: Any, work: float) -> int:
    """How many showers of a sample the matrices of cells are made of at most. work: showers x cells^2."""
    return min(_ROWS, max(_LEAST, int(work / geometry.n_cells**2)))


def patch_cells(geometry: Any) -> np.ndarray:
    """Flat indices (P,) of the patches, patch after patch, in each layer after layer; none twice."""
    places = [((0, 1), (0, 1)), *((ring, turn) for ring in _RINGS for turn in _TURNS)]
    rings, turns = np.asarray(geometry.n_rings, int), np.asarray(geometry.n_alpha, int)
    cells = [
        geometry.layer_offsets[:-1] + turns * turn[0] // turn[1] * rings + rings * ring[0] // ring[1]
        for ring, turn in places
    ]
    return np.array(list(dict.fromkeys(np.concatenate(cells).tolist())))


def _hits(one: Sample, rows: int) -> Patterns:
    return one.patterns[evenly(len(one), rows)]


def _measured(both: Sequence[Columns], n_blocks: int = pearson.BLOCKS) -> Measured:
    samples: dict[str, Columns] = dict(zip(_WHO, both, strict=True))
    return _of(pearson.distances(samples, [_WHO], n_blocks=n_blocks).distance[0], both, {})


def _of(distance: Estimate, both: Sequence[Columns], more: Mapping[str, float]) -> Measured:
    n = (len(both[0]), len(both[1]))
    value = float(distance.value) if min(n) > 1 else np.nan
    size = {"rows": max(n), "columns": both[0].n_cells}
    return Measured(value, float(distance.error), _REASON, size | dict(more), power=0.5, n=n)
