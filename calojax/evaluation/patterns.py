"""Which cells are hit, one bit each: hit patterns of many showers in little memory."""

from collections.abc import Iterator

import numpy as np

from calojax.evaluation import arrays


class Patterns:
    """Hit patterns of N showers of V cells, packed: bits (N, ceil(V/8)) uint8, least significant bit first."""

    def __init__(self, bits: np.ndarray, n_cells: int):
        self.bits, self.n_cells = bits, n_cells

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, rows) -> "Patterns":
        """The patterns of some showers (slice or indices)."""
        return Patterns(self.bits[rows], self.n_cells)

    def columns(self, first: int, last: int) -> np.ndarray:
        """Hits (N, last - first) uint8 of the cells first..last."""
        start = first // 8
        unpacked = np.unpackbits(self.bits[:, start : -(-last // 8)], axis=1, bitorder="little")
        return unpacked[:, first - 8 * start : last - 8 * start]

    def dense(self) -> np.ndarray:
        """Hits (N, V) uint8."""
        return self.columns(0, self.n_cells)

    def blocks(self, rows: int = 1024) -> Iterator[np.ndarray]:
        """Hits in blocks of at most `rows` showers, (n, V) uint8."""
        for first in range(0, len(self), rows):
            yield self[first : first + rows].dense()

    def counts(self) -> np.ndarray:
        """Hits per shower (N,) int64."""
        return np.bitwise_count(self.bits).sum(axis=1, dtype=np.int64)


def pack(hits: np.ndarray) -> Patterns:
    """hits (N, V), bool or 0/1."""
    return Patterns(np.packbits(np.asarray(hits, bool), axis=1, bitorder="little"), hits.shape[1])


def of(hits: "np.ndarray | Patterns") -> Patterns:
    """Patterns of hits (N, V), or the patterns themselves."""
    return hits if isinstance(hits, Patterns) else pack(arrays.table(hits, "hits"))
