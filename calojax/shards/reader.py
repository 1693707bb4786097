"""Reading shards: memory-mapped arrays, rows in any order, one vectorised pass per shard and field.

Only a bounded number of files is mapped at once, and mappings are dropped after some reading, so that neither the
limit of open files nor the resident memory depends on the number of shards.
"""

import contextlib
import math
import mmap
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calojax import writing
from calojax.errors import InputError
from calojax.shards.manifest import MANIFEST, Manifest, checksum, part_file

_VERIFIED = "verified"  # says which manifest's checksums were found right, and where it lay
_TOUCHED_LIMIT = 512 << 20  # bytes possibly paged in before all mappings are dropped
_MOST_MAPPINGS = 4096
_TOUCHED_PER_ROW = 64 << 10  # beside the row itself: what one page fault maps around itself on Linux


class Shards:
    """The rows of a shards folder, by global index 0 .. rows - 1.

    verify: True checks all checksums, False none, None (default) only if they were never checked in this place: a
    copied folder is checked again. Sizes are always checked. Raises InputError naming the file that is missing,
    truncated or changed.
    """

    def __init__(self, folder: Path | str, *, verify: bool | None = None):
        self.folder = Path(folder)
        self.manifest = Manifest.read(self.folder)
        self.rows = self.manifest.rows
        _check_sizes(self.folder, self.manifest)
        if verify or (verify is None and not _was_verified(self.folder, self.manifest)):
            self.verify()
        lengths = [part.rows for part in self.manifest.parts]
        self._starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self._counts: dict[str, np.ndarray] = {}
        self._first: dict[str, np.ndarray] = {}  # of each row, within the values of its part
        self._maps = _Mappings()

    def verify(self) -> None:
        """Check every checksum; InputError names the first file that differs."""
        for name, entry in self.manifest.files().items():
            try:
                found = checksum(self.folder / name)
            except OSError as error:
                raise _unreadable(self.folder / name, error) from error
            if found != entry:
                raise InputError(
                    where=str(self.folder / name),
                    found="has another checksum than the manifest says",
                    rule="shards must be as they were written",
                    remedy="copy the folder again or run `calojax prepare` again",
                )
        _mark_verified(self.folder, self.manifest)

    def counts(self, group: str) -> np.ndarray:
        """Elements of every row of a ragged group, (rows,) int64."""
        if group not in self._counts:
            paths = (self._path(part, f"{group}.offsets") for part in range(len(self.manifest.parts)))
            offsets = [_load(path) for path in paths]  # read whole and needed no more: not worth a mapping
            self._counts[group] = np.concatenate([np.diff(o) for o in offsets])
            self._first[group] = np.concatenate([o[:-1] for o in offsets])
        return self._counts[group]

    def dense(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Dense field at global rows (n,), in that order: (n, ...)."""
        spec = self.manifest.fields[name]
        order, bounds, local = self._by_part(rows)
        found = np.empty((len(rows), *spec.shape), spec.dtype)
        for part, first, last in bounds:
            found[first:last] = self._open(part, name)[local[first:last]]
        self._maps.touched(len(rows), found.nbytes)
        out = np.empty_like(found)
        out[order] = found
        return out

    def ragged(self, group: str, rows: np.ndarray, starts: np.ndarray, size: int) -> dict[str, np.ndarray]:
        """Fields of a ragged group at global rows (n,), laid out in `size` places: by field (size, ...).

        Element j of row i goes to place starts[i] + j; all other places are 0.
        """
        order, bounds, _ = self._by_part(rows)
        counts = self.counts(group)[rows[order]]
        source, target = ranges(self._first[group][rows[order]], counts), ranges(starts[order], counts)
        ends = np.concatenate([[0], np.cumsum(counts)])
        out = {}
        for name, spec in self.manifest.groups[group].items():
            found = np.empty((len(source), *spec.shape), spec.dtype)
            for part, first, last in bounds:
                elements = slice(ends[first], ends[last])
                found[elements] = self._open(part, f"{group}.{name}")[source[elements]]
            self._maps.touched(len(rows), found.nbytes)
            out[name] = np.zeros((size, *spec.shape), spec.dtype)
            out[name][target] = found
        return out

    def read(self, start: int = 0, stop: int | None = None) -> dict[str, np.ndarray]:
        """Rows start to stop as they were written: dense fields by name, ragged ones as `group.field`, and
        `group.offsets` (n + 1,) int64."""
        rows = np.arange(start, self.rows if stop is None else stop)
        found = {name: self.dense(name, rows) for name in self.manifest.fields}
        for group in self.manifest.groups:
            offsets = np.concatenate([[0], np.cumsum(self.counts(group)[rows])])
            values = self.ragged(group, rows, offsets[:-1], int(offsets[-1]))
            found |= {f"{group}.{name}": array for name, array in values.items()} | {f"{group}.offsets": offsets}
        return found

    def _by_part(self, rows: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int, int]], np.ndarray]:
        """Order that sorts the rows, so that a part is read front to back; (part, first, last) of the sorted rows that
        lie in each part; the sorted rows, counted from the start of their part."""
        order = np.argsort(rows, kind="stable")
        in_order = rows[order]
        ends = np.searchsorted(in_order, self._starts)
        parts = np.flatnonzero(np.diff(ends))
        bounds = list(zip(parts.tolist(), ends[parts].tolist(), ends[parts + 1].tolist(), strict=True))
        return order, bounds, in_order - np.repeat(self._starts[:-1], np.diff(ends))

    def _open(self, part: int, name: str) -> np.ndarray:
        return self._maps.open(self._path(part, name))

    def _path(self, part: int, name: str) -> str:
        return f"{self.folder}/{part_file(part, name)}"


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """starts[0], starts[0] + 1, ... (counts[0] of them), starts[1], ...: (sum of counts,) int64."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


@dataclass(frozen=True)
class _Header:
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    count: int


class _Mappings:
    """Read-only memory maps by path: the least recently used is dropped first. Safe to share between threads."""

    def __init__(self):
        self._limit = _open_limit()
        self._maps: OrderedDict[str, np.ndarray] = OrderedDict()
        self._headers: dict[str, _Header] = {}
        self._touched = 0
        self._lock = threading.Lock()

    def open(self, path: str) -> np.ndarray:
        with self._lock:
            found = self._maps.get(path)
            if found is None:
                found = self._maps[path] = self._map(path)
                if len(self._maps) > self._limit:
                    self._maps.popitem(last=False)
            else:
                self._maps.move_to_end(path)
            return found

    def touched(self, rows: int, size: int) -> None:
        """Note that some rows of `size` bytes in all were read; unmapping gives their pages back."""
        with self._lock:
            self._touched += rows * _TOUCHED_PER_ROW + size
            if self._touched > _TOUCHED_LIMIT:
                self._maps.clear()
                self._touched = 0

    def _map(self, path: str) -> np.ndarray:
        try:
            file = os.open(path, os.O_RDONLY)
            try:
                content = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
            finally:
                os.close(file)
            header = self._headers.get(path) or _read_header(content)
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        self._headers[path] = header
        if not header.count:
            return np.empty(header.shape, header.dtype)
        return np.frombuffer(content, header.dtype, header.count, header.offset).reshape(header.shape)


def _read_header(stream: mmap.mmap) -> _Header:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if fortran and len(shape) > 1:
        raise ValueError("column order")
    return _Header(stream.tell(), dtype, shape, math.prod(shape))


def _open_limit() -> int:
    """Half of the files this process may open, less some for others: each mapping holds one."""
    try:
        import resource  # noqa: PLC0415  (not on Windows)

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    except ImportError:
        soft = _MOST_MAPPINGS
    return max(8, min(_MOST_MAPPINGS, soft // 2 - 8)) if soft > 0 else _MOST_MAPPINGS


def _check_sizes(folder: Path, manifest: Manifest) -> None:
    for name, entry in manifest.files().items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != entry.size:
            raise InputError(
                where=str(path),
                found="is missing" if size is None else f"has {size:,} bytes",
                rule=f"the manifest says {entry.size:,} bytes",
                remedy="copy the folder again or run `calojax prepare` again",
            )


def _load(path: str) -> np.ndarray:
    try:
        return np.load(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path | str, error: Exception) -> InputError:
    return InputError(
        where=str(path),
        found=f"cannot be read ({error})",
        rule="every file of the manifest must be readable",
        remedy="copy the folder again or run `calojax prepare` again",
    )


def _was_verified(folder: Path, manifest: Manifest) -> bool:
    try:
        return (folder / _VERIFIED).read_bytes() == _mark(folder, manifest).encode()
    except OSError:
        return False


def _mark_verified(folder: Path, manifest: Manifest) -> None:
    with contextlib.suppress(OSError):  # a read-only folder is verified every time
        writing.text(folder / _VERIFIED, _mark(folder, manifest))


def _mark(folder: Path, manifest: Manifest) -> str:
    """The manifest by its content, and its file by what a copy of it would not share."""
    return f"{manifest.digest} {(folder / MANIFEST).stat().st_ino}\n"
