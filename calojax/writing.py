"""Writing so that a name is only ever given to something whole: partial names, claims, room on the disk, refusals."""

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from calojax import stopping
from calojax.errors import InputError, first_line

_SPARE = 8 << 20  # bytes left free on a disk: for what a library writes beside the data


def partial(path: Path) -> Path:
    """The name beside `path` under which it grows until it is whole."""
    return path.with_name(f".{path.name}.partial")


def refuse_existing(path: Path, remedy: str = "remove it or give another --out") -> None:
    """InputError if there is something at the path already."""
    if path.exists() or path.is_symlink():
        raise InputError(where=str(path), found="exists already", rule="nothing is overwritten", remedy=remedy)


def refuse_full(out: Path) -> None:
    """InputError unless the folder is new or empty, and there can be one on a disk that has room."""
    if not out.is_dir() or any(out.iterdir()):
        refuse_existing(out)
    new = [folder for folder in (partial(out), *out.parents) if not folder.exists()]
    with refusals(out):
        for folder in reversed(new):
            folder.mkdir()
        try:
            need_room(new[0].parent if new else partial(out), 0)
        finally:
            for folder in new:
                folder.rmdir()


def refuse_other_request(path: Path, before: Mapping[str, Any], now: Mapping[str, Any], what: str = "file") -> None:
    """InputError naming all that differs between what the path was begun for and what is asked for now."""
    pairs = {key: (before.get(key), now.get(key)) for key in {**before, **now}}
    others = [f"{key} {old} (now {new})" for key, (old, new) in pairs.items() if old != new]
    if others:
        raise InputError(
            where=str(path),
            found=f"was begun with {', '.join(others)}",
            rule=f"a {what} is of one request",
            remedy="ask for the same again, or give another --out",
        )


def unused(wanted: Path) -> Path:
    """The wanted name, or the first of NAME-2, NAME-3, ... that is free."""
    names = itertools.chain([wanted], (wanted.with_name(f"{wanted.name}-{number}") for number in itertools.count(2)))
    return next(path for path in names if not path.exists())


def need_room(path: Path, size: int) -> None:
    """InputError unless the disk of an existing file or folder has room for `size` more bytes."""
    free = shutil.disk_usage(path).free
    if free < size + _SPARE:
        raise InputError(
            where=str(path),
            found=f"has {free / 1e6:,.0f} MB left on its disk",
            rule=f"the next {size / 1e6:,.1f} MB need room, and {_SPARE / 1e6:,.0f} MB stay free",
            remedy="free some, or write elsewhere",
        )


@contextlib.contextmanager
def refusals(path: Path | str, remedy: str = "give another --out") -> Iterator[None]:
    """Within it, what the system refuses (no space, no permission, no folder) is an InputError that names `path`."""
    try:
        yield
    except OSError as error:
        raise InputError(
            where=str(path),
            found=f"cannot be written ({error.strerror or first_line(error)})",
            rule="there must be room and permission for new files",
            remedy=remedy,
        ) from None


def storable(name: str) -> str:
    """The name of a file as text that any file can hold, the same in every locale: what is no UTF-8 is escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def text(path: Path, content: str) -> None:
    """A text file (UTF-8), whole or not at all, in place of what was there."""
    temporary = partial(path)
    try:
        temporary.write_text(content, encoding="utf-8")
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def claimed(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Make a folder and be the only process that works in it, as long as the context lasts or the process lives.

    At the end it is removed if it is empty, and without `wait` so are the empty ones that were made above it.
    wait: until another process lets go, in place of an InputError; whoever waited looks again at what is there. On a
    file system without locks nobody is kept out.
    """
    with refusals(folder):
        made = [path for path in folder.parents if not path.exists() and not wait]
        handle = _lock(folder, wait)

    def clear() -> None:
        for path in (folder, *made) if _is(folder, handle) else made:
            with contextlib.suppress(OSError):  # most often because it is not empty
                path.rmdir()

    try:
        with stopping.before_leaving(clear):
            yield
    finally:
        clear()
        os.close(handle)


def _lock(folder: Path, wait: bool) -> int:
    """A handle of the folder that holds its lock."""
    while True:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
        try:
            handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        except FileNotFoundError:
            if folder.is_symlink() or not folder.parent.is_dir():  # a link that leads nowhere
                raise
            continue  # removed by the one that had it
        try:
            _flock(handle, wait)
        except BlockingIOError:
            os.close(handle)
            raise InputError(
                where=str(folder),
                found="is being written by another process",
                rule="only one may",
                remedy="wait for it or give another --out",
            ) from None
        if _is(folder, handle):
            return handle
        os.close(handle)  # renamed or removed by the one that had it


def _is(folder: Path, handle: int) -> bool:
    """Whether a handle is of the folder that has this name now."""
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False


def _flock(handle: int, wait: bool) -> None:
    try:
        import fcntl  # noqa: PLC0415  (not on Windows)
    except ImportError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        return
