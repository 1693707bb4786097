"""Where generated showers go: arrays in memory, or a file that gets its name when it is whole."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from calojax import config as configuration

_DENSE_BYTES = 64 << 20  # of showers made dense at once


class Block(NamedTuple):
    """Consecutive showers of a request: conditions (n, ...) by name, hits per shower, all hits one after another."""

    conditions: dict[str, np.ndarray]
    counts: np.ndarray  # (n,) int64
    index: np.ndarray  # (sum of counts,) int32, flat cell index
    energy: np.ndarray  # (sum of counts,) float32, MeV


class Sink(Protocol):
    """Takes blocks in order; a context that undoes everything if it is left without `finish`."""

    def __enter__(self) -> Any: ...
    def __exit__(self, *error) -> None: ...
    def append(self, block: Block) -> None: ...
    def finish(self) -> Any: ...


class Showers(NamedTuple):
    """Dense showers: incident_energy (N,) as it was asked for, showers (N, V) float32, both MeV."""

    incident_energy: np.ndarray
    showers: np.ndarray


class Arrays:
    """Collects showers in memory: `finish` gives dense Showers, or one Block with all hits if `sparse`.

    n_cells: V, the cells of the geometry.
    """

    def __init__(self, n_cells: int, *, sparse: bool = False):
        self._n_cells, self._sparse = n_cells, sparse
        self._blocks: list[Block] = []

    def __enter__(self) -> "Arrays":
        return self

    def __exit__(self, *error) -> None:
        self._blocks = []

    def append(self, block: Block) -> None:
        self._blocks.append(block)

    def finish(self) -> Showers | Block:
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


class Files:
    """Streams showers into a CaloChallenge HDF5 file; `finish` gives its path.

    path must not exist; geometry: a Cylinder; attributes: written into the file; compression: gzip level.
    """

    def __init__(self, path: Path | str, geometry: Any, attributes: dict[str, Any], *, compression: int = 1):
        self.path = Path(path)
        self._geometry, self._attributes, self._compression = geometry, attributes, compression

    def __enter__(self) -> "Files":
        from calojax.files.calochallenge import Writer  # noqa: PLC0415  (h5py)

        self._writer = Writer(self.path, self._geometry, self._attributes, compression=self._compression)
        self._writer.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._writer.__exit__(*error)

    def append(self, block: Block) -> None:
        n_cells = self._geometry.n_cells
        rows = max(1, _DENSE_BYTES // (4 * n_cells))
        for part in _cut(block, rows):
            showers = np.zeros((len(part.counts), n_cells), np.float32)
            scatter(part, showers)
            self._writer.append(part.conditions["incident_energy"], showers)

    def finish(self) -> Path:
        return self.path


def scatter(block: Block, out: np.ndarray) -> None:
    """Write the hits of n showers into zeros (n, V)."""
    out[np.repeat(np.arange(len(block.counts)), block.counts), block.index] = block.energy


def _cut(block: Block, rows: int):
    """A block in pieces of at most `rows` showers."""
    ends = np.concatenate([[0], np.cumsum(block.counts)])
    for first in range(0, len(block.counts), rows):
        last = min(first + rows, len(block.counts))
        hits = slice(ends[first], ends[last])
        conditions = {name: array[first:last] for name, array in block.conditions.items()}
        yield Block(conditions, block.counts[first:last], block.index[hits], block.energy[hits])


def attributes(loaded: Any, seed: int) -> dict[str, Any]:
    """What a generated file says of its origin. loaded: a training.Loaded."""
    from calojax.training.folder import versions  # noqa: PLC0415  (imports JAX)

    generation = loaded.config.generation
    return {
        "generator": f"calojax {loaded.manifest.system}",
        "run": loaded.name,
        "step": loaded.step,
        "seed": seed,
        "config_digest": configuration.digest(loaded.config),
        "data_digest": loaded.manifest.digest,
        "tile": generation.tile,
        "window": generation.window,
        "versions": " ".join(f"{name}={version}" for name, version in versions().items()),
    }
