"""An HDF5 file of events that grows block by block, under a temporary name until it is whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calojax import writing
from calojax.files.unfinished import Unfinished

_CHUNK_ROWS = 128
_COMPRESSION = 1  # gzip level


class Growing:
    """A context manager. After an exception nothing is left; a process that is killed leaves `.NAME.partial`.

    attributes, tables (arrays that are not of events, by key): written first. Raises InputError if the path exists or
    the disk has no room.
    """

    def __init__(self, path: Path, attributes: Mapping[str, Any], tables: Mapping[str, np.ndarray]):
        self.path, self._unfinished = path, Unfinished(path)
        self._attributes, self._tables = dict(attributes), tables
        self.rows = 0

    def __enter__(self) -> "Growing":
        self._file = self._unfinished.begin()
        try:
            self._file.attrs.update(self._attributes)
            for key, array in self._tables.items():
                self._file[key] = array
        except BaseException:
            self._unfinished.discard()
            raise
        return self

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Add n events: arrays (n, ...) by key, the same keys at every call."""
        writing.need_room(self._unfinished.partial, sum(array.nbytes for array in arrays.values()))
        first, more = self.rows, len(next(iter(arrays.values())))
        for key, array in arrays.items():
            if key not in self._file:
                self._create(key, array)
            dataset: Any = self._file[key]
            dataset.resize(first + more, axis=0)
            dataset[first:] = array
        self.rows = first + more

    def describe(self, attributes: Mapping[str, Any]) -> None:
        """More attributes, known only at the end."""
        self._file.attrs.update(attributes)

    def _create(self, key: str, array: np.ndarray) -> None:
        self._file.create_dataset(
            key,
            (0, *array.shape[1:]),
            array.dtype,
            maxshape=(None, *array.shape[1:]),
            chunks=(_CHUNK_ROWS if array.ndim > 1 else 4096, *array.shape[1:]),
            compression="gzip",
            compression_opts=_COMPRESSION,
        )

    def __exit__(self, kind, *error) -> None:
        try:
            if kind is None:
                return self._unfinished.keep()
        except BaseException:
            self._unfinished.discard()
            raise
        self._unfinished.discard()
