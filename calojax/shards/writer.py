"""Writing shards: rows in, a folder of .npy files out, renamed when whole.

The rows of a shard depend on `rows_per_shard` alone, never on the size of the blocks that are appended.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from calojax.errors import InputError
from calojax.shards.manifest import STATISTICS, Field, File, Manifest, Part, Source, checksum

Ragged = tuple[np.ndarray, dict[str, np.ndarray]]  # counts (n,), values of each field (sum of counts, ...)


class Writer:
    """Context manager that collects rows into shards under a temporary name beside `out`.

    fields: dense arrays; groups: ragged arrays, whose fields share one count per row. Leaving the context without
    `finish`, or through an error, removes what was written. An existing `out` is refused.
    """

    def __init__(
        self,
        out: Path | str,
        *,
        fields: dict[str, Field],
        groups: dict[str, dict[str, Field]] | None = None,
        rows_per_shard: int = 16_384,
    ):
        self.out = Path(out)
        self.fields, self.groups = fields, groups or {}
        self.rows_per_shard = rows_per_shard
        self._folder = self.out.with_name(f".{self.out.name}.partial")
        self._parts: list[Part] = []
        self._blocks: list[tuple[dict[str, np.ndarray], dict[str, Ragged]]] = []
        self._pending = 0
        self._ranges: dict[str, tuple[float, float]] = {}

    def __enter__(self) -> "Writer":
        if self.out.exists():
            raise InputError(
                where=str(self.out),
                found="exists already",
                rule="shards are never overwritten",
                remedy="give another folder or remove it first",
            )
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        return self

    def __exit__(self, *error) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)  # gone already after `finish`

    def append(self, fields: dict[str, np.ndarray], groups: dict[str, Ragged] | None = None) -> None:
        """Add n rows: dense arrays (n, ...), and per group (counts (n,), values by field (sum of counts, ...))."""
        block = self._check(fields, groups or {})
        rows, first = len(next(iter(block[0].values()))), 0
        while first < rows:
            last = min(rows, first + self.rows_per_shard - self._pending)
            self._blocks.append(_cut(*block, first, last))
            self._pending += last - first
            first = last
            if self._pending == self.rows_per_shard:
                self._flush()

    def finish(
        self,
        *,
        system: str,
        geometry: Any = None,
        sources: list[Source] | tuple[Source, ...] = (),
        selections: dict[str, int] | None = None,
        statistics: dict[str, Any] | None = None,
        tables: dict[str, np.ndarray] | None = None,
    ) -> Manifest:
        """Write what is left and the manifest, and give the folder its name.

        geometry: an object with `to_json()` and `digest`, or None; statistics: plain JSON; tables: arrays for
        `statistics.npz`. InputError if no row was appended.
        """
        if self._pending:
            self._flush()
        if not self._parts:
            raise InputError(
                where=str(self.out),
                found="would have no rows",
                rule="at least one row must be left after the selections",
                remedy="give other sources or loosen the selections",
            )
        manifest = Manifest(
            system=system,
            rows=sum(part.rows for part in self._parts),
            fields=self.fields,
            groups=self.groups,
            parts=tuple(self._parts),
            geometry=_as_table(geometry),
            geometry_digest=getattr(geometry, "digest", ""),
            sources=tuple(sources),
            selections=selections or {},
            statistics=json.loads(json.dumps(statistics or {})),
            ranges=self._ranges,
            tables_file=self._save_tables(tables or {}),
            tables=tables or {},
        )
        manifest.write(self._folder)
        self._folder.rename(self.out)
        return manifest

    def _save_tables(self, tables: dict[str, np.ndarray]) -> File | None:
        if not tables:
            return None
        np.savez(self._folder / STATISTICS, **tables)  # type: ignore[arg-type]
        return checksum(self._folder / STATISTICS)

    def _check(self, fields, groups) -> tuple[dict[str, np.ndarray], dict[str, Ragged]]:
        """The block in the declared dtypes; a block that does not fit its declaration is a defect of the caller."""
        if set(fields) != set(self.fields) or set(groups) != set(self.groups):
            raise ValueError(f"declared {[*self.fields, *self.groups]}, but given {[*fields, *groups]}")
        dense = {name: _as(array, self.fields[name], name) for name, array in fields.items()}
        ragged = {}
        for group, (counts, values) in groups.items():
            members = {name: _as(values[name], spec, f"{group}.{name}") for name, spec in self.groups[group].items()}
            ragged[group] = (np.asarray(counts, np.int64), members)
        lengths = {len(a) for a in dense.values()} | {len(counts) for counts, _ in ragged.values()}
        totals = [len(a) == counts.sum() for counts, members in ragged.values() for a in members.values()]
        if len(lengths) != 1 or not all(totals):
            raise ValueError(f"fields of one block differ in length: {sorted(lengths)}, group totals match: {totals}")
        return dense, ragged

    def _flush(self) -> None:
        """Write the pending rows as the next shard."""
        number = f"{len(self._parts):05d}"
        arrays: dict[str, np.ndarray] = {}
        for name in self.fields:
            arrays[name] = np.concatenate([dense[name] for dense, _ in self._blocks])
            self._widen(name, arrays[name])
        for group, members in self.groups.items():
            counts = np.concatenate([ragged[group][0] for _, ragged in self._blocks])
            arrays[f"{group}.offsets"] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            for name in members:
                arrays[f"{group}.{name}"] = np.concatenate([ragged[group][1][name] for _, ragged in self._blocks])
        files = {}
        for name, array in arrays.items():
            path = self._folder / f"{number}.{name}.npy"
            np.save(path, array)
            files[path.name] = checksum(path)
        self._parts.append(Part(self._pending, files))
        self._blocks, self._pending = [], 0

    def _widen(self, name: str, array: np.ndarray) -> None:
        if array.ndim == 1 and array.dtype.kind in "iuf" and len(array):
            low, high = self._ranges.get(name, (float("inf"), float("-inf")))
            self._ranges[name] = (min(low, float(array.min())), max(high, float(array.max())))


def _as(array: np.ndarray, spec: Field, name: str) -> np.ndarray:
    array = np.asarray(array, np.dtype(spec.dtype))
    if array.shape[1:] != spec.shape:
        raise ValueError(f"{name}: rows of shape {array.shape[1:]}, declared {spec.shape}")
    return array


def _cut(dense: dict[str, np.ndarray], ragged: dict[str, Ragged], first: int, last: int):
    """Rows first to last of a block, copied so that the block itself can be freed."""
    cut = {}
    for group, (counts, members) in ragged.items():
        start, stop = counts[:first].sum(), counts[:last].sum()
        cut[group] = (counts[first:last].copy(), {name: a[start:stop].copy() for name, a in members.items()})
    return {name: a[first:last].copy() for name, a in dense.items()}, cut


def _as_table(geometry: Any) -> dict[str, Any] | None:
    if geometry is None:
        return None
    form = geometry.to_json()
    return json.loads(form) if isinstance(form, str) else json.loads(json.dumps(form))
