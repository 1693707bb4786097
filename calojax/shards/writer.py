"""Writing shards: rows in, a folder of .npy files out, renamed when whole.

The rows of a shard depend on `rows_per_shard` alone, never on the size of the blocks that are appended. Beside the
shards, `progress.json` says which of them are whole, so that a writer that was stopped can be gone on with.
"""

import contextlib
import itertools
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from calojax import writing
from calojax.errors import InputError
from calojax.shards.manifest import (
    STATISTICS,
    VERSION,
    Field,
    File,
    Manifest,
    Part,
    Source,
    checksum,
    part_file,
    part_from_table,
)
from calojax.shards.reader import Shards

Ragged = tuple[np.ndarray, dict[str, np.ndarray]]  # counts (n,), values of each field (sum of counts, ...)
Block = tuple[dict[str, np.ndarray], dict[str, Ragged], dict[str, np.ndarray]]  # dense, ragged, tallies
PROGRESS = "progress.json"


@dataclass(frozen=True)
class _Whole:
    """A shard that lies on the disk: its files, the ranges of its fields and the sums of its tallies."""

    part: Part
    ranges: dict[str, tuple[float, float]]
    tallies: dict[str, int]


class Writer:
    """Context manager that collects rows into shards under a temporary name beside `out`.

    fields: dense arrays; groups: ragged arrays, whose fields share one count per row. Leaving the context without
    `finish`, or through an error, removes what was written. An existing `out` is refused, and so is one that another
    process is writing.

    resume_key: names everything that the rows depend on. If it is given, what was written stays when the process is
    killed or interrupted, and the next writer with the same key starts behind its whole shards, at row `rows`.
    """

    def __init__(
        self,
        out: Path | str,
        *,
        fields: dict[str, Field],
        groups: dict[str, dict[str, Field]] | None = None,
        rows_per_shard: int = 16_384,
        resume_key: str | None = None,
    ):
        self.out = Path(out)
        self.fields, self.groups = fields, groups or {}
        self.rows_per_shard = rows_per_shard
        self._key = resume_key
        self._folder = writing.partial(self.out)
        self._claim = contextlib.ExitStack()
        self._whole: list[_Whole] = []
        self._blocks: list[Block] = []
        self._pending = 0
        self._finished = False

    @property
    def rows(self) -> int:
        """Rows so far, those that a stopped writer left included."""
        return sum(shard.part.rows for shard in self._whole) + self._pending

    def __enter__(self) -> "Writer":
        writing.refuse_existing(self.out)
        with contextlib.ExitStack() as claim, writing.refusals(self.out):
            claim.enter_context(writing.claimed(self._folder))
            writing.refuse_existing(self.out)  # another process may just have finished it
            self._whole = _left_behind(self._folder, self._identity())
            self._claim = claim.pop_all()
        return self

    def __exit__(self, kind, *error) -> None:
        with self._claim:
            stopped = kind is not None and not issubclass(kind, Exception)  # by the user, not by an error
            if not self._finished and not (stopped and self._key):
                shutil.rmtree(self._folder, ignore_errors=True)

    def append(
        self,
        fields: dict[str, np.ndarray],
        groups: dict[str, Ragged] | None = None,
        tallies: dict[str, np.ndarray] | None = None,
    ) -> None:
        """Add n rows: dense arrays (n, ...), and per group (counts (n,), values by field (sum of counts, ...)).

        tallies: whole numbers (n,) by name, of which the manifest keeps the sums, among its selections. InputError if
        the disk is full.
        """
        block = self._check(fields, groups or {}, tallies or {})
        rows, first = len(next(iter(block[0].values()))), 0
        while first < rows:
            last = min(rows, first + self.rows_per_shard - self._pending)
            self._blocks.append(_cut(*block, first, last))
            self._pending += last - first
            first = last
            if self._pending == self.rows_per_shard:
                self._flush()

    def shards(self) -> Shards:
        """All rows as readers will see them, for statistics of the whole; nothing can be appended after it.

        InputError if there is no row.
        """
        self._close()
        with writing.refusals(self.out):
            self._manifest(system="").write(self._folder)
        return Shards(self._folder, verify=False)

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
        `statistics.npz`. InputError if no row was appended or the disk is full.
        """
        self._close()
        with writing.refusals(self.out):
            manifest = self._manifest(
                system=system,
                geometry=_as_table(geometry),
                geometry_digest=getattr(geometry, "digest", ""),
                sources=tuple(sources),
                selections=(selections or {}) | self._tallies(),
                statistics=json.loads(json.dumps(statistics or {})),
                tables_file=self._save_tables(tables or {}),
            )
            manifest.write(self._folder)
            self._folder.rename(self.out)
            self._finished = True
            (self.out / PROGRESS).unlink(missing_ok=True)  # last: without it nothing can be gone on with
        return replace(manifest, tables=tables or {})

    def _close(self) -> None:
        """Write the last shard, which may be shorter than the others."""
        if self._pending:
            self._flush()
        if not self._whole:
            raise InputError(
                where=str(self.out),
                found="would have no rows",
                rule="at least one row must be left after the selections",
                remedy="give other sources or loosen the selections",
            )

    def _manifest(self, **described: Any) -> Manifest:
        ranges: dict[str, tuple[float, float]] = {}
        for name, (low, high) in (item for shard in self._whole for item in shard.ranges.items()):
            lowest, highest = ranges.get(name, (low, high))
            ranges[name] = (min(low, lowest), max(high, highest))
        parts = tuple(shard.part for shard in self._whole)
        return Manifest(rows=self.rows, fields=self.fields, groups=self.groups, parts=parts, ranges=ranges, **described)

    def _tallies(self) -> dict[str, int]:
        names = self._whole[0].tallies
        return {name: sum(shard.tallies[name] for shard in self._whole) for name in names}

    def _save_tables(self, tables: dict[str, np.ndarray]) -> File | None:
        if not tables:
            return None
        writing.need_room(self._folder, sum(table.nbytes for table in tables.values()))
        np.savez(self._folder / STATISTICS, **tables)  # type: ignore[arg-type]
        return checksum(self._folder / STATISTICS)

    def _check(self, fields, groups, tallies) -> Block:
        """The block in the declared dtypes; a block that does not fit its declaration is a defect of the caller."""
        if set(fields) != set(self.fields) or set(groups) != set(self.groups):
            raise ValueError(f"declared {[*self.fields, *self.groups]}, but given {[*fields, *groups]}")
        dense = {name: _as(array, self.fields[name], name) for name, array in fields.items()}
        ragged = {}
        for group, (counts, values) in groups.items():
            members = {name: _as(values[name], spec, f"{group}.{name}") for name, spec in self.groups[group].items()}
            ragged[group] = (np.asarray(counts, np.int64), members)
        counted = {name: np.asarray(array, np.int64) for name, array in tallies.items()}
        lengths = {len(a) for a in (*dense.values(), *counted.values(), *(counts for counts, _ in ragged.values()))}
        totals = [len(a) == counts.sum() for counts, members in ragged.values() for a in members.values()]
        if len(lengths) != 1 or not all(totals):
            raise ValueError(f"fields of one block differ in length: {sorted(lengths)}, group totals match: {totals}")
        return dense, ragged, counted

    def _flush(self) -> None:
        """Write the pending rows as the next shard, then say that it is whole."""
        arrays, tallies = self._joined()
        files = {}
        with writing.refusals(self.out):
            writing.need_room(self._folder, sum(array.nbytes for array in arrays.values()))
            for name, array in arrays.items():
                path = self._folder / part_file(len(self._whole), name)
                np.save(path, array)
                files[path.name] = checksum(path)
            ranges = {name: found for name in self.fields if (found := _range(arrays[name])) is not None}
            self._whole.append(_Whole(Part(self._pending, files), ranges, tallies))
            self._blocks, self._pending = [], 0
            self._note()

    def _joined(self) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """Arrays of the pending rows by name, and the sums of their tallies."""
        dense, ragged, tallies = zip(*self._blocks, strict=True)
        arrays = {name: np.concatenate([block[name] for block in dense]) for name in self.fields}
        for group, members in self.groups.items():
            counts = np.concatenate([block[group][0] for block in ragged])
            arrays[f"{group}.offsets"] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            for name in members:
                arrays[f"{group}.{name}"] = np.concatenate([block[group][1][name] for block in ragged])
        return arrays, {name: int(sum(block[name].sum() for block in tallies)) for name in tallies[0]}

    def _note(self) -> None:
        if self._key:
            content = self._identity() | {"whole": [asdict(shard) for shard in self._whole]}
            writing.text(self._folder / PROGRESS, json.dumps(content))

    def _identity(self) -> dict[str, Any]:
        """What must agree for shards to be gone on with."""
        return {"key": self._key, "version": VERSION, "rows_per_shard": self.rows_per_shard}


def _left_behind(folder: Path, identity: dict[str, Any]) -> list[_Whole]:
    """The whole shards that a stopped writer of the same identity left; all other files are removed."""
    noted = _noted(folder / PROGRESS, identity)
    whole = list(itertools.takewhile(lambda shard: _unharmed(folder, shard.part), noted))
    kept = {name for shard in whole for name in shard.part.files} | ({PROGRESS} if whole else set())
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()
    return whole


def _noted(path: Path, identity: dict[str, Any]) -> list[_Whole]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not identity["key"] or any(content[name] != value for name, value in identity.items()):
            return []
        return [
            _Whole(
                part_from_table(shard["part"]),
                {name: (low, high) for name, (low, high) in shard["ranges"].items()},
                shard["tallies"],
            )
            for shard in content["whole"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _unharmed(folder: Path, part: Part) -> bool:
    return all((folder / name).is_file() and checksum(folder / name) == entry for name, entry in part.files.items())


def _range(array: np.ndarray) -> tuple[float, float] | None:
    """Smallest and largest value of a field of numbers."""
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        return None
    return float(array.min()), float(array.max())


def _as(array: np.ndarray, spec: Field, name: str) -> np.ndarray:
    array = np.asarray(array, np.dtype(spec.dtype))
    if array.shape[1:] != spec.shape:
        raise ValueError(f"{name}: rows of shape {array.shape[1:]}, declared {spec.shape}")
    return array


def _cut(
    dense: dict[str, np.ndarray], ragged: dict[str, Ragged], tallies: dict[str, np.ndarray], first: int, last: int
) -> Block:
    """Rows first to last of a block, copied so that the block itself can be freed."""
    cut = {}
    for group, (counts, members) in ragged.items():
        start, stop = counts[:first].sum(), counts[:last].sum()
        cut[group] = (counts[first:last].copy(), {name: a[start:stop].copy() for name, a in members.items()})
    rows = slice(first, last)
    return {name: a[rows].copy() for name, a in dense.items()}, cut, {name: a[rows] for name, a in tallies.items()}


def _as_table(geometry: Any) -> dict[str, Any] | None:
    if geometry is None:
        return None
    form = geometry.to_json()
    return json.loads(form) if isinstance(form, str) else json.loads(json.dumps(form))
