"""Batches as a pure function of (seed, epoch, step): which rows, in which tiles, in which bucket.

S tiles in a batch, T rows in a tile, C places for the elements of a ragged group in a tile. Every process computes
the same order and the same capacities from the row counts alone and reads only its own S / processes tiles.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from calojax.errors import InputError
from calojax.shards.reader import Shards


class Position(NamedTuple):
    """Where an epoch stands: the next batch is number `step` of `epoch`."""

    epoch: int = 0
    step: int = 0


@dataclass(frozen=True)
class Batches:
    """The batches of rows start .. stop of some shards.

    batch: rows in a batch over all processes; tile: rows computed together; buckets: increasing capacities by ragged
    group (by default those of `capacities`); seed: of the shuffle; shuffle: False keeps the order of the rows.
    """

    shards: Shards
    batch: int
    tile: int
    rows: tuple[int, int] | None = None
    buckets: Mapping[str, tuple[int, ...]] | None = None
    seed: int = 0
    shuffle: bool = True
    process_index: int = 0
    process_count: int = 1
    _sizes: dict[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    _orders: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False, compare=False)  # the latest

    def __post_init__(self):
        start, stop = self.span
        if not 0 <= start < stop <= self.shards.rows:
            raise InputError(
                where=str(self.shards.folder),
                found=f"rows {start} to {stop} were asked for",
                rule=f"it has {self.shards.rows:,} rows and a part must have at least one",
                remedy="use more data or a smaller [training] validation_rows",
            )
        if self.tile < 1 or self.batch % self.tile or (self.batch // self.tile) % self.process_count:
            raise InputError(
                where="[training] batch",
                found=f"is {self.batch}",
                rule=f"each of {self.process_count} processes needs a whole number of tiles of {self.tile} rows",
                remedy=f"use a multiple of {self.tile * self.process_count}",
            )
        object.__setattr__(self, "_sizes", {group: self._buckets(group) for group in self.shards.manifest.groups})

    @property
    def span(self) -> tuple[int, int]:
        return self.rows or (0, self.shards.rows)

    @property
    def steps(self) -> int:
        """Batches in an epoch; the last one may be padded."""
        return -(-(self.span[1] - self.span[0]) // self.batch)

    def after(self, position: Position) -> Position:
        epoch, step = position
        return Position(epoch, step + 1) if step + 1 < self.steps else Position(epoch + 1, 0)

    def order(self, epoch: int) -> np.ndarray:
        """Global rows of an epoch in the order in which they are used, each exactly once."""
        start, stop = self.span
        if not self.shuffle:
            return np.arange(start, stop)
        if epoch not in self._orders:
            self._orders.clear()
            self._orders[epoch] = start + np.random.default_rng((self.seed, epoch)).permutation(stop - start)
        return self._orders[epoch]

    def at(self, position: Position) -> dict[str, np.ndarray]:
        """The batch of this process: dense fields (S, T, ...), `weight` (S, T) float32, and per ragged group
        `group.field` (S, C, ...), `group.row` (S, C) int32: the element's row in its tile, T in empty places.

        A batch with too few rows repeats its rows with weight 0.
        """
        rows, weight = self._rows(position)
        capacity = {group: self._capacity(group, rows) for group in self.shards.manifest.groups}
        tiles = len(rows) // self.process_count
        mine = slice(self.process_index * tiles, (self.process_index + 1) * tiles)
        rows, weight = rows[mine], weight[mine]
        found = {"weight": weight}
        for name in self.shards.manifest.fields:
            values = self.shards.dense(name, rows.ravel())
            found[name] = values.reshape(tiles, self.tile, *values.shape[1:])
        for group, size in capacity.items():
            found |= self._ragged(group, rows, size)
        return found

    def _rows(self, position: Position) -> tuple[np.ndarray, np.ndarray]:
        """Rows (S, T) and weights (S, T) of the whole batch."""
        rows = self.order(position.epoch)[position.step * self.batch : (position.step + 1) * self.batch]
        weight = (np.arange(self.batch) < len(rows)).astype(np.float32)
        return np.resize(rows, self.batch).reshape(-1, self.tile), weight.reshape(-1, self.tile)

    def _capacity(self, group: str, rows: np.ndarray) -> int:
        counts = self.shards.counts(group)
        needed = int(counts[rows].sum(axis=1).max())
        sizes = self._sizes[group]
        for size in sizes:
            if size >= needed:
                return size
        raise InputError(
            where=f"{self.shards.folder}, {group}",
            found=f"a tile of {self.tile} rows has {needed:,} elements",
            rule=f"the largest capacity is {sizes[-1]:,}",
            remedy="end the capacities with one that holds every tile",
        )

    def _buckets(self, group: str) -> tuple[int, ...]:
        given = (self.buckets or {}).get(group)
        return given or capacities(self.shards.counts(group)[slice(*self.span)], self.tile)

    def _ragged(self, group: str, rows: np.ndarray, size: int) -> dict[str, np.ndarray]:
        tiles = len(rows)
        counts = self.shards.counts(group)[rows]
        within = np.cumsum(counts, axis=1) - counts
        starts = (within + np.arange(tiles)[:, None] * size).ravel()
        values = self.shards.ragged(group, rows.ravel(), starts, tiles * size)
        found = {f"{group}.{name}": array.reshape(tiles, size, *array.shape[1:]) for name, array in values.items()}
        # rows end where the next begins: the row of a place is the number of ends at or before it
        ends = within + counts
        places = np.zeros((tiles, size + 1), np.int32)
        np.add.at(places, (np.arange(tiles)[:, None], ends), 1)
        found[f"{group}.row"] = np.cumsum(places[:, :-1], axis=1, dtype=np.int32)
        return found


def capacities(counts: np.ndarray, tile: int, *, multiple: int = 64) -> tuple[int, ...]:
    """Two capacities for tiles of random rows: mean plus four standard deviations, and what no tile exceeds.

    counts (rows,): elements of every row. Both are rounded up to `multiple`.
    """
    usual = tile * counts.mean() + 4 * np.sqrt(tile) * counts.std()
    largest = np.sort(counts)[-tile:]
    most = largest.sum() + (tile - len(largest)) * (largest[-1] if len(largest) else 0)
    rounded = [max(1, -(-int(np.ceil(size)) // multiple)) * multiple for size in (min(usual, most), most)]
    return tuple(sorted(set(rounded)))
