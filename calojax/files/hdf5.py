"""HDF5 for reading: files are opened, datasets found; whatever stands in the way is one sentence with what to do.

Nothing here writes, so a file is read even where the file system has no locks, or where another process holds one.
"""

import contextlib
import importlib
import os
import warnings
from pathlib import Path
from typing import Any

import h5py

from calojax.errors import InputError, first_line

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def opened(path: Path) -> h5py.File:
    """The file, to be closed by the caller. Raises InputError if there is none that can be read.

    Warns if another process has locked it, as writers do: what is there now is read.
    """
    _check_file(path)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if not _is_about_locks(error):
            raise _not_opened(path, error) from None
        locked = isinstance(error, BlockingIOError)
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise _not_opened(path, error) from None
    if locked:
        warnings.warn(
            f"{path} is locked by another process, which may be writing it: what it holds now is read", stacklevel=2
        )
    return file


def dataset(path: Path, file: h5py.File, key: str, layout: str) -> h5py.Dataset:
    """The dataset `key`, which holds numbers that can be read; layout: what the file should have, in words."""
    found = file.get(key)
    if not isinstance(found, h5py.Dataset):
        has = ", ".join(sorted(file)) or "nothing"
        raise refused(
            f"{path}, {key}",
            f"is missing (the file has {has})" if found is None else "is a group",
            f"the layout has {layout}",
            "rename the keys or give another file",
        )
    if found.shape is None:
        raise refused(f"{path}, {key}", "is empty", "it must hold numbers", "give another file")
    if found.dtype.kind not in "fiu":
        raise refused(f"{path}, {key}", f"holds {found.dtype}", "it must hold numbers", "give another file")
    check_filters(path, found)
    return found


def check_filters(path: Path, found: h5py.Dataset) -> None:
    """InputError if a dataset is stored with a filter that is not there; those of hdf5plugin are loaded if need be."""
    pipeline = found.id.get_create_plist()
    filters = [pipeline.get_filter(i) for i in range(pipeline.get_nfilters())]
    for code, _, _, name in filters:
        if not _has_filter(code) and not _was_not_used(found):
            said = name.decode(errors="replace").partition(";")[0] or "a filter without a name"
            raise refused(
                f"{path}, {str(found.name).lstrip('/')}",
                f"is compressed with {said} (HDF5 filter {code})",
                "this filter is not installed",
                "pip install hdf5plugin, or store the file with gzip",
            )


def unreadable(path: Path, key: str, rows: str, error: Exception) -> InputError:
    """What to raise when the stored values of some rows cannot be read."""
    found = f"{rows} cannot be read ({first_line(error)})"
    return refused(f"{path}, {key}", found, "the file must be whole", "copy or download it again")


def refused(where: str, found: str, rule: str, remedy: str) -> InputError:
    """InputError, shorter to write."""
    return InputError(where=where, found=found, rule=rule, remedy=remedy)


def plain(value: Any) -> Any:
    """An HDF5 attribute as JSON can hold it."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if hasattr(value, "tolist"):
        value = value.tolist()
    return value if isinstance(value, (str, int, float, bool, list)) else str(value)


def _check_file(path: Path) -> None:
    try:
        if not path.is_file():
            found = "is a folder" if path.is_dir() else "is not a file" if path.exists() else "does not exist"
            raise refused(str(path), found, "an HDF5 file is needed", "check the path")
        if path.stat().st_size == 0:
            raise refused(str(path), "is empty", "an HDF5 file is needed", "copy or download it again")
        with path.open("rb"):
            pass
    except OSError as error:
        found = f"cannot be read ({error.strerror})"
        raise refused(
            str(path), found, "it must be allowed and possible", "check the path and its permissions"
        ) from None


def _is_about_locks(error: OSError) -> bool:
    """Not granted by the system, or the file is open in this process already under the other rule."""
    return "unable to lock file" in str(error) or "file locking" in str(error)


def _not_opened(path: Path, error: OSError) -> InputError:
    if _is_about_locks(error):
        why = "is locked by another process" if isinstance(error, BlockingIOError) else "cannot be locked"
        found = f"{why} ({os.strerror(error.errno) if error.errno else first_line(error)})"
        remedy = "set HDF5_USE_FILE_LOCKING=FALSE in the environment, or wait for the other process"
        return refused(str(path), found, "HDF5 was told to lock what it reads", remedy)
    if "already open for" in str(error):
        remedy = f"if nothing writes it any more: h5clear -s {path}"
        return refused(str(path), "was not closed by its writer", "only a closed file is read", remedy)
    with path.open("rb") as file:
        what = "is cut short or damaged" if file.read(len(_SIGNATURE)) == _SIGNATURE else "is not HDF5"
    found = f"{what} ({first_line(error)})"
    return refused(str(path), found, "an HDF5 file is needed", "copy or download it again")


def _has_filter(code: int) -> bool:
    if not h5py.h5z.filter_avail(code):
        with contextlib.suppress(ImportError):
            importlib.import_module("hdf5plugin")  # registers its filters
    return h5py.h5z.filter_avail(code)


def _was_not_used(found: h5py.Dataset) -> bool:
    """An optional filter may have been skipped when the rows were written; then they can be read."""
    try:
        found[:1]
    except (OSError, RuntimeError):
        return False
    return True
