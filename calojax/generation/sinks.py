"""Where generated showers go, piece by piece; arrays in memory. Files are in `journal`."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np


class Block(NamedTuple):
    """Consecutive showers of a request: conditions (n, ...) by name, hits per shower, all hits one after another."""

    conditions: dict[str, np.ndarray]
    counts: np.ndarray  # (n,) int64
    index: np.ndarray  # (sum of counts,) int32, flat cell index
    energy: np.ndarray  # (sum of counts,) float32, MeV


class Sink(Protocol):
    """Takes a request in pieces of equally many consecutive showers; a context, whole after `finish` only.

    rows: pieces but the last are whole multiples of so many showers; has: whether a piece need not be made again;
    finish: when the pieces of all processes are appended.
    """

    rows: int

    def __enter__(self) -> Any: ...
    def __exit__(self, *error) -> None: ...
    def has(self, piece: int) -> bool: ...
    def append(self, piece: int, block: Block) -> None: ...
    def finish(self, pieces: int) -> Any: ...


class Showers(NamedTuple):
    """Dense showers: incident_energy (N,) as it was asked for, showers (N, V) float32, both MeV."""

    incident_energy: np.ndarray
    showers: np.ndarray


class Arrays:
    """Collects showers in memory: `finish` gives dense Showers, or one Block with all hits if `sparse`.

    n_cells: V, the cells of the geometry.
    """

    rows = 1

    def __init__(self, n_cells: int, *, sparse: bool = False):
        self._n_cells, self._sparse = n_cells, sparse
        self._blocks: list[Block] = []

    def __enter__(self) -> "Arrays":
        return self

    def __exit__(self, *error) -> None:
        self._blocks = []

    def has(self, piece: int) -> bool:
        return False

    def append(self, piece: int, block: Block) -> None:
        self._blocks.append(block)

    def finish(self, pieces: int) -> Showers | Block:
        blocks = self._blocks
        conditions = {name: np.concatenate([b.conditions[name] for b in blocks]) for name in blocks[0].conditions}
        if self._sparse:
            return Block(conditions, *(np.concatenate(parts) for parts in zip(*(b[1:] for b in blocks), strict=True)))
        showers = np.zeros((sum(len(b.counts) for b in blocks), self._n_cells), np.float32)
        first = 0
        for block in blocks:
            scatter(block, showers[first : first + len(block.counts)])
            first += len(block.counts)
        return Showers(conditions["incident_energy"], showers)


def scatter(block: Block, out: np.ndarray) -> None:
    """Write the hits of n showers into zeros (n, V)."""
    out[np.repeat(np.arange(len(block.counts)), block.counts), block.index] = block.energy


def cut(block: Block, rows: int) -> Iterator[Block]:
    """A block in pieces of at most `rows` showers."""
    ends = np.concatenate([[0], np.cumsum(block.counts)])
    for first in range(0, len(block.counts), rows):
        last = min(first + rows, len(block.counts))
        hits = slice(ends[first], ends[last])
        conditions = {name: array[first:last] for name, array in block.conditions.items()}
        yield Block(conditions, block.counts[first:last], block.index[hits], block.energy[hits])
