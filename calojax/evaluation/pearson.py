"""Pearson matrices of many columns, and the Frobenius distance of two of them.

With columns x (N, D), sums s_i of x_i and joint sums g_ij of x_i x_j over N showers,

    C_ij = (N g_ij - s_i s_j) / sqrt((N g_ii - s_i^2) (N g_jj - s_j^2)),   distance = ||C_reference - C_generated||_F

A constant column has row, column and diagonal 0: if it is constant in one sample only, it adds 1 and its correlations
to the squared distance. Matrices are made in tiles and never held whole; where there are many more columns than
showers they are not made at all (see `gram`). Joint sums of a block of showers are products in float32, of columns that
are counts (exact up to 2^24) or in units of their spread, added up in float64. Two samples of N showers of one
distribution with D weakly correlated columns are at about sqrt(2 D (D - 1)/N): compare with the floor. Source:
CaloPointFlow's plots and CaloQVAE's Frobenius distances.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from calojax.evaluation import arrays, gram
from calojax.evaluation.jackknife import Estimate, combine
from calojax.evaluation.sparse import Sparse

_TILE = 1080  # columns; a multiple of 8
_ROWS = 128  # of a tile, that a processor's cache holds in float64
BLOCKS = 5  # of showers, for the errors of large matrices
_NO_SPREAD = 1e-10  # of N g_ii: a column that is constant without one block of showers, up to rounding


class Columns(Protocol):
    """N showers with n_cells columns; `columns(first, last)` -> (N, last - first), counts or in units of the spread."""

    n_cells: int

    def __len__(self) -> int: ...

    def columns(self, first: int, last: int) -> np.ndarray: ...


class Scaled:
    """Columns that `raw(first, last)` gives (N, last - first), minus their means, in units of their spread: float32."""

    def __init__(self, n_rows: int, n_columns: int, raw: Callable[[int, int], np.ndarray]):
        self._n_rows, self.n_cells, self._raw = n_rows, n_columns, raw
        self._mean, self._scale = np.zeros(n_columns), np.zeros(n_columns)
        for first in range(0, n_columns, _TILE):
            tile = np.asarray(raw(first, first + _TILE), np.float64)
            part = slice(first, first + tile.shape[1])
            varies = tile.min(axis=0, initial=np.inf) < tile.max(axis=0, initial=-np.inf)
            self._mean[part] = tile.mean(axis=0) if n_rows else 0.0
            spread = np.sqrt(np.mean((tile - self._mean[part]) ** 2, axis=0)) if n_rows else 0.0
            self._scale[part] = np.where(varies, 1 / np.where(varies, spread, 1.0), 0.0)

    def __len__(self) -> int:
        return self._n_rows

    def columns(self, first: int, last: int) -> np.ndarray:
        """(N, last - first) float32; 0 where a column is constant."""
        raw, mean, scale = self._raw(first, last), self._mean[first:last], self._scale[first:last]
        made = np.empty(raw.shape, np.float32)
        for part in (slice(row, row + _ROWS) for row in range(0, len(raw), _ROWS)):
            made[part] = (raw[part] - mean) * scale  # in float64
        return made


def of_array(values: np.ndarray) -> Scaled:
    """Columns of values (N, D)."""
    return Scaled(len(values), values.shape[1], lambda first, last: values[:, first:last])


class Part:
    """The columns first..last of others."""

    def __init__(self, whole: Columns, first: int, last: int):
        self._whole, self._first, self.n_cells = whole, first, last - first

    def __len__(self) -> int:
        return len(self._whole)

    def columns(self, first: int, last: int) -> np.ndarray:
        """(N, last - first)."""
        return self._whole.columns(self._first + first, self._first + last)


def of_voxels(showers: Sparse, cells: np.ndarray | None = None) -> Scaled:
    """Columns of the voxel energies of showers, of the given cells (D,), each once, or all."""
    cells = np.arange(showers.n_cells) if cells is None else cells
    place = np.full(showers.n_cells, -1)
    place[cells] = np.arange(len(cells))
    column = place[showers.cell]
    inside = np.flatnonzero(column >= 0)
    order = inside[np.argsort(column[inside], kind="stable")]
    column, energy = column[order], showers.energy[order]
    row = np.repeat(np.arange(len(showers)), np.diff(showers.offsets))[order]

    def raw(first: int, last: int) -> np.ndarray:
        last = min(last, len(cells))
        tile = np.zeros((len(showers), last - first), np.float32)
        part = slice(*np.searchsorted(column, (first, last)))
        tile[row[part], column[part] - first] = energy[part]
        return tile

    return Scaled(len(showers), len(cells), raw)


class Distances(NamedTuple):
    """distance: per pair; matrix: per sample, means (G, G) over groups of columns; n_constant: per sample, columns."""

    distance: list[Estimate]
    matrix: dict[str, np.ndarray]
    n_constant: dict[str, int]


def pearson_matrix(values: np.ndarray) -> np.ndarray:
    """Pearson matrix (D, D) float64 of values (N, D); constant columns are 0, diagonal included. Hold D small."""
    values = arrays.table(values, "values").astype(np.float64)
    varies = np.ptp(values, axis=0) > 0
    centred = np.where(varies, values - values.mean(axis=0), 0.0)
    size = np.sqrt((centred**2).sum(axis=0))
    unit = centred / np.where(size > 0, size, 1.0)
    return unit.T @ unit


def frobenius_distance(reference: np.ndarray, generated: np.ndarray) -> Estimate:
    """Frobenius distance of the Pearson matrices of values (N, D) and (M, D), with its error; made in tiles."""
    both = zip(("reference", "generated"), arrays.points(reference, generated), strict=True)
    samples = {name: of_array(values) for name, values in both}
    return distances(samples, [("reference", "generated")]).distance[0]


def distances(
    samples: Mapping[str, Columns],
    pairs: Sequence[tuple[str, str]],
    groups: np.ndarray | None = None,
    n_blocks: int = BLOCKS,
    advance: Callable[[int], None] | None = None,
) -> Distances:
    """Frobenius distances of several pairs of samples at once, and their matrices averaged over groups of columns.

    groups (D,): group of each column, 0..; without them no means are made. n_blocks: of showers, left out one after
    another for the errors, which are nan for fewer than two showers a block; advance(n): called after n of the tiles.
    """
    size = np.bincount(groups) if groups is not None else np.zeros(0, int)
    sums = {name: _sums(sample, n_blocks) for name, sample in samples.items()}
    asked = _Asked(samples, sums, pairs, groups, n_blocks, advance)
    few = 2 * (1 + n_blocks) * max(map(len, samples.values())) < asked.n_cells
    squares, matrix = (_by_rows if few else _by_columns)(asked)
    matrix = {name: total / np.maximum(np.outer(size, size) - np.diag(size), 1) for name, total in matrix.items()}
    enough = {name: len(sample) >= 2 * n_blocks for name, sample in samples.items()}
    return Distances(
        [_estimate(s, enough[a] and enough[b]) for s, (a, b) in zip(squares, pairs, strict=True)],
        matrix,
        {name: int(np.sum(one.scale[0] == 0)) for name, one in sums.items()},
    )


def n_tiles(n_cells: int) -> int:
    """How often `distances` calls `advance`."""
    n = -(-n_cells // _TILE)
    return n * (n + 1) // 2


class _Asked(NamedTuple):
    """The arguments of `distances`, with the sums of the samples."""

    samples: Mapping[str, Columns]
    sums: Mapping[str, "_Sums"]
    pairs: Sequence[tuple[str, str]]
    groups: np.ndarray | None
    n_blocks: int
    advance: Callable[[int], None] | None

    @property
    def n_cells(self) -> int:
        return next(iter(self.samples.values())).n_cells


def _by_columns(asked: _Asked) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Squared distances (P, 1 + K) and sums over groups (G, G), from tiles of the matrices."""
    samples, sums, pairs, groups, n_blocks, advance = asked
    n_cells = asked.n_cells
    squares = np.zeros((len(pairs), 1 + n_blocks))
    matrix = {name: np.zeros((int(groups.max()) + 1 if groups is not None else 0,) * 2) for name in samples}
    for first in range(0, n_cells, _TILE):
        left = slice(first, min(first + _TILE, n_cells))
        left_tile = {name: _tile(sample, left, n_blocks) for name, sample in samples.items()}
        for second in range(first, n_cells, _TILE):
            right = slice(second, min(second + _TILE, n_cells))
            found = {}
            for name, sample in samples.items():
                right_tile = left_tile[name] if right == left else _tile(sample, right, n_blocks)
                found[name] = _leave_one_out(left_tile[name], right_tile, sums[name], left, right)
                if groups is not None:
                    _add_means(matrix[name], found[name][0], groups, left, right)
            for pair, (a, b) in enumerate(pairs):
                part = [np.sum((x - y) ** 2) for x, y in zip(found[a], found[b], strict=True)]
                squares[pair] += np.array(part) * (1 if right == left else 2)
            if advance is not None:
                advance(1)
    return squares, matrix


def _by_rows(asked: _Asked) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The same from products of showers."""
    samples, sums, pairs, groups, n_blocks, advance = asked
    n_cells = asked.n_cells
    tiles = [slice(first, min(first + _TILE, n_cells)) for first in range(0, n_cells, _TILE)]
    steps, total, n_done = (1 + n_blocks) * len(tiles), n_tiles(n_cells), itertools.count(1)

    def done() -> None:
        if advance is not None:
            step = next(n_done)
            advance(total * step // steps - total * (step - 1) // steps)

    squares = [
        gram.squares(lambda name, tile, k=k: _unit(samples[name], sums[name], tile, k, n_blocks), tiles, pairs, done)
        for k in range(1 + n_blocks)
    ]
    if groups is None:
        return np.transpose(squares), {name: np.zeros((0, 0)) for name in samples}
    whole = lambda name, tile: _unit(samples[name], sums[name], tile, 0, n_blocks)
    return np.transpose(squares), {name: gram.sums_of_groups(whole, tiles, name, groups) for name in samples}


def _unit(sample: Columns, sums: "_Sums", cells: slice, left_out: int, n_blocks: int) -> np.ndarray:
    """Columns that are centred and have length 1, float32, of all showers (0) or without block left_out - 1."""
    rows = np.flatnonzero(np.arange(len(sample)) % n_blocks != left_out - 1)
    values = sample.columns(cells.start, cells.stop)[rows].astype(np.float32)
    values *= sums.scale[left_out, cells].astype(np.float32)
    values -= (sums.mean[left_out, cells] / np.sqrt(max(len(rows), 1))).astype(np.float32)
    return values


class _Sums(NamedTuple):
    """Of all showers, then without each block, (1 + K, D): C_ij = g_ij scale_i scale_j - mean_i mean_j."""

    mean: np.ndarray
    scale: np.ndarray


def _sums(sample: Columns, n_blocks: int) -> _Sums:
    total, square = np.zeros((2, n_blocks, sample.n_cells))
    for first in range(0, sample.n_cells, _TILE):
        part = slice(first, min(first + _TILE, sample.n_cells))
        for b, rows in enumerate(_tile(sample, part, n_blocks)):
            total[b, part] = rows.sum(axis=0, dtype=np.float64)
            square[b, part] = np.einsum("ij,ij->j", rows, rows, dtype=np.float64)
    n = np.bincount(np.arange(len(sample)) % n_blocks, minlength=n_blocks)
    total, square, n = (np.concatenate([[x.sum(axis=0)], x.sum(axis=0) - x]) for x in (total, square, n))
    of_squares = n[:, None] * square
    spread = of_squares - total**2
    varies = spread > _NO_SPREAD * of_squares
    inverse = np.where(varies, 1 / np.sqrt(np.where(varies, spread, 1.0)), 0.0)
    return _Sums(total * inverse, np.sqrt(n)[:, None] * inverse)


def _tile(sample: Columns, cells: slice, n_blocks: int) -> list[np.ndarray]:
    """A range of columns, block by block of showers, float32."""
    values = sample.columns(cells.start, cells.stop)
    return [values[b::n_blocks].astype(np.float32) for b in range(n_blocks)]


def _leave_one_out(
    left_tile: list[np.ndarray], right_tile: list[np.ndarray], sums: _Sums, left: slice, right: slice
) -> list[np.ndarray]:
    """One tile of the Pearson matrix: over all showers, then without each block of showers."""
    joint = [a.T @ b for a, b in zip(left_tile, right_tile, strict=True)]
    total = np.sum(joint, axis=0, dtype=np.float64)
    out = []
    for k in range(1 + len(joint)):
        made = total - joint[k - 1] if k else total.copy()
        made *= sums.scale[k, left, None]
        made *= sums.scale[k, None, right]
        made -= np.outer(sums.mean[k, left], sums.mean[k, right])
        out.append(made)
    return out


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
    """The different groups (G,) of some columns (n,), and which column is in which (n, G) float64."""
    different, which = np.unique(groups, return_inverse=True)
    return different, np.eye(len(different))[which]


def _estimate(squares: np.ndarray, enough: bool) -> Estimate:
    value, *left_out = np.sqrt(squares)
    return combine(value, left_out) if enough else Estimate(value, np.full((), np.nan))
