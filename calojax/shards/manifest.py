"""The manifest of a shards folder: what is in it, where it came from, and how to know that it is whole.

`manifest.json` holds everything but large tables of statistics, which lie beside it in `statistics.npz`.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from calojax import digests, writing
from calojax.errors import InputError

FORMAT = "calojax.shards"
VERSION = 1
MANIFEST = "manifest.json"
STATISTICS = "statistics.npz"


@dataclass(frozen=True)
class Field:
    """One array: numpy dtype, shape of one row (dense) or one element (ragged), unit."""

    dtype: str
    shape: tuple[int, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class File:
    """Size in bytes and SHA-256 of one file of the folder."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """One shard: its rows and its files by name."""

    rows: int
    files: dict[str, File]


@dataclass(frozen=True)
class Source:
    """One file the shards were made from: name without folder, SHA-256, rows read."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class Manifest:
    """Contents of a shards folder.

    fields: dense arrays; groups: ragged arrays, each group with offsets of its own; selections: rows kept by each
    cut; statistics: the system's numbers (JSON); tables: the system's arrays (statistics.npz); ranges: smallest and
    largest value of every dense scalar field; geometry: its JSON form, with its digest.
    """

    system: str
    rows: int
    fields: dict[str, Field]
    groups: dict[str, dict[str, Field]] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    geometry: dict[str, Any] | None = None
    geometry_digest: str = ""
    sources: tuple[Source, ...] = ()
    selections: dict[str, int] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    tables_file: File | None = None
    tables: dict[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 over the whole manifest, and through its checksums over every byte of the shards."""
        return digests.of_table(self._table())

    def files(self) -> dict[str, File]:
        """All files of the folder but the manifest, by name."""
        found = {name: entry for part in self.parts for name, entry in part.files.items()}
        return found | ({STATISTICS: self.tables_file} if self.tables_file else {})

    def write(self, folder: Path) -> None:
        """Write `manifest.json` and, if there are tables, `statistics.npz` into an existing folder."""
        if self.tables:
            np.savez(folder / STATISTICS, **self.tables)  # type: ignore[arg-type]
        text = json.dumps({"format": FORMAT, "version": VERSION} | self._table(), indent=1) + "\n"
        writing.text(folder / MANIFEST, text)

    @classmethod
    def read(cls, folder: Path | str) -> "Manifest":
        """The manifest of a shards folder or a run folder; InputError if it is missing, foreign or newer."""
        path = Path(folder) / MANIFEST
        content = _parse(path)
        try:
            found = _from_table(content)
            _check(found)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(
                where=str(path),
                found=f"is incomplete or wrong ({error})",
                rule="a manifest names fields, groups and parts as `calojax prepare` writes them",
                remedy="run `calojax prepare` again",
            ) from None
        return replace(found, tables=_read_tables(Path(folder) / STATISTICS)) if found.tables_file else found

    def _table(self) -> dict[str, Any]:
        return asdict(self, dict_factory=lambda items: {k: v for k, v in items if k != "tables"})


def checksum(path: Path) -> File:
    """Size and SHA-256 of a file."""
    return File(path.stat().st_size, digests.of_file(path))


def _parse(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(
            where=str(path.parent),
            found=f"has no {MANIFEST}",
            rule="shards are a folder with a manifest",
            remedy="make one with `calojax prepare`",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            where=str(path),
            found=f"cannot be read as JSON ({error})",
            rule="a manifest is JSON",
            remedy="run `calojax prepare` again",
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(
            where=f"{path}, key format",
            found="is not a manifest of shards",
            rule=f"the format must be {FORMAT}",
            remedy="give a folder made by `calojax prepare`",
        )
    if content.get("version") != VERSION:
        raise InputError(
            where=f"{path}, key version",
            found=f"is {content.get('version')}",
            rule=f"this calojax reads version {VERSION}",
            remedy="update calojax or run `calojax prepare` again",
        )
    return content


def _read_tables(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # damage surfaces as any of a dozen kinds, of zip files and of arrays
        raise InputError(
            where=str(path),
            found=f"cannot be read ({error})",
            rule="the manifest names it",
            remedy="run `calojax prepare` again",
        ) from error


def part_file(number: int, name: str) -> str:
    """Name of the file of an array of a part."""
    return f"{number:05d}.{name}.npy"


def _from_table(content: dict[str, Any]) -> Manifest:
    return Manifest(
        system=content["system"],
        rows=content["rows"],
        fields=_fields(content["fields"]),
        groups={group: _fields(members) for group, members in content["groups"].items()},
        parts=tuple(part_from_table(part) for part in content["parts"]),
        geometry=content["geometry"],
        geometry_digest=content["geometry_digest"],
        sources=tuple(Source(**source) for source in content["sources"]),
        selections=content["selections"],
        statistics=content["statistics"],
        ranges={name: (low, high) for name, (low, high) in content["ranges"].items()},
        tables_file=File(**content["tables_file"]) if content["tables_file"] else None,
    )


def part_from_table(table: dict[str, Any]) -> Part:
    return Part(table["rows"], {name: File(**entry) for name, entry in table["files"].items()})


def _fields(table: dict[str, Any]) -> dict[str, Field]:
    return {name: Field(entry["dtype"], tuple(entry["shape"]), entry["unit"]) for name, entry in table.items()}


def _check(manifest: Manifest) -> None:
    """ValueError for what is of another type than it should be, or contradicts itself."""
    texts = [manifest.system, manifest.geometry_digest, *(source.name for source in manifest.sources)]
    texts += [entry.sha256 for entry in (*manifest.files().values(), *manifest.sources)]
    _need(all(isinstance(text, str) for text in texts), "names and digests are text")
    tables = (manifest.geometry or {}, manifest.selections, manifest.statistics)
    _need(all(isinstance(table, dict) for table in tables), "geometry, selections and statistics are tables")
    numbers = [number for bounds in manifest.ranges.values() for number in bounds]
    _need(all(isinstance(number, (int, float)) for number in numbers), "ranges are numbers")
    sizes = [part.rows for part in manifest.parts] + [entry.size for entry in manifest.files().values()]
    sizes += [manifest.rows, *(source.rows for source in manifest.sources)]
    _need(all(type(size) is int and size >= 0 for size in sizes), "rows and sizes are whole numbers, not negative")
    _need(sum(part.rows for part in manifest.parts) == manifest.rows, "the rows of the parts make up all rows")
    _check_arrays(manifest)


def _check_arrays(manifest: Manifest) -> None:
    groups = manifest.groups
    for spec in (spec for members in (manifest.fields, *groups.values()) for spec in members.values()):
        _need(isinstance(spec.dtype, str) and not np.dtype(spec.dtype).hasobject, "dtypes are those of numbers")
        _need(all(type(length) is int and length >= 0 for length in spec.shape), "shapes are whole numbers")
    ragged = [f"{group}.{name}" for group, members in groups.items() for name in ("offsets", *members)]
    names = [*manifest.fields, *ragged]
    _need(not any(set(name) & set("/\\:") for name in names), "files lie in the folder itself")
    for number, part in enumerate(manifest.parts):
        named = {part_file(number, name) for name in names}
        _need(set(part.files) == named, f"part {number} has one file for each array")


def _need(holds: bool, rule: str) -> None:
    if not holds:
        raise ValueError(f"not so: {rule}")
