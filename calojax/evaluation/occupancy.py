"""Which cells are hit together: hit probabilities, their Pearson matrix, the Frobenius distance of two such matrices.

With hits h in {0, 1}, sums s_i and joint sums g_ij over N showers,

    C_ij = (N g_ij - s_i s_j) / sqrt(s_i (N - s_i) s_j (N - s_j)),   distance = ||C_reference - C_generated||_F

A cell that is hit never or always has row, column and diagonal 0: if it is constant in one sample only, it adds 1 and
its correlations to the squared distance. Joint sums are exact integers in float32 (up to 2^24 showers); matrices are
made in tiles and never held whole. Two samples of N showers of one distribution over V weakly correlated cells are at
about sqrt(2 V (V - 1)/N): compare with the floor. Source: CaloPointFlow's plots and CaloQVAE's Frobenius distances.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from calojax.evaluation import patterns
from calojax.evaluation.jackknife import Estimate
from calojax.evaluation.patterns import Patterns

_TILE = 1080  # cells; a multiple of 8
_BLOCKS = 5


class Distances(NamedTuple):
    """distance: per pair; matrix: per sample, means (G, G) over groups of cells; constant: per sample, cells."""

    distance: list[Estimate]
    matrix: dict[str, np.ndarray]
    n_constant: dict[str, int]


def hit_probability(hits: np.ndarray | Patterns) -> np.ndarray:
    """Share of the showers in which each cell is hit: hits (N, V) -> (V,) float64."""
    hits = patterns.of(hits)
    return _cell_sums(hits).sum(axis=0) / len(hits)


def hit_pearson(hits: np.ndarray | Patterns, cells: slice = slice(None)) -> np.ndarray:
    """Pearson matrix (n, n) float64 of the hits (N, V) of a range of cells; hold V small, it is made whole."""
    hits = patterns.of(hits)
    first, last, _ = cells.indices(hits.n_cells)
    dense = hits.columns(first, last).astype(np.float32)
    sums = dense.sum(axis=0, dtype=np.float64)
    return _pearson(dense.T @ dense, sums, sums, len(hits))


def frobenius_occupancy(reference: np.ndarray | Patterns, generated: np.ndarray | Patterns) -> Estimate:
    """Frobenius distance of the Pearson matrices of hits (N, V) and (M, V), with its error."""
    samples = {"reference": patterns.of(reference), "generated": patterns.of(generated)}
    return distances(samples, [("reference", "generated")]).distance[0]


def distances(
    samples: Mapping[str, Patterns],
    pairs: Sequence[tuple[str, str]],
    groups: np.ndarray | None = None,
    advance: Callable[[int], None] | None = None,
) -> Distances:
    """Frobenius distances of several pairs of samples at once, and their matrices averaged over groups of cells.

    groups (V,): group of each cell, 0.. (one for all by default); advance(n): called after n of the tiles.
    """
    n_cells = next(iter(samples.values())).n_cells
    groups = np.zeros(n_cells, int) if groups is None else groups
    sums = {name: _cell_sums(sample) for name, sample in samples.items()}
    rows = {name: np.bincount(np.arange(len(sample)) % _BLOCKS, minlength=_BLOCKS) for name, sample in samples.items()}
    squares = np.zeros((len(pairs), 1 + _BLOCKS))
    matrix = {name: np.zeros((groups.max() + 1,) * 2) for name in samples}
    starts = range(0, n_cells, _TILE)
    for first in starts:
        left = slice(first, min(first + _TILE, n_cells))
        left_hits = {name: _tile(sample, left) for name, sample in samples.items()}
        for second in range(first, n_cells, _TILE):
            right = slice(second, min(second + _TILE, n_cells))
            pearson = {}
            for name, sample in samples.items():
                right_hits = left_hits[name] if right == left else _tile(sample, right)
                pearson[name] = _leave_one_out(left_hits[name], right_hits, sums[name], rows[name], left, right)
                _add_means(matrix[name], pearson[name][0], groups, left, right)
            for pair, (a, b) in enumerate(pairs):
                part = [np.sum((x - y) ** 2) for x, y in zip(pearson[a], pearson[b], strict=True)]
                squares[pair] += np.array(part) * (1 if right == left else 2)
            if advance is not None:
                advance(1)
    size = np.bincount(groups)
    matrix = {name: total / np.maximum(np.outer(size, size) - np.diag(size), 1) for name, total in matrix.items()}
    hit = {name: s.sum(axis=0) for name, s in sums.items()}
    constant = {name: int(np.sum((h == 0) | (h == len(samples[name])))) for name, h in hit.items()}
    return Distances([_estimate(s) for s in squares], matrix, constant)


def n_tiles(n_cells: int) -> int:
    """How often `distances` calls `advance`."""
    n = -(-n_cells // _TILE)
    return n * (n + 1) // 2


def _cell_sums(sample: Patterns) -> np.ndarray:
    """Hits of each cell in each block of showers: (5, V) float64."""
    sums = np.zeros((_BLOCKS, sample.n_cells))
    for b in range(_BLOCKS):
        for part in sample[b::_BLOCKS].blocks():
            sums[b] += part.sum(axis=0, dtype=np.int64)
    return sums


def _tile(sample: Patterns, cells: slice) -> list[np.ndarray]:
    """Hits of a range of cells, block by block of showers, float32."""
    hits = sample.columns(cells.start, cells.stop)
    return [hits[b::_BLOCKS].astype(np.float32) for b in range(_BLOCKS)]


def _leave_one_out(left_hits, right_hits, sums, rows, left: slice, right: slice) -> list[np.ndarray]:
    """One tile of the Pearson matrix: over all showers, then without each block of showers."""
    joint = [a.T @ b for a, b in zip(left_hits, right_hits, strict=True)]
    total, n = np.asarray(joint).sum(axis=0, dtype=np.float64), rows.sum()
    i, j = sums[:, left], sums[:, right]
    out = [_pearson(total.copy(), i.sum(axis=0), j.sum(axis=0), n)]
    for b in range(_BLOCKS):
        out.append(_pearson(total - joint[b], i.sum(axis=0) - i[b], j.sum(axis=0) - j[b], n - rows[b]))
    return out


def _pearson(joint: np.ndarray, i: np.ndarray, j: np.ndarray, n: int) -> np.ndarray:
    """C of joint sums (I, J) (overwritten) and sums (I,), (J,) over n showers; 0 where a cell is constant."""
    joint = joint.astype(np.float64, copy=False)
    joint *= n
    joint -= np.outer(i, j)
    for values, shape in ((i, (-1, 1)), (j, (1, -1))):
        spread = values * (n - values)
        joint *= np.where(spread > 0, 1 / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0).reshape(shape)
    return joint


def _add_means(matrix: np.ndarray, tile: np.ndarray, groups: np.ndarray, left: slice, right: slice) -> None:
    """Add a tile of C and its mirror image, without the diagonal, to the sums over pairs of groups."""
    if left == right:
        tile = tile - np.diag(np.diag(tile))
    (i, i_in), (j, j_in) = (_indicator(groups[side]) for side in (left, right))
    both = i_in.T @ tile @ j_in
    matrix[np.ix_(i, j)] += both
    if left != right:
        matrix[np.ix_(j, i)] += both.T


def _indicator(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different groups (G,) of some cells (n,), and which cell is in which (n, G) float64."""
    different, which = np.unique(groups, return_inverse=True)
    return different, np.eye(len(different))[which]


def _estimate(squares: np.ndarray) -> Estimate:
    value, left_out = np.sqrt(squares[0]), np.sqrt(squares[1:])
    return Estimate(value, np.sqrt((_BLOCKS - 1) * np.var(left_out)))
