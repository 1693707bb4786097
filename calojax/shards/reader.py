"""Reading shards: rows in any order, each read straight to its place.

Files are read and not mapped, so that neither resident memory nor the limit of open files depends on the number of
shards: of a mapping, one byte asked for can make megabytes resident.
"""

import contextlib
import io
import math
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np

from calojax import writing
from calojax.errors import InputError
from calojax.shards.manifest import MANIFEST, Field, Manifest, checksum, part_file

_VERIFIED = "verified"  # says which manifest's checksums were found right, and where it lay
_MOST_FILES = 4096  # open at once
_PAGE = 4096  # bytes; rows that lie nearer together are read in one go
_MOST_AT_ONCE = 64 << 20  # bytes


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
        self._files = _Files()

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
            offsets = [_load(path) for path in paths]  # whole: of these every byte is needed
            self._counts[group] = np.concatenate([np.diff(o) for o in offsets])
            self._first[group] = np.concatenate([o[:-1] for o in offsets])
        return self._counts[group]

    def dense(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Dense field at global rows (n,), in that order: (n, ...)."""
        spec = self.manifest.fields[name]
        order, bounds, local = self._by_part(rows)
        out = np.empty((len(rows), *spec.shape), spec.dtype)
        for part, first, last in bounds:
            path, of_part, place = self._path(part, name), local[first:last], order[first:last]
            start, stop = int(of_part[0]), int(of_part[-1]) + 1
            if (stop - start) * _width(spec) <= min((last - first) * _PAGE, _MOST_AT_ONCE):
                span = np.empty((stop - start, *spec.shape), spec.dtype)
                self._files.read(path, np.array([start]), np.array([stop - start]), np.array([0]), span)
                out[place] = span[of_part - start]
            else:
                self._files.read(path, of_part, np.ones_like(of_part), place, out)
        return out

    def ragged(self, group: str, rows: np.ndarray, starts: np.ndarray, size: int) -> dict[str, np.ndarray]:
        """Fields of a ragged group at global rows (n,), laid out in `size` places: by field (size, ...).

        Element j of row i goes to place starts[i] + j; all other places are 0.
        """
        order, bounds, _ = self._by_part(rows)
        counts = self.counts(group)[rows[order]]
        sources, targets = self._first[group][rows[order]], starts[order]
        out = {}
        for name, spec in self.manifest.groups[group].items():
            out[name] = np.zeros((size, *spec.shape), spec.dtype)
            for part, first, last in bounds:
                path, some = self._path(part, f"{group}.{name}"), slice(first, last)
                self._files.read(path, sources[some], counts[some], targets[some], out[name])
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

    def _path(self, part: int, name: str) -> str:
        return f"{self.folder}/{part_file(part, name)}"


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """starts[0], starts[0] + 1, ... (counts[0] of them), starts[1], ...: (sum of counts,) int64."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


class _Files:
    """Open files by path, the least recently used of which is closed first. Safe to share between threads."""

    def __init__(self):
        self._limit = _open_limit()
        self._open: OrderedDict[str, io.FileIO] = OrderedDict()
        self._offsets: dict[str, int] = {}  # of the first value, behind the header
        self._lock = threading.Lock()

    def read(self, path: str, sources: np.ndarray, counts: np.ndarray, targets: np.ndarray, out: np.ndarray) -> None:
        """counts[i] rows of the array in a file, from sources[i] on, to out[targets[i]:], for each i; all (n,)."""
        width = out.dtype.itemsize * math.prod(out.shape[1:])
        places = out.reshape(-1).view(np.uint8).data
        try:
            with self._lock:
                file = self._file(path, out)
                spans = (sources * width + self._offsets[path], counts * width, targets * width)
                for source, size, target in zip(*(span.tolist() for span in spans), strict=True):
                    file.seek(source)
                    if file.readinto(places[target : target + size]) != size:
                        raise ValueError("it ends too early")
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error

    def _file(self, path: str, like: np.ndarray) -> io.FileIO:
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        file = self._open[path] = io.FileIO(path)
        if path not in self._offsets:
            self._offsets[path] = _values_offset(file, like)
        if len(self._open) > self._limit:
            self._open.popitem(last=False)[1].close()
        return file

    def __del__(self):
        for file in self._open.values():
            file.close()


def _width(spec: Field) -> int:
    """Bytes of a row."""
    return np.dtype(spec.dtype).itemsize * math.prod(spec.shape)


def _values_offset(file: io.FileIO, like: np.ndarray) -> int:
    """Where the values of an array begin in its file; ValueError unless its rows are like those of `like`."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if (shape[1:], dtype) != (like.shape[1:], like.dtype) or (fortran and len(shape) > 1):
        raise ValueError(f"it holds {dtype} {shape}")
    return file.tell()


def _open_limit() -> int:
    """Half of the files that this process may open, less what Orbax opens to save a small model."""
    try:
        import resource  # noqa: PLC0415  (not on Windows)

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    except ImportError:
        soft = _MOST_FILES
    return max(8, min(_MOST_FILES, soft // 2 - 24)) if soft > 0 else _MOST_FILES


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
